package httpd_test

import (
	"errors"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/httpd"
)

func TestCheckPath(t *testing.T) {
	tests := []struct {
		path string
		want error
	}{
		{"/", nil},
		{"/api/stations", nil},
		{"/api/stations/", nil},
		{"/a/b-c_d.e~f", nil},
		{"/a/...", nil},
		{"/a/.well-known/..b/c..", nil},
		{"/users/a@b.example:1,2;", httpd.ErrPathSemicolon},
		{"/users/a@b.example:1,2", nil},
		{"/users/a%40b", nil},
		{"/caf%C3%A9/%e2%82%ac", nil},
		{"/a%20b/c%2Bd", nil},
		{"", httpd.ErrPathRelative},
		{"*", httpd.ErrPathRelative},
		{"api", httpd.ErrPathRelative},
		{"/a/../b", httpd.ErrPathDotSegment},
		{"/..", httpd.ErrPathDotSegment},
		{"/a/./b", httpd.ErrPathDotSegment},
		{"/a/.", httpd.ErrPathDotSegment},
		{"/a/%2e%2e/b", httpd.ErrPathDotSegment},
		{"/a/.%2E/b", httpd.ErrPathDotSegment},
		{"/a/%2e", httpd.ErrPathDotSegment},
		{"/a%2fb", httpd.ErrPathSlash},
		{"/a%2Fb", httpd.ErrPathSlash},
		{`/a\b`, httpd.ErrPathBackslash},
		{"/a%5cb", httpd.ErrPathBackslash},
		{"/a%00b", httpd.ErrPathControl},
		{"/a%0d%0aX-Evil:1", httpd.ErrPathControl},
		{"/a\x00b", httpd.ErrPathControl},
		{"/a%7f", httpd.ErrPathControl},
		{"/a%252e%252e/b", httpd.ErrPathDouble},
		{"/a%25", httpd.ErrPathDouble},
		{"/a;b=c/d", httpd.ErrPathSemicolon},
		{"/a%3Bb", httpd.ErrPathSemicolon},
		{"//a", httpd.ErrPathEmpty},
		{"/a//b", httpd.ErrPathEmpty},
		{"/a//", httpd.ErrPathEmpty},
		{"/%61dmin", httpd.ErrPathUnreserved},
		{"/a%2Db", httpd.ErrPathUnreserved},
		{"/a%7Eb", httpd.ErrPathUnreserved},
		{"/a%", httpd.ErrPathEncoding},
		{"/a%4", httpd.ErrPathEncoding},
		{"/a%zz", httpd.ErrPathEncoding},
		{"/a%u002f", httpd.ErrPathEncoding},
		{"/a?b", httpd.ErrPathCharacter},
		{"/a#b", httpd.ErrPathCharacter},
		{"/a b", httpd.ErrPathCharacter},
		{"/café", httpd.ErrPathCharacter},
		{"/a%c0%ae%c0%ae/b", httpd.ErrPathUTF8},
		{"/a%c0%afb", httpd.ErrPathUTF8},
		{"/a%ff", httpd.ErrPathUTF8},
	}
	for _, tc := range tests {
		if got := httpd.CheckPath(tc.path); !errors.Is(got, tc.want) {
			t.Errorf("CheckPath(%q) = %v, want %v", tc.path, got, tc.want)
		}
	}
}

// FuzzCheckPath: an accepted path is already in the one form that cleaning,
// decoding twice and encoding again all leave alone.
func FuzzCheckPath(f *testing.F) {
	for _, s := range []string{"/", "/a/b/", "/a%20b/%C3%A9", "/a@b:c", "/a/%2e%2e/b", "/a//b", "/%252e", "/a;b", "/%c0%ae", "/..a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, escaped string) {
		if httpd.CheckPath(escaped) != nil {
			return
		}
		u, err := url.ParseRequestURI(escaped)
		if err != nil {
			t.Fatalf("%q is accepted, but is no URL: %v", escaped, err)
		}
		if u.EscapedPath() != escaped || u.RawQuery != "" || u.Host != "" {
			t.Fatalf("%q is forwarded as %q", escaped, u.String())
		}
		clean := path.Clean(u.Path)
		if strings.HasSuffix(u.Path, "/") && clean != "/" {
			clean += "/"
		}
		if clean != u.Path {
			t.Fatalf("%q decodes to %q, which cleans to %q", escaped, u.Path, clean)
		}
		if twice, err := url.PathUnescape(u.Path); err != nil || twice != u.Path {
			t.Fatalf("%q decodes twice to %q (%v)", escaped, twice, err)
		}
		re := (&url.URL{Path: u.Path}).EscapedPath()
		again, err := url.PathUnescape(re)
		if err != nil || again != u.Path {
			t.Fatalf("%q encodes again to %q, which decodes to %q", escaped, re, again)
		}
	})
}

func TestNormalizeSlashes(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "/": "/", "//": "/", "/a/b": "/a/b", "//a///b//": "/a/b/", "a//b": "a/b", "/a//../b": "/a/../b",
	} {
		if got := httpd.NormalizeSlashes(in); got != want {
			t.Errorf("NormalizeSlashes(%q) = %q, want %q", in, got, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { httpd.NormalizeSlashes("/api/users/login") }); n != 0 {
		t.Errorf("a normal path costs %v allocations", n)
	}
}
