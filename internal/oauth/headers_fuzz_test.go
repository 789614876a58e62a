package oauth

import (
	"net/http"
	"strings"
	"testing"
)

// FuzzBearerToken: a token that is read is the rest of the one header behind
// the scheme and one space, without what would make it two.
func FuzzBearerToken(f *testing.F) {
	for _, s := range []string{"Bearer abc", "bearer abc", "BEARER a.b.c", "Bearer  abc", "Bearer\tabc", "Bearer a,b", "Bearer", "Bearer ", "Basic abc", "", "Bearer a b", "Bearer:abc", "Bearer \"a\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r := &http.Request{Header: http.Header{"Authorization": {header}}}
		tok, err := BearerToken(r)
		if err != nil && tok != "" {
			t.Fatalf("%q: an error with a token", header)
		}
		if tok != "" && (!strings.EqualFold(header, "Bearer "+tok) || !strings.HasSuffix(header, tok) || strings.ContainsAny(tok, " \t,")) {
			t.Fatalf("%q gives %q", header, tok)
		}
		r.Header["Authorization"] = []string{header, header}
		if tok, _ := BearerToken(r); tok != "" {
			t.Fatalf("%q twice gives %q", header, tok)
		}
	})
}

// FuzzReadCookie: a cookie that counts is there once, whatever stands around it.
func FuzzReadCookie(f *testing.F) {
	for _, s := range []string{
		"sallyport-login=abc", "a=b; sallyport-login=abc; c=d", "sallyport-login=a; sallyport-login=b", "sallyport-login=", "sallyport-login", "Sallyport-Login=abc",
		`sallyport-login="abc"`, "sallyport-login=a,b", "__Host-sallyport-login=abc", "sallyport-login =abc", "sallyport-login=a\x00b", ";;;=;", "sallyport-login=é",
	} {
		f.Add(s, "")
	}
	f.Add("sallyport-login=a", "sallyport-login=b")
	f.Fuzz(func(t *testing.T, first, second string) {
		for _, secure := range []bool{false, true} {
			b := &browser{secure: secure}
			r := &http.Request{Header: http.Header{"Cookie": {first, second}}}
			value := b.readCookie(r, cookieLogin)
			if value == "" {
				continue
			}
			name, n := b.cookieName(cookieLogin), 0
			for _, pair := range append(strings.Split(first, ";"), strings.Split(second, ";")...) {
				k, v, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
				if strings.Trim(k, " \t") == name && strings.Contains(v, value) {
					n++
				}
			}
			if n != 1 || len(value) > 4096 || strings.ContainsAny(value, ";\r\n\x00") {
				t.Fatalf("%q and %q give %q", first, second, value)
			}
		}
	})
}
