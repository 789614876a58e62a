package gateway

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/httpd"
)

// FuzzAsk: what a proxy asks in the headers of its dialect is read as it was
// written, once; and what passes the check of paths afterwards is what every
// program reads.
func FuzzAsk(f *testing.F) {
	for _, s := range []string{"/api/x?a=b", "/", "", "*", "http://evil/api", "/a/../b", "/a%2fb", "//evil/x", "/a;b=c", "/a?b?c", "/\x00", "/a#b", "/é"} {
		f.Add("GET", s, "test", "X-Other", "x")
		f.Add("GET", s, "test", "X_Forwarded.Uri", "/evil")
	}
	f.Add("BREW", "/a", "te st", "X-Original-URL", "/evil")
	f.Add("", "/a", "test", "X-Forwarded-Method", "POST")
	proxies, err := httpd.NewProxies([]string{"192.0.2.0/24"}, "")
	if err != nil {
		f.Fatal(err)
	}
	g, err := New(Config{
		Auth: newFakeAuth(), Proxies: proxies, Now: func() int64 { return 1 },
		Mounts: []Mount{{Mount: &core.Mount{ID: "m1"}, Words: &fakeWords{name: "m1"}}},
	})
	if err != nil {
		f.Fatal(err)
	}
	defer g.Close()
	f.Fuzz(func(t *testing.T, method, uri, host, name, value string) {
		for dialect, d := range dialects {
			if d.inPath {
				continue
			}
			r := httptest.NewRequest(http.MethodGet, AuthPrefix+dialect, nil) // from 192.0.2.1
			r.Header[http.CanonicalHeaderKey(d.method)] = []string{method}
			r.Header[http.CanonicalHeaderKey(d.uri)] = []string{uri}
			if d.host != "" {
				r.Header[http.CanonicalHeaderKey(d.host)] = []string{host}
			}
			if _, there := r.Header[name]; !there && name != "" {
				r.Header[name] = []string{value}
			}
			var q *question
			var p *problem
			httpd.Front{Proxies: proxies}.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { q, p = g.ask(r, d, "") })).ServeHTTP(httptest.NewRecorder(), r)
			if (q == nil) == (p == nil) {
				t.Fatalf("%s %q: question %v, problem %v", dialect, uri, q, p)
			}
			if q == nil {
				continue
			}
			if q.method != method || q.path+"?"+q.query != uri && q.path != uri || dialectHeaders[bareName(name)] && bareName(name) != bareName(d.method) && bareName(name) != bareName(d.uri) {
				t.Fatalf("%s: %q %q beside %s is read as %+v", dialect, method, uri, name, q)
			}
			if httpd.CheckPath(q.path) == nil {
				u, err := url.ParseRequestURI(q.path)
				if err != nil || u.Host != "" || u.EscapedPath() != q.path || strings.Contains(u.Path, "..") && strings.Contains(u.Path, "/../") {
					t.Fatalf("%s: %q passes and is read as %v, %v", dialect, q.path, u, err)
				}
			}
		}
	})
}
