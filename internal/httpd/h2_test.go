package httpd

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestH2Malformed: what HTTP/1 cannot say, HTTP/2 may not either.
func TestH2Malformed(t *testing.T) {
	reached := false
	h := Front{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	for _, tc := range []struct {
		major                 int
		method, host, request string
		pass                  bool
	}{
		{2, "GET", "test:443", "/api?x=//y", true},
		{2, "GET", "[::1]:443", "/", true},
		{2, "GET", "xn--bcher-kva.example", "/", true},
		{2, "OPTIONS", "test", "*", true},
		{1, "GET", "test", "http://test/api", true}, // RFC 9112 section 3.2.2
		{2, "GET", "te st", "/api", false},
		{2, "GET", "test/../x", "/api", false},
		{2, "GET", "user@test", "/api", false},
		{2, "GET", "test\r\nX-Sallyport-User: evil", "/api", false},
		{2, "GET", "tést", "/api", false},
		{2, "GET", "test", "http://evil/api", false},
		{2, "GET", "test", "//evil/api", true}, // a path of two slashes: the gateway refuses it
		{2, "GET", "test", "*", false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.ProtoMajor, r.Method, r.Host, r.RequestURI = tc.major, tc.method, tc.host, tc.request
		rec := httptest.NewRecorder()
		reached = false
		h.ServeHTTP(rec, r)
		if reached != tc.pass || !tc.pass && rec.Code != http.StatusBadRequest {
			t.Errorf("HTTP/%d %s %q %q: reached %v, %d", tc.major, tc.method, tc.host, tc.request, reached, rec.Code)
		}
	}
}
