package verify_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/verify"
	"github.com/sallyport/sallyport/verify/verifytest"
)

// FuzzVerify: whatever is not a token that was minted is refused, with one of our errors and without claims.
func FuzzVerify(f *testing.F) {
	issuer := verifytest.New(issuerURL, verifytest.Options{})
	v, err := verify.New(verify.Config{Issuer: issuerURL, JWKS: issuer.JWKS(), Clock: issuer.Now})
	if err != nil {
		f.Fatal(err)
	}
	good := issuer.Mint(verifytest.Token{})
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(issuer.Mint(verifytest.Token{Kind: "refresh"}))
	f.Add(verifytest.New(issuerURL, verifytest.Options{}).Mint(verifytest.Token{}))
	f.Add("a.b.c")
	f.Add("")
	f.Fuzz(func(t *testing.T, raw string) {
		for range 2 { // new, and seen before
			c, err := v.Verify(t.Context(), raw)
			if (err == nil) != (raw == good) || (c != nil) != (raw == good) {
				t.Fatalf("%q: %v, %v", raw, c, err)
			}
		}
	})
}

// FuzzAuthorization: a request gets through with the one header that carries the token, in one spelling but for the
// case of the scheme.
func FuzzAuthorization(f *testing.F) {
	issuer := verifytest.New(issuerURL, verifytest.Options{})
	v, err := verify.New(verify.Config{Issuer: issuerURL, JWKS: issuer.JWKS(), Clock: issuer.Now})
	if err != nil {
		f.Fatal(err)
	}
	h := v.Middleware(whoami)
	good := issuer.Mint(verifytest.Token{})
	f.Add("Bearer "+good, "")
	f.Add("bearer "+good, "a=b")
	f.Add("Bearer  "+good, "")
	f.Add("Basic "+good, "access_token="+good)
	f.Add("Bearer "+good, "access_token")
	f.Fuzz(func(t *testing.T, header, query string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.RawQuery = query
		r.Header["Authorization"] = []string{header}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		scheme, raw, _ := strings.Cut(header, " ")
		want := strings.EqualFold(scheme, "Bearer") && raw == good && !r.URL.Query().Has("access_token")
		if (w.Code == http.StatusOK) != want {
			t.Fatalf("%q ? %q: %d", header, query, w.Code)
		}
		if w.Code != http.StatusOK && !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%q ? %q: %s", header, query, w.Body)
		}
	})
}
