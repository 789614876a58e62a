// Package bench compares package verify with other libraries. It is a module of its own, so that they are no
// dependencies of Sallyport: go test -bench . in this folder.
package bench

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	gojwt "github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	jwxjwt "github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/sallyport/sallyport/verify"
)

const (
	issuer   = "https://auth.example.com"
	audience = "api"
	tokens   = 1024 // different ones, so that no library meets the same one twice in a row
)

// claims is what all libraries read: the claims of an access token of Sallyport.
type claims struct {
	gojwt.RegisteredClaims
	SID   string `json:"sid"`
	Kind  string `json:"token_use"`
	Scope string `json:"scope"`
}

type joseClaims struct {
	josejwt.Claims
	SID   string `json:"sid"`
	Kind  string `json:"token_use"`
	Scope string `json:"scope"`
}

// suite is one algorithm with its key in the form of each library.
type suite struct {
	name   string
	method gojwt.SigningMethod
	sign   any
	verify any
	jose   jose.SignatureAlgorithm
	jwx    jwa.SignatureAlgorithm
	config verify.Config
}

func suites(tb testing.TB) []suite {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	point, err := ec.PublicKey.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	jwks := fmt.Appendf(nil, `{"keys":[{"kty":"EC","crv":"P-256","kid":"k1","alg":"ES256","use":"sig","x":%q,"y":%q}]}`, b64(point[1:33]), b64(point[33:]))
	return []suite{
		{"HS256", gojwt.SigningMethodHS256, secret, secret, jose.HS256, jwa.HS256(), verify.Config{Issuer: issuer, Audience: audience, Secret: secret}},
		{"ES256", gojwt.SigningMethodES256, ec, &ec.PublicKey, jose.ES256, jwa.ES256(), verify.Config{Issuer: issuer, Audience: audience, JWKS: jwks}},
	}
}

// mint makes tokens with golang-jwt, whose ES256 signatures have either s; only those with the smaller one are what a
// Sallyport server makes, so the others are made again.
func (s *suite) mint(tb testing.TB, accept func(string) bool) []string {
	var all []string
	now := time.Now()
	for n := 0; len(all) < tokens; n++ {
		t := gojwt.NewWithClaims(s.method, claims{
			gojwt.RegisteredClaims{
				Issuer: issuer, Subject: "3f6b1c1e-8f0e-4f0a-9d57-1f6d0c2f4a11", Audience: []string{audience}, ID: fmt.Sprintf("01HZZZZZZZZZZZZZZZZZ%07d", n),
				IssuedAt: gojwt.NewNumericDate(now), NotBefore: gojwt.NewNumericDate(now), ExpiresAt: gojwt.NewNumericDate(now.Add(time.Hour)),
			}, "12-abcdefghijklmnopqrstuvwxyz", "access", "read write",
		})
		t.Header["kid"] = "k1"
		raw, err := t.SignedString(s.sign)
		if err != nil {
			tb.Fatal(err)
		}
		if accept(raw) {
			all = append(all, raw)
		}
	}
	return all
}

// BenchmarkNew verifies tokens that were not met before: signature, issuer, audience, times and kind.
func BenchmarkNew(b *testing.B) {
	for _, s := range suites(b) {
		s.config.CacheSize = -1
		v, err := verify.New(s.config)
		if err != nil {
			b.Fatal(err)
		}
		defer v.Close()
		ctx := b.Context()
		raws := s.mint(b, func(raw string) bool { _, err := v.Verify(ctx, raw); return err == nil })
		run := func(library string, one func(raw string) error) {
			b.Run(s.name+"/"+library, func(b *testing.B) {
				b.ReportAllocs()
				for n := 0; b.Loop(); n++ {
					if err := one(raws[n%len(raws)]); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		run("sallyport", func(raw string) error { _, err := v.Verify(ctx, raw); return err })
		// With its memory at work and of no use: each token falls out before it comes again.
		small := s.config
		small.CacheSize = tokens / 4
		remembering, err := verify.New(small)
		if err != nil {
			b.Fatal(err)
		}
		defer remembering.Close()
		run("sallyport+cache", func(raw string) error { _, err := remembering.Verify(ctx, raw); return err })
		run("golang-jwt", s.golangJWT())
		run("jwx", s.jwxVerify(b))
		run("go-jose", s.goJOSE())
	}
}

// BenchmarkSeen verifies one token again and again, as a client sends it. Only sallyport remembers; the others do all
// of the work each time.
func BenchmarkSeen(b *testing.B) {
	for _, s := range suites(b) {
		v, err := verify.New(s.config)
		if err != nil {
			b.Fatal(err)
		}
		defer v.Close()
		ctx := b.Context()
		raw := s.mint(b, func(raw string) bool { _, err := v.Verify(ctx, raw); return err == nil })[tokens-1]
		run := func(library string, one func(raw string) error) {
			b.Run(s.name+"/"+library, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := one(raw); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		run("sallyport", func(raw string) error { _, err := v.Verify(ctx, raw); return err })
		run("golang-jwt", s.golangJWT())
		run("jwx", s.jwxVerify(b))
		run("go-jose", s.goJOSE())
	}
}

func (s *suite) golangJWT() func(string) error {
	p := gojwt.NewParser(gojwt.WithValidMethods([]string{s.name}), gojwt.WithAudience(audience), gojwt.WithIssuer(issuer), gojwt.WithExpirationRequired())
	key := func(*gojwt.Token) (any, error) { return s.verify, nil }
	return func(raw string) error {
		var c claims
		if _, err := p.ParseWithClaims(raw, &c, key); err != nil {
			return err
		}
		return kind(c.Kind)
	}
}

func (s *suite) jwxVerify(b *testing.B) func(string) error {
	key, err := jwk.Import(s.verify)
	if err != nil {
		b.Fatal(err)
	}
	return func(raw string) error {
		t, err := jwxjwt.ParseString(raw, jwxjwt.WithKey(s.jwx, key), jwxjwt.WithValidate(true), jwxjwt.WithAudience(audience), jwxjwt.WithIssuer(issuer))
		if err != nil {
			return err
		}
		var k string
		if err := t.Get("token_use", &k); err != nil {
			return err
		}
		return kind(k)
	}
}

func (s *suite) goJOSE() func(string) error {
	return func(raw string) error {
		t, err := josejwt.ParseSigned(raw, []jose.SignatureAlgorithm{s.jose})
		if err != nil {
			return err
		}
		var c joseClaims
		if err := t.Claims(s.verify, &c); err != nil {
			return err
		}
		if err := c.Validate(josejwt.Expected{Issuer: issuer, AnyAudience: josejwt.Audience{audience}, Time: time.Now()}); err != nil {
			return err
		}
		return kind(c.Kind)
	}
}

func kind(k string) error {
	if k != "access" {
		return fmt.Errorf("kind %q", k)
	}
	return nil
}
