package admin_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/admin"
)

// FuzzBody: whatever the body, the answer is a problem with a 4xx status that
// does not repeat the body, or a user was made.
func FuzzBody(f *testing.F) {
	for _, s := range []string{
		"", "{}", `{"username":"a"}`, `{"username":"a","roles":["x"]}`, `{"username":1}`, `{"a":{"b":[{}]}}`, `{"username":"a","username":"b"}`,
		"\xff", `[[[[`, `{"attributes":{"x":1e999}}`, `null`, `{"username":"\ud800"}`, `{"email_verified":null}`,
	} {
		f.Add(s)
	}
	fx := setUp(f)
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "/admin/v1/users", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		fx.h.ServeHTTP(w, r)
		var answer map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%d with no JSON: %s", w.Code, w.Body)
		}
		if w.Code != http.StatusCreated && (w.Code < 400 || w.Code >= 500) {
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
		if w.Code == http.StatusCreated && !json.Valid([]byte(body)) {
			t.Errorf("%q is no JSON and made a user", body)
		}
	})
}

// FuzzCursor: a cursor that nobody handed out is refused, or is a place in
// the list; never a defect.
func FuzzCursor(f *testing.F) {
	for _, s := range []string{"", "YWEfdTA", "ZGVmYXVsdB91MA", "AAAA", "====", "H", "Hw", "MTcwMDAwMDAwMDAwMA", "LTE"} {
		f.Add(s)
	}
	fx := setUp(f)
	fx.addUser(admin.NewUser{Username: "a"})
	f.Fuzz(func(t *testing.T, cursor string) {
		for _, list := range []string{"accounts", "users", "sessions", "application-tokens", "api-keys", "audit"} {
			w := httptest.NewRecorder()
			fx.h.ServeHTTP(w, httptest.NewRequest("GET", "/admin/v1/"+list+"?cursor="+url.QueryEscape(cursor), nil))
			if w.Code != 200 && w.Code != 422 && w.Code != 404 {
				t.Errorf("%s with cursor %q: %d %s", list, cursor, w.Code, w.Body)
			}
		}
	})
}
