package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"

	"github.com/sallyport/sallyport/internal/jose/strictjson"
)

// publicMembers returns the members that RFC 7638 digests, in its order, without braces; "" for an HMAC key.
func (k *Key) publicMembers() string {
	b64 := rawURL.EncodeToString
	switch k.alg {
	case ES256:
		point, err := k.ecPub.Bytes() // 4, x, y
		if err != nil {
			return ""
		}
		return `"crv":"P-256","kty":"EC","x":"` + b64(point[1:33]) + `","y":"` + b64(point[33:]) + `"`
	case EdDSA:
		return `"crv":"Ed25519","kty":"OKP","x":"` + b64(k.edPub) + `"`
	case RS256:
		e := big.NewInt(int64(k.rsaPub.E))
		return `"e":"` + b64(e.Bytes()) + `","kty":"RSA","n":"` + b64(k.rsaPub.N.Bytes()) + `"`
	}
	return ""
}

// JWK returns the public key as a JSON Web Key with kid, alg and "use":"sig". An HMAC key has nothing to publish and
// gives ErrKey.
func (k *Key) JWK() ([]byte, error) {
	members := k.publicMembers()
	if members == "" {
		return nil, fmt.Errorf("%w: key %q (%s) has no public part", ErrKey, k.id, k.alg)
	}
	out := append([]byte{'{'}, members...)
	if k.id != "" {
		out = strictjson.AppendString(append(out, `,"kid":`...), k.id)
	}
	return append(out, `,"use":"sig","alg":"`+string(k.alg)+`"}`...), nil
}

// MarshalJWKS returns the JWK Set of the public keys, in their order. Each must have an id of its own; an HMAC key
// among them gives ErrKey and nothing is published.
func MarshalJWKS(keys []*Key) ([]byte, error) {
	out := []byte(`{"keys":[`)
	seen := make(map[string]bool, len(keys))
	for i, k := range keys {
		if k.id == "" || seen[k.id] {
			return nil, fmt.Errorf("%w: key id %q is empty or there twice", ErrKey, k.id)
		}
		seen[k.id] = true
		jwk, err := k.JWK()
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, jwk...)
	}
	return append(out, "]}"...), nil
}

// ParseJWKS returns the keys of a JWK Set that can be used here. Keys of other kinds, algorithms or uses are skipped,
// as RFC 7517 section 5 asks; one that claims to be of ours and is wrong, or a kid that is there twice, gives ErrKey.
func ParseJWKS(data []byte) ([]*Key, error) {
	members, err := strictjson.ParseObject(string(data), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: JWK Set: %w", ErrKey, err)
	}
	values, ok := strictjson.Find(members, "keys").Elements(nil)
	if !ok {
		return nil, fmt.Errorf(`%w: JWK Set without array "keys"`, ErrKey)
	}
	keys := make([]*Key, 0, len(values))
	seen := make(map[string]bool, len(values))
	for _, v := range values {
		k, err := FromJWK([]byte(v))
		if errors.Is(err, ErrUnsupportedKey) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if seen[k.id] {
			return nil, fmt.Errorf("%w: key id %q is there twice", ErrKey, k.id)
		}
		seen[k.id] = true
		keys = append(keys, k)
	}
	return keys, nil
}

// FromJWK makes a key that verifies of a public JSON Web Key. It refuses a key whose kty, crv and alg do not go
// together, one that is for another use, coordinates of the wrong length or off the curve, leading zeros in numbers,
// and a JWK with private members: whoever sent it has lost the key, or is not who should send one. An RSA key must
// name its algorithm, since RSA keys serve several; for P-256 and Ed25519 only one is possible.
//
// The error is ErrUnsupportedKey for a well-formed JWK of a kind that does not exist here, else ErrKey.
func FromJWK(data []byte) (*Key, error) {
	members, err := strictjson.ParseObject(string(data), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: JWK: %w", ErrKey, err)
	}
	r := jwkReader{members: members}
	kty, crv, alg, kid := r.text("kty"), r.text("crv"), r.text("alg"), r.text("kid")
	r.checkUse()
	if r.err != nil {
		return nil, r.err
	}
	for _, name := range [...]string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if r.has(name) && kty != "oct" {
			return nil, fmt.Errorf("%w: JWK %q has the private member %q; publish the public ones alone", ErrKey, kid, name)
		}
	}
	want := func(only Algorithm, required bool) error {
		if alg == string(only) || !r.has("alg") && !required {
			return nil
		}
		return fmt.Errorf("%w: JWK %q: alg %q with kty %q, only %s is possible", ErrUnsupportedKey, kid, alg, kty, only)
	}
	switch {
	case kty == "EC" && crv == "P-256":
		if err := want(ES256, false); err != nil {
			return nil, err
		}
		return r.ecKey(kid)
	case kty == "OKP" && crv == "Ed25519":
		if err := want(EdDSA, false); err != nil {
			return nil, err
		}
		x := r.bytes("x")
		if r.err != nil {
			return nil, r.err
		}
		return newPublic(kid, ed25519.PublicKey(x))
	case kty == "RSA":
		if err := want(RS256, true); err != nil {
			return nil, err
		}
		return r.rsaKey(kid)
	}
	return nil, fmt.Errorf("%w: JWK %q of kty %q, crv %q", ErrUnsupportedKey, kid, kty, crv)
}

// jwkReader fetches members of a JWK. The first mistake stays in err.
type jwkReader struct {
	members []strictjson.Member
	err     error
}

func (r *jwkReader) has(name string) bool { return strictjson.Find(r.members, name) != "" }

func (r *jwkReader) fail(name, reason string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: JWK member %q: %s", ErrKey, name, reason)
	}
}

// text returns a string member, "" when it is not there.
func (r *jwkReader) text(name string) string {
	v := strictjson.Find(r.members, name)
	if v == "" {
		return ""
	}
	text, ok := v.Text()
	if !ok {
		r.fail(name, "not a string")
	}
	return text
}

// bytes returns a member of base64url text, which must be there.
func (r *jwkReader) bytes(name string) []byte {
	b, ok := appendDecoded(nil, r.text(name))
	if !ok || len(b) == 0 {
		r.fail(name, "not canonical base64url")
	}
	return b
}

// number returns a Base64urlUInt (RFC 7518 section 2), which has no leading zero octets.
func (r *jwkReader) number(name string) *big.Int {
	b := r.bytes(name)
	if len(b) > 0 && b[0] == 0 {
		r.fail(name, "leading zero")
	}
	return new(big.Int).SetBytes(b)
}

// checkUse refuses keys that are not there to verify (RFC 7517 sections 4.2 and 4.3).
func (r *jwkReader) checkUse() {
	if use := r.text("use"); r.has("use") && use != "sig" && r.err == nil {
		r.err = fmt.Errorf(`%w: JWK with use %q, "sig" is needed`, ErrUnsupportedKey, use)
	}
	ops := strictjson.Find(r.members, "key_ops")
	if ops == "" {
		return
	}
	values, ok := ops.Elements(nil)
	if !ok {
		r.fail("key_ops", "not an array")
		return
	}
	seen := make(map[string]bool, len(values))
	for _, v := range values {
		op, ok := v.Text()
		if !ok || seen[op] {
			r.fail("key_ops", "not an array of different strings")
			return
		}
		seen[op] = true
	}
	if !seen["verify"] && r.err == nil {
		r.err = fmt.Errorf(`%w: JWK with key_ops %s, "verify" is needed`, ErrUnsupportedKey, ops)
	}
}

const p256Size = 32

func (r *jwkReader) ecKey(kid string) (*Key, error) {
	x, y := r.bytes("x"), r.bytes("y")
	if len(x) != p256Size || len(y) != p256Size {
		r.fail("x, y", "not 32 bytes each")
	}
	if r.err != nil {
		return nil, r.err
	}
	point := append(append([]byte{4}, x...), y...)
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, fmt.Errorf("%w: JWK %q: %w", ErrKey, kid, err)
	}
	return newPublic(kid, pub)
}

func (r *jwkReader) rsaKey(kid string) (*Key, error) {
	n, e := r.number("n"), r.number("e")
	if r.err != nil {
		return nil, r.err
	}
	if e.BitLen() > 31 {
		return nil, fmt.Errorf("%w: JWK %q: RSA exponent of %d bits", ErrKey, kid, e.BitLen())
	}
	return newPublic(kid, &rsa.PublicKey{N: n, E: int(e.Int64())})
}
