package app_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/core"
)

// signer is a client's key and what it signs.
type signer struct {
	key *ecdsa.PrivateKey
	set json.RawMessage
}

func newSigner(t *testing.T) *signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := k.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	set, err := json.Marshal(map[string]any{"keys": []any{map[string]string{"kty": "EC", "crv": "P-256", "kid": "k1", "x": b64(raw[1:33]), "y": b64(raw[33:])}}})
	if err != nil {
		t.Fatal(err)
	}
	return &signer{k, set}
}

func (k *signer) sign(t *testing.T, claims jwt.MapClaims) string {
	t.Helper()
	out, err := jwt.NewWithClaims(jwt.SigningMethodES256, claims).SignedString(k.key)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSecurity36_Assertions need iss, sub, aud (the issuer alone), exp, and
// count once: as client authentication and as a grant.
func TestSecurity36_Assertions(t *testing.T) {
	s := serve(t, "")
	key := newSigner(t)
	c := s.oauthClient(admin.NewOAuthClient{
		Auth: "private_key_jwt", JWKS: key.set, Grants: []string{core.GrantCredentials, core.GrantAssertion}, Scopes: []string{"read"},
	})
	n := 0
	claims := func(change func(jwt.MapClaims)) string {
		n++
		now := s.clock.Load() / 1000
		m := jwt.MapClaims{"iss": c.ID, "sub": c.ID, "aud": s.url, "exp": now + 60, "iat": now, "jti": itoa(int64(n))}
		if change != nil {
			change(m)
		}
		return key.sign(t, m)
	}
	ways := map[string]func(assertion string) *answer{
		"client": func(a string) *answer {
			return s.token(nil, "grant_type", "client_credentials", "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", a)
		},
		"grant": func(a string) *answer { return s.token(nil, "grant_type", core.GrantAssertion, "assertion", a) },
	}
	for name, present := range ways {
		refused := func(what string, a *answer) {
			t.Helper()
			if name == "client" {
				a.isError(401, "invalid_client")
			} else {
				a.isError(400, "invalid_grant")
			}
		}
		good := claims(nil)
		got := present(good).want(200, "")
		if _, cl := unsigned(t, got.text("access_token")); cl["sub"] != c.ID {
			t.Errorf("%s: %v", name, cl)
		}
		refused("replay", present(good))
		s.pass(time.Second)
		refused("replay", present(good))
		now := s.clock.Load() / 1000
		for what, change := range map[string]func(jwt.MapClaims){
			"no iss":          func(m jwt.MapClaims) { delete(m, "iss") },
			"no sub":          func(m jwt.MapClaims) { delete(m, "sub") },
			"no aud":          func(m jwt.MapClaims) { delete(m, "aud") },
			"no exp":          func(m jwt.MapClaims) { delete(m, "exp") },
			"no jti":          func(m jwt.MapClaims) { delete(m, "jti") },
			"another sub":     func(m jwt.MapClaims) { m["sub"] = "client_x" },
			"token endpoint":  func(m jwt.MapClaims) { m["aud"] = s.url + "/oauth2/token" },
			"two audiences":   func(m jwt.MapClaims) { m["aud"] = []string{s.url, "https://other.example"} },
			"expired":         func(m jwt.MapClaims) { m["exp"] = now - 61 },
			"far exp":         func(m jwt.MapClaims) { m["exp"] = now + 3700; delete(m, "iat") },
			"not yet":         func(m jwt.MapClaims) { m["nbf"] = now + 120 },
			"from the future": func(m jwt.MapClaims) { m["iat"] = now + 120; m["exp"] = now + 180 },
		} {
			a := present(claims(change))
			if a.status == 200 {
				t.Errorf("%s: %s is taken", name, what)
				continue
			}
			refused(what, a)
		}
		other := newSigner(t)
		refused("wrong key", present(other.sign(t, jwt.MapClaims{"iss": c.ID, "sub": c.ID, "aud": s.url, "exp": now + 60, "jti": name})))
		none, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"iss": c.ID, "sub": c.ID, "aud": s.url, "exp": now + 60, "jti": name}).SignedString(jwt.UnsafeAllowNoneSignatureType)
		if err != nil {
			t.Fatal(err)
		}
		refused("alg none", present(none))
		refused("nonsense", present("nonsense"))
		// An array of the one audience is the same; iat may be left out.
		present(claims(func(m jwt.MapClaims) { m["aud"] = []string{s.url}; delete(m, "iat") })).want(200, "")
	}
}

// TestSecurity36_APIKeyAssertions: an API key gets a token by its secret.
func TestSecurity36_APIKeyAssertions(t *testing.T) {
	s := serve(t, "")
	var made admin.APIKey
	if err := s.admin.Post(t.Context(), "/api-keys", map[string]any{"appname": "daemon", "roles": []string{"read", "write"}}, &made); err != nil {
		t.Fatal(err)
	}
	sign := func(jti string, aud any) string {
		now := s.clock.Load() / 1000
		out, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iss": made.ID, "sub": made.ID, "aud": aud, "exp": now + 60, "jti": jti}).SignedString([]byte(made.Secret))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	present := func(a string, more ...string) *answer {
		return s.token(nil, append([]string{"grant_type", core.GrantAssertion, "assertion", a}, more...)...)
	}
	a := present(sign("1", s.url), "scope", "read").want(200, "")
	if _, cl := unsigned(t, a.text("access_token")); cl["sub"] != made.ID || cl["client_id"] != made.ID || cl["scope"] != "read" {
		t.Errorf("claims %v", cl)
	}
	s.do("GET", "/v2/things", a.text("access_token"), nil).want(200, `{"user":"daemon","account":"default","path":"/v2/things"}`)
	present(sign("1", s.url)).isError(400, "invalid_grant")
	present(sign("2", "https://other.example")).isError(400, "invalid_grant")
	present(sign("3", s.url), "scope", "admin").isError(400, "invalid_scope")
	s.act("/api-keys/"+made.ID+"/disable", nil)
	s.do("GET", "/v2/things", a.text("access_token"), nil).want(401, "")
	present(sign("4", s.url)).isError(400, "invalid_grant")
}
