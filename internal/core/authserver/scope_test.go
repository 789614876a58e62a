package authserver_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
)

func TestParseScope(t *testing.T) {
	for text, want := range map[string][]string{
		"": nil, "a": {"a"}, "a b": {"a", "b"}, "a b a": {"a", "b"}, "https://api.example/x:y": {"https://api.example/x:y"}, "!#[]~": {"!#[]~"},
	} {
		if got, err := authserver.ParseScope(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{" ", "a ", " a", "a  b", "a\tb", "a\nb", `a"b`, `a\b`, "ä", "a\x00", strings.Repeat("x", 2001)} {
		if got, err := authserver.ParseScope(text); err == nil {
			t.Errorf("%q is taken as %q", text, got)
		}
	}
}

// FuzzParseScope: what is taken can be written with single spaces and read
// again, and no word comes twice.
func FuzzParseScope(f *testing.F) {
	for _, s := range []string{"", "openid", "openid profile", "a  b", `"`, "a\x7f", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		scope, err := authserver.ParseScope(text)
		if err != nil {
			return
		}
		again, err := authserver.ParseScope(strings.Join(scope, " "))
		if err != nil || !slices.Equal(again, scope) {
			t.Fatalf("%q is %q, and read again %q, %v", text, scope, again, err)
		}
		for i, w := range scope {
			if w == "" || strings.ContainsAny(w, " \t\r\n\"\\") || slices.Contains(scope[i+1:], w) {
				t.Fatalf("%q has the word %q", text, w)
			}
		}
	})
}

// FuzzRedirectAllowed: a URI that is taken leads where a registered one leads,
// but for the port of a loopback address.
func FuzzRedirectAllowed(f *testing.F) {
	registered := []string{"https://app.example/cb?x=1", "http://127.0.0.1/cb", "http://[::1]:80/cb", "com.example.app:/cb"}
	for _, s := range append(registered, "https://app.example/cb?x=1#", "http://127.0.0.1:80@evil.example/cb", "http://127.0.0.1:8/cb", "http://127.0.0.1:/cb", "//x", "https://app.example\\@evil.example/cb") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if !authserver.RedirectAllowed(registered, uri) || slices.Contains(registered, uri) {
			return
		}
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "http" || u.User != nil || u.Fragment != "" || u.Path != "/cb" || u.RawQuery != "" ||
			u.Hostname() != "127.0.0.1" && u.Hostname() != "::1" {
			t.Fatalf("%q is taken", uri)
		}
	})
}

func TestAllowedScope(t *testing.T) {
	c := &core.OAuthClient{Scopes: []string{"openid", "profile", "read", "write"}}
	roles := []string{"read", "admin"}
	for _, x := range []struct {
		asked, want []string
		strict, bad bool
	}{
		{nil, []string{"read"}, true, false}, // all of the client's but those of OpenID Connect, that are roles of the user
		{[]string{"openid", "read"}, []string{"openid", "read"}, true, false},
		{[]string{"write"}, nil, true, false}, // the client may, the user is not
		{[]string{"admin"}, nil, true, true},  // the user is, the client may not
		{[]string{"admin", "read"}, []string{"read"}, false, false},
		{[]string{"email"}, nil, true, true},
	} {
		got, err := authserver.AllowedScope(c, x.asked, roles, x.strict)
		if !slices.Equal(got, x.want) || (err != nil) != x.bad {
			t.Errorf("%q: %q, %v", x.asked, got, err)
		}
	}
}
