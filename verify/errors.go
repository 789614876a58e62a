package verify

import (
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/internal/token"
)

// The errors of Verify, for errors.Is, in the order in which things are checked. Messages around them say what exactly
// is wrong; they are for logs, not for whoever presented the token.
var (
	// ErrKeys: there is no key to verify with: the issuer has not answered since the start, or not for longer than
	// Config.MaxKeyAge. It says nothing about the token.
	ErrKeys = errors.New("no keys to verify tokens with")
	// ErrMalformed: no token at all, by shape, size, encoding or header.
	ErrMalformed = token.ErrMalformed
	// ErrSignature: no known key made it.
	ErrSignature = token.ErrSignature
	// ErrClaims: a claim is missing, of the wrong type, out of range or oddly spelt. A token without exp gives it.
	ErrClaims = token.ErrClaims
	// ErrKind: a token of another kind, such as a refresh or id token.
	ErrKind = token.ErrKind
	// ErrIssuer: a token of another issuer.
	ErrIssuer = token.ErrIssuer
	// ErrAudience: a token for another audience, or for one where none is expected.
	ErrAudience = token.ErrAudience
	// ErrLifetime: exp lies before iat, or further from it than Config.MaxLifetime.
	ErrLifetime = token.ErrLifetime
	// ErrNotYetValid: nbf or iat lies more than a minute in the future.
	ErrNotYetValid = token.ErrNotYetValid
	// ErrExpired: exp has passed.
	ErrExpired = token.ErrExpired
	// ErrScope: the token is good and lacks a scope that is needed here.
	ErrScope = errors.New("token lacks a scope")
	// ErrRevoked: the token was revoked.
	ErrRevoked = errors.New("token was revoked")
	// ErrStale: the token may have been revoked: the feed has not been heard for too long. It says nothing about the
	// token, and the same one may be accepted in a moment.
	ErrStale = errors.New("revocations not heard of")
	// ErrClosed: the Verifier was closed.
	ErrClosed = errors.New("verifier is closed")
)

// ErrConfig is for a Config that New does not take. The message says what to change.
var ErrConfig = errors.New("verify configuration")

func configError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrConfig, fmt.Sprintf(format, args...))
}
