package httpd_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/httpd"
)

// lockedBuffer takes a log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestClientLeft: a request given up because its client left, or closed its
// half, is no failure of ours in log and metrics; one whose time was over, one
// that a shutdown cuts off and one that panics still are.
func TestClientLeft(t *testing.T) {
	var logged lockedBuffer
	log, err := httpd.NewLogger(&logged, "json", "info")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan httpd.Observation, 10)
	entered := make(chan struct{}, 10)
	// As a handler does whose store gives up with the context.
	wait := handler(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-r.Context().Done()
		if r.URL.Path == "/panics" {
			panic("a bug")
		}
		http.Error(w, "later", http.StatusServiceUnavailable)
	})
	cfg := httpd.Config{
		ShutdownTimeout: 2 * time.Second,
		Front:           httpd.Front{Logger: log, Observe: func(o httpd.Observation) { seen <- o }},
		Public: handler(func(w http.ResponseWriter, r *http.Request) {
			httpd.SetRoute(r, r.URL.Path)
			switch r.URL.Path {
			case "/late":
				httpd.ServeLimited(w, r, 50*time.Millisecond, 100, wait)
			case "/busy":
				http.Error(w, "no room", http.StatusServiceUnavailable)
			case "/limited":
				httpd.ServeLimited(w, r, time.Hour, 100, wait)
			default:
				wait.ServeHTTP(w, r)
			}
		}),
	}
	s := start(t, cfg)
	ask := func(path string) net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", s.addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() }) // perhaps twice
		if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: a.example\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, c := range []struct {
		path string
		do   func(c net.Conn)
		want int
	}{
		{"/gone", func(c net.Conn) { _ = c.Close() }, httpd.StatusClientLeft},
		{"/limited", func(c net.Conn) { _ = c.Close() }, httpd.StatusClientLeft},
		{"/half", func(c net.Conn) {
			if err := c.(*net.TCPConn).CloseWrite(); err != nil {
				t.Error(err)
			}
			// It still hears what it would have heard.
			if res, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || res.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("a client that closed its half got %v, %v", res, err)
			}
		}, httpd.StatusClientLeft},
		{"/panics", func(c net.Conn) { _ = c.Close() }, http.StatusInternalServerError},
		{"/late", func(net.Conn) {}, http.StatusServiceUnavailable},
		{"/busy", func(net.Conn) {}, http.StatusServiceUnavailable},
		{"/cut", func(net.Conn) { s.stop() }, http.StatusServiceUnavailable},
	} {
		conn := ask(c.path)
		if c.path != "/busy" {
			<-entered
		}
		c.do(conn)
		select {
		case o := <-seen:
			if o.Status != c.want {
				t.Errorf("%s counts as %d, want %d", c.path, o.Status, c.want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s does not end", c.path)
		}
	}
	s.wait(t)
	if n := strings.Count(logged.String(), `"status":499`); n != 3 {
		t.Errorf("%d lines say that a client left, want 3:\n%s", n, logged.String())
	}
}

// TestClientLeftHTTP2: the same over HTTP/2, where a stream is given up.
func TestClientLeftHTTP2(t *testing.T) {
	seen := make(chan httpd.Observation, 1)
	ctx, cancel := context.WithCancel(context.Background())
	s := start(t, httpd.Config{
		H2C:   true,
		Front: httpd.Front{Observe: func(o httpd.Observation) { seen <- o }},
		Public: handler(func(w http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
			w.WriteHeader(http.StatusServiceUnavailable)
		}),
	})
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: p}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := client.Do(req); err == nil {
		_ = res.Body.Close() // the test has failed already
		t.Error("an answer for a request that was given up")
	}
	if o := <-seen; o.Status != httpd.StatusClientLeft {
		t.Errorf("it counts as %d", o.Status)
	}
}
