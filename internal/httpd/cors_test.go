package httpd_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/httpd"
)

func TestCORS(t *testing.T) {
	named := httpd.CORS{
		Origins: []string{"https://app.example"}, Methods: []string{"GET", "POST"}, Headers: []string{"Authorization"},
		Expose: []string{"X-Request-Id"}, Credentials: true, MaxAge: 10 * time.Minute,
	}
	all := httpd.CORS{Origins: []string{"*"}, Methods: []string{"GET"}}
	tests := []struct {
		name                       string
		cors                       httpd.CORS
		method, origin, ask        string
		status                     int
		allow, credentials, grants string
		vary                       string
	}{
		{"preflight", named, "OPTIONS", "https://app.example", "POST", 204, "https://app.example", "true", "GET, POST", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"},
		{"preflight of a stranger", named, "OPTIONS", "https://evil.example", "POST", 204, "", "", "", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"},
		{"preflight, nobody allowed", httpd.CORS{}, "OPTIONS", "https://app.example", "POST", 204, "", "", "", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"},
		{"plain OPTIONS goes on", named, "OPTIONS", "", "", 401, "", "", "", "Origin"},
		{"request", named, "GET", "https://app.example", "", 401, "https://app.example", "true", "", "Origin"},
		{"request of a stranger", named, "GET", "https://evil.example", "", 401, "", "", "", "Origin"},
		{"prefix of an origin", named, "GET", "https://app.example.evil", "", 401, "", "", "", "Origin"},
		{"null origin", named, "GET", "null", "", 401, "", "", "", "Origin"},
		{"no origin", named, "GET", "", "", 401, "", "", "", "Origin"},
		{"all", all, "GET", "https://any.example", "", 401, "*", "", "", ""},
		{"star as origin", named, "GET", "*", "", 401, "", "", "", "Origin"},
		{"off", httpd.CORS{}, "GET", "https://app.example", "", 401, "", "", "", ""},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(tc.method, "/", nil)
			if tc.origin != "" {
				r.Header.Set("Origin", tc.origin)
			}
			if tc.ask != "" {
				r.Header.Set("Access-Control-Request-Method", tc.ask)
			}
			rec := httptest.NewRecorder()
			tc.cors.Wrap(handler(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) })).ServeHTTP(rec, r)
			h := rec.Header()
			if rec.Code != tc.status || h.Get("Access-Control-Allow-Origin") != tc.allow || h.Get("Access-Control-Allow-Credentials") != tc.credentials ||
				h.Get("Access-Control-Allow-Methods") != tc.grants || h.Get("Vary") != tc.vary {
				t.Errorf("%d %v", rec.Code, h)
			}
		})
	}
	if (httpd.CORS{Origins: []string{"*"}, Credentials: true}).Check() == nil || named.Check() != nil {
		t.Error("Check judges credentials wrongly")
	}
}
