package token

import (
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	gojwt "github.com/golang-jwt/jwt/v5"
)

// BenchmarkVerify compares one whole verification, claims included, with those of other libraries on the same token.
// The bare signature is in the benchmarks of package jose.
func BenchmarkVerify(b *testing.B) {
	secret := []byte("0123456789abcdef0123456789abcdef")
	key, err := NewHMAC("k1", secret)
	if err != nil {
		b.Fatal(err)
	}
	raw := sign(b, key, accessClaims)
	keys, rules := []*Key{key}, accessRules()
	b.Run("HS256", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Verify(raw, keys, rules, nowMs); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("HS256/shared", func(b *testing.B) {
		raw, groups := signShared(b, key, accessClaims), []KeyGroup{{Keys: keys, MACKey: macKey}}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := VerifyGroups(raw, groups, rules, nowMs); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("HS256/golang-jwt", func(b *testing.B) {
		parser := gojwt.NewParser(gojwt.WithValidMethods([]string{"HS256"}), gojwt.WithoutClaimsValidation())
		keyFunc := func(*gojwt.Token) (any, error) { return secret, nil }
		b.ReportAllocs()
		for b.Loop() {
			if _, err := parser.Parse(raw, keyFunc); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("HS256/go-jose", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			parsed, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.HS256})
			if err != nil {
				b.Fatal(err)
			}
			var claims jwt.Claims
			var more map[string]any
			if err := parsed.Claims(secret, &claims, &more); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, alg := range []Algorithm{ES256, EdDSA, RS256} {
		key := newKey(b, alg, "k1")
		raw, keys := sign(b, key, accessClaims), []*Key{key}
		b.Run(string(alg), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Verify(raw, keys, rules, nowMs); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSignShared(b *testing.B) {
	key := newKey(b, HS256, "k1")
	payload := []byte(accessClaims)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := SignShared(key, Header{Typ: "JWT"}, payload, macKey); err != nil {
			b.Fatal(err)
		}
	}
}
