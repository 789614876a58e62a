package app

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/httpd"
)

// BenchmarkRefresh is what a rotating refresh takes above the store: behind it,
// one session in memory stands for the database. "handler" leaves net/http out,
// too; "connection" has all of it, and the log written to a file.
func BenchmarkRefresh(b *testing.B) {
	b.Run("handler", func(b *testing.B) {
		app, token := rotatingApp(b)
		log, err := httpd.NewLogger(io.Discard, "json", "")
		if err != nil {
			b.Fatal(err)
		}
		handler := httpd.Front{Logger: log, Observe: app.engine.metrics.observe}.Wrap(*app.public.Load())
		w := &keptAnswer{header: http.Header{}}
		r := &http.Request{
			Method: http.MethodPost, URL: &url.URL{Path: "/bench/refresh"}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: "bench",
			Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, RemoteAddr: "192.0.2.7:4711",
		}
		body := bytes.NewReader(nil)
		b.ReportAllocs()
		for b.Loop() {
			form := append([]byte("refresh_token="), token...)
			body.Reset(form)
			r.Body, r.ContentLength = io.NopCloser(body), int64(len(form))
			w.body = w.body[:0]
			clear(w.header)
			handler.ServeHTTP(w, r)
			token = tokenIn(b, w.body, token[:0])
		}
	})
	b.Run("connection", func(b *testing.B) {
		app, token := rotatingApp(b)
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan error, 1)
		go func() { done <- app.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				b.Error(err)
			}
		}()
		u, err := url.Parse(app.URL())
		if err != nil {
			b.Fatal(err)
		}
		c, err := net.Dial("tcp", u.Host)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = c.Close() }() // nothing depends on it
		answers := bufio.NewReaderSize(c, 16<<10)
		var request, body []byte
		b.ReportAllocs()
		for b.Loop() {
			request = append(request[:0], "POST /bench/refresh HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: "...)
			request = strconv.AppendInt(request, int64(len("refresh_token=")+len(token)), 10)
			request = append(append(request, "\r\n\r\nrefresh_token="...), token...)
			if _, err := c.Write(request); err != nil {
				b.Fatal(err)
			}
			body = readAnswer(b, answers, body[:0])
			token = tokenIn(b, body, token[:0])
		}
	})
}

// readAnswer appends the body of one answer to dst.
func readAnswer(b *testing.B, r *bufio.Reader, dst []byte) []byte {
	size := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			b.Fatal(err)
		}
		if len(line) == 2 {
			break
		}
		if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			for _, c := range v[:len(v)-2] {
				size = size*10 + int(c-'0')
			}
		}
	}
	dst = append(dst, make([]byte, size)...)
	if _, err := io.ReadFull(r, dst); err != nil {
		b.Fatal(err)
	}
	return dst
}

// tokenIn appends the refresh token of an answer to dst.
func tokenIn(b *testing.B, body, dst []byte) []byte {
	_, rest, ok := bytes.Cut(body, []byte(`"refresh_token":"`))
	token, _, ok2 := bytes.Cut(rest, []byte{'"'})
	if !ok || !ok2 {
		b.Fatalf("no refresh token in %s", body)
	}
	return append(dst, token...)
}

type keptAnswer struct {
	header http.Header
	body   []byte
}

func (w *keptAnswer) Header() http.Header { return w.header }
func (w *keptAnswer) WriteHeader(int)     {}
func (w *keptAnswer) Write(p []byte) (int, error) {
	w.body = append(w.body, p...)
	return len(p), nil
}

// oneSession answers refreshes from memory, by the rules alone.
type oneSession struct {
	core.Store
	mu      sync.Mutex
	session *core.Session
	subject *core.Subject
}

func (o *oneSession) RefreshSession(ctx context.Context, p *core.RefreshParams) (*core.RefreshResult, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.session == nil {
		var err error
		if o.session, o.subject, err = o.SessionByID(ctx, p.ID); err != nil {
			return nil, err
		}
	}
	v := core.JudgeRefresh(o.session, o.subject, p)
	if v == core.RefreshMoved {
		o.session = core.NextMove(o.session, p)
	}
	return &core.RefreshResult{Verdict: v, Session: o.session, Subject: o.subject}, nil
}

// rotatingApp is a server with one user who has logged in, and his refresh
// token.
func rotatingApp(b *testing.B) (*App, []byte) {
	dir := b.TempDir()
	contract, err := os.ReadFile(filepath.Join("..", "..", "test", "bench", "rotating.yaml"))
	if err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(dir, "rotating.yaml")
	if err := os.WriteFile(file, contract, 0o600); err != nil {
		b.Fatal(err)
	}
	cfg, err := config.Load(config.Options{Environ: []string{}, Flags: config.Flags{
		"data": {filepath.Join(dir, "data")}, "listen": {"127.0.0.1:0"}, "private_listen": {"127.0.0.1:0"}, "mounts": {`["` + file + `"]`},
	}})
	if err != nil {
		b.Fatal(err)
	}
	logs, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = logs.Close() }) // nobody reads it
	app, err := New(b.Context(), cfg, Options{Version: "bench", Stderr: logs, store: func(s core.Store) core.Store { return &oneSession{Store: s} }})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := app.Close(); err != nil {
			b.Error(err)
		}
	})
	return app, logIn(b, app)
}

func logIn(b *testing.B, app *App) []byte {
	const password = "a long enough demo phrase 17"
	user := admin.NewUser{Username: "bench", Type: "user", Password: password}
	if err := admin.NewHandlerClient(app.adminHandler(false)).Post(b.Context(), "/users", user, nil); err != nil {
		b.Fatal(err)
	}
	form := url.Values{"username": {"bench"}, "password": {password}}
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "/bench/token", strings.NewReader(form.Encode()))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := &keptAnswer{header: http.Header{}}
	(*app.public.Load()).ServeHTTP(w, r)
	return tokenIn(b, w.body, nil)
}
