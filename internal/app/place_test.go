package app_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
)

// stage is where one installation is started, stopped and started again.
type stage struct {
	t     *testing.T
	dir   string
	flags config.Flags
	clock *atomic.Int64
	up    *httptest.Server
	stop  func() // ends the server that runs
}

// newStage prepares a stage on a data directory; more are flags.
func newStage(t *testing.T, dir string, more config.Flags) *stage {
	t.Helper()
	p := &stage{t: t, dir: dir, clock: new(atomic.Int64), stop: func() {}}
	p.clock.Store(start)
	p.up = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]bool{"reached": true})
	}))
	t.Cleanup(p.up.Close)
	t.Cleanup(func() { p.stop() })
	p.flags = config.Flags{
		"data": {dir}, "listen": {"127.0.0.1:0"}, "private_listen": {"127.0.0.1:0"}, "upstream": {p.up.URL}, "issuer": {"https://auth.example"},
	}
	for k, v := range more {
		p.flags[k] = v
	}
	return p
}

func (p *stage) config() *config.Config {
	p.t.Helper()
	cfg, err := config.Load(config.Options{Environ: []string{}, Flags: p.flags})
	if err != nil {
		p.t.Fatal(err)
	}
	return cfg
}

func (p *stage) options() app.Options {
	return app.Options{Version: "test", Stderr: p.t.Output(), Now: p.clock.Load}
}

// start starts a server, or says why there is none.
func (p *stage) start() (*server, error) {
	p.t.Helper()
	p.stop()
	a, err := app.New(p.t.Context(), p.config(), p.options())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	p.stop = func() {
		p.stop = func() {}
		cancel()
		if err := <-done; err != nil {
			p.t.Error("the server ended with", err)
		}
		if err := a.Close(); err != nil {
			p.t.Error(err)
		}
	}
	return &server{
		t: p.t, app: a, url: a.URL(), dir: p.dir, clock: p.clock, seen: new(atomic.Int64),
		admin: admin.NewSocketClient(filepath.Join(p.dir, app.AdminSocket)),
	}, nil
}

// must starts a server.
func (p *stage) must() *server {
	p.t.Helper()
	s, err := p.start()
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}
