package contract

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

const fakeNow int64 = 1_700_000_000_000

// fakeGrants answers from tables and remembers what it was asked.
type fakeGrants struct {
	users  map[string]string // user name -> password
	last   any
	err    error
	tokens map[string]error // refusals by token
}

func newFake() *fakeGrants {
	return &fakeGrants{users: map[string]string{"mgordon": "pwd Test-1!", "ann@example.org": "secret-word"}, tokens: map[string]error{}}
}

func fakeSubject(name string) *core.Subject {
	return &core.Subject{
		Kind: core.SubjectUser, ID: "a6caf0bd-dbdf-4dfb-bcab-34f73e4c5b64", Account: "ac_default", AccountShortname: "default",
		AccountState: core.Active, State: core.Active, Type: core.TypeUser, Username: name, Email: "mg@example.org",
		EmailVerified: true, Roles: []string{"admin", "picker"}, Attributes: []byte(`{"site":"Zürich","level":3,"nested":{"deep":[1,2]}}`),
	}
}

func (f *fakeGrants) granted(m *core.Mount, name string) *core.Granted {
	p := m.Policy
	g := &core.Granted{Now: fakeNow, AccessToken: "acc.ess.tok", AccessExpires: fakeNow + p.Access.LifetimeMS, Subject: fakeSubject(name)}
	g.Session = &core.Session{ID: core.SessionID{Epoch: 7}, Mount: m.ID, Subject: g.Subject.ID, LoginName: name, CreatedAt: fakeNow}
	if p.Refresh != nil {
		g.RefreshToken, g.RefreshExpires = "ref.resh.tok", fakeNow+p.Refresh.LifetimeMS
	}
	if p.ID != nil {
		g.IDToken, g.IDExpires = "i.d.tok", fakeNow+p.ID.LifetimeMS
	}
	return g
}

func (f *fakeGrants) Login(_ context.Context, r *core.LoginRequest) (*core.Granted, error) {
	f.last = r
	if f.err != nil {
		return nil, f.err
	}
	if f.users[r.Username] != r.Password || r.Password == "" {
		return nil, &core.Error{Code: core.BadCredentials, Reason: "wrong password"}
	}
	g := f.granted(r.Mount, r.Username)
	if r.WithoutRefresh {
		g.RefreshToken, g.RefreshExpires = "", 0
	}
	return g, nil
}

func (f *fakeGrants) check(tok string, kinds ...token.Kind) error {
	if f.err != nil {
		return f.err
	}
	if err, ok := f.tokens[tok]; ok {
		return err
	}
	want := map[string]token.Kind{"acc.ess.tok": token.Access, "ref.resh.tok": token.Refresh, "app.tok.en": token.Application}
	kind, ok := want[tok]
	if !ok {
		return &core.Error{Code: core.TokenMalformed, Reason: "no such token"}
	}
	for _, k := range kinds {
		if k == kind {
			return nil
		}
	}
	return &core.Error{Code: core.TokenWrongKind, Reason: string(kind)}
}

func (f *fakeGrants) Refresh(_ context.Context, r *core.RefreshRequest) (*core.Granted, error) {
	f.last = r
	if err := f.check(r.Token, token.Refresh); err != nil {
		return nil, err
	}
	if r.Subject != "" && r.Subject != fakeSubject("").ID {
		return nil, &core.Error{Code: core.SubjectMismatch}
	}
	return f.granted(r.Mount, "mgordon"), nil
}

func (f *fakeGrants) Renew(_ context.Context, r *core.RenewRequest) (*core.Granted, error) {
	f.last = r
	if err := f.check(r.Token, token.Access); err != nil {
		return nil, err
	}
	g := f.granted(r.Mount, "mgordon")
	g.RefreshToken, g.RefreshExpires = "", 0
	return g, nil
}

func (f *fakeGrants) ExchangeRequestToken(_ context.Context, r *core.ExchangeRequest) (*core.Granted, error) {
	f.last = r
	if f.err != nil {
		return nil, f.err
	}
	if r.Token != "req.uest.tok" {
		return nil, &core.Error{Code: core.RequestTokenInvalid}
	}
	return f.granted(r.Mount, "flowcollector"), nil
}

func (f *fakeGrants) MintApplicationToken(_ context.Context, r *core.MintRequest) (*core.Granted, error) {
	f.last = r
	if err := f.check(r.Token, r.Kinds...); err != nil {
		return nil, err
	}
	g := f.granted(r.Mount, "mgordon")
	g.ApplicationToken, g.ApplicationID, g.AccessToken = "app.tok.en", "7d8a00fa-4fb8-42e2-a50d-36d5d7cc5a0f", ""
	return g, nil
}

func (f *fakeGrants) Verify(_ context.Context, r *core.VerifyRequest) (*core.Principal, error) {
	f.last = r
	if err := f.check(r.Token, r.Kinds...); err != nil {
		return nil, err
	}
	return &core.Principal{
		Kind: token.Access, Mount: r.Mount.ID, TokenID: "0f8fad5b-d9cb-469f-a165-70867728950e", Subject: *fakeSubject("mgordon"),
		Scopes: []string{"admin", "picker"}, IssuedAt: fakeNow - 1000, ExpiresAt: fakeNow + 60_000, Claims: []byte(`{"iss":"x","custom":{"a":1}}`),
	}, nil
}

func (f *fakeGrants) Logout(_ context.Context, r *core.LogoutRequest) error {
	f.last = r
	return f.check(r.Token, r.Kinds...)
}

func (f *fakeGrants) Authenticate(context.Context, *core.AuthenticateRequest) (*core.Principal, error) {
	return nil, &core.Error{Code: core.Internal, Reason: "not a contract's business"}
}

var _ core.Grants = (*fakeGrants)(nil)

// mountOf mounts contracts by name or file on one router.
func mountOf(t testing.TB, f core.Grants, names ...string) (*Router, []*Mounted) {
	t.Helper()
	var ms []*Mounted
	for _, name := range names {
		c, err := Load(name, Options{})
		if err != nil {
			t.Fatalf("load %s:\n%v", name, err)
		}
		m, err := c.Mount(MountOptions{ID: name, Grants: f, Now: func() int64 { return fakeNow }, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ms = append(ms, m)
	}
	rt, err := NewRouter(ms...)
	if err != nil {
		t.Fatal(err)
	}
	return rt, ms
}

// serveRouter is a router as a handler; what no contract owns is a plain 404.
func serveRouter(rt *Router) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, h, ok := rt.Match(r); ok {
			h.ServeHTTP(w, r)
			return
		}
		http.NotFound(w, r)
	})
}

// do sends one request: "POST /token", headers as "Name: value", body.
func do(t testing.TB, h http.Handler, line, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	method, target, _ := strings.Cut(line, " ")
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for _, hd := range headers {
		name, val, _ := strings.Cut(hd, ": ")
		r.Header.Add(name, val)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
