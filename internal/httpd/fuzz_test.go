package httpd

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// FuzzNormalizeSlashes: the result has no two slashes beside each other, is the
// same when normalised again, and nothing but slashes has gone.
func FuzzNormalizeSlashes(f *testing.F) {
	for _, s := range []string{"", "/", "//", "/a//b", "///", "a//b///c", "/a/b", "http://x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got := NormalizeSlashes(path)
		if strings.Contains(got, "//") || NormalizeSlashes(got) != got || strings.ReplaceAll(got, "/", "") != strings.ReplaceAll(path, "/", "") {
			t.Fatalf("%q becomes %q", path, got)
		}
		if strings.HasPrefix(path, "/") != strings.HasPrefix(got, "/") || strings.HasSuffix(path, "/") != strings.HasSuffix(got, "/") {
			t.Fatalf("%q becomes %q", path, got)
		}
	})
}

// FuzzH2Malformed: an authority that passes is read as that host by a URL
// parser, and a path as a path.
func FuzzH2Malformed(f *testing.F) {
	for _, s := range [][2]string{{"test", "/"}, {"test:443", "/a?b"}, {"[::1]:1", "/"}, {"te st", "/"}, {"a/b", "/"}, {"a@b", "/"}, {"a", "http://b/"}, {"a", "*"}, {"a\x00", "/"}, {"", "/"}, {"a?b", "/"}, {"a#b", "/"}, {"a\\b", "/"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, host, target string) {
		r := &http.Request{Method: "GET", ProtoMajor: 2, Host: host, RequestURI: target}
		if h2Malformed(r) != "" {
			return
		}
		if u, err := url.Parse("http://" + host + "/x"); err == nil && (u.Host != host && !strings.Contains(host, "%") || u.Path != "/x" || u.User != nil) {
			t.Fatalf("%q passes and is read as %+v", host, u)
		}
		if !strings.HasPrefix(target, "/") {
			t.Fatalf("%q passes", target)
		}
	})
}
