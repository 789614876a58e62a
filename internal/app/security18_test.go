package app_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"math/bits"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/admin"
)

var uuidLike = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// TestSecurity18_Secrets: of each secret that Sallyport makes up and gives away,
// as its holder gets it, 128 bits at least take both values, and no two are
// nearly alike, as a counter or the time in them would make them.
func TestSecurity18_Secrets(t *testing.T) {
	s := serve(t, "")
	s.user("", "ann", "user")
	c, b := s.oauthClient(admin.NewOAuthClient{}), s.login("ann")
	// A password has signs of five bits each.
	unpassword := func(text string) (raw []byte, err error) {
		var row []byte
		for _, sign := range strings.ReplaceAll(text, "-", "") {
			at := strings.IndexRune("abcdefghijkmnpqrstuvwxyz23456789", sign)
			if at < 0 {
				return nil, fmt.Errorf("%q in %q", sign, text)
			}
			for i := range 5 {
				row = append(row, byte(at>>i&1))
			}
		}
		for ; len(row) >= 8; row = row[8:] {
			x := byte(0)
			for i := range 8 {
				x |= row[i] << i
			}
			raw = append(raw, x)
		}
		return raw, nil
	}
	made := 0
	for name, kind := range map[string]struct {
		make   func() string
		decode func(string) ([]byte, error)
	}{
		"authorization code": {func() string { return s.code(c, b) }, base64.RawURLEncoding.DecodeString},
		"client secret": {func() string {
			return strings.TrimPrefix(s.oauthClient(admin.NewOAuthClient{}).Secret, "spcs_")
		}, base64.RawURLEncoding.DecodeString},
		"API key's secret": {func() string {
			var k admin.APIKey
			made++
			if err := s.admin.Post(t.Context(), "/api-keys", map[string]any{"appname": fmt.Sprint("daemon", made)}, &k); err != nil {
				t.Fatal(err)
			}
			return k.Secret
		}, hex.DecodeString},
		"cookie of the login form": {func() string {
			b := s.browser()
			isLoginPage(t, b.authorize(ask(c)))
			return b.cookie("sallyport-form")
		}, base64.RawURLEncoding.DecodeString},
		"generated password": {admin.GeneratePassword, unpassword}, // a hash for each is too dear
	} {
		samples := make([][]byte, 64)
		for i := range samples {
			text := kind.make()
			var err error
			if samples[i], err = kind.decode(text); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if uuidLike.MatchString(text) {
				t.Errorf("%s: a UUID is no secret", name)
			}
		}
		if n := bitsThatVary(samples); n < 128 {
			t.Errorf("%s: %d bits vary", name, n)
		}
		for i, x := range samples {
			for _, y := range samples[:i] {
				if d := distance(x, y); d < 20 { // 64 of 128 are expected, 20 once in 10^15
					t.Errorf("%s: two differ in %d bits alone", name, d)
				}
			}
		}
	}
	var u admin.User
	if err := s.admin.Post(t.Context(), "/users", map[string]any{"username": "gen", "type": "user", "generate": true}, &u); err != nil {
		t.Fatal(err)
	}
	if raw, err := unpassword(u.Password); err != nil || len(raw) < 16 {
		t.Errorf("a generated password of %d bytes: %v", len(raw), err)
	}
	s.do("POST", "/api/users/login", "", map[string]string{"username": "gen", "password": u.Password}).want(200, "")
	var shown admin.OAuthClient
	if err := s.admin.Get(t.Context(), "/clients/"+c.ID, nil, &shown); err != nil || shown.Secret != "" {
		t.Errorf("the secret is shown again: %v %v", shown, err)
	}
}

func bitsThatVary(samples [][]byte) (n int) {
	and, or := slices.Clone(samples[0]), slices.Clone(samples[0])
	for _, s := range samples {
		for i := range min(len(s), len(and)) {
			and[i] &= s[i]
			or[i] |= s[i]
		}
	}
	return distance(and, or)
}

func distance(x, y []byte) (n int) {
	for i := range min(len(x), len(y)) {
		n += bits.OnesCount8(x[i] ^ y[i])
	}
	return n
}

// TestSecurity18_IdentifiersAreNoSecrets: who knows every identifier of a user,
// its sessions, tokens, keys and clients gets nowhere by them.
func TestSecurity18_IdentifiersAreNoSecrets(t *testing.T) {
	s := serve(t, "")
	user := s.user("", "bot", "application")
	in := s.do("POST", "/api/users/login", "", map[string]string{"username": "bot", "password": password}).want(200, "")
	app := s.do("POST", "/api/users/application-token", in.text("refreshToken"), nil).want(200, "").text("token")
	c := s.oauthClient(admin.NewOAuthClient{})
	var key admin.APIKey
	if err := s.admin.Post(t.Context(), "/api-keys", map[string]any{"appname": "daemon"}, &key); err != nil {
		t.Fatal(err)
	}
	id := map[string]string{"user": user, "client": c.ID, "API key": key.ID, "appkey": key.AppKey}
	for name, tok := range map[string]string{"access": in.text("accessToken"), "refresh": in.text("refreshToken"), "application": app} {
		_, claims := unsigned(t, tok)
		for _, claim := range []string{"jti", "sid"} {
			if v, ok := claims[claim].(string); ok {
				id[name+" "+claim] = v
			}
		}
	}
	if len(id) < 8 {
		t.Fatalf("identifiers are missing: %v", slices.Sorted(maps.Keys(id)))
	}
	s.do("GET", "/things", in.text("accessToken"), nil).want(200, "") // what they are to be held against
	s.do("GET", "/things", app, nil).want(200, "")
	for name, v := range id {
		for what, a := range map[string]*answer{
			"call":    s.do("GET", "/things", v, nil),
			"refresh": s.do("POST", "/api/users/refresh", v, nil),
			"mint":    s.do("POST", "/api/users/application-token", v, nil),
			"login":   s.do("POST", "/api/users/login", "", map[string]string{"username": "bot", "password": v}),
			"client":  s.token(&admin.OAuthClient{ID: c.ID, Secret: v}, "grant_type", "client_credentials"),
			"code":    s.redeem(c, v),
		} {
			if a.status/100 != 4 || a.status == http.StatusTooManyRequests {
				t.Errorf("%s as %s: %d %s", name, what, a.status, a.raw)
			}
		}
	}
}

// TestSecurity18_OneSourceOfRandomness: what ships takes random numbers from
// crypto/rand, but for a few places where they spread load over time.
func TestSecurity18_OneSourceOfRandomness(t *testing.T) {
	spreads := map[string]bool{
		"internal/store/postgres/step.go": true, "client/session.go": true, "verify/fetch.go": true,
		// harnesses of tests
		"internal/store/pgtest/ports/ports.go": true, "internal/store/storetest/attempts.go": true, "internal/store/storetest/refresh.go": true,
	}
	read := 0
	for _, top := range []string{"cmd", "client", "contracts", "internal", "verify"} {
		err := filepath.WalkDir(filepath.Join("..", "..", top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "/testdata/") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			read++
			name, err := filepath.Rel(filepath.Join("..", ".."), path)
			for _, spec := range file.Imports {
				if strings.HasPrefix(spec.Path.Value, `"math/rand`) && !spreads[filepath.ToSlash(name)] {
					t.Errorf("%s imports %s: who can guess its numbers guards nothing by them", name, spec.Path.Value)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if read < 100 {
		t.Errorf("%d files were read", read)
	}
}
