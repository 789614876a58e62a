// Package jose makes and checks compact JWS tokens (RFC 7515) and publishes keys as JWKs (RFC 7517), with as few
// choices as the job allows.
//
// A Key has one Algorithm for its whole life and is never used with another; what a token says about algorithms is
// compared with the key and otherwise believed in nothing (RFC 8725 section 3.1). Four algorithms exist. There is no
// "none", no encryption, no JSON serialization, no detached or unencoded payload.
//
// Signing is Key.Sign. Checking goes in two steps: Parse reads the shape of a token and its header, and Parsed.Verify
// gives the payload to whoever brings the right key; there is no way to the payload before that, except
// Parsed.UnverifiedPayload, which says so. Parse is strict: one token has one spelling, so a token that was changed in
// any byte is either refused by Parse or fails its signature.
//
// Header parameters that name or carry keys (jwk, jku, x5c, x5u) are refused, not skipped: nobody who sends one means
// well by a verifier that has its keys already, and a refused token cannot be read otherwise by a laxer program behind
// us. The same goes for crit, b64, zip, enc, and for names that differ from a registered one in case alone. Other
// parameters are ignored, as RFC 7515 section 4 asks.
//
// The package knows no claims and no clocks; internal/token does. It imports the standard library alone.
package jose
