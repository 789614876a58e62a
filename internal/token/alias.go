package token

import "github.com/sallyport/sallyport/internal/jose"

// What callers need of package jose, so that they need not import it.
type (
	// Key is one key of one algorithm.
	Key = jose.Key
	// Algorithm is a JWS algorithm.
	Algorithm = jose.Algorithm
	// Header says what the header of a token looks like.
	Header = jose.Header
	// Order is the order of the members of a header.
	Order = jose.Order
)

// The algorithms and header orders of package jose.
const (
	HS256 = jose.HS256
	ES256 = jose.ES256
	EdDSA = jose.EdDSA
	RS256 = jose.RS256

	AlgTypKid = jose.AlgTypKid
	TypAlgKid = jose.TypAlgKid
	AlgKidTyp = jose.AlgKidTyp
	KidAlgTyp = jose.KidAlgTyp

	// MaxSize is the length of the longest token in bytes.
	MaxSize = jose.MaxTokenSize
)

// GenerateKey makes a new key of the algorithm.
func GenerateKey(alg Algorithm, kid string) (*Key, error) { return jose.GenerateKey(alg, kid) }

// NewHMAC makes an HS256 key of a secret of at least 32 bytes.
func NewHMAC(kid string, secret []byte) (*Key, error) { return jose.NewHMAC(kid, secret) }

// NewRequestKey makes the key that checks and signs the request tokens of an API key. Its length is not judged: the
// secret was made by us, long enough, or comes from a system whose clients are in the field.
func NewRequestKey(secret []byte) (*Key, error) { return jose.NewWeakHMAC("", secret) }

// ParseForeignJWKS returns the public keys of a JWK Set that others made, and that they sign with by libraries of
// theirs: both forms of an ECDSA signature are theirs to choose. What such a key signs must be accepted once by an
// identifier in it, never by its bytes.
func ParseForeignJWKS(data []byte) ([]*Key, error) { return jose.ParseJWKS(data) }

// ParseJWKS returns the public keys of a JWK Set, for verifiers that fetch one from us: of the two forms of an ECDSA
// signature they take only the one that we make.
func ParseJWKS(data []byte) ([]*Key, error) {
	keys, err := jose.ParseJWKS(data)
	for i := range keys {
		keys[i] = keys[i].RequireLowS()
	}
	return keys, err
}

// MaxDocument is the length of the longest signed document in bytes; see VerifyDocument.
const MaxDocument = jose.MaxDocumentSize
