package jose

import "errors"

// Algorithm is a JWS algorithm by its registered name (RFC 7518 section 3.1, RFC 8037 section 3.1).
type Algorithm string

// The algorithms that exist.
const (
	HS256 Algorithm = "HS256" // HMAC with SHA-256
	ES256 Algorithm = "ES256" // ECDSA with P-256 and SHA-256
	EdDSA Algorithm = "EdDSA" // Ed25519
	RS256 Algorithm = "RS256" // RSASSA-PKCS1-v1_5 with SHA-256
)

// Algorithms lists them all.
func Algorithms() []Algorithm { return []Algorithm{HS256, ES256, EdDSA, RS256} }

// Known reports whether a is one of the four.
func (a Algorithm) Known() bool {
	switch a {
	case HS256, ES256, EdDSA, RS256:
		return true
	}
	return false
}

// Symmetric reports whether whoever can check a signature can make one, too.
func (a Algorithm) Symmetric() bool { return a == HS256 }

// The errors of this package. Messages around them say what exactly is wrong.
var (
	// ErrMalformed is for a token that is not a strict compact JWS.
	ErrMalformed = errors.New("malformed token")
	// ErrAlgorithm is for a key and a token of different algorithms.
	ErrAlgorithm = errors.New("algorithm of the token is not the key's")
	// ErrSignature is for a signature that the key did not make.
	ErrSignature = errors.New("signature does not verify")
	// ErrKey is for a key that can't be used: too short, inconsistent, without private part.
	ErrKey = errors.New("unusable key")
	// ErrUnsupportedKey is for a key of a kind that does not exist here. It is an ErrKey, too.
	ErrUnsupportedKey = unsupportedKey{}
)

type unsupportedKey struct{}

func (unsupportedKey) Error() string        { return "unsupported kind of key" }
func (unsupportedKey) Is(target error) bool { return target == ErrKey }
