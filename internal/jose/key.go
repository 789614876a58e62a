package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"sync"
	"sync/atomic"
	"unicode"
	"unicode/utf8"
)

// Bounds on keys.
const (
	// MinSecret is the length of an HMAC secret in bytes from which NewHMAC takes it (RFC 7518 section 3.2).
	MinSecret = 32
	// MaxKeyID bounds a key id in bytes, in keys and in headers.
	MaxKeyID = 256

	minRSABits    = 2048
	newRSABits    = 3072
	maxRSABits    = 8192 // what lies above costs a verifier milliseconds a token and gains nothing
	minRSAExp     = 65537
	maxRSAExp     = 1<<31 - 1 // what crypto/rsa takes
	maxSecretSize = 4096
)

// Key is one key of one algorithm. It is safe for concurrent use and must not be copied.
type Key struct {
	id     string
	alg    Algorithm
	secret []byte
	ecPub  *ecdsa.PublicKey
	ec     *ecdsa.PrivateKey
	edPub  ed25519.PublicKey
	ed     ed25519.PrivateKey
	rsaPub *rsa.PublicKey
	rsa    *rsa.PrivateKey
	lowS   bool // refuse the second signature that exists for every ECDSA signature; see RequireLowS

	macs   sync.Pool // of *macState, keyed with secret
	signs  atomic.Pointer[[]signHeader]
	checks atomic.Pointer[[]knownHeader]
}

// NewHMAC makes an HS256 key of a secret of at least MinSecret bytes. An empty kid means that the key has none.
func NewHMAC(kid string, secret []byte) (*Key, error) {
	if len(secret) < MinSecret {
		return nil, fmt.Errorf("%w: HMAC secret of %d bytes, at least %d are needed", ErrKey, len(secret), MinSecret)
	}
	return NewWeakHMAC(kid, secret)
}

// NewWeakHMAC is NewHMAC without the minimum: any secret but the empty one. Two places have a reason to call it: a
// secret that an operator brings because the verifiers in the field hold it already, within the time the operator has
// allowed for that, and the secrets of API keys, whose length the vendor's clients dictate. Anything else is a mistake.
func NewWeakHMAC(kid string, secret []byte) (*Key, error) {
	if len(secret) == 0 || len(secret) > maxSecretSize {
		return nil, fmt.Errorf("%w: HMAC secret of %d bytes, 1 to %d are possible", ErrKey, len(secret), maxSecretSize)
	}
	if err := checkKeyID(kid); err != nil {
		return nil, err
	}
	k := &Key{id: kid, alg: HS256, secret: append([]byte(nil), secret...)}
	k.macs.New = func() any { return &macState{hash: hmac.New(sha256.New, k.secret)} }
	return k, nil
}

// GenerateKey makes a new key: 32 random bytes for HS256, P-256, Ed25519, or RSA of 3072 bits.
func GenerateKey(alg Algorithm, kid string) (*Key, error) {
	switch alg {
	case HS256:
		secret := make([]byte, MinSecret)
		if _, err := rand.Read(secret); err != nil {
			return nil, fmt.Errorf("generate HMAC secret: %w", err)
		}
		return NewHMAC(kid, secret)
	case ES256:
		priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("generate P-256 key: %w", err)
		}
		return newPrivate(kid, priv)
	case EdDSA:
		_, priv, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("generate Ed25519 key: %w", err)
		}
		return newPrivate(kid, priv)
	case RS256:
		priv, err := rsa.GenerateKey(rand.Reader, newRSABits)
		if err != nil {
			return nil, fmt.Errorf("generate RSA key: %w", err)
		}
		return newPrivate(kid, priv)
	}
	return nil, fmt.Errorf("%w: algorithm %q", ErrUnsupportedKey, alg)
}

// newPrivate wraps a private key of the standard library. Its type decides the algorithm.
func newPrivate(kid string, priv any) (*Key, error) {
	switch priv := priv.(type) {
	case *ecdsa.PrivateKey:
		k, err := newPublic(kid, &priv.PublicKey)
		if err != nil {
			return nil, err
		}
		k.ec, k.lowS = priv, true
		return k, nil
	case ed25519.PrivateKey:
		if len(priv) != ed25519.PrivateKeySize {
			return nil, fmt.Errorf("%w: Ed25519 key of %d bytes", ErrKey, len(priv))
		}
		k, err := newPublic(kid, priv.Public())
		if err != nil {
			return nil, err
		}
		k.ed = priv
		return k, nil
	case *rsa.PrivateKey:
		k, err := newPublic(kid, &priv.PublicKey)
		if err != nil {
			return nil, err
		}
		if err := priv.Validate(); err != nil {
			return nil, fmt.Errorf("%w: RSA: %w", ErrKey, err)
		}
		priv.Precompute()
		k.rsa = priv
		return k, nil
	}
	return nil, fmt.Errorf("%w: %T", ErrUnsupportedKey, priv)
}

// newPublic wraps a public key of the standard library.
func newPublic(kid string, pub any) (*Key, error) {
	if err := checkKeyID(kid); err != nil {
		return nil, err
	}
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		if pub.Curve != elliptic.P256() {
			return nil, fmt.Errorf("%w: curve %s, only P-256 is possible", ErrUnsupportedKey, pub.Curve.Params().Name)
		}
		if _, err := pub.Bytes(); err != nil { // not on the curve
			return nil, fmt.Errorf("%w: P-256: %w", ErrKey, err)
		}
		return &Key{id: kid, alg: ES256, ecPub: pub}, nil
	case ed25519.PublicKey:
		if err := checkEd25519(pub); err != nil {
			return nil, err
		}
		return &Key{id: kid, alg: EdDSA, edPub: pub}, nil
	case *rsa.PublicKey:
		if err := checkRSA(pub); err != nil {
			return nil, err
		}
		return &Key{id: kid, alg: RS256, rsaPub: pub}, nil
	}
	return nil, fmt.Errorf("%w: %T", ErrUnsupportedKey, pub)
}

// checkRSA refuses moduli that can be factored and exponents that make signatures forgeable or were chosen to.
func checkRSA(pub *rsa.PublicKey) error {
	switch bits := pub.N.BitLen(); {
	case bits < minRSABits || bits > maxRSABits:
		return fmt.Errorf("%w: RSA key of %d bits, %d to %d are possible", ErrKey, bits, minRSABits, maxRSABits)
	case pub.N.Bit(0) == 0:
		return fmt.Errorf("%w: RSA modulus is even", ErrKey)
	case pub.E < minRSAExp || pub.E > maxRSAExp || pub.E&1 == 0:
		return fmt.Errorf("%w: RSA exponent %d, an odd one from %d to %d is needed", ErrKey, pub.E, minRSAExp, maxRSAExp)
	case roca(pub.N):
		return fmt.Errorf("%w: RSA key of the faulty generator of CVE-2017-15361 (ROCA); make a new one", ErrKey)
	}
	return nil
}

func checkKeyID(kid string) error {
	if !printable(kid, MaxKeyID) {
		return fmt.Errorf("%w: key id must be UTF-8 of at most %d bytes without control characters", ErrKey, MaxKeyID)
	}
	return nil
}

// printable reports that text is valid UTF-8 of at most limit bytes without control characters.
func printable(text string, limit int) bool {
	if len(text) > limit || !utf8.ValidString(text) {
		return false
	}
	for _, r := range text {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}

// ID returns the key id, "" when the key has none.
func (k *Key) ID() string { return k.id }

// Algorithm returns the one algorithm of the key.
func (k *Key) Algorithm() Algorithm { return k.alg }

// String names the key without its secret, which %v would print otherwise.
func (k *Key) String() string { return fmt.Sprintf("%s key %q", k.alg, k.id) }

// GoString is String, for %#v.
func (k *Key) GoString() string { return k.String() }

// CanSign reports whether the private part, or the HMAC secret, is there.
func (k *Key) CanSign() bool {
	return k.secret != nil || k.ec != nil || k.ed != nil || k.rsa != nil
}

// Public returns the key without its private part, or nil for an HMAC key, which has no public part.
func (k *Key) Public() *Key {
	if k.alg.Symmetric() {
		return nil
	}
	return &Key{id: k.id, alg: k.alg, ecPub: k.ecPub, edPub: k.edPub, rsaPub: k.rsaPub, lowS: k.lowS}
}

// RequireLowS returns the public part of k so that it takes only the smaller of the two values of s with which every
// ECDSA signature verifies. Sign makes no other, and keys with a private part take no other, so our own tokens have
// one spelling (a stranger cannot turn one into a second valid token). Keys of foreign issuers must stay lax, since
// their signers give either value. For other algorithms it changes nothing.
func (k *Key) RequireLowS() *Key {
	p := k.Public()
	if p != nil {
		p.lowS = true
	}
	return p
}

// Thumbprint returns the JWK thumbprint (RFC 7638) with SHA-256 in base64url. For an HMAC key it is empty: a digest
// of a secret is a means to guess it.
func (k *Key) Thumbprint() string {
	members := k.publicMembers()
	if members == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("{" + members + "}"))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// macState is a keyed HMAC and room for its result, which would otherwise be allocated for each token.
type macState struct {
	hash hash.Hash
	sum  [sha256.Size]byte
}

// mac hands the HMAC of input to use, which must not keep it. The keyed states are kept: that saves two of the four
// compressions of a short HMAC.
func (k *Key) mac(input []byte, use func(sum []byte) bool) bool {
	m := k.macs.Get().(*macState)
	m.hash.Reset()
	_, _ = m.hash.Write(input) // a hash never fails
	ok := use(m.hash.Sum(m.sum[:0]))
	k.macs.Put(m)
	return ok
}
