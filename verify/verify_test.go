package verify_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/verify"
	"github.com/sallyport/sallyport/verify/verifytest"
)

const issuerURL = "https://auth.example"

// quiet keeps what is logged by tests that make things fail out of their output.
func quiet(c *verify.Config) { c.Logger = slog.New(slog.DiscardHandler) }

// feedless is a configuration that follows no feed.
func feedless(c *verify.Config) { c.Revocations = nil }

var all = []error{
	verify.ErrKeys, verify.ErrMalformed, verify.ErrSignature, verify.ErrClaims, verify.ErrKind, verify.ErrIssuer, verify.ErrAudience,
	verify.ErrLifetime, verify.ErrNotYetValid, verify.ErrExpired, verify.ErrScope, verify.ErrRevoked, verify.ErrStale, verify.ErrClosed,
}

// expect verifies and wants exactly one of the errors, or none.
func expect(t *testing.T, v *verify.Verifier, name, raw string, want error) *verify.Claims {
	t.Helper()
	c, err := v.Verify(t.Context(), raw)
	if (err == nil) != (want == nil) || !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", name, err, want)
	}
	for _, e := range all {
		if e != want && errors.Is(err, e) {
			t.Errorf("%s: %v is also %v", name, err, e)
		}
	}
	if (c == nil) != (err != nil) {
		t.Errorf("%s: claims %v with error %v", name, c, err)
	}
	return c
}

func TestClaims(t *testing.T) {
	issuer := verifytest.Start(t, verifytest.Options{Audience: "api"})
	v := issuer.Verifier(t)
	raw := issuer.Mint(verifytest.Token{
		Subject: "u1", ID: "j1", SessionID: "0-s", Scope: "read write", ClientID: "client_1",
		Claims: map[string]any{"n": 5, "b": true, "s": "text", "o": map[string]any{"a": 1}},
	})
	for _, name := range []string{"new", "seen before"} {
		c := expect(t, v, name, raw, nil)
		if c == nil {
			continue
		}
		if c.Subject() != "u1" || c.ID() != "j1" || c.SessionID() != "0-s" || c.Scope() != "read write" || c.ClientID() != "client_1" ||
			c.Issuer() != issuer.URL() || c.Audience() != "api" || c.KeyID() != issuer.KeyID() {
			t.Errorf("%s: %s", name, c.Payload())
		}
		if !c.HasScope("read") || !c.HasScope("write") || c.HasScope("rea") || c.HasScope("") || len(c.Scopes()) != 2 {
			t.Errorf("%s: scopes %q", name, c.Scopes())
		}
		if got := c.ExpiresAt().Sub(c.IssuedAt()); got != 15*time.Minute || c.IssuedAt().Unix() != issuer.Now().Unix() {
			t.Errorf("%s: issued %s, lives %s", name, c.IssuedAt(), got)
		}
		n, ok1 := c.Int("n")
		b, ok2 := c.Bool("b")
		s, ok3 := c.Text("s")
		_, ok4 := c.Text("n")
		if n != 5 || !b || s != "text" || !ok1 || !ok2 || !ok3 || ok4 || string(c.Raw("o")) != `{"a":1}` || c.Raw("none") != nil {
			t.Errorf("%s: %v %v %v %s", name, n, b, s, c.Raw("o"))
		}
		var into struct{ S string }
		if err := c.Decode(&into); err != nil || into.S != "text" {
			t.Errorf("%s: %v, %v", name, into, err)
		}
		c.Payload()[0] = 'x' // a copy
		c.Raw("o")[0] = 'x'
	}
	if c := expect(t, v, "after a change of copies", raw, nil); c.Payload()[0] != '{' || string(c.Raw("o")) != `{"a":1}` {
		t.Errorf("claims can be changed: %s", c.Payload())
	}
}

// TestTokens judges tokens of the issuer that are not what is wanted. The first is the negative control.
func TestTokens(t *testing.T) {
	issuer := verifytest.New(issuerURL, verifytest.Options{Audience: "api"})
	v := issuer.Verifier(t, quiet, func(c *verify.Config) { c.Scopes = []string{"read"} })
	type m = map[string]any
	now := issuer.Now().Unix()
	for _, tc := range []struct {
		name  string
		token verifytest.Token
		want  error
	}{
		{"good", verifytest.Token{Scope: "read"}, nil},
		{"more scopes", verifytest.Token{Scope: "write read"}, nil},
		{"audience as array of one", verifytest.Token{Scope: "read", Claims: m{"aud": []string{"api"}}}, nil},

		{"refresh token", verifytest.Token{Kind: "refresh"}, verify.ErrKind},
		{"id token", verifytest.Token{Kind: "id"}, verify.ErrKind},
		{"application token", verifytest.Token{Application: true}, verify.ErrKind},
		{"kind missing", verifytest.Token{Claims: m{"token_use": nil}}, verify.ErrKind},
		{"kind as array", verifytest.Token{Claims: m{"token_use": []string{"access"}}}, verify.ErrKind},
		{"kind in another case", verifytest.Token{Kind: "Access"}, verify.ErrKind},
		{"feed as token", verifytest.Token{Type: "revocations+jwt", Claims: m{"token_use": nil}}, verify.ErrKind},

		{"other issuer", verifytest.Token{Claims: m{"iss": issuerURL + "/"}}, verify.ErrIssuer},
		{"no issuer", verifytest.Token{Claims: m{"iss": nil}}, verify.ErrIssuer},
		{"other audience", verifytest.Token{Audience: "other"}, verify.ErrAudience},
		{"audience as prefix", verifytest.Token{Audience: "api2"}, verify.ErrAudience},
		{"audience in another case", verifytest.Token{Audience: "API"}, verify.ErrAudience},
		{"no audience", verifytest.Token{Claims: m{"aud": nil}}, verify.ErrAudience},
		{"two audiences", verifytest.Token{Claims: m{"aud": []string{"api", "other"}}}, verify.ErrAudience},
		{"empty audience", verifytest.Token{Claims: m{"aud": []string{}}}, verify.ErrClaims},
		{"audience null", verifytest.Token{Claims: m{"aud": nil, "AUD": "api"}}, verify.ErrClaims},

		{"expired now", verifytest.Token{Claims: m{"iat": now - 900, "exp": now}}, verify.ErrExpired},
		{"expired long ago", verifytest.Token{Claims: m{"iat": now - 9000, "exp": now - 8000}}, verify.ErrExpired},
		{"exp before iat", verifytest.Token{Lifetime: -time.Second}, verify.ErrLifetime},
		{"lives too long", verifytest.Token{Lifetime: 24*time.Hour + time.Second}, verify.ErrLifetime},
		{"no exp", verifytest.Token{Claims: m{"exp": nil}}, verify.ErrClaims},
		{"no iat", verifytest.Token{Claims: m{"iat": nil}}, verify.ErrClaims},
		{"exp as text", verifytest.Token{Claims: m{"exp": "9999999999"}}, verify.ErrClaims},
		{"exp as fraction", verifytest.Token{Claims: m{"exp": float64(now) + 60.5}}, verify.ErrClaims},
		{"exp huge", verifytest.Token{Claims: m{"exp": json.Number("1e999")}}, verify.ErrClaims},
		{"exp negative", verifytest.Token{Claims: m{"exp": -1}}, verify.ErrClaims},
		{"exp true", verifytest.Token{Claims: m{"exp": true}}, verify.ErrClaims},
		{"issued in the future", verifytest.Token{Scope: "read", Claims: m{"iat": now + 61}}, verify.ErrNotYetValid},
		{"not before the future", verifytest.Token{Scope: "read", Claims: m{"nbf": now + 61}}, verify.ErrNotYetValid},
		{"clocks apart a little", verifytest.Token{Scope: "read", Claims: m{"iat": now + 30, "nbf": now + 30}}, nil},

		{"no scope", verifytest.Token{}, verify.ErrScope},
		{"scope as part of a word", verifytest.Token{Scope: "reader"}, verify.ErrScope},
		{"scope as array", verifytest.Token{Claims: m{"scope": []string{"read"}}}, verify.ErrClaims},
		{"scope with tab", verifytest.Token{Scope: "read\twrite"}, verify.ErrClaims},

		{"no session", verifytest.Token{Scope: "read", Claims: m{"sid": nil}}, verify.ErrClaims},
		{"session without epoch", verifytest.Token{Scope: "read", SessionID: "abc"}, verify.ErrClaims},
		{"session with signed epoch", verifytest.Token{Scope: "read", SessionID: "+9-abc"}, verify.ErrClaims},
		{"session with padded epoch", verifytest.Token{Scope: "read", SessionID: "09-abc"}, verify.ErrClaims},
		{"session with endless epoch", verifytest.Token{Scope: "read", SessionID: strings.Repeat("9", 30) + "-abc"}, verify.ErrClaims},
		{"session without key", verifytest.Token{Scope: "read", SessionID: "9-"}, verify.ErrClaims},
		{"subject as number", verifytest.Token{Claims: m{"sub": 5}}, verify.ErrClaims},
		{"subject right to left", verifytest.Token{Subject: "a\u202eb"}, verify.ErrClaims},
	} {
		expect(t, v, tc.name, issuer.Mint(tc.token), tc.want)
	}
}

// TestForged judges what strangers make.
func TestForged(t *testing.T) {
	issuer := verifytest.New(issuerURL, verifytest.Options{Audience: "api"})
	v := issuer.Verifier(t, quiet)
	good := issuer.Mint(verifytest.Token{})
	header, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	stranger := verifytest.New(issuerURL, verifytest.Options{Audience: "api"})
	hmac := verifytest.New(issuerURL, verifytest.Options{Audience: "api", Secret: issuer.JWKS()})
	withHeader := func(text string) string { return b64([]byte(text)) + "." + payload + "." + signature }
	for _, tc := range []struct {
		name, raw string
		want      error
	}{
		{"good", good, nil},
		{"key of a stranger", stranger.Mint(verifytest.Token{}), verify.ErrSignature},
		{"HS256 with the JWK Set as secret", hmac.Mint(verifytest.Token{}), verify.ErrSignature},
		{"empty", "", verify.ErrMalformed},
		{"no signature", header + "." + payload + ".", verify.ErrMalformed},
		{"two segments", header + "." + payload, verify.ErrMalformed},
		{"four segments", good + ".x", verify.ErrMalformed},
		{"five segments", "a.b.c.d.e", verify.ErrMalformed},
		{"dots", strings.Repeat(".", 1<<20), verify.ErrMalformed},
		{"too long", good + strings.Repeat("A", 8192), verify.ErrMalformed},
		{"alg none", withHeader(`{"alg":"none","typ":"JWT"}`), verify.ErrSignature},
		{"alg none without signature", b64([]byte(`{"alg":"none"}`)) + "." + payload + ".", verify.ErrMalformed},
		{"alg of another family", withHeader(`{"alg":"RS256","typ":"JWT","kid":"` + issuer.KeyID() + `"}`), verify.ErrSignature},
		{"alg twice", withHeader(`{"alg":"ES256","alg":"none"}`), verify.ErrMalformed},
		{"jku", withHeader(`{"alg":"ES256","jku":"https://evil.example/jwks"}`), verify.ErrMalformed},
		{"jwk", withHeader(`{"alg":"ES256","jwk":{"kty":"EC"}}`), verify.ErrMalformed},
		{"x5u", withHeader(`{"alg":"ES256","x5u":"http://169.254.169.254/"}`), verify.ErrMalformed},
		{"crit", withHeader(`{"alg":"ES256","crit":["exp"]}`), verify.ErrMalformed},
		{"kid as path", withHeader(`{"alg":"ES256","kid":"../../etc/passwd"}`), verify.ErrSignature},
		{"kid as number", withHeader(`{"alg":"ES256","kid":1}`), verify.ErrMalformed},
		{"payload of another", header + "." + b64([]byte(`{"sub":"root"}`)) + "." + signature, verify.ErrSignature},
		{"line feed at the end", good + "\n", verify.ErrMalformed},
		{"space before", " " + good, verify.ErrMalformed},
		{"padding", good + "=", verify.ErrMalformed},
		{"JSON serialization", `{"payload":"` + payload + `"}`, verify.ErrMalformed},
	} {
		expect(t, v, tc.name, tc.raw, tc.want)
	}
	for n := range good {
		if _, err := v.Verify(t.Context(), good[:n]); err == nil {
			t.Fatalf("the first %d bytes of a token are accepted", n)
		}
		changed := []byte(good)
		changed[n] ^= 1
		if _, err := v.Verify(t.Context(), string(changed)); err == nil {
			t.Fatalf("byte %d can be changed", n)
		}
	}
	if n := issuer.Fetches(); n > 2 {
		t.Errorf("hostile tokens caused %d fetches", n-1)
	}
}

// TestLate lets time pass over a token that is remembered.
func TestLate(t *testing.T) {
	issuer := verifytest.Start(t, verifytest.Options{})
	for name, change := range map[string]func(*verify.Config){
		"remembered":     feedless,
		"not remembered": func(c *verify.Config) { feedless(c); c.CacheSize = -1 },
	} {
		v := issuer.Verifier(t, change)
		raw := issuer.Mint(verifytest.Token{Lifetime: time.Minute})
		expect(t, v, name, raw, nil)
		issuer.Advance(59 * time.Second)
		expect(t, v, name, raw, nil)
		issuer.Advance(time.Second)
		expect(t, v, name, raw, verify.ErrExpired)
		issuer.Advance(-time.Second)
		expect(t, v, name, raw, nil)
		issuer.Advance(-2 * time.Minute)
		expect(t, v, name+", the clock went back", raw, verify.ErrNotYetValid)
	}
	lax := issuer.Verifier(t, feedless, func(c *verify.Config) { c.Leeway = 10 * time.Second })
	raw := issuer.Mint(verifytest.Token{Lifetime: time.Minute})
	issuer.Advance(69 * time.Second)
	expect(t, lax, "within the leeway", raw, nil)
	expect(t, lax, "within the leeway, seen before", raw, nil)
	issuer.Advance(time.Second)
	expect(t, lax, "after the leeway", raw, verify.ErrExpired)
}

func TestSecret(t *testing.T) {
	secret := []byte("0123456789abcdef0123456789abcdef")
	issuer := verifytest.Start(t, verifytest.Options{Secret: secret})
	for name, change := range map[string]func(*verify.Config){"with feed": quiet, "without": feedless} {
		v := issuer.Verifier(t, change)
		raw := issuer.Mint(verifytest.Token{})
		if c := expect(t, v, name, raw, nil); c != nil {
			if mac, ok := c.Text("mac"); !ok || len(mac) != 43 {
				t.Errorf("%s: not a token as the server makes them: %s", name, c.Payload())
			}
		}
		expect(t, v, name, raw[:len(raw)-4]+"AAAA", verify.ErrSignature)
		// A key of the JWK Set, which signs the feed, signs no tokens here.
		published := verifytest.New(issuer.URL(), verifytest.Options{})
		expect(t, v, name, published.Mint(verifytest.Token{}), verify.ErrSignature)
	}
	v := issuer.Verifier(t, func(c *verify.Config) { feedless(c); c.Secret, c.AllowShortSecret = []byte("short"), true })
	expect(t, v, "another secret", issuer.Mint(verifytest.Token{}), verify.ErrSignature)
}

func TestItemPath(t *testing.T) {
	issuer := verifytest.Start(t, verifytest.Options{})
	v := issuer.Verifier(t, func(c *verify.Config) {
		c.KindClaim, c.ApplicationKindValue, c.AllowApplicationTokens = "type", "access", true
	})
	type m = map[string]any
	expect(t, v, "access", issuer.Mint(verifytest.Token{Claims: m{"token_use": nil, "type": "access"}}), nil)
	expect(t, v, "refresh", issuer.Mint(verifytest.Token{Claims: m{"token_use": nil, "type": "refresh"}}), verify.ErrKind)
	app := issuer.Mint(verifytest.Token{Application: true, ID: "app-1", Claims: m{"token_use": nil, "type": "access"}})
	if c := expect(t, v, "application", app, nil); c != nil && !c.ExpiresAt().IsZero() {
		t.Errorf("expires %s", c.ExpiresAt())
	}
	issuer.Advance(10 * 365 * 24 * time.Hour)
	expect(t, v, "application, years later", app, nil)
}

func TestConfig(t *testing.T) {
	issuer := verifytest.New(issuerURL, verifytest.Options{})
	feed := &verify.Revocations{Authorization: issuer.Authorization}
	for _, tc := range []struct {
		name string
		c    verify.Config
		says string
	}{
		{"nothing", verify.Config{}, "Issuer is empty"},
		{"no TLS", verify.Config{Issuer: "http://auth.example"}, "AllowPlainHTTP"},
		{"no URL", verify.Config{Issuer: "auth.example"}, "https://auth.example.com"},
		{"another scheme", verify.Config{Issuer: "file:///etc"}, "https://auth.example.com"},
		{"password in URL", verify.Config{Issuer: "https://a:b@auth.example"}, "https://auth.example.com"},
		{"empty issuer", verify.Config{Issuer: issuerURL, Issuers: []string{""}}, "Issuers"},
		{"short secret", verify.Config{Issuer: issuerURL, Secret: []byte("short")}, "at least 32"},
		{"empty secret", verify.Config{Issuer: issuerURL, Secret: []byte{}, AllowShortSecret: true}, "Secret"},
		{"secret and keys", verify.Config{Issuer: issuerURL, Secret: make([]byte, 32), JWKS: issuer.JWKS()}, "Secret and a JWK Set"},
		{"two sets", verify.Config{Issuer: issuerURL, JWKSFile: "x", JWKS: issuer.JWKS()}, "give one"},
		{"no such file", verify.Config{Issuer: issuerURL, JWKSFile: "no-such-file"}, "no-such-file"},
		{"no keys", verify.Config{Issuer: issuerURL, JWKS: []byte(`{"keys":[]}`)}, "no key"},
		{"no JWKS", verify.Config{Issuer: issuerURL, JWKS: []byte(`x`)}, "JWKS"},
		{"JWKS twice", verify.Config{Issuer: issuerURL, JWKS: issuer.JWKS(), JWKSURL: "https://x.example"}, "JWKSURL"},
		{"cache of nothing", verify.Config{Issuer: issuerURL, JWKS: issuer.JWKS(), JWKSCacheFile: "x"}, "JWKSCacheFile"},
		{"leeway", verify.Config{Issuer: issuerURL, Leeway: time.Hour}, "Leeway"},
		{"lifetime", verify.Config{Issuer: issuerURL, MaxLifetime: -1}, "MaxLifetime"},
		{"no exp and no feed", verify.Config{Issuer: issuerURL, AllowApplicationTokens: true}, "needs Revocations"},
		{"unknown tokens", verify.Config{Issuer: issuerURL, Accept: 8}, "ContractTokens"},
		{"OAuth for nobody", verify.Config{Issuer: issuerURL, Accept: verify.OAuthTokens}, "OAuthAudience"},
		{"an audience of OAuth alone", verify.Config{Issuer: issuerURL, OAuthAudience: "api"}, "Accept"},
		{"shared audience of a contract", verify.Config{Issuer: issuerURL, SharedAudience: true}, "Accept"},
		{"secret for OAuth", verify.Config{Issuer: issuerURL, Accept: verify.OAuthTokens, Audience: "api", Secret: make([]byte, 32)}, "Secret"},
		{"typ for OAuth", verify.Config{Issuer: issuerURL, Accept: verify.OAuthTokens, Audience: "api", Type: "at+jwt"}, "Type"},
		{"application tokens of OAuth", verify.Config{
			Issuer: issuerURL, Accept: verify.OAuthTokens, Audience: "api", AllowApplicationTokens: true, Revocations: feed,
		}, "AllowApplicationTokens"},
		{"short secret among others", verify.Config{Issuer: issuerURL, Secrets: [][]byte{make([]byte, 32), []byte("short")}}, "at least 32"},
		{"no exp and silence", verify.Config{
			Issuer: issuerURL, AllowApplicationTokens: true,
			Revocations: &verify.Revocations{Authorization: issuer.Authorization, StaleOK: true},
		}, "StaleOK"},
		{"no authorization", verify.Config{Issuer: issuerURL, Revocations: &verify.Revocations{}}, "Authorization"},
		{"impatient", verify.Config{Issuer: issuerURL, Revocations: &verify.Revocations{Authorization: issuer.Authorization, StaleAfter: 1}}, "StaleAfter"},
		{"no issuer for the feed", verify.Config{JWKS: issuer.JWKS(), Issuers: []string{"x"}, Revocations: feed}, "Revocations needs Issuer"},
	} {
		v, err := verify.New(tc.c)
		if !errors.Is(err, verify.ErrConfig) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want one that says %q", tc.name, err, tc.says)
		}
		if v != nil {
			v.Close()
		}
	}
}

func TestFixedKeys(t *testing.T) {
	issuer := verifytest.New(issuerURL, verifytest.Options{})
	v, err := verify.New(verify.Config{Issuers: []string{issuerURL, "https://old.example"}, JWKS: issuer.JWKS(), Clock: issuer.Now})
	if err != nil {
		t.Fatal(err)
	}
	raw := issuer.Mint(verifytest.Token{})
	if err := v.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	expect(t, v, "present issuer", raw, nil)
	expect(t, v, "former issuer", issuer.Mint(verifytest.Token{Claims: map[string]any{"iss": "https://old.example"}}), nil)
	if issuer.Fetches() != 0 {
		t.Error("keys were fetched")
	}
	v.Close()
	v.Close()
	expect(t, v, "closed", raw, verify.ErrClosed)
	if err := v.Ready(context.Background()); !errors.Is(err, verify.ErrClosed) {
		t.Error(err)
	}
}
