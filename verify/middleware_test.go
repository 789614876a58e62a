package verify_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/verify"
	"github.com/sallyport/sallyport/verify/verifytest"
)

// whoami answers with the subject.
var whoami = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	c, ok := verify.FromContext(r.Context())
	if !ok {
		_, _ = w.Write([]byte("nobody"))
		return
	}
	_, _ = w.Write([]byte(c.Subject()))
})

// ask sends a request with the given Authorization headers through a handler.
func ask(h http.Handler, target string, authorization ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for _, a := range authorization {
		r.Header.Add("Authorization", a)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestMiddleware(t *testing.T) {
	issuer := verifytest.Start(t, verifytest.Options{Audience: "api"})
	v := issuer.Verifier(t)
	h := v.Middleware(whoami, verify.RequireScopes("read", "list"), verify.Realm("sta\"tions\r\n"))
	good := issuer.Mint(verifytest.Token{Scope: "read list"})
	revoked := issuer.Mint(verifytest.Token{Scope: "read list", ID: "gone"})
	old := issuer.Mint(verifytest.Token{Scope: "read list", Lifetime: time.Minute})
	issuer.Advance(2 * time.Minute)
	issuer.RevokeToken("gone")
	waitRevoked(t, v, revoked)
	const realm = `Bearer realm="stations"`
	for _, tc := range []struct {
		name, target  string
		authorization []string
		status        int
		challenge     string
		body          string
	}{
		{"good", "/", []string{"Bearer " + good}, 200, "", "user-1"},
		{"scheme in small letters", "/", []string{"bearer " + good}, 200, "", "user-1"},
		{"other query", "/?q=access_token&a;b", []string{"Bearer " + good}, 200, "", "user-1"},

		{"nothing", "/", nil, 401, realm, ""},
		{"another scheme", "/", []string{"Basic dTpw"}, 401, realm, ""},
		{"empty", "/", []string{""}, 401, realm, ""},
		{"scheme alone", "/", []string{"Bearer"}, 400, realm + `, error="invalid_request", error_description="Write the Authorization header as: Bearer TOKEN"`, ""},
		{"two spaces", "/", []string{"Bearer  " + good}, 400, realm + `, error="invalid_request", error_description="Write the Authorization header as: Bearer TOKEN"`, ""},
		{"tab", "/", []string{"Bearer\t" + good}, 401, realm, ""},
		{"comma", "/", []string{"Bearer " + good + ", Bearer " + good}, 400, realm + `, error="invalid_request", error_description="Write the Authorization header as: Bearer TOKEN"`, ""},
		{"two headers", "/", []string{"Bearer " + good, "Bearer " + good}, 400, realm + `, error="invalid_request", error_description="Send one Authorization header"`, ""},
		{"token in the query", "/?access_token=" + good, nil, 400, realm + `, error="invalid_request", error_description="Send the token in the Authorization header, never in the URL"`, ""},
		{"token in the query, too", "/?access%5Ftoken=x", []string{"Bearer " + good}, 400, realm + `, error="invalid_request", error_description="Send the token in the Authorization header, never in the URL"`, ""},
		{"no token", "/", []string{"Bearer abc"}, 401, realm + `, error="invalid_token", error_description="The access token is not valid here"`, ""},
		{"expired", "/", []string{"Bearer " + old}, 401, realm + `, error="invalid_token", error_description="The access token has expired"`, ""},
		{"revoked", "/", []string{"Bearer " + revoked}, 401, realm + `, error="invalid_token", error_description="The access token was revoked"`, ""},
		{"refresh token", "/", []string{"Bearer " + issuer.Mint(verifytest.Token{Kind: "refresh"})}, 401, realm + `, error="invalid_token", error_description="The access token is not valid here"`, ""},
		{"too narrow", "/", []string{"Bearer " + issuer.Mint(verifytest.Token{Scope: "read"})}, 403, realm + `, error="insufficient_scope", error_description="The access token lacks a scope", scope="read list"`, ""},
	} {
		w := ask(h, tc.target, tc.authorization...)
		if w.Code != tc.status || w.Header().Get("WWW-Authenticate") != tc.challenge {
			t.Errorf("%s: %d %q, want %d %q", tc.name, w.Code, w.Header().Get("WWW-Authenticate"), tc.status, tc.challenge)
		}
		if tc.body != "" && w.Body.String() != tc.body {
			t.Errorf("%s: body %q", tc.name, w.Body)
		}
		if tc.status != 200 && (w.Header().Get("Cache-Control") != "no-store" || !strings.HasPrefix(w.Body.String(), `{"error":"`)) {
			t.Errorf("%s: %v %s", tc.name, w.Header(), w.Body)
		}
		if strings.Contains(w.Body.String()+fmt.Sprint(w.Header()), good) {
			t.Errorf("%s: the answer holds the token", tc.name)
		}
	}
}

// waitRevoked waits until a real feed has told.
func waitRevoked(t *testing.T, v *verify.Verifier, raw string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if _, err := v.Verify(t.Context(), raw); err != nil {
			return
		}
	}
	t.Fatal("a revocation was not heard in 5 s")
}

func TestMiddlewareOptions(t *testing.T) {
	bubbled(t, verifytest.Options{}, func(t *testing.T, issuer *verifytest.Issuer) {
		v := issuer.Verifier(t, quiet)
		good := "Bearer " + issuer.Mint(verifytest.Token{})
		optional := v.Middleware(whoami, verify.Optional())
		for _, tc := range []struct {
			name, target string
			header       []string
			status       int
			body         string
		}{
			{"nothing", "/", nil, 200, "nobody"},
			{"good", "/", []string{good}, 200, "user-1"},
			{"bad", "/", []string{"Bearer x"}, 401, ""},
			{"another scheme", "/", []string{"Basic dTpw"}, 401, ""},
			{"query", "/?access_token=x", nil, 400, ""},
		} {
			if w := ask(optional, tc.target, tc.header...); w.Code != tc.status || tc.body != "" && w.Body.String() != tc.body {
				t.Errorf("optional, %s: %d %s", tc.name, w.Code, w.Body)
			}
		}
		own := v.Middleware(whoami, verify.OnRefusal(func(w http.ResponseWriter, _ *http.Request, status int, err error) {
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, "own words: %v", err)
		}))
		if w := ask(own, "/"); w.Code != 401 || w.Body.String() != "own words: <nil>" || w.Header().Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
		issuer.SetDown(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		w := ask(v.Middleware(whoami), "/", good)
		if w.Code != 503 || w.Header().Get("Retry-After") != "1" || w.Header().Get("WWW-Authenticate") != "" {
			t.Errorf("stale: %d %v %s", w.Code, w.Header(), w.Body)
		}
		v.Close()
		if w := ask(v.Middleware(whoami), "/", good); w.Code != 503 {
			t.Errorf("closed: %d", w.Code)
		}
	})
}

// TestMiddlewareOverHTTP runs the whole way once, over a real connection.
func TestMiddlewareOverHTTP(t *testing.T) {
	issuer := verifytest.Start(t, verifytest.Options{Audience: "api", Algorithm: "RS256"})
	api := httptest.NewServer(issuer.Verifier(t).Middleware(whoami))
	defer api.Close()
	for raw, want := range map[string]int{issuer.Mint(verifytest.Token{}): 200, issuer.Mint(verifytest.Token{Audience: "x"}): 401} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+raw)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != want {
			t.Errorf("%d %s %v, want %d", res.StatusCode, body, err, want)
		}
	}
}
