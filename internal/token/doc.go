// Package token is the only verifier of Sallyport's tokens: kinds, claims, issuer, audience, times.
//
// A token is checked in one order, whatever it is: shape and header (jose.Parse), signature, our own MAC where the
// secret is shared, strict reading of the claims, kind, issuer, audience, session, lifetime, and last of all the
// clock. So an ErrExpired means that nothing but time is wrong with the token, and it comes with the claims.
//
// What is demanded is said by Rules, one for each kind of token of each mount; the zero Rules lets nothing through.
// Verify judges by one Rules. Identify takes several alternatives, reads the token once and says which of them it is
// or would have been: "a refresh token where an access token is needed".
//
// Request tokens, which API keys sign, are another matter (their claims name the key, times may be text) and have a
// reader of their own, ParseRequest. No other function takes them.
//
// Keys come from outside, in the order in which they are to be tried; the kid of a token moves keys to the front and
// does nothing else. Times are Unix milliseconds of the caller's clock; claims hold Unix seconds. The package knows
// nothing of revocation, sessions or users. No type of a third party appears in it.
package token
