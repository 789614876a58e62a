package gateway

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/sallyport/sallyport/internal/httpd"
)

// The gateway's cost is the difference to the bare proxy, which is its floor.
// The authenticator is a map, so that core's part (see its own benchmark) is
// not in it.

func benchUpstream(b *testing.B) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"stations":[]}`)
	}))
	b.Cleanup(s.Close)
	return s
}

func benchGet(b *testing.B, base string) {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	b.Cleanup(client.CloseIdleConnections)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, base+"/api/stations", nil)
			if err != nil {
				b.Error(err)
				return
			}
			req.Header.Set("Authorization", "Bearer bob")
			res, err := client.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK {
				b.Errorf("status %d", res.StatusCode)
			}
		}
	})
}

func BenchmarkDirect(b *testing.B) { benchGet(b, benchUpstream(b).URL) }

func BenchmarkBareProxy(b *testing.B) {
	u, err := url.Parse(benchUpstream(b).URL)
	if err != nil {
		b.Fatal(err)
	}
	transport, err := newTransport(u, &Timeouts{})
	if err != nil {
		b.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Transport: transport, Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(u) }}
	s := httptest.NewServer(proxy)
	b.Cleanup(s.Close)
	benchGet(b, s.URL)
}

func BenchmarkGateway(b *testing.B) {
	d := open(b, benchUpstream(b).URL, func(c *Config) {
		c.Rules = []Rule{{Path: "/"}, {Path: "/api", Roles: []string{"read"}}, {Path: "/health", Access: Public}}
		c.Auth = &fakeAuth{tokens: newFakeAuth().tokens, forget: true}
		c.Logger = slog.New(slog.DiscardHandler)
	})
	benchGet(b, d.URL)
}

// BenchmarkDecide is what the gateway does itself, without sockets.
func BenchmarkDecide(b *testing.B) {
	d := open(b, "http://127.0.0.1:1", func(c *Config) {
		c.Rules = []Rule{{Path: "/"}, {Path: "/api", Roles: []string{"read"}}, {Path: "/health", Access: Public}}
		c.Auth = &fakeAuth{tokens: newFakeAuth().tokens, forget: true}
	})
	var r *http.Request
	httpd.Front{NoAccessLog: true}.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, got *http.Request) { r = got })).
		ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/api/stations?x=1", nil))
	r.Header.Set("Authorization", "Bearer bob")
	b.ReportAllocs()
	for b.Loop() {
		if _, refused := d.g.decide(plainQuestion(r)); refused != nil {
			b.Fatal(refused.err)
		}
	}
}
