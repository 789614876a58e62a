package jose

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"testing"

	"golang.org/x/crypto/ssh"
)

// TestSecurity02_OneKeyOneAlgorithm: each key takes its own tokens and none of another algorithm, whatever the header claims.
func TestSecurity02_OneKeyOneAlgorithm(t *testing.T) {
	for alg, k := range testKeys() {
		if err := accepts(mustSign(t, k, Header{}, testPayload), k); err != nil {
			t.Fatalf("%s: negative control: %v", alg, err)
		}
		for _, claimed := range []string{"HS256", "ES256", "EdDSA", "RS256", "PS256", "ES384", "ES256K", "RS384", "HS512", "Ed25519", "none"} {
			err := accepts(forge(t, k, `{"alg":"`+claimed+`"}`, testPayload), k)
			if claimed == string(alg) {
				if err != nil {
					t.Errorf("%s: %v", alg, err)
				}
			} else if !errors.Is(err, ErrAlgorithm) {
				t.Errorf("%s key, header says %s: %v", alg, claimed, err)
			}
		}
		for other, token := range testKeys() {
			if err := accepts(mustSign(t, token, Header{}, testPayload), k); (err == nil) != (other == alg) {
				t.Errorf("%s key, token of the %s key: %v", alg, other, err)
			}
		}
	}
}

// TestSecurity01_AlgorithmsComeFromTheKey: an HMAC keyed with any spelling of the public key is nobody's signature.
func TestSecurity01_AlgorithmsComeFromTheKey(t *testing.T) {
	for _, alg := range []Algorithm{ES256, EdDSA, RS256} {
		k := testKeys()[alg]
		for name, secret := range publicSpellings(t, k) {
			attacker, err := NewWeakHMAC("", secret)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, header := range []string{`{"alg":"HS256"}`, `{"alg":"` + string(alg) + `"}`} {
				token := forge(t, attacker, header, testPayload)
				if header == `{"alg":"HS256"}` && accepts(token, attacker) != nil {
					t.Fatalf("%s, %s: negative control fails", alg, name)
				}
				if accepts(token, k) == nil || accepts(token, k.Public()) == nil {
					t.Errorf("%s: token keyed with the %s accepted, header %s", alg, name, header)
				}
			}
		}
	}
	if _, err := NewWeakHMAC("", nil); !errors.Is(err, ErrKey) {
		t.Errorf("empty secret: %v", err)
	}
}

// publicSpellings are the texts that a careless verifier would take for an HMAC secret.
func publicSpellings(t *testing.T, k *Key) map[string][]byte {
	t.Helper()
	var pub any
	out := map[string][]byte{}
	switch k.alg {
	case ES256:
		pub = k.ecPub
		raw, err := k.ecPub.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		out["raw point"], out["x coordinate"] = raw, raw[1:33]
	case EdDSA:
		pub = k.edPub
		out["raw point"] = k.edPub
	case RS256:
		pub = k.rsaPub
		der := x509.MarshalPKCS1PublicKey(k.rsaPub)
		out["PKCS#1 DER"] = der
		out["PKCS#1 PEM"] = pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: der})
		out["modulus"] = k.rsaPub.N.Bytes()
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	out["SPKI DER"], out["SPKI PEM"], out["SPKI PEM without newline"] = der, text, text[:len(text)-1]
	sshKey, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	out["OpenSSH text"] = ssh.MarshalAuthorizedKey(sshKey)
	if out["JWK"], err = k.JWK(); err != nil {
		t.Fatal(err)
	}
	out["thumbprint"] = []byte(k.Thumbprint())
	return out
}

func TestES256Signatures(t *testing.T) {
	k := testKeys()[ES256]
	input, sig := segments(t, mustSign(t, k, Header{}, testPayload))
	r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
	if s.Cmp(p256Half) > 0 {
		t.Fatal("Sign made the larger s")
	}
	raw := func(r, s *big.Int) []byte {
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
	try := func(k *Key, sig []byte) error { return accepts(input+"."+b64(string(sig)), k) }
	if err := try(k, raw(r, s)); err != nil {
		t.Fatalf("negative control: %v", err)
	}
	n := p256Order
	one := big.NewInt(1)
	below, above := new(big.Int).Sub(n, one), new(big.Int).Add(n, one)
	limits := []*big.Int{new(big.Int), one, below, n, above, new(big.Int).Sub(new(big.Int).Lsh(one, 256), one)}
	for _, x := range limits {
		for _, pair := range [][2]*big.Int{{x, s}, {r, x}} {
			if err := try(k, raw(pair[0], pair[1])); !errors.Is(err, ErrSignature) {
				t.Errorf("r %x, s %x: %v", pair[0], pair[1], err)
			}
		}
		for _, y := range limits {
			if err := try(k, raw(x, y)); !errors.Is(err, ErrSignature) {
				t.Errorf("r %x, s %x: %v", x, y, err)
			}
		}
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"DER form": der, "63 bytes": sig[:63], "65 bytes": append(slices.Clone(sig), 0), "zero before": append([]byte{0}, sig...),
		"twice": append(slices.Clone(sig), sig...), "r alone": sig[:32], "swapped": raw(s, r), "one byte": {1},
	} {
		if err := try(k, bad); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The mirrored signature verifies in the mathematics. Ours have one form; foreign issuers' have two.
	mirrored := raw(r, new(big.Int).Sub(n, s))
	jwk, err := k.JWK()
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := FromJWK(jwk)
	if err != nil {
		t.Fatal(err)
	}
	if err := try(foreign, mirrored); err != nil {
		t.Errorf("mirrored s under a foreign key: %v", err)
	}
	for name, own := range map[string]*Key{"private": k, "public": k.Public(), "required": foreign.RequireLowS()} {
		if err := try(own, mirrored); !errors.Is(err, ErrSignature) {
			t.Errorf("mirrored s under our %s key: %v", name, err)
		}
	}
}

func TestEdDSASignatures(t *testing.T) {
	k := testKeys()[EdDSA]
	input, sig := segments(t, mustSign(t, k, Header{}, testPayload))
	try := func(sig []byte) error { return accepts(input+"."+b64(string(sig)), k) }
	if err := try(sig); err != nil {
		t.Fatalf("negative control: %v", err)
	}
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	little := func(b []byte) *big.Int {
		b = slices.Clone(b)
		slices.Reverse(b)
		return new(big.Int).SetBytes(b)
	}
	withS := func(s *big.Int) []byte {
		b := s.FillBytes(make([]byte, 32))
		slices.Reverse(b)
		return append(slices.Clone(sig[:32]), b...)
	}
	s := little(sig[32:])
	for name, bad := range map[string][]byte{
		"S + L": withS(new(big.Int).Add(s, order)), "S = 0": withS(new(big.Int)), "S = L": withS(order),
		"L - S": withS(new(big.Int).Sub(order, s)), "63 bytes": sig[:63], "65 bytes": append(slices.Clone(sig), 0),
		"all zero": make([]byte, 64), "R of order 1": append(append([]byte{1}, make([]byte, 31)...), sig[32:]...),
		"R not canonical": append(append([]byte{0xee}, slices.Repeat([]byte{0xff}, 30)...), append([]byte{0x7f}, sig[32:]...)...),
	} {
		if err := try(bad); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	flipEach(t, k, input, sig)
}

func TestRS256Signatures(t *testing.T) {
	k := testKeys()[RS256]
	input, sig := segments(t, mustSign(t, k, Header{}, testPayload))
	try := func(sig []byte) error { return accepts(input+"."+b64(string(sig)), k) }
	if err := try(sig); err != nil {
		t.Fatalf("negative control: %v", err)
	}
	n, one := k.rsaPub.N, big.NewInt(1)
	size := k.rsaPub.Size()
	num := func(x *big.Int) []byte { return x.FillBytes(make([]byte, size)) }
	sum := sha256.Sum256([]byte(input))
	pss, err := rsa.SignPSS(rand.Reader, k.rsa, crypto.SHA256, sum[:], nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"0": num(new(big.Int)), "1": num(one), "n-1": num(new(big.Int).Sub(n, one)), "n": num(n),
		"a byte short": sig[1:], "a byte cut": sig[:size-1], "zero before": append([]byte{0}, sig...), "PSS": pss,
		"n - sig": num(new(big.Int).Sub(n, new(big.Int).SetBytes(sig))),
	} {
		if err := try(bad); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHS256Signatures(t *testing.T) {
	k := testKeys()[HS256]
	input, sig := segments(t, mustSign(t, k, Header{}, testPayload))
	if err := accepts(input+"."+b64(string(sig)), k); err != nil {
		t.Fatalf("negative control: %v", err)
	}
	for i := 1; i < len(sig); i++ {
		if err := accepts(input+"."+b64(string(sig[:i])), k); !errors.Is(err, ErrSignature) {
			t.Errorf("MAC of %d bytes: %v", i, err)
		}
	}
	flipEach(t, k, input, sig)
	for name, secret := range map[string]string{"secret": "secret", "zeros": string(make([]byte, 32))} {
		guess, err := NewWeakHMAC("", []byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		if err := accepts(mustSign(t, guess, Header{}, testPayload), k); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// flipEach changes each byte of a signature in turn.
func flipEach(t *testing.T, k *Key, input string, sig []byte) {
	t.Helper()
	for i := range sig {
		bad := slices.Clone(sig)
		bad[i] ^= 1 << (i % 8)
		if err := accepts(input+"."+b64(string(bad)), k); !errors.Is(err, ErrSignature) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
	}
}
