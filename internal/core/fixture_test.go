// Package core_test tests the rules over the real store, keyring and hasher,
// with a clock that the test moves.
package core_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/keyring"
	"github.com/sallyport/sallyport/internal/password"
	"github.com/sallyport/sallyport/internal/store/sqlite"
	"github.com/sallyport/sallyport/internal/token"
)

const (
	second = int64(1000)
	minute = 60 * second
	hour   = 60 * minute
	day    = 24 * hour
	year   = 365 * day

	start  = int64(1_800_000_000_000) // a whole second
	right  = "nineteen purple walruses"
	wrong  = "eighteen purple walruses"
	issuer = "https://sallyport.test"
)

// Addresses of clients, each in a network of its own.
var (
	home     = netip.MustParseAddr("192.0.2.10")
	office   = netip.MustParseAddr("198.51.100.20")
	stranger = netip.MustParseAddr("203.0.113.30")
)

// sharedHasher is one hasher for all tests that hash nothing but our own
// format: its bill is one argon2id, about 30 ms.
var sharedHasher = sync.OnceValue(func() *password.Hasher {
	h, err := password.New(password.Config{Slots: 2, Queue: 4096})
	if err != nil {
		panic(err)
	}
	return h
})

// rightHash is a hash of right, made once.
var rightHash = sync.OnceValue(func() string {
	phc, err := sharedHasher().Hash(context.Background(), password.Lane{}, right)
	if err != nil {
		panic(err)
	}
	return phc
})

// claims is a core.Claims of a function.
type claims func(dst []byte, v *core.TokenValues) []byte

func (c claims) AppendMembers(dst []byte, v *core.TokenValues) ([]byte, error) { return c(dst, v), nil }

// identity writes what ItemPath's tokens carry besides the standard claims.
var identity = claims(func(dst []byte, v *core.TokenValues) []byte {
	name, _ := json.Marshal(v.Session.LoginName)
	return append(append(dst, `"fresh":false,"identity":`...), name...)
})

// scopes writes the live roles, as far as there is a live subject.
var scopes = claims(func(dst []byte, v *core.TokenValues) []byte {
	if v.Subject == nil {
		return dst
	}
	roles, _ := json.Marshal(strings.Join(v.Subject.Roles, " "))
	return append(append(dst, `"scope":`...), roles...)
})

func jwt(kind token.Kind, alg token.Algorithm, lifetime int64) *core.TokenSpec {
	return &core.TokenSpec{
		Kind: kind, LifetimeMS: lifetime, Algorithm: alg, KindValue: string(kind),
		Header: token.Header{Typ: "JWT", Order: token.AlgTypKid},
	}
}

// netography rotates, signs access and id tokens with ES256, and takes request tokens.
func netography(id, account string) *core.Mount {
	m := &core.Mount{ID: id, Contract: "netography", Account: account}
	m.Policy = core.Policy{
		Rotation: core.Rotation{Rotates: true, GraceMS: 2 * minute, IdleMS: day, AbsoluteMS: 7 * day},
		Access:   jwt(token.Access, token.ES256, hour), Refresh: jwt(token.Refresh, token.HS256, day), ID: jwt(token.ID, token.ES256, hour),
		RequestWindowMS: 5 * minute, KindClaim: "token_use",
	}
	m.Policy.ID.Audience = "netography"
	m.Policy.Access.Claims = scopes
	return m
}

// itempath does not rotate, has no kid and has application tokens.
func itempath(id, account string) *core.Mount {
	m := &core.Mount{ID: id, Contract: "itempath", Account: account}
	m.Policy = core.Policy{
		Rotation: core.Rotation{IdleMS: 30 * day},
		Access:   jwt(token.Access, token.HS256, 15*minute), Refresh: jwt(token.Refresh, token.HS256, 30*day),
		Application: jwt(token.Application, token.HS256, 0), KindClaim: "type",
	}
	m.Policy.Application.KindValue = "access"
	for _, s := range []*core.TokenSpec{m.Policy.Access, m.Policy.Refresh, m.Policy.Application} {
		s.Header = token.Header{Typ: "JWT", OmitKeyID: true, Order: token.TypAlgKid}
		s.NotBefore, s.Claims = true, identity
	}
	return m
}

// pathstack does not rotate either, and names the subject at refresh.
func pathstack(id, account string) *core.Mount {
	m := &core.Mount{ID: id, Contract: "pathstack", Account: account}
	m.Policy = core.Policy{
		Rotation: core.Rotation{IdleMS: 30 * day},
		Access:   jwt(token.Access, token.HS256, hour), Refresh: jwt(token.Refresh, token.HS256, 30*day), KindClaim: "kind",
	}
	return m
}

// bare has access tokens alone; they are renewed.
func bare(id, account string) *core.Mount {
	m := &core.Mount{ID: id, Contract: "bare", Account: account}
	m.Policy = core.Policy{Access: jwt(token.Access, token.HS256, 10*minute), KindClaim: "kind"}
	return m
}

// world is a service over a real store, with a clock of its own.
type world struct {
	testing.TB
	ctx    context.Context
	dir    string
	clock  *atomic.Int64
	master *keyring.Master
	hasher *password.Hasher
	cfg    core.Config // what a test wants set otherwise

	disk   *sqlite.Store
	store  *hooked
	keys   *keyring.Keyring
	svc    *core.Service
	mounts []*core.Mount
	seen   *watcher
}

// newWorld opens a service with the mounts given.
func newWorld(t testing.TB, mounts ...*core.Mount) *world {
	return newWorldWith(t, core.Config{}, sharedHasher(), mounts...)
}

func newWorldWith(t testing.TB, cfg core.Config, h *password.Hasher, mounts ...*core.Mount) *world {
	t.Helper()
	var raw [32]byte
	_, _ = rand.Read(raw[:])
	master, err := keyring.ParseMaster(hex.EncodeToString(raw[:]))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t, ctx: context.Background(), dir: t.TempDir(), clock: new(atomic.Int64), master: master, hasher: h, cfg: cfg, mounts: mounts}
	w.clock.Store(start)
	w.open()
	t.Cleanup(func() { _ = w.disk.Close() })
	return w
}

// with gives the same world for a subtest.
func (w *world) with(t testing.TB) *world {
	c := *w
	c.TB = t
	return &c
}

// open starts the service on the directory, as a process does.
func (w *world) open() {
	w.Helper()
	var err error
	if w.disk, err = sqlite.Open(w.ctx, sqlite.Config{Dir: w.dir, Create: true, Now: w.clock.Load}); err != nil {
		w.Fatal(err)
	}
	w.store = &hooked{Store: w.disk}
	w.seen = &watcher{}
	if w.keys, err = keyring.Open(w.ctx, keyring.Config{Rows: w.disk, Meta: w.disk, Master: w.master, Now: w.clock.Load, Observer: w.seen, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		w.Fatal(err)
	}
	var needs []keyring.Need
	for _, m := range w.mounts {
		for _, kind := range []token.Kind{token.Access, token.Refresh, token.ID, token.Application} {
			if spec := m.Policy.Spec(kind); spec != nil {
				needs = append(needs, keyring.Need{Set: core.KeySet{Mount: m.ID, Kind: kind}, Algorithm: spec.Algorithm})
			}
		}
	}
	w.must(w.keys.Ensure(w.ctx, needs))
	cfg := w.cfg
	cfg.Store, cfg.Keys, cfg.Passwords, cfg.Now, cfg.Observer = w.store, w.keys, w.hasher, w.clock.Load, w.seen
	if cfg.Issuer == "" {
		cfg.Issuer = issuer
	}
	if w.svc, err = core.New(w.ctx, cfg); err != nil {
		w.Fatal(err)
	}
	for _, m := range w.mounts {
		w.must(w.svc.RegisterMount(m))
	}
}

// reopen ends the process and starts it again; change may edit what lies between.
func (w *world) reopen(change func()) {
	w.Helper()
	w.must(w.disk.Close())
	if change != nil {
		change()
	}
	w.open()
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) sleep(ms int64) { w.clock.Add(ms) }

var admin = core.Actor{Name: "operator:0"}

// user makes a user of the default account with the password right.
func (w *world) user(name string, more ...func(*core.NewUser)) *core.User {
	w.Helper()
	n := core.NewUser{Username: name, PasswordHash: rightHash(), Roles: []string{"reader", "writer"}}
	for _, f := range more {
		f(&n)
	}
	u, err := w.svc.CreateUser(w.ctx, admin, n)
	w.must(err)
	return u
}

func application(n *core.NewUser) { n.Type = core.TypeApplication }

func in(account string) func(*core.NewUser) { return func(n *core.NewUser) { n.Account = account } }

func from(a netip.Addr) core.Client {
	return core.Client{Address: a, UserAgent: "test", RequestID: "r1"}
}

func (w *world) login(m *core.Mount, name, pw string, at netip.Addr) (*core.Granted, error) {
	return w.svc.Login(w.ctx, &core.LoginRequest{Mount: m, Username: name, Password: pw, Client: from(at)})
}

// in logs in and must succeed.
func (w *world) in(m *core.Mount, name string) *core.Granted {
	w.Helper()
	g, err := w.login(m, name, right, home)
	if err != nil {
		w.Fatalf("login of %s: %v", name, err)
	}
	return g
}

func (w *world) refresh(m *core.Mount, tok string) (*core.Granted, error) {
	return w.svc.Refresh(w.ctx, &core.RefreshRequest{Mount: m, Token: tok, Client: from(home)})
}

func (w *world) refreshed(m *core.Mount, tok string) *core.Granted {
	w.Helper()
	g, err := w.refresh(m, tok)
	if err != nil {
		w.Fatalf("refresh: %v", err)
	}
	return g
}

func (w *world) call(tok string, mounts ...*core.Mount) (*core.Principal, error) {
	if len(mounts) == 0 {
		mounts = w.mounts
	}
	return w.svc.Authenticate(w.ctx, &core.AuthenticateRequest{Mounts: mounts, Token: tok, Client: from(home)})
}

// calls asserts that a token opens the API.
func (w *world) calls(tok string) *core.Principal {
	w.Helper()
	p, err := w.call(tok)
	if err != nil {
		w.Fatalf("a good token is refused: %v", err)
	}
	return p
}

// refusedCall asserts that a token does not open the API, and for which reason.
func (w *world) refusedCall(tok string, want core.Code) {
	w.Helper()
	_, err := w.call(tok)
	wantCode(w, err, want)
}

func (w *world) mint(m *core.Mount, tok string) (*core.Granted, error) {
	return w.svc.MintApplicationToken(w.ctx, &core.MintRequest{Mount: m, Token: tok, MaxAgeMS: core.AnyAge, Client: from(home)})
}

func (w *world) minted(m *core.Mount, tok string) *core.Granted {
	w.Helper()
	g, err := w.mint(m, tok)
	if err != nil {
		w.Fatalf("minting: %v", err)
	}
	return g
}

// apiKey makes an API key of an account.
func (w *world) apiKey(account, name string) *core.MadeAPIKey {
	w.Helper()
	k, err := w.svc.CreateAPIKey(w.ctx, admin, core.NewAPIKey{Account: account, AppName: name, Roles: []string{"reader"}})
	w.must(err)
	return k
}

// request makes a request token as a client of the vendor does.
func (w *world) request(k *core.MadeAPIKey, jti string, at int64) string {
	w.Helper()
	key, err := token.NewRequestKey([]byte(k.Secret))
	w.must(err)
	tok, err := token.MintRequest(key, &token.RequestToken{
		AppName: k.Key.AppName, AppKey: k.Key.AppKey, ShortName: k.Account, ID: jti, IssuedAt: at / 1000,
	})
	w.must(err)
	return tok
}

func (w *world) exchange(m *core.Mount, tok string, at netip.Addr) (*core.Granted, error) {
	return w.svc.ExchangeRequestToken(w.ctx, &core.ExchangeRequest{Mount: m, Token: tok, Client: from(at)})
}

// audits reads the events of a kind, after writing what is buffered.
func (w *world) audits(kind string) []core.Event {
	w.Helper()
	w.svc.Flush(w.ctx)
	list, err := w.disk.ListAudit(w.ctx, core.AuditQuery{Kind: kind, Limit: 1000})
	w.must(err)
	events := make([]core.Event, len(list))
	for i := range list {
		events[i] = list[i].Event
	}
	return events
}

func (w *world) row(sid core.SessionID) *core.Session {
	w.Helper()
	s, _, err := w.disk.SessionByID(w.ctx, sid)
	w.must(err)
	return s
}

func (w *world) liveSessions(subject string) []*core.Session {
	w.Helper()
	list, err := w.svc.ListSessions(w.ctx, core.SessionQuery{Subject: subject, Limit: 1000})
	w.must(err)
	return list
}

func wantCode(t testing.TB, err error, want core.Code) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", want)
	}
	if got := core.CodeOf(err); got != want {
		t.Fatalf("got %s (%v), want %s", got, err, want)
	}
}

// payload decodes the claims of a token, unverified.
func payload(t testing.TB, tok string) map[string]any {
	t.Helper()
	parts := strings.Split(tok, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is not a token", tok)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func header(t testing.TB, tok string) string {
	t.Helper()
	h, _, _ := strings.Cut(tok, ".")
	raw, err := base64.RawURLEncoding.DecodeString(h)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// watcher is a core.Observer that remembers.
type watcher struct {
	mu     sync.Mutex
	alarms []string
}

func (o *watcher) Outcome(string, string, core.Code) {}

func (o *watcher) Alarm(name, _ string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.alarms = append(o.alarms, name)
}

func (o *watcher) heard(name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Contains(o.alarms, name)
}

// hasRow reports whether the row of a session is there, live or not.
func (w *world) hasRow(id core.SessionID) bool {
	_, _, err := w.disk.SessionByID(w.ctx, id)
	return err == nil
}
