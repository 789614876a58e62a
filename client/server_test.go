package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/client"
	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
)

const (
	password = "a long enough demo phrase 17"
	start    = int64(1_790_000_000_456)
)

// server is a running Sallyport. Server and Sessions read the same clock,
// which tests move.
type server struct {
	t     *testing.T
	url   string
	clock atomic.Int64
	admin *admin.Client
}

func serve(t *testing.T) *server {
	t.Helper()
	s := &server{t: t}
	s.clock.Store(start)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_ = json.NewEncoder(w).Encode(map[string]string{"user": r.Header.Get("X-Sallyport-User"), "body": string(body)})
	}))
	t.Cleanup(up.Close)
	dir := filepath.Join(t.TempDir(), "data")
	file := filepath.Join(t.TempDir(), "sallyport.yaml")
	if err := os.WriteFile(file, []byte("log: {level: error}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Options{Environ: []string{}, File: file, Flags: config.Flags{
		"data": {dir}, "listen": {"127.0.0.1:0"}, "private_listen": {"127.0.0.1:0"}, "upstream": {up.URL},
	}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(t.Context(), cfg, app.Options{Version: "test", Stderr: t.Output(), Now: s.clock.Load})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, a.Close()); err != nil {
			t.Error(err)
		}
	})
	s.url = a.URL()
	s.admin = admin.NewSocketClient(filepath.Join(dir, app.AdminSocket))
	return s
}

func (s *server) now() time.Time       { return time.UnixMilli(s.clock.Load()) }
func (s *server) pass(d time.Duration) { s.clock.Add(d.Milliseconds()) }

func (s *server) act(path string, in, out any) {
	s.t.Helper()
	if err := s.admin.Post(s.t.Context(), path, in, out); err != nil {
		s.t.Fatal(path, err)
	}
}

func (s *server) user(name, typ string) (id string) {
	s.t.Helper()
	var u admin.User
	s.act("/users", map[string]any{"username": name, "type": typ, "password": password, "roles": []string{"read"}}, &u)
	return u.ID
}

func (s *server) oauthClient(in *admin.NewOAuthClient) *admin.OAuthClient {
	s.t.Helper()
	var c admin.OAuthClient
	s.act("/clients", in, &c)
	return &c
}

// call asks the API behind the gateway with a token.
func (s *server) call(tok *client.Token) int {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+"/api/things", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+tok.AccessToken)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// wire is the network between Session and server: it counts, and loses answers
// after the server gave them.
type wire struct {
	mu     sync.Mutex
	paths  []string
	bodies []string
	lose   int           // the next answers that don't arrive
	cut    bool          // lost answers break off in the middle
	gate   chan struct{} // not nil: requests wait here
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	w.mu.Lock()
	body := ""
	if req.Body != nil {
		raw, err := io.ReadAll(req.Body)
		if err != nil {
			w.mu.Unlock()
			return nil, err
		}
		body = string(raw)
		req = req.Clone(req.Context())
		req.Body = io.NopCloser(strings.NewReader(body))
	}
	w.paths, w.bodies = append(w.paths, req.URL.Path), append(w.bodies, body)
	gate, lost, cut := w.gate, w.lose > 0, w.cut
	if lost {
		w.lose--
	}
	w.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil || !lost {
		return res, err
	}
	raw, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || !cut {
		return nil, errors.New("the connection broke")
	}
	res.Body = io.NopCloser(bytes.NewReader(raw[:len(raw)/2]))
	return res, nil
}

func (w *wire) set(change func(*wire)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w)
}

// sent returns and forgets what was asked for, without the bodies.
func (w *wire) sent() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.paths
	w.paths, w.bodies = nil, nil
	return p
}

func (w *wire) wantSent(t *testing.T, paths ...string) {
	t.Helper()
	if got := w.sent(); !slices.Equal(got, paths) {
		t.Errorf("asked for %q, want %q", got, paths)
	}
}

// options are those of the tests: the server's clock, no waiting, no chance.
func options(w http.RoundTripper, now func() time.Time) client.Options {
	o := client.Options{HTTPClient: &http.Client{Transport: w}}
	client.SetEnv(&o, now, func(ctx context.Context, _ time.Duration) error { return ctx.Err() }, func() float64 { return 0 })
	return o
}

func token(t *testing.T, src client.Source) *client.Token {
	t.Helper()
	tok, err := src.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// settle waits until a refresh in the background has replaced old.
func settle(t *testing.T, src client.Source, old *client.Token) *client.Token {
	t.Helper()
	for {
		if tok := token(t, src); tok.AccessToken != old.AccessToken {
			return tok
		}
		select {
		case <-t.Context().Done():
			t.Fatal("the token was not refreshed")
		case <-time.After(time.Millisecond): // nothing tells when it is done
		}
	}
}
