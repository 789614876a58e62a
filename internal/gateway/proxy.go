package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/httpd"
)

// flushEvery sends what an answer of known length has so far; streams are
// flushed at every write.
const flushEvery = 100 * time.Millisecond

// passed is what ServeHTTP decided, for Rewrite and for errors.
type passed struct {
	*decision
	question *question
	identity http.Header // all identity headers
	body     *clientBody // nil without one
}

// clientBody remembers how reading the client's body failed, so that a body
// that was sent broken is not taken for an upstream that does not answer.
type clientBody struct {
	io.ReadCloser
	mu  sync.Mutex
	err error
}

func (b *clientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF && !errors.Is(err, http.ErrBodyReadAfterClose) {
		b.mu.Lock()
		b.err = err
		b.mu.Unlock()
	}
	return n, err
}

// brokeBy reports that err, of sending the request on, is one of reading it.
func (b *clientBody) brokeBy(err error) bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err != nil && errors.Is(err, b.err)
}

type passedKey struct{}

func newTransport(upstream *url.URL, t *Timeouts) (*http.Transport, error) {
	protocols := new(http.Protocols)
	switch upstream.Scheme {
	case "http":
		protocols.SetHTTP1(true)
	case "https":
		protocols.SetHTTP1(true)
		protocols.SetHTTP2(true)
	case "h2c":
		protocols.SetUnencryptedHTTP2(true)
	default:
		return nil, fmt.Errorf("upstream %s: want http://, https:// or h2c://", upstream.Redacted())
	}
	if upstream.Host == "" || upstream.User != nil || strings.Trim(upstream.Path, "/") != "" || upstream.RawQuery != "" || upstream.Fragment != "" {
		return nil, fmt.Errorf("upstream %s: want scheme, host and port alone; the path that was checked is the path that is forwarded", upstream.Redacted())
	}
	or := func(d, def time.Duration) time.Duration {
		if d > 0 {
			return d
		}
		return def
	}
	return &http.Transport{
		// Proxy stays nil: HTTP_PROXY in the environment must not see tokens.
		DialContext:           (&net.Dialer{Timeout: or(t.Dial, 5*time.Second), KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   or(t.Dial, 5*time.Second),
		ResponseHeaderTimeout: or(t.ResponseHeader, time.Minute),
		IdleConnTimeout:       or(t.IdleConn, 90*time.Second),
		MaxIdleConns:          512,
		MaxIdleConnsPerHost:   512,
		DisableCompression:    true, // the body passes as it is
		Protocols:             protocols,
	}, nil
}

func (g *Gateway) newProxy(transport http.RoundTripper) http.Handler {
	target := *g.cfg.Upstream
	if target.Scheme == "h2c" {
		target.Scheme = "http"
	}
	return &httputil.ReverseProxy{
		Rewrite:        func(pr *httputil.ProxyRequest) { g.rewrite(pr, &target) },
		Transport:      transport,
		FlushInterval:  flushEvery,
		BufferPool:     &buffers,
		ModifyResponse: g.modifyResponse,
		ErrorHandler:   g.proxyError,
		ErrorLog:       log.New(&lineLog{g}, "", 0),
	}
}

// Handler is the reverse proxy: everything the contracts and our own paths do
// not own. It is nil without an upstream.
func (g *Gateway) Handler() http.Handler {
	if g.proxy == nil {
		return nil
	}
	return http.HandlerFunc(g.serveProxy)
}

func (g *Gateway) serveProxy(w http.ResponseWriter, r *http.Request) {
	q := plainQuestion(r)
	d, refused := g.decide(q)
	own := g.cfg.CORS
	if own != nil && (refused != nil || !d.preflight) {
		own.SetHeaders(w, r) // on refusals too, or a script could not read why
	}
	pass := &passed{decision: d, question: q, identity: http.Header{}}
	if refused == nil {
		err := checkForwardable(q, r)
		if err == nil {
			err = g.names.set(pass.identity, d.principal)
		}
		if err != nil {
			refused = g.refusePassed(pass, err)
		}
	}
	if refused != nil {
		g.writeRefusal(w, r, refused)
		return
	}
	if own != nil && d.preflight {
		own.Wrap(http.NotFoundHandler()).ServeHTTP(w, r)
		return
	}
	if g.passing.Add(1) > int64(g.cfg.MaxRequests) {
		g.passing.Add(-1)
		g.writeRefusal(w, r, g.refusePassed(pass, &core.Error{Code: core.Unavailable, Reason: "too many requests are with the upstream", RetryAfter: 1000}))
		return
	}
	defer g.passing.Add(-1)
	ctx := context.WithValue(r.Context(), passedKey{}, pass)
	if d.preflight {
		httpd.Drain(r)
		r = r.WithContext(ctx)
		r.Body, r.ContentLength = http.NoBody, 0
		g.proxy.ServeHTTP(w, r)
		return
	}
	if d.principal != nil {
		httpd.Unpaced(r)
		var cancel context.CancelCauseFunc
		ctx, cancel = context.WithCancelCause(ctx)
		defer cancel(nil)
		defer g.streams.add(d.principal, cancel)()
		// A body that nothing comes of must not outlive its token: the proxy
		// cannot close it while it is being read.
		asked := r
		defer context.AfterFunc(ctx, func() { httpd.Interrupt(asked) })()
	}
	r = r.WithContext(ctx)
	if r.ContentLength != 0 && r.Body != nil && r.Body != http.NoBody {
		pass.body = &clientBody{ReadCloser: r.Body}
		r.Body = pass.body
	}
	g.proxy.ServeHTTP(w, r)
}

// refusePassed refuses what was let pass, in the words of its rule and token.
func (g *Gateway) refusePassed(pass *passed, err error) *refusal {
	var e *core.Error
	if pass.principal != nil && errors.As(err, &e) && e.Principal == nil {
		named := *e
		named.Principal = pass.principal
		err = &named
	}
	return g.refuse(hostName(pass.question.host), pass.question.r.URL.Path, pass.rule, err)
}

func (g *Gateway) writeRefusal(w http.ResponseWriter, r *http.Request, f *refusal) {
	httpd.Drain(r)
	g.log.DebugContext(r.Context(), "refused", "reason", reason(f.err), "request_id", httpd.Info(r).ID)
	a := f.render(r)
	a.write(w)
}

// checkForwardable holds that what will be forwarded is what was checked.
func checkForwardable(q *question, r *http.Request) error {
	if q.path != r.URL.EscapedPath() {
		return &core.Error{Code: core.BadRequest, Reason: "the path would be forwarded in another spelling"}
	}
	return nil
}

// rewrite makes the upstream's request. It runs after hop-by-hop headers were
// removed, so a client cannot have ours removed by naming them in Connection
// (which a Director, running before, would allow).
func (g *Gateway) rewrite(pr *httputil.ProxyRequest, target *url.URL) {
	in, out := pr.In, pr.Out
	p := passedOf(in)
	// A new URL: nothing else that an absolute target held (a user, a
	// fragment) goes on. The query is as it came.
	out.URL = &url.URL{
		Scheme: target.Scheme, Host: target.Host, Path: in.URL.Path, RawPath: in.URL.RawPath,
		RawQuery: in.URL.RawQuery, ForceQuery: in.URL.ForceQuery,
	}
	if g.cfg.UpstreamHost != "" {
		out.Host = g.cfg.UpstreamHost
	}
	// Trailers arrive after everything was checked and set; none is needed.
	out.Trailer = nil

	g.names.strip(out.Header)
	info := httpd.Info(in)
	if info.ClientAddr.IsValid() {
		out.Header.Set("X-Forwarded-For", info.ClientAddr.String())
	}
	out.Header.Set("X-Forwarded-Host", in.Host)
	out.Header.Set("X-Forwarded-Proto", "http")
	if info.Secure {
		out.Header.Set("X-Forwarded-Proto", "https")
	}
	out.Header.Del("X-Request-Id")
	if info.ID != "" {
		out.Header.Set("X-Request-Id", info.ID)
	}
	if g.cfg.StripAuthorization {
		out.Header.Del("Authorization")
	}
	if !g.cfg.PassCookies {
		stripCookies(out.Header, g.cookies)
	}
	if p.preflight {
		// Nobody was verified, so nobody acts: of what the client says, only
		// what a browser asks goes on.
		maps.DeleteFunc(out.Header, func(name string, _ []string) bool { return !asksPermission(name) })
	}
	maps.Copy(out.Header, p.identity)
}

// passedOf finds what serveProxy put there; the proxy is called by it alone.
func passedOf(r *http.Request) *passed {
	p, _ := r.Context().Value(passedKey{}).(*passed)
	return p
}

// modifyResponse keeps what we say ourselves the only word on it.
func (g *Gateway) modifyResponse(res *http.Response) error {
	res.Header.Del("X-Request-Id")
	if passedOf(res.Request).preflight {
		// An API that does not look at the method would answer with what
		// nobody was verified for. A browser reads the permission alone.
		_ = res.Body.Close() // nothing of it is wanted
		res.Body, res.ContentLength = http.NoBody, 0
		maps.DeleteFunc(res.Header, func(name string, _ []string) bool { return !permits(name) })
	}
	if g.cfg.CORS != nil {
		for name := range res.Header {
			if strings.HasPrefix(name, "Access-Control-") {
				delete(res.Header, name)
			}
		}
	}
	return nil
}

// proxyError answers when the upstream has not: 502, 504 when it was too slow,
// 400 when the client's own body broke off, or the refusal of a token that
// ended meanwhile.
func (g *Gateway) proxyError(w http.ResponseWriter, r *http.Request, err error) {
	var ended *errEnded
	cause := context.Cause(r.Context())
	fail := error(&core.Error{Code: core.UpstreamFailed, Reason: "upstream", Err: err})
	var timeout net.Error
	switch {
	case errors.As(cause, &ended):
		fail = ended.err
	case r.Context().Err() != nil:
		panic(http.ErrAbortHandler) // the client has left
	case passedOf(r).body.brokeBy(err):
		fail = &core.Error{Code: core.BadRequest, Reason: "body", Message: "The body of the request cannot be read", Err: err}
	case errors.As(err, &timeout) && timeout.Timeout():
		fail = &core.Error{Code: core.UpstreamTimeout, Reason: "upstream", Err: err}
	}
	if ended == nil && core.CodeOf(fail) != core.BadRequest && g.quiet.upstream.due(g.cfg.Now()) {
		g.log.Warn("the upstream does not answer", "upstream", g.cfg.Upstream.Host, "error", err.Error())
	}
	g.writeRefusal(w, r, g.refusePassed(passedOf(r), fail))
}

// buffers are the copy buffers of the proxy.
var buffers = bufferPool{sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}}

type bufferPool struct{ pool sync.Pool }

func (b *bufferPool) Get() []byte  { return *b.pool.Get().(*[]byte) }
func (b *bufferPool) Put(p []byte) { b.pool.Put(&p) }

// lineLog passes the proxy's own lines on; they tell of clients that left.
type lineLog struct{ g *Gateway }

func (l *lineLog) Write(p []byte) (int, error) {
	l.g.log.Debug("proxy", "line", strings.TrimSpace(string(p)))
	return len(p), nil
}
