package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/gateway"
	"github.com/sallyport/sallyport/internal/httpd"
)

// Options is what a process gives an App beside its configuration.
type Options struct {
	Version        string
	Stdout, Stderr io.Writer
	// Now gives Unix milliseconds; nil is the machine's clock. A test that
	// moves it turns the comparison with the monotonic clock off.
	Now    func() int64
	Logger *slog.Logger // nil: made from the configuration, to Stderr
	// OneAtATime is for measurements: refreshes go to PostgreSQL one by one.
	OneAtATime bool

	monotonic func() int64
	wall      func() time.Time
	// store, if set, puts something before the store that the engine asks.
	store func(core.Store) core.Store
}

// App is a Sallyport server.
type App struct {
	cfg     *config.Config
	opts    Options
	engine  *engine
	server  *httpd.Server
	front   *front           // nil offline
	gateway *gateway.Gateway // nil offline
	feed    *feed            // nil offline
	demo    *demoUpstream    // serve --dev without an upstream
	admin   http.Handler
	public  atomic.Pointer[http.Handler]
	started time.Time
	stop    sync.Once
}

// AdminSocket is the name of the administration socket in a data directory.
const AdminSocket = "admin.sock"

func (o *Options) fill(cfg *config.Config) error {
	if o.Stdout == nil {
		o.Stdout = io.Discard
	}
	if o.Stderr == nil {
		o.Stderr = io.Discard
	}
	o.wall = time.Now
	if o.Now == nil {
		o.Now, o.monotonic = systemClock, steadyClock()
	} else {
		now := o.Now
		o.wall = func() time.Time { return time.UnixMilli(now()) }
	}
	if o.Logger == nil {
		var err error
		if o.Logger, err = httpd.NewLogger(o.Stderr, cfg.Log.Format, cfg.Log.Level); err != nil {
			return err
		}
	}
	return nil
}

// New opens the data directory (making it when it is not there), fills memory
// from it and listens. Nothing is answered before Run.
func New(ctx context.Context, cfg *config.Config, o Options) (a *App, err error) {
	if err := o.fill(cfg); err != nil {
		return nil, err
	}
	a = &App{cfg: cfg, opts: o, started: o.wall()}
	opened := a // a failing return sets a to nil before the defer runs
	defer func() {
		if err != nil {
			_ = opened.Close()
		}
	}()
	for _, w := range cfg.Warnings {
		o.Logger.Warn(w)
	}
	if cfg.Dev && cfg.Upstream == "" {
		if a.demo, err = startDemoUpstream(cfg); err != nil {
			return nil, err
		}
	}
	if a.server, err = a.newServer(); err != nil {
		return nil, err
	}
	// A free port must be taken before its address can be the issuer. In any
	// other case the data lock comes first, because "this directory is served
	// already" explains more than "address in use".
	issuer := cfg.IssuerFor(firstListen(cfg.Listen))
	if cfg.Issuer == "" && anyPortZero(cfg.Listen) {
		if err := a.server.Listen(); err != nil {
			return nil, err
		}
		issuer = cfg.IssuerFor(a.server.PublicAddrs()[0])
	}
	if a.engine, err = openEngine(ctx, cfg, o, issuer, true); err != nil {
		return nil, err
	}
	a.introduce()
	handler, err := a.routes()
	if err != nil {
		return nil, err
	}
	a.public.Store(&handler)
	a.admin = a.adminHandler(true)
	if !(cfg.Issuer == "" && anyPortZero(cfg.Listen)) {
		if err := a.server.Listen(); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func firstListen(list []string) string {
	if len(list) == 0 {
		return "127.0.0.1:8080"
	}
	return list[0]
}

func anyPortZero(list []string) bool {
	for _, l := range list {
		if strings.HasSuffix(l, ":0") {
			return true
		}
	}
	return false
}

// newServer configures the listeners; handlers are asked for late, when the
// engine is there.
func (a *App) newServer() (*httpd.Server, error) {
	cfg := a.cfg
	// A proxy that may ask the forward-auth endpoints tells them the client's
	// address in the same headers; listing it once is enough.
	proxies, err := httpd.NewProxies(slices.Concat(cfg.TrustedProxies, cfg.ForwardAuth.Proxies), cfg.TrustedHeader)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(cfg.Data)
	if err != nil {
		return nil, err
	}
	private := httpd.PrivateConfig{Hosts: cfg.PrivateHosts, Ready: a.ready, Pprof: cfg.Pprof}
	if cfg.Metrics {
		private.Metrics = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.engine.metrics.handler().ServeHTTP(w, r) })
	}
	return httpd.New(httpd.Config{
		Public: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*a.public.Load()).ServeHTTP(w, r) }),
		Listen: cfg.Listen, Private: httpd.NewPrivate(private), PrivateListen: cfg.PrivateListen,
		PrivateOffLoopback: cfg.PrivateOffLoopback,
		Admin:              http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.admin.ServeHTTP(w, r) }),
		AdminSocket:        filepath.Join(dir, AdminSocket),
		CertFile:           cfg.TLS.Cert, KeyFile: cfg.TLS.Key, H2C: cfg.H2C,
		Front: httpd.Front{
			Proxies: proxies, Logger: a.opts.Logger, NoAccessLog: !cfg.Log.Access,
			Observe: func(o httpd.Observation) { a.engine.metrics.observe(o) },
		},
		ReadHeaderTimeout: cfg.Limits.HeaderTimeout, IdleTimeout: cfg.Limits.IdleTimeout,
		ShutdownTimeout: cfg.ShutdownTimeout, MaxConns: cfg.Limits.Connections, MaxPerPeer: cfg.Limits.ConnectionsPerPeer,
	})
}

// ready says whether this node should get traffic.
func (a *App) ready(ctx context.Context) []httpd.Check {
	checks := []httpd.Check{
		{Name: "store", Err: a.engine.store.Ping(ctx)},
		{Name: "revocations", Err: a.engine.service.Hearing(ctx)},
		{Name: "keys", Err: a.engine.keys.Fault()},
		{Name: "writes", Err: a.engine.store.WriteFault()},
		{Name: "facts journal", Err: a.engine.service.JournalFault()},
	}
	checks = append(checks, a.nodeChecks()...)
	if a.server.Draining() {
		checks = append(checks, httpd.Check{Name: "draining", Err: errors.New("shutting down")})
	}
	return checks
}

// Run serves until ctx ends, then lets requests in flight finish.
func (a *App) Run(ctx context.Context) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, a.feed.stop)()
	var chores sync.WaitGroup
	chores.Go(func() { a.engine.service.Run(work) })
	chores.Go(func() { a.followKeys(work) })
	chores.Go(func() { a.watchNodes(work) })
	chores.Go(func() { a.shipAudit(work) })
	a.opts.Logger.Info("serving", "urls", a.server.PublicAddrs(), "data", a.engine.dir, "version", a.opts.Version)
	err := a.server.Serve(ctx)
	cancel()
	chores.Wait()
	return err
}

// Reload reads the TLS files again (SIGHUP).
func (a *App) Reload() error {
	if a.cfg.TLS.Cert == "" {
		return nil
	}
	return a.server.Reload()
}

// Close lets go of the store. It is safe to call after a failed New and twice.
func (a *App) Close() (err error) {
	a.stop.Do(func() {
		if a.gateway != nil {
			a.gateway.Close()
		}
		if a.demo != nil {
			a.demo.close()
		}
		if a.engine != nil {
			err = a.engine.close()
		}
	})
	return err
}

// URL is where the public listener answers.
func (a *App) URL() string { return a.base(a.server.PublicAddrs(), a.cfg.TLS.Cert != "") }

// PrivateURL is where the private listener answers, "" without one.
func (a *App) PrivateURL() string { return a.base(a.server.PrivateAddrs(), false) }

func (a *App) base(addrs []string, secure bool) string {
	if len(addrs) == 0 {
		return ""
	}
	if strings.HasPrefix(addrs[0], "unix:") {
		return addrs[0]
	}
	scheme := "http"
	if secure {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(addrs[0])
	if err != nil {
		return fmt.Sprintf("%s://%s", scheme, addrs[0])
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return fmt.Sprintf("%s://%s", scheme, net.JoinHostPort(host, port))
}

// DataDir is the absolute path of the data directory.
func (a *App) DataDir() string { return a.engine.dir }

// AdminHandler is the administration API, as the socket serves it.
func (a *App) AdminHandler() http.Handler { return a.admin }

// OpenOffline opens an existing data directory without listening: for commands
// when no server runs. The data lock makes sure that none does.
func OpenOffline(ctx context.Context, cfg *config.Config, o Options) (*App, error) {
	if err := o.fill(cfg); err != nil {
		return nil, err
	}
	e, err := openEngine(ctx, cfg, o, cfg.IssuerFor(firstListen(cfg.Listen)), false)
	if err != nil {
		return nil, err
	}
	a := &App{cfg: cfg, opts: o, engine: e, started: o.wall()}
	a.admin = a.adminHandler(false)
	return a, nil
}
