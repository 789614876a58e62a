package token

import (
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/internal/jose"
)

// The errors of verification, for errors.Is. They are in the order in which things are checked; only a claim that is
// missing altogether (iat, exp, sid) is noticed later than its place here says.
// Their messages are for logs and for `token inspect`, not for whoever presented the token.
var (
	// ErrMalformed: no token at all, by shape, size, encoding or header.
	ErrMalformed = jose.ErrMalformed
	// ErrSignature: none of the keys made it, or a holder of a shared secret did, without us.
	ErrSignature = errors.New("token is not signed by a key of this set")
	// ErrClaims: a claim is missing, of the wrong type, out of range or oddly spelt.
	ErrClaims = errors.New("claim not acceptable")
	// ErrKind: a token of another kind.
	ErrKind = errors.New("token of another kind")
	// ErrIssuer: iss is none of those that are allowed here.
	ErrIssuer = errors.New("token of another issuer")
	// ErrAudience: aud is not exactly the one that is expected, or is there where none is.
	ErrAudience = errors.New("token for another audience")
	// ErrLifetime: exp is before iat, too far from it, or there where none is allowed.
	ErrLifetime = errors.New("lifetime not acceptable")
	// ErrNotYetValid: nbf or iat lies more than Skew in the future.
	ErrNotYetValid = errors.New("token is not valid yet")
	// ErrExpired: exp has passed. The claims come with it.
	ErrExpired = errors.New("token has expired")
)

// order ranks the errors by how far the token got.
var order = []error{
	ErrMalformed, ErrSignature, ErrClaims, ErrKind, ErrIssuer, ErrAudience, ErrLifetime, ErrNotYetValid, ErrExpired,
}

// progress is the rank of err, higher for a token that is nearer to acceptance.
func progress(err error) int {
	for i, e := range order {
		if errors.Is(err, e) {
			return i
		}
	}
	return -1
}

func refuse(kind error, format string, args ...any) error {
	return fmt.Errorf("%w: %s", kind, fmt.Sprintf(format, args...))
}

func claimError(name, reason string) error { return refuse(ErrClaims, "%s %s", name, reason) }
