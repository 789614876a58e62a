package app_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
)

// start is when the tests' clock begins: between two seconds, as real clocks
// are, so that rounding shows.
const start int64 = 1_790_000_000_456

// server is a running Sallyport with a clock that tests move, in front of an
// upstream that says who it was told is calling.
type server struct {
	t     *testing.T
	app   *app.App
	url   string
	dir   string
	clock *atomic.Int64
	admin *admin.Client
	seen  *atomic.Int64 // requests that reached the upstream
}

const password = "a long enough demo phrase 17"

// serve starts a server; yaml is its configuration file, "" for none.
func serve(t *testing.T, yaml string) *server {
	t.Helper()
	return serveLogging(t, yaml, t.Output())
}

// serveLogging is serve with a log of one's own.
func serveLogging(t *testing.T, yaml string, logs io.Writer) *server {
	t.Helper()
	s := &server{t: t, clock: new(atomic.Int64), seen: new(atomic.Int64), dir: filepath.Join(t.TempDir(), "data")}
	s.clock.Store(start)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.seen.Add(1)
		_ = json.NewEncoder(w).Encode(map[string]string{
			"user": r.Header.Get("X-Sallyport-User"), "account": r.Header.Get("X-Sallyport-Account"), "path": r.URL.Path,
		})
	}))
	t.Cleanup(up.Close)
	opts := config.Options{Environ: []string{}, Flags: config.Flags{
		"data": {s.dir}, "listen": {"127.0.0.1:0"}, "private_listen": {"127.0.0.1:0"}, "upstream": {up.URL},
	}}
	if yaml != "" {
		opts.File = filepath.Join(t.TempDir(), "sallyport.yaml")
		if err := os.WriteFile(opts.File, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Load(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.app, err = app.New(t.Context(), cfg, app.Options{Version: "test", Stderr: logs, Now: s.clock.Load})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.app.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error("the server ended with", err)
		}
		if err := s.app.Close(); err != nil {
			t.Error(err)
		}
	})
	s.url = s.app.URL()
	s.admin = admin.NewSocketClient(filepath.Join(s.dir, app.AdminSocket))
	return s
}

func (s *server) pass(d time.Duration) { s.clock.Add(d.Milliseconds()) }

// user makes a user with the tests' password and returns its id.
func (s *server) user(account, name, typ string, roles ...string) string {
	s.t.Helper()
	var u admin.User
	in := map[string]any{"account": account, "username": name, "type": typ, "password": password, "roles": roles}
	if err := s.admin.Post(s.t.Context(), "/users", in, &u); err != nil {
		s.t.Fatal(err)
	}
	return u.ID
}

func (s *server) act(path string, in any) {
	s.t.Helper()
	if err := s.admin.Post(s.t.Context(), path, in, nil); err != nil {
		s.t.Fatal(path, err)
	}
}

// answer is a response read whole.
type answer struct {
	t      *testing.T
	status int
	header http.Header
	raw    string
	body   map[string]any
}

// do sends a request. A body of url.Values is a form, a string is JSON.
func (s *server) do(method, path, bearer string, body any) *answer {
	s.t.Helper()
	var in io.Reader
	ctype := ""
	switch b := body.(type) {
	case nil:
	case url.Values:
		in, ctype = strings.NewReader(b.Encode()), "application/x-www-form-urlencoded"
	case string:
		in, ctype = strings.NewReader(b), "application/json"
	default:
		data, err := json.Marshal(b)
		if err != nil {
			s.t.Fatal(err)
		}
		in, ctype = strings.NewReader(string(data)), "application/json"
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, in)
	if err != nil {
		s.t.Fatal(err)
	}
	if ctype != "" {
		req.Header.Set("Content-Type", ctype)
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	return s.send(req)
}

func (s *server) send(req *http.Request) *answer {
	s.t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	a := &answer{t: s.t, status: res.StatusCode, header: res.Header, raw: string(raw)}
	_ = json.Unmarshal(raw, &a.body) // empty bodies have no members
	return a
}

// want checks status and, where given, the exact JSON of the body.
func (a *answer) want(status int, body string) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d: %s", a.status, status, a.raw)
	}
	if body != "" && !sameJSON(a.t, a.raw, body) {
		a.t.Fatalf("answer %s, want %s", a.raw, body)
	}
	return a
}

func (a *answer) text(path ...string) string {
	a.t.Helper()
	var v any = a.body
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			a.t.Fatalf("no %v in %s", path, a.raw)
		}
		v = m[p]
	}
	s, ok := v.(string)
	if !ok {
		a.t.Fatalf("no text %v in %s", path, a.raw)
	}
	return s
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	p, _ := json.Marshal(x)
	q, _ := json.Marshal(y)
	return string(p) == string(q)
}

func (s *server) tryLogin(name string) *answer {
	return s.do("POST", "/api/users/login", "", map[string]string{"username": name, "password": password})
}
