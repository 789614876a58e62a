// Package oauth serves OAuth 2.0 and OpenID Connect over the engine that the
// contracts use: the same users, sessions, keys and revocations.
//
// How the pieces move. A Handler owns the paths under /oauth2/ and the two
// discovery documents. An endpoint reads a strict form (one value a parameter,
// nothing in the URL), finds out which client calls, hands a request to
// authserver.Server and writes what came back in the shape of the RFC. Every rule
// (what a grant needs, what a code is bound to, whose token may be told of)
// stands there; an error that has a name in RFC 6749 section 5.2 carries it.
//
// Served here: the token endpoint (authorization_code with PKCE, refresh_token,
// client_credentials, jwt-bearer assertions, token exchange), introspection
// (RFC 7662), revocation (RFC 7009), metadata (RFC 8414 and OpenID Connect
// Discovery). The pages that a browser sees stand in files named browser_*.
//
// It does not: serve the password or implicit grant, fetch a jwks_uri or
// request_uri, register clients over HTTP.
package oauth
