package oauth

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestPolicySource(t *testing.T) {
	for uri, want := range map[string]string{
		"":                               "",
		"https://app.example/cb?x=1":     "https://app.example",
		"http://127.0.0.1:8400/cb":       "http://127.0.0.1:8400",
		"http://[::1]:8400/cb":           "http:",
		"com.example.app:/cb":            "com.example.app:",
		"https://a.example;script-src/x": "https:",
	} {
		if got := policySource(uri); got != want {
			t.Errorf("%q: %q, want %q", uri, got, want)
		}
	}
}

func TestWithQuery(t *testing.T) {
	params := map[string][]string{"state": {"a b"}}
	for uri, want := range map[string]string{
		"https://app.example/cb":      "https://app.example/cb?state=a+b",
		"https://app.example/cb?x=1":  "https://app.example/cb?x=1&state=a+b",
		"https://app.example/cb?":     "https://app.example/cb?state=a+b",
		"https://app.example/cb?x=1&": "https://app.example/cb?x=1&state=a+b",
		"com.example.app:/cb":         "com.example.app:/cb?state=a+b",
	} {
		if got := withQuery(uri, params); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := withQuery("https://app.example/cb", nil); got != "https://app.example/cb" {
		t.Errorf("without parameters: %q", got)
	}
}

// TestFormToken: a token fits one purpose, one cookie, one request and one key.
func TestFormToken(t *testing.T) {
	b, other := &browser{key: [32]byte{1}}, &browser{key: [32]byte{2}}
	tok := b.formToken("login", "cookie", "about")
	for name, same := range map[string]string{
		"purpose": b.formToken("consent", "cookie", "about"), "cookie": b.formToken("login", "cooki", "about"),
		"request": b.formToken("login", "cookie", ""), "border": b.formToken("login", "cookiea", "bout"), "key": other.formToken("login", "cookie", "about"),
	} {
		if same == tok {
			t.Errorf("another %s has the same token", name)
		}
	}
	if b.formToken("login", "cookie", "about") != tok {
		t.Error("the token is not stable")
	}
	v := &visit{r: httptest.NewRequest("POST", "/", nil)}
	if err := b.checkForm(v, b.formToken("login", "", ""), "login", "", ""); err == nil {
		t.Error("a form counts in a browser without the cookie")
	}
}

// TestIssuerWithPath: behind a proxy that cuts the issuer's path off, the pages
// lead to where browsers see them.
func TestIssuerWithPath(t *testing.T) {
	h := &Handler{cfg: Config{Issuer: "https://api.example/auth/"}}
	w := httptest.NewRecorder()
	h.browserRoutes()[PathLogout].ServeHTTP(w, httptest.NewRequest("GET", PathLogout+"?state=1&state=2", nil))
	if w.Code != 400 || !strings.Contains(w.Body.String(), `href="/auth/oauth2/pages/style.css"`) {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

// TestStylesheet: ours, or the operator's in its place.
func TestStylesheet(t *testing.T) {
	for name, css := range map[string]string{"ours": "", "own": "body { color: red }"} {
		h := &Handler{cfg: Config{Issuer: "https://api.example", Stylesheet: []byte(css)}}
		w := httptest.NewRecorder()
		h.browserRoutes()[pathStyle].ServeHTTP(w, httptest.NewRequest("GET", pathStyle, nil))
		if w.Code != 200 || w.Header().Get("Content-Type") != "text/css; charset=utf-8" || css != "" && w.Body.String() != css || !strings.Contains(w.Body.String(), "color") {
			t.Errorf("%s: status %d: %s", name, w.Code, w.Body)
		}
		w = httptest.NewRecorder()
		h.browserRoutes()[pathStyle].ServeHTTP(w, httptest.NewRequest("POST", pathStyle, nil))
		if w.Code != 405 {
			t.Errorf("%s: POST has status %d", name, w.Code)
		}
	}
}
