package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"
	"slices"
	"sync"

	"github.com/sallyport/sallyport/internal/jose/strictjson"
)

// Order is the order of the members of a header. Some verifiers in the field compare headers as text.
type Order uint8

// The orders. A member that is not there is left out.
const (
	AlgTypKid Order = iota // {"alg":…,"typ":…,"kid":…}
	TypAlgKid              // {"typ":…,"alg":…,"kid":…}
	AlgKidTyp              // {"alg":…,"kid":…,"typ":…}
	KidAlgTyp              // {"kid":…,"alg":…,"typ":…}
)

// Header says what the header of a token looks like. The zero value gives alg and, if the key has an id, kid.
type Header struct {
	Typ       string // media type, such as "JWT" or "at+jwt"; "" leaves typ out
	OmitKeyID bool   // leave kid out
	Order     Order
}

const (
	maxTyp = 64
	// maxCached bounds the header segments that a key remembers, of those it made and of those it met.
	maxCached = 8
)

// signHeader is a header as Sign writes it, encoded and with its dot.
type signHeader struct {
	header  Header
	segment string
}

// EncodedHeader returns the header segment of the tokens that Sign makes, without the dot.
func (k *Key) EncodedHeader(h Header) (string, error) {
	segment, err := k.headerSegment(h)
	if err != nil {
		return "", err
	}
	return segment[:len(segment)-1], nil
}

// headerSegment returns the encoded header with its dot, from memory if it was made before.
func (k *Key) headerSegment(h Header) (string, error) {
	if cached := k.signs.Load(); cached != nil {
		for i := range *cached {
			if (*cached)[i].header == h {
				return (*cached)[i].segment, nil
			}
		}
	}
	text, err := k.headerText(h)
	if err != nil {
		return "", err
	}
	entry := signHeader{header: h, segment: rawURL.EncodeToString(text) + "."}
	remember(&k.signs, entry)
	return entry.segment, nil
}

func (k *Key) headerText(h Header) ([]byte, error) {
	if !printable(h.Typ, maxTyp) {
		return nil, fmt.Errorf("%w: typ must be UTF-8 of at most %d bytes without control characters", ErrKey, maxTyp)
	}
	kid := k.id
	if h.OmitKeyID {
		kid = ""
	}
	alg, typ, id := [2]string{"alg", string(k.alg)}, [2]string{"typ", h.Typ}, [2]string{"kid", kid}
	members := [3][2]string{alg, typ, id}
	switch h.Order {
	case TypAlgKid:
		members = [3][2]string{typ, alg, id}
	case AlgKidTyp:
		members = [3][2]string{alg, id, typ}
	case KidAlgTyp:
		members = [3][2]string{id, alg, typ}
	}
	out := []byte{'{'}
	for _, m := range members {
		if m[1] == "" {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = strictjson.AppendString(out, m[0])
		out = strictjson.AppendString(append(out, ':'), m[1])
	}
	return append(out, '}'), nil
}

// Sign makes a token of the payload. It refuses a token that Parse would refuse for its size. Keys without private
// part give ErrKey. HS256, EdDSA and RS256 give the same token for the same input, ES256 does not.
func (k *Key) Sign(h Header, payload []byte) (string, error) {
	return k.signUpTo(h, payload, MaxTokenSize)
}

// benches hold tokens while they are made.
var benches = sync.Pool{New: func() any { return new([]byte) }}

func (k *Key) signUpTo(h Header, payload []byte, limit int) (string, error) {
	header, err := k.headerSegment(h)
	if err != nil {
		return "", err
	}
	size := len(header) + rawURL.EncodedLen(len(payload)) + 1 + rawURL.EncodedLen(k.signatureSize())
	if size > limit {
		return "", fmt.Errorf("sign: token of %d bytes, the most is %d: give the payload fewer or shorter claims", size, limit)
	}
	if len(payload) == 0 {
		return "", fmt.Errorf("sign: %w: empty payload", ErrMalformed)
	}
	bench := benches.Get().(*[]byte)
	out := slices.Grow((*bench)[:0], size+k.signatureSize()) // the signature waits behind the token to be encoded into it
	defer func() {
		clear(out[:cap(out)]) // what it held opens something
		if cap(out) <= MaxTokenSize {
			*bench = out[:0]
		}
		benches.Put(bench)
	}()
	out = append(out, header...)
	out = rawURL.AppendEncode(out, payload)
	sig, err := k.sign(out[size:size], out)
	if err != nil {
		return "", err
	}
	out = append(out, '.')
	return string(rawURL.AppendEncode(out, sig)), nil
}

// signatureSize is the length of a signature in bytes, 0 for a key that cannot be.
func (k *Key) signatureSize() int {
	switch k.alg {
	case HS256:
		return sha256.Size
	case ES256:
		return 2 * p256Size
	case EdDSA:
		return ed25519.SignatureSize
	case RS256:
		return k.rsaPub.Size()
	}
	return 0
}

func (k *Key) sign(dst, input []byte) ([]byte, error) {
	switch {
	case k.secret != nil:
		k.mac(input, func(sum []byte) bool {
			dst = append(dst, sum...)
			return true
		})
		return dst, nil
	case k.ec != nil:
		return k.signES256(dst, input)
	case k.ed != nil:
		return ed25519.Sign(k.ed, input), nil
	case k.rsa != nil:
		sum := sha256.Sum256(input)
		sig, err := rsa.SignPKCS1v15(nil, k.rsa, crypto.SHA256, sum[:])
		if err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
		return sig, nil
	}
	return nil, fmt.Errorf("%w: key %q can only verify", ErrKey, k.id)
}

var (
	p256Order = elliptic.P256().Params().N
	p256Half  = new(big.Int).Rsh(p256Order, 1)
)

// signES256 appends r and s (RFC 7518 section 3.4), of the two possible s the smaller one: see RequireLowS.
func (k *Key) signES256(dst, input []byte) ([]byte, error) {
	sum := sha256.Sum256(input)
	r, s, err := ecdsa.Sign(rand.Reader, k.ec, sum[:])
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	if s.Cmp(p256Half) > 0 {
		s.Sub(p256Order, s)
	}
	var raw [2 * p256Size]byte
	r.FillBytes(raw[:p256Size])
	s.FillBytes(raw[p256Size:])
	return append(dst, raw[:]...), nil
}
