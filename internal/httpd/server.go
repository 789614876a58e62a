package httpd

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config describes a [Server]. Zero values work, except that there must be a
// Public handler and an address in Listen.
type Config struct {
	// Public serves the addresses in Listen: "host:port" (port 0 takes a free
	// one) or "unix:/path".
	Public http.Handler
	Listen []string
	// Private serves PrivateListen; see [NewPrivate].
	Private       http.Handler
	PrivateListen []string
	// PrivateOffLoopback allows PrivateListen to leave this machine.
	PrivateOffLoopback bool
	// Admin serves the Unix socket AdminSocket; see [ListenAdmin].
	Admin       http.Handler
	AdminSocket string

	// CertFile and KeyFile turn TLS on for the public listeners.
	CertFile, KeyFile string
	// H2C accepts HTTP/2 without TLS, as proxies inside a cluster speak it.
	H2C bool

	// Front is put before Public and Private; its Logger is the server's.
	Front Front

	// ReadHeaderTimeout (default 10 s) and IdleTimeout (default 2 min) end
	// connections that say nothing.
	ReadHeaderTimeout, IdleTimeout time.Duration
	// ShutdownTimeout is how long Serve may take to end (default 5 s).
	ShutdownTimeout time.Duration
	// MaxConns bounds the public connections; 0 is 8192 or a third of the
	// descriptors that the process may open, whichever is less.
	MaxConns int
	// MaxPerPeer bounds those of one address that is no listed proxy; 0 is a
	// quarter of MaxConns.
	MaxPerPeer int
}

const (
	// MaxHeader caps the request line and headers of a request, in bytes.
	MaxHeader = 16 << 10
	// headerSlop is what net/http reads beyond MaxHeaderBytes.
	headerSlop = 4 << 10

	defaultMaxConns = 8192
	// closeTime is the part of the shutdown time kept for ending by force.
	closeTime = 500 * time.Millisecond
)

// Server owns the listeners and connections of a process.
type Server struct {
	cfg      Config
	log      *slog.Logger
	certs    *certSource
	limit    *connLimit
	hijacked hijackRegistry
	draining atomic.Bool

	public, private, admin *group
	baseCancel             context.CancelFunc
	opened                 bool

	mu         sync.Mutex
	onShutdown []func()
}

// group is one http.Server with its listeners.
type group struct {
	srv       *http.Server
	listeners []net.Listener
	tls       bool
}

// New checks cfg and loads the certificate; nothing listens yet.
func New(cfg Config) (*Server, error) {
	if cfg.Public == nil || len(cfg.Listen) == 0 {
		return nil, errors.New("httpd: a public handler and an address to listen on are needed")
	}
	if (cfg.CertFile == "") != (cfg.KeyFile == "") {
		return nil, errors.New("tls: the certificate and the key are needed together; set both tls.cert and tls.key")
	}
	cfg.ReadHeaderTimeout = orDefault(cfg.ReadHeaderTimeout, 10*time.Second)
	cfg.IdleTimeout = orDefault(cfg.IdleTimeout, 2*time.Minute)
	cfg.ShutdownTimeout = orDefault(cfg.ShutdownTimeout, 5*time.Second)
	cfg.MaxConns = ConnBudget(cfg.MaxConns)
	if cfg.MaxPerPeer <= 0 {
		cfg.MaxPerPeer = min(max(cfg.MaxConns/4, 128), cfg.MaxConns)
	}
	if cfg.Front.Logger == nil {
		cfg.Front.Logger = slog.Default()
	}
	if cfg.Front.Now == nil {
		cfg.Front.Now = time.Now
	}
	for _, a := range cfg.PrivateListen {
		if !cfg.PrivateOffLoopback && !isLoopback(a) {
			return nil, fmt.Errorf("private_listen: %s can be reached from other machines, and this listener asks for no login; use 127.0.0.1 or set private_off_loopback: true", a)
		}
	}
	s := &Server{cfg: cfg, log: cfg.Front.Logger, limit: newConnLimit(cfg.MaxConns, cfg.MaxPerPeer, nil)}
	if p := cfg.Front.Proxies; p != nil {
		s.limit.exempt = p.Trusts
	}
	s.limit.refused = func(peer netip.Addr) {
		s.log.Warn("one address has all the connections that one may have, and more are refused; see limits.connections_per_peer",
			"peer", peer.String(), "if_it_is_your_proxy_add", fmt.Sprintf("trusted_proxies: [%q]", peer))
	}
	if cfg.CertFile != "" {
		certs, err := newCertSource(cfg.CertFile, cfg.KeyFile, s.log, cfg.Front.Now)
		if err != nil {
			return nil, err
		}
		s.certs = certs
	}
	s.build()
	return s, nil
}

func orDefault(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}

// ConnBudget is how many connections clients may have open when the settings
// ask for n, 0 for what suits the machine. It leaves descriptors for the store,
// for as many connections to the upstream, and for the rest: running out of
// them fails everything at once.
func ConnBudget(n int) int {
	if n > 0 {
		return n
	}
	if files := maxOpenFiles(); files > 0 {
		return max(min(defaultMaxConns, files/3), 16)
	}
	return defaultMaxConns
}

func isLoopback(addr string) bool {
	if strings.HasPrefix(addr, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// build makes the http.Servers. They share a base context that ends when the
// time for an orderly shutdown is over, so that endless streams end too.
func (s *Server) build() {
	base, cancel := context.WithCancel(context.Background())
	s.baseCancel = cancel
	front := s.cfg.Front
	front.track = s.TrackHijacked
	s.public = &group{srv: s.newServer(base, front.Wrap(s.cfg.Public)), tls: s.certs != nil}
	s.public.srv.ConnState = s.limit.state
	if s.certs != nil {
		s.public.srv.TLSConfig = s.certs.config()
	}
	s.public.srv.Protocols.SetUnencryptedHTTP2(s.cfg.H2C)
	quiet := front
	quiet.NoAccessLog, quiet.Observe = true, nil
	if s.cfg.Private != nil {
		s.private = &group{srv: s.newServer(base, quiet.Wrap(s.cfg.Private))}
	}
	if s.cfg.Admin != nil {
		s.admin = &group{srv: s.newServer(base, quiet.Wrap(s.cfg.Admin))}
		s.admin.srv.ConnContext = withPeerUID
	}
}

func (s *Server) newServer(base context.Context, h http.Handler) *http.Server {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	return &http.Server{
		Handler:           h,
		Protocols:         p,
		ReadHeaderTimeout: s.cfg.ReadHeaderTimeout,
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    MaxHeader - headerSlop,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 250,
			// A peer that is gone, or reads nothing, is found out.
			SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second, WriteByteTimeout: writeWait,
		},
		BaseContext: func(net.Listener) context.Context { return base },
		ErrorLog:    log.New(&serverLog{s.log}, "", 0),
	}
}

// serverLog passes net/http's own lines on. Failed handshakes are what
// scanners cause all day, so they are for debugging only.
type serverLog struct{ log *slog.Logger }

func (l *serverLog) Write(p []byte) (int, error) {
	msg := strings.TrimSpace(string(p))
	level := slog.LevelWarn
	if strings.Contains(msg, "TLS handshake error") {
		level = slog.LevelDebug
	}
	l.log.Log(context.Background(), level, msg)
	return len(p), nil
}

// Listen opens every listener or none. Serve calls it when nobody did.
func (s *Server) Listen() error {
	if s.opened {
		return nil
	}
	err := s.openAll()
	if err != nil {
		return errors.Join(err, s.closeListeners())
	}
	s.opened = true
	return nil
}

func (s *Server) openAll() error {
	for _, a := range s.cfg.Listen {
		l, err := listen(a, "listen")
		if err != nil {
			return err
		}
		s.public.listeners = append(s.public.listeners, &limitedListener{l, s.limit})
	}
	if s.private != nil {
		for _, a := range s.cfg.PrivateListen {
			l, err := listen(a, "private_listen")
			if err != nil {
				return err
			}
			s.private.listeners = append(s.private.listeners, l)
		}
	}
	if s.admin != nil && s.cfg.AdminSocket != "" {
		l, err := ListenAdmin(s.cfg.AdminSocket, s.log)
		if err != nil {
			return err
		}
		s.admin.listeners = append(s.admin.listeners, l)
	}
	return nil
}

func (s *Server) groups() []*group {
	var gs []*group
	for _, g := range []*group{s.public, s.private, s.admin} {
		if g != nil {
			gs = append(gs, g)
		}
	}
	return gs
}

func (s *Server) closeListeners() error {
	var errs []error
	for _, g := range s.groups() {
		for _, l := range g.listeners {
			errs = append(errs, l.Close())
		}
		g.listeners = nil
	}
	return errors.Join(errs...)
}

// PublicAddrs returns the addresses really listened on, as "host:port" or
// "unix:/path", in the order of the configuration.
func (s *Server) PublicAddrs() []string { return s.public.addrs() }

// PrivateAddrs is the same for the private listener.
func (s *Server) PrivateAddrs() []string { return s.private.addrs() }

func (g *group) addrs() []string {
	if g == nil {
		return nil
	}
	var out []string
	for _, l := range g.listeners {
		a := l.Addr().String()
		if l.Addr().Network() == "unix" {
			a = "unix:" + a
		}
		out = append(out, a)
	}
	return out
}

// Reload reads the TLS files again, as SIGHUP asks. On an error the old
// certificate stays in use.
func (s *Server) Reload() error {
	if s.certs == nil {
		return nil
	}
	return s.certs.reload()
}

// Draining says that shutdown has begun; /readyz should then say so, too.
func (s *Server) Draining() bool { return s.draining.Load() }

// OnShutdown adds f to what is called, all at once, when shutdown begins:
// before in-flight requests are waited for and hijacked connections closed.
// The time f takes counts.
func (s *Server) OnShutdown(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onShutdown = append(s.onShutdown, f)
}

// TrackHijacked returns c wrapped so that shutdown closes it. Connections
// hijacked through the server's own ResponseWriter are tracked already.
func (s *Server) TrackHijacked(c net.Conn) net.Conn { return s.hijacked.track(c) }
