package gateway

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/httpd"
)

// fakeAuth knows tokens by name. It follows core's rules for what a rule asks.
type fakeAuth struct {
	mu     sync.Mutex
	tokens map[string]*core.Principal
	dead   map[string]core.Code // by token id
	asked  []core.AuthenticateRequest
	now    int64
	forget bool // keeps no list of questions
}

func newFakeAuth() *fakeAuth {
	f := &fakeAuth{tokens: map[string]*core.Principal{}, dead: map[string]core.Code{}, now: 1_000_000}
	f.add("alice", "m1", "access", "admin", "read")
	f.add("bob", "m1", "access", "read")
	f.add("carol", "m2", "access", "read")
	f.add("robot", "m1", "application", "read")
	f.tokens["robot"].Session = core.SessionID{}
	f.tokens["robot"].Subject.Type = core.TypeApplication
	return f
}

func (f *fakeAuth) add(name, mount, kind string, roles ...string) {
	p := &core.Principal{
		Mount: mount, TokenID: "id-" + name, Scopes: roles, Session: core.SessionID{Epoch: 3, Key: [16]byte{1}},
		Subject: core.Subject{ID: "u-" + name, Username: name, AccountShortname: "default", Type: core.TypeUser, Roles: roles},
	}
	if kind == "access" {
		p.Kind = "access"
	} else {
		p.Kind = "application"
	}
	f.tokens[name] = p
}

func (f *fakeAuth) kill(name string, code core.Code) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dead["id-"+name] = code
}

func (f *fakeAuth) clock() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fakeAuth) advance(ms int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now += ms
}

func (f *fakeAuth) Authenticate(_ context.Context, r *core.AuthenticateRequest) (*core.Principal, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.forget {
		f.asked = append(f.asked, *r)
	}
	p := f.tokens[r.Token]
	if p == nil || !slices.ContainsFunc(r.Mounts, func(m *core.Mount) bool { return m.ID == p.Mount }) {
		return nil, &core.Error{Code: core.TokenInvalid}
	}
	if code := f.dead[p.TokenID]; code != "" {
		return nil, &core.Error{Code: code, Principal: p}
	}
	if len(r.Kinds) > 0 && !slices.Contains(r.Kinds, p.Kind) {
		return nil, &core.Error{Code: core.TokenWrongKind, Principal: p}
	}
	if len(r.Roles) > 0 && !slices.ContainsFunc(r.Roles, p.HasRole) || r.Account != "" && r.Account != p.Subject.AccountShortname {
		return nil, &core.Error{Code: core.ScopeInsufficient, Principal: p}
	}
	return p, nil
}

func (f *fakeAuth) Alive(_ context.Context, p *core.Principal) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if code := f.dead[p.TokenID]; code != "" {
		return &core.Error{Code: code, Principal: p}
	}
	return nil
}

// fakeWords are a contract: a bearer token, refusals as JSON.
type fakeWords struct{ name, header, cookie string }

func (f *fakeWords) Token(r *http.Request) (tok string, ambient bool, err error) {
	if f.header != "" {
		return r.Header.Get(f.header), false, nil
	}
	v := r.Header.Values("Authorization")
	if len(v) > 1 {
		return "", false, &core.Error{Code: core.TokenMalformed}
	}
	if c, err := r.Cookie(f.cookie); len(v) == 0 && f.cookie != "" && err == nil {
		return c.Value, true, nil
	}
	if len(v) == 0 {
		return "", false, &core.Error{Code: core.TokenMissing}
	}
	tok, ok := strings.CutPrefix(v[0], "Bearer ")
	if !ok {
		return "", false, &core.Error{Code: core.TokenMissing}
	}
	return tok, false, nil
}

func (f *fakeWords) Cookies() []string {
	if f.cookie == "" {
		return nil
	}
	return []string{f.cookie}
}

var statusOf = map[core.Code]int{
	core.BadRequest: 400, core.Unauthorized: 401, core.Forbidden: 403, core.NotFound: 404, core.TooMany: 429, core.Unavailable: 503, core.Internal: 500,
	core.UpstreamFailed: 502, core.UpstreamTimeout: 504,
}

func (f *fakeWords) RenderRefusal(_ *http.Request, err error) Refusal {
	code := core.CodeOf(err)
	root := code
	for root.Parent() != "" {
		root = root.Parent()
	}
	status := statusOf[root]
	if own := statusOf[code]; own != 0 {
		status = own
	}
	body, _ := json.Marshal(map[string]any{"words": f.name, "code": code, "status": status})
	return Refusal{Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: body}
}

// seen is what the upstream got.
type seen struct {
	Method, Target, Host string
	Header               http.Header
	Trailer              http.Header
	Body                 string
}

// backend is an upstream that answers with what it saw.
type backend struct {
	*httptest.Server
	mu   sync.Mutex
	last *seen
}

func newBackend(t testing.TB) *backend {
	b := &backend{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s := &seen{Method: r.Method, Target: r.RequestURI, Host: r.Host, Header: r.Header.Clone(), Trailer: r.Trailer.Clone(), Body: string(body)}
		b.mu.Lock()
		b.last = s
		b.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s)
	}))
	t.Cleanup(b.Close)
	return b
}

// take returns what was seen since the last call, nil when nothing was.
func (b *backend) take() *seen {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.last
	b.last = nil
	return s
}

// door is a gateway on a real socket.
type door struct {
	*httptest.Server
	g    *Gateway
	auth *fakeAuth
	log  *lockedBuffer
	via  string // base URL of a proxy to go through, "" = straight
}

func (d *door) base() string {
	if d.via != "" {
		return d.via
	}
	return d.URL
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
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

func mounts() []Mount {
	return []Mount{
		{Mount: &core.Mount{ID: "m1", Contract: "first"}, Words: &fakeWords{name: "first"}},
		{Mount: &core.Mount{ID: "m2", Contract: "second"}, Prefix: "/second", Words: &fakeWords{name: "second", header: "X-Token"}},
	}
}

func open(t testing.TB, upstream string, change func(*Config)) *door {
	t.Helper()
	auth := newFakeAuth()
	buf := &lockedBuffer{}
	cfg := Config{
		Auth: auth, Mounts: mounts(), CheckEvery: 5 * time.Millisecond, Now: auth.clock,
		Logger: slog.New(slog.NewTextHandler(buf, nil)),
	}
	if upstream != "" {
		u, err := url.Parse(upstream)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Upstream = u
	}
	if change != nil {
		change(&cfg)
	}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	mux := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/_sallyport/") {
			g.ForwardAuth().ServeHTTP(w, r)
			return
		}
		if h := g.Handler(); h != nil {
			h.ServeHTTP(w, r)
			return
		}
		_, _ = io.WriteString(w, "contract route "+r.URL.Path)
	})
	front := httpd.Front{NoAccessLog: true, Logger: cfg.Logger, Proxies: cfg.Proxies}
	s := httptest.NewServer(front.Wrap(mux))
	t.Cleanup(s.Close)
	return &door{Server: s, g: g, auth: auth, log: buf}
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (d *door) do(t testing.TB, method, path string, header ...string) *answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, d.base()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header[header[i]] = append(req.Header[header[i]], header[i+1])
	}
	if h := req.Header.Get("Host"); h != "" {
		req.Host = h
	}
	res, err := d.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return &answer{res.StatusCode, res.Header, string(body)}
}

// words reads a refusal as "words code status".
func (a *answer) words() string {
	var v struct {
		Words, Code string
		Status      int
	}
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		return a.body
	}
	if v.Status != a.status {
		return "the body says another status than the answer"
	}
	return v.Words + " " + v.Code
}

func loopback(t testing.TB) *httpd.Proxies {
	t.Helper()
	p, err := httpd.NewProxies([]string{netip.IPv6Loopback().String(), "127.0.0.1"}, "")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const bearer = "Authorization"
