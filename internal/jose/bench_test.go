package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"slices"
	"testing"
)

// bare is what the standard library alone takes for the signature of an input.
func bare(b *testing.B, k *Key, input []byte) (sign, verify func()) {
	check := func(ok bool) {
		if !ok {
			b.Fatal("signature does not verify")
		}
	}
	sum := sha256.Sum256(input)
	switch k.alg {
	case ES256:
		sig, err := ecdsa.SignASN1(rand.Reader, k.ec, sum[:])
		check(err == nil)
		return func() { _, err := ecdsa.SignASN1(rand.Reader, k.ec, sum[:]); check(err == nil) },
			func() { check(ecdsa.VerifyASN1(k.ecPub, sum[:], sig)) }
	case EdDSA:
		sig := ed25519.Sign(k.ed, input)
		return func() { ed25519.Sign(k.ed, input) }, func() { check(ed25519.Verify(k.edPub, input, sig)) }
	case RS256:
		sig, err := rsa.SignPKCS1v15(nil, k.rsa, crypto.SHA256, sum[:])
		check(err == nil)
		return func() { _, err := rsa.SignPKCS1v15(nil, k.rsa, crypto.SHA256, sum[:]); check(err == nil) },
			func() { check(rsa.VerifyPKCS1v15(k.rsaPub, crypto.SHA256, sum[:], sig) == nil) }
	}
	mac := func() []byte {
		h := hmac.New(sha256.New, k.secret)
		_, _ = h.Write(input) // a hash never fails
		return h.Sum(nil)
	}
	want := mac()
	return func() { mac() }, func() { check(hmac.Equal(mac(), want)) }
}

func BenchmarkSign(b *testing.B) {
	for _, alg := range Algorithms() {
		k := testKeys()[alg]
		payload := []byte(testPayload)
		input, _ := segments(b, mustSign(b, k, Header{Typ: "JWT"}, testPayload))
		b.Run(string(alg), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Sign(Header{Typ: "JWT"}, payload); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(alg)+"/bare", func(b *testing.B) {
			sign, _ := bare(b, k, []byte(input))
			for b.Loop() {
				sign()
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, alg := range Algorithms() {
		k := testKeys()[alg]
		token := mustSign(b, k, Header{Typ: "JWT"}, testPayload)
		input, _ := segments(b, token)
		keys := slices.Values([]*Key{k})
		b.Run(string(alg), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p, err := ParseFor(token, keys)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := p.Verify(k); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(alg)+"/bare", func(b *testing.B) {
			_, verify := bare(b, k, []byte(input))
			for b.Loop() {
				verify()
			}
		})
	}
}

func BenchmarkRefuseDots(b *testing.B) {
	token := string(slices.Repeat([]byte{'.'}, MaxTokenSize))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(token); err == nil {
			b.Fatal("accepted")
		}
	}
}
