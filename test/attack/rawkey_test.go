package attack_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"testing"

	"golang.org/x/crypto/ssh"
)

var b64 = base64.RawURLEncoding

func enc(s string) string { return b64.EncodeToString([]byte(s)) }

// rawKey signs any bytes, which the code under test would refuse to sign.
type rawKey struct {
	alg, kid string
	secret   []byte        // HS256
	priv     crypto.Signer // the others
}

func parseRawKey(t testing.TB, alg, kid string, plain []byte) *rawKey {
	t.Helper()
	k := &rawKey{alg: alg, kid: kid}
	if alg == "HS256" {
		k.secret = plain
		return k
	}
	priv, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		t.Fatal(err)
	}
	k.priv = priv.(crypto.Signer)
	return k
}

// newRawKey makes a pair that is nobody's here.
func newRawKey(t testing.TB, alg string) *rawKey {
	t.Helper()
	k := &rawKey{alg: alg, kid: "attacker-" + alg}
	var err error
	switch alg {
	case "ES256":
		k.priv, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "RS256":
		k.priv, err = rsa.GenerateKey(rand.Reader, 2048)
	case "EdDSA":
		_, k.priv, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// token signs whatever header and payload say.
func (k *rawKey) token(header, payload string) string {
	input := enc(header) + "." + enc(payload)
	return input + "." + b64.EncodeToString(k.sign(input))
}

func (k *rawKey) sign(input string) []byte {
	sum := sha256.Sum256([]byte(input))
	switch priv := k.priv.(type) {
	case *ecdsa.PrivateKey:
		r, s, _ := ecdsa.Sign(rand.Reader, priv, sum[:]) // a good key and a digest
		if n := elliptic.P256().Params().N; new(big.Int).Lsh(s, 1).Cmp(n) > 0 {
			s.Sub(n, s) // the one spelling that our verifiers take of our keys
		}
		return rawSignature(r, s)
	case *rsa.PrivateKey:
		sig, _ := rsa.SignPKCS1v15(rand.Reader, priv, crypto.SHA256, sum[:]) // as above
		return sig
	case ed25519.PrivateKey:
		return ed25519.Sign(priv, []byte(input))
	}
	return mac(k.secret, input)
}

// otherwise signs with the key under other algorithms than its own: each is a
// true signature, by a key that has only one algorithm.
func (k *rawKey) otherwise(input string) map[string][]byte {
	out := map[string][]byte{}
	long := sha512.Sum512([]byte(input))
	middle := sha512.Sum384([]byte(input))
	switch priv := k.priv.(type) {
	case *ecdsa.PrivateKey:
		r, s, _ := ecdsa.Sign(rand.Reader, priv, middle[:32])
		out["ES384"] = rawSignature(r, s)
		r, s, _ = ecdsa.Sign(rand.Reader, priv, long[:32])
		out["ES512"] = rawSignature(r, s)
	case *rsa.PrivateKey:
		sum := sha256.Sum256([]byte(input))
		out["PS256"], _ = rsa.SignPSS(rand.Reader, priv, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: 32})
		out["RS384"], _ = rsa.SignPKCS1v15(rand.Reader, priv, crypto.SHA384, middle[:])
		out["RS512"], _ = rsa.SignPKCS1v15(rand.Reader, priv, crypto.SHA512, long[:])
	case nil:
		for name, h := range map[string]crypto.Hash{"HS384": crypto.SHA384, "HS512": crypto.SHA512} {
			m := hmac.New(h.New, k.secret)
			m.Write([]byte(input))
			out[name] = m.Sum(nil)
		}
	}
	return out
}

func mac(secret []byte, input string) []byte {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(input))
	return m.Sum(nil)
}

// macWith signs with HS256 whatever header and payload say.
func macWith(secret []byte, header, payload string) string {
	return (&rawKey{alg: "HS256", secret: secret}).token(header, payload)
}

func rawSignature(r, s *big.Int) []byte {
	var sig [64]byte
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return sig[:]
}

// jwk is the public key as a JSON Web Key.
func (k *rawKey) jwk() string {
	m := map[string]string{"kid": k.kid, "alg": k.alg, "use": "sig"}
	switch pub := k.priv.Public().(type) {
	case *ecdsa.PublicKey:
		point, _ := pub.Bytes()
		m["kty"], m["crv"], m["x"], m["y"] = "EC", "P-256", b64.EncodeToString(point[1:33]), b64.EncodeToString(point[33:])
	case *rsa.PublicKey:
		m["kty"], m["n"], m["e"] = "RSA", b64.EncodeToString(pub.N.Bytes()), "AQAB"
	case ed25519.PublicKey:
		m["kty"], m["crv"], m["x"] = "OKP", "Ed25519", b64.EncodeToString(pub)
	}
	text, _ := json.Marshal(m) // strings
	return string(text)
}

// publicOf is the standard library's form of a JWK.
func publicOf(t testing.TB, jwk map[string]string) crypto.PublicKey {
	t.Helper()
	part := func(name string) []byte {
		b, err := b64.DecodeString(jwk[name])
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	switch jwk["kty"] {
	case "EC":
		pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, part("x")...), part("y")...))
		if err != nil {
			t.Fatal(err)
		}
		return pub
	case "RSA":
		return &rsa.PublicKey{N: new(big.Int).SetBytes(part("n")), E: int(new(big.Int).SetBytes(part("e")).Int64())}
	case "OKP":
		return ed25519.PublicKey(part("x"))
	}
	t.Fatalf("an unexpected key in the JWKS: %v", jwk)
	return nil
}

// publicForms are a public key in all forms that a confused verifier may hold
// it in, and so may take for an HMAC secret.
func publicForms(t testing.TB, jwk map[string]string) map[string][]byte {
	t.Helper()
	pub := publicOf(t, jwk)
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	sshKey, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(jwk) // strings
	short := map[string]string{}
	for _, name := range []string{"kty", "crv", "x", "y", "n", "e"} {
		if jwk[name] != "" {
			short[name] = jwk[name]
		}
	}
	required, _ := json.Marshal(short) // strings
	thumb := sha256.Sum256(required)
	line := ssh.MarshalAuthorizedKey(sshKey)
	out := map[string][]byte{
		"JWK": text, "JWK of required members": required, "thumbprint": thumb[:], "kid": []byte(jwk["kid"]), "DER": der,
		"OpenSSH line": line, "OpenSSH line without newline": bytes.TrimSpace(line), "OpenSSH wire": sshKey.Marshal(),
		"DER in base64": []byte(base64.StdEncoding.EncodeToString(der)),
	}
	pemForms(out, "SPKI PEM", "PUBLIC KEY", der)
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		point, _ := pub.Bytes()
		out["point"], out["x and y"], out["x"], out["y"] = point, point[1:], point[1:33], point[33:]
		out["compressed point"] = append([]byte{2 | point[64]&1}, point[1:33]...)
		out["x in base64url"] = []byte(jwk["x"])
	case *rsa.PublicKey:
		out["modulus"], out["modulus in base64url"] = pub.N.Bytes(), []byte(jwk["n"])
		out["modulus as an ASN.1 integer"], _ = asn1.Marshal(pub.N)
		out["modulus in decimal"] = []byte(pub.N.String())
		pemForms(out, "PKCS#1 PEM", "RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(pub))
		out["PKCS#1 DER"] = x509.MarshalPKCS1PublicKey(pub)
	case ed25519.PublicKey:
		out["raw point"], out["x in base64url"] = pub, []byte(jwk["x"])
	}
	return out
}

func pemForms(out map[string][]byte, name, typ string, der []byte) {
	block := pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der})
	out[name] = block
	out[name+" without newline"] = bytes.TrimSpace(block)
	out[name+" with CR"] = bytes.ReplaceAll(block, []byte("\n"), []byte("\r\n"))
	out[name+" on one line"] = bytes.ReplaceAll(block, []byte("\n"), nil)
}
