package oauth

import (
	"net/url"
	"reflect"
	"strings"
	"testing"
)

// FuzzParameters: what is accepted has one value each and no NUL, and says the
// same after it went through a form of ours.
func FuzzParameters(f *testing.F) {
	for _, s := range []string{"", "a=b", "a=1&a=2", "a=&b=%20+x", "a=%00", "a=%ff", "%zz", "a;b", "state=x%26y%3D1&scope=openid+email", strings.Repeat("a&", 60)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		one, twice, err := parameters(raw)
		if err != nil {
			return
		}
		for name, values := range one {
			if len(values) != 1 || values[0] == "" || strings.ContainsRune(values[0], 0) {
				t.Fatalf("%q has %q", name, values)
			}
			for _, other := range twice {
				if other == name {
					t.Fatalf("%q is there although it came twice", name)
				}
			}
		}
		if len(one.Encode()) > maxRequest {
			return // it grew by escaping, and is refused when it comes back
		}
		again, twice, err := parameters(one.Encode())
		if err != nil || len(twice) != 0 || !reflect.DeepEqual(one, again) {
			t.Fatalf("%v came back as %v, %v, %v", one, again, twice, err)
		}
	})
}

// FuzzWithQuery: the registered text stays, and the client finds what was added.
func FuzzWithQuery(f *testing.F) {
	for _, s := range []string{"https://a.example/", "https://a.example/cb?x=1", "https://a.example/?", "https://a.example/?x&", "com.example:/cb", ""} {
		f.Add(s, "code&=#", "st at")
	}
	f.Fuzz(func(t *testing.T, uri, code, state string) {
		got := withQuery(uri, url.Values{"code": {code}, "state": {state}})
		rest, ok := strings.CutPrefix(got, uri)
		if !ok || strings.ContainsAny(rest, "# \r\n") {
			t.Fatalf("%q became %q", uri, got)
		}
		q, err := url.ParseQuery(strings.TrimLeft(rest, "?&"))
		if err != nil || q.Get("code") != code || q.Get("state") != state || len(q) != 2 {
			t.Fatalf("%q has %v, %v", got, q, err)
		}
	})
}

// FuzzPolicySource: no redirect URI adds anything to the content policy but one
// source.
func FuzzPolicySource(f *testing.F) {
	for _, s := range []string{"https://a.example/cb", "http://127.0.0.1:80/", "http://[::1]:9/cb", "com.example.app:/cb", "https://a;script-src *", "https://a.example,b/", "'unsafe-inline'", "", ":"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		src := policySource(uri)
		if strings.ContainsAny(src, " \t\r\n;,'\"*") {
			t.Fatalf("%q gives the source %q", uri, src)
		}
	})
}
