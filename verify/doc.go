// Package verify checks the access tokens of a Sallyport server without asking the server about each one.
//
//	v, err := verify.New(verify.Config{Issuer: "https://auth.example.com", Audience: "api"})
//	…
//	http.Handle("/stations", v.Middleware(stations, verify.RequireScopes("stations:read")))
//
// # How the pieces move
//
// A Verifier has keys: fetched from the issuer's JWK Set, given as a fixed set, or one shared HMAC secret. A goroutine
// keeps the fetched ones fresh by the Cache-Control of the answer; a token that names an unknown key makes it look
// again, at most once in ten seconds. While the issuer does not answer, the keys that were fetched last stay in use,
// also over a restart when Config.JWKSCacheFile is set.
//
// There are two ways to hear of revocations within seconds, and both may be used. With Config.Revocations another
// goroutine follows the server's revocation feed. With Config.StatusLists each status list that a token names is fetched
// every two seconds for as long as tokens name it. When either falls silent for thirty seconds, Verify refuses what it
// cannot be sure of with ErrStale rather than accept a revoked token. Without both, a revoked token is good until its exp,
// and a token that has none is refused.
//
// Config.Accept says whose access tokens are taken: a contract's, told by a claim, those of the OAuth endpoints, told by
// their typ, or both. Refresh, id, application and logout tokens are neither.
//
// Verify checks shape, signature, kind, issuer, audience, session, lifetime, clock, scope and revocation, in this
// order, and names the first thing that is wrong. A token that was accepted is remembered: the next time, only what may
// have changed is looked at (keys, clock, revocations), which takes no allocation.
//
// # What it does not do
//
// It does not log users in, refresh tokens or call introspection. It verifies what Sallyport issues: HS256, ES256,
// EdDSA and RS256 in compact form, nothing encrypted, no "none". It never fetches a key from where a token says (jku,
// x5u), and a token that carries a key (jwk, x5c) is refused.
//
// # Shared secrets
//
// Whoever holds the secret of an HS256 contract can mint tokens that every other holder accepts, this package included:
// the server itself demands a further claim, mac, that only it can check. Give Config.Secret to services that you would
// trust to log anybody in, and use a contract with ES256 for all others. Config.Secrets takes several while one is replaced.
//
// # Time
//
// Tokens are judged by Config.Clock, and so is the exp of a status list. Waiting, the age of keys and the silence of feed
// and lists are measured with the clock of the machine; tests that want to control that too run in a bubble of testing/synctest.
package verify
