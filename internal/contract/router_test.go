package contract

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

func mount(t *testing.T, name, id, host, prefix string) *Mounted {
	t.Helper()
	c, err := Load(name, Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Mount(MountOptions{ID: id, Host: host, Prefix: prefix, Grants: newFake(), Now: func() int64 { return fakeNow }})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestRouterConflicts(t *testing.T) {
	_, err := NewRouter(mount(t, "pathstack", "a", "", ""), mount(t, "testdata/contracts/aspnet.yaml", "b", "", ""))
	want := "contracts/pathstack.yaml:56 (mount a) and testdata/contracts/aspnet.yaml:23 (mount b) both claim /refresh on any host; give one of them another host or prefix"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if _, err := NewRouter(mount(t, "pathstack", "a", "", ""), mount(t, "pathstack", "a", "", "/b")); err == nil || !strings.Contains(err.Error(), `mount id "a" is used twice`) {
		t.Errorf("same id: %v", err)
	}
	for _, ok := range [][4]string{{"", "", "", "/two"}, {"a.example", "", "b.example", ""}, {"", "", "b.example", ""}} {
		if _, err := NewRouter(mount(t, "pathstack", "a", ok[0], ok[1]), mount(t, "pathstack", "b", ok[2], ok[3])); err != nil {
			t.Errorf("%v: %v", ok, err)
		}
	}
}

func TestRouterMatch(t *testing.T) {
	rt, err := NewRouter(mount(t, "pathstack", "any", "", ""), mount(t, "pathstack", "host", "Auth.Example", ""), mount(t, "itempath", "wms", "", "/wms"), mount(t, "testdata/contracts/keycloak.yaml", "kc", "", "/kc"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ host, path, want string }{
		{"x.example", "/token", "any"},
		{"auth.example:8443", "/token", "host"},
		{"AUTH.example.", "//token", "host"},
		{"x", "///wms//api/users/login", "wms"},
		{"x", "/api/users/login", ""},
		{"x", "/token/", ""},
		{"x", "/TOKEN", ""},
		{"x", "/kc/realms/acme/protocol/openid-connect/token", "kc"},
		{"x", "/kc/realms//protocol/openid-connect/token", ""},
		{"x", "/kc/realms/a/b/protocol/openid-connect/token", ""},
		{"x", "/a/../token", ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host, r.URL.Path = c.host, c.path
		got := ""
		if m, _, ok := rt.Match(r); ok {
			got = m.ID
		}
		if got != c.want {
			t.Errorf("%s%s is %q's, want %q", c.host, c.path, got, c.want)
		}
	}
	for _, c := range []struct{ host, path, want string }{
		{"x", "/wms/stations", "wms"}, {"x", "/wmsx", "any"}, {"auth.example", "/stations", "host"}, {"x", "/", "any"},
	} {
		m, ok := rt.Covering(c.host, c.path)
		if !ok || m.ID != c.want {
			t.Errorf("%s%s is covered by %v, want %s", c.host, c.path, m, c.want)
		}
	}
	two, err := NewRouter(mount(t, "pathstack", "a", "", ""), mount(t, "itempath", "b", "", ""))
	if err != nil {
		t.Fatal(err)
	}
	if m, ok := two.Covering("x", "/stations"); ok {
		t.Errorf("two mounts cover it alike, got %s", m.ID)
	}
}

func TestPathParameterGoesToTheGrant(t *testing.T) {
	f := newFake()
	rt, _ := mountOf(t, f, "testdata/contracts/keycloak.yaml")
	w := do(t, serveRouter(rt), "POST //realms/acme/protocol/openid-connect/token", "grant_type=password&username=mgordon&password=x", "Content-Type: application/x-www-form-urlencoded")
	req, ok := f.last.(*core.LoginRequest)
	if !ok || req.Account != "acme" || w.Code != 401 {
		t.Errorf("account %+v, %d", f.last, w.Code)
	}
}

func TestGrantsGetWhatTheyNeed(t *testing.T) {
	f := newFake()
	rt, _ := mountOf(t, f, "testdata/contracts/strapi.yaml", "itempath")
	h := serveRouter(rt)
	do(t, h, "POST /api/auth/local", `{"identifier":"mgordon","password":"pwd Test-1!"}`)
	if r, ok := f.last.(*core.LoginRequest); !ok || !r.WithoutRefresh || r.Username != "mgordon" || !r.Client.Address.IsValid() {
		t.Errorf("strapi login: %+v", f.last)
	}
	do(t, h, "POST /api/users/login", `{"username":"mgordon","password":"pwd Test-1!"}`)
	if r, ok := f.last.(*core.LoginRequest); !ok || r.WithoutRefresh {
		t.Errorf("itempath login: %+v", f.last)
	}
	do(t, h, "POST /api/users/application-token", "", "Authorization: Bearer ref.resh.tok")
	if r, ok := f.last.(*core.MintRequest); !ok || len(r.Kinds) != 1 || r.Kinds[0] != token.Refresh || r.Token != "ref.resh.tok" {
		t.Errorf("itempath application token: %+v", f.last)
	}
}

func TestGatewayToken(t *testing.T) {
	load := func(name string) *Contract {
		c, err := Load(name, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	item, pocket, directus, parse := load("itempath"), load("testdata/contracts/pocketbase.yaml"), load("directus"), load("testdata/contracts/parse.yaml")
	for _, c := range []struct {
		name string
		c    *Contract
		h    []string
		want string
		code core.Code
	}{
		{"bearer", item, []string{"Authorization: Bearer a.b.c"}, "a.b.c", ""},
		{"lower case", item, []string{"Authorization: bearer a.b.c"}, "a.b.c", ""},
		{"upper case", item, []string{"Authorization: BEARER a.b.c"}, "a.b.c", ""},
		{"none", item, nil, "", core.TokenMissing},
		{"two spaces", item, []string{"Authorization: Bearer  a.b.c"}, "", core.TokenMalformed},
		{"tab", item, []string{"Authorization: Bearer\ta.b.c"}, "", core.TokenMalformed},
		{"Basic", item, []string{"Authorization: Basic a.b.c"}, "", core.TokenMalformed},
		{"bare", item, []string{"Authorization: a.b.c"}, "", core.TokenMalformed},
		{"scheme alone", item, []string{"Authorization: Bearer"}, "", core.TokenMalformed},
		{"two headers", item, []string{"Authorization: Bearer a.b.c", "Authorization: Bearer a.b.c"}, "", core.TokenMalformed},
		{"comma", item, []string{"Authorization: Bearer a.b.c,Bearer a.b.c"}, "", core.TokenMalformed},
		{"trailing word", item, []string{"Authorization: Bearer a.b.c d"}, "", core.TokenMalformed},
		{"over-long", item, []string{"Authorization: Bearer " + strings.Repeat("a", maxToken+1)}, "", core.TokenMalformed},
		{"cookie where none is read", item, []string{"Cookie: directus_session_token=a.b.c"}, "", core.TokenMissing},
		{"bare token", pocket, []string{"Authorization: a.b.c"}, "a.b.c", ""},
		{"bare or bearer", pocket, []string{"Authorization: Bearer a.b.c"}, "a.b.c", ""},
		{"cookie", directus, []string{"Cookie: directus_session_token=a.b.c"}, "a.b.c", ""},
		{"header before cookie", directus, []string{"Cookie: directus_session_token=x", "Authorization: Bearer a.b.c"}, "a.b.c", ""},
		{"cookie twice", directus, []string{"Cookie: directus_session_token=a.b.c; directus_session_token=d"}, "", core.TokenMalformed},
		{"own header", parse, []string{"X-Parse-Session-Token: a.b.c"}, "a.b.c", ""},
		{"own header twice", parse, []string{"X-Parse-Session-Token: a", "X-Parse-Session-Token: a"}, "", core.TokenMalformed},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		for _, h := range c.h {
			k, v, _ := strings.Cut(h, ": ")
			r.Header.Add(k, v)
		}
		got, err := c.c.Token(r)
		code := core.Code("")
		if err != nil {
			code = core.CodeOf(err)
		}
		if got != c.want || code != c.code {
			t.Errorf("%s: %q %v", c.name, got, err)
		}
		if fromHeader, _ := c.c.TokenFromHeader(r.Header); fromHeader != got {
			t.Errorf("%s: from headers alone %q, want %q", c.name, fromHeader, got)
		}
	}
}

func TestGatewayRefusals(t *testing.T) {
	for _, c := range []struct {
		contract      string
		code          core.Code
		status        int
		body, wwwAuth string
	}{
		{"pathstack", core.TokenExpired, 401, `{"error":{"code":401,"message":"JWT has expired"}}`, `Bearer error="invalid_token"`},
		{"pathstack", core.TokenMissing, 401, `{"error":{"code":401,"message":"Not authenticated"}}`, "Bearer"},
		{"itempath", core.TokenExpired, 401, `{"msg":"Token has expired"}`, `Bearer error="invalid_token"`},
		{"itempath", core.TokenMissing, 401, `{"msg":"Missing Authorization Header"}`, "Bearer"},
		{"itempath", core.TokenWrongKind, 422, `{"msg":"Only access tokens are allowed"}`, ""},
		{"itempath", core.ScopeInsufficient, 403, `{"msg":"Forbidden"}`, `Bearer error="insufficient_scope"`},
		{"netography", core.TokenExpired, 401, `{"status":401,"name":"Unauthorized","message":"The access token has expired; refresh it or log in again"}`, `Bearer error="invalid_token"`},
		{"netography", core.NotFound, 404, `{"status":404,"name":"Not Found","message":"Not found"}`, ""},
		{"netography", core.Unavailable, 503, `{"status":503,"name":"Service Unavailable","message":"Temporarily unavailable, try again"}`, ""},
		{"simplejwt", core.TokenExpired, 401, `{"detail":"Given token not valid for any token type","code":"token_not_valid","messages":[{"token_class":"AccessToken","token_type":"access","message":"Token is expired"}]}`, `Bearer realm="api"`},
		{"directus", core.TokenExpired, 401, `{"errors":[{"message":"Token expired.","extensions":{"code":"TOKEN_EXPIRED"}}]}`, `Bearer error="invalid_token"`},
		{"testdata/contracts/oldapi.yaml", core.TokenExpired, 401, `{"ok":0,"error":"Token has expired","ts":1700000000000}`, ""},
	} {
		ct, err := Load(c.contract, Options{})
		if err != nil {
			t.Fatal(err)
		}
		status, h, body := ct.RenderRefusal(&core.Error{Code: c.code, Reason: "internal reason"}, fakeNow)
		if status != c.status || string(body) != c.body || h.Get("WWW-Authenticate") != c.wwwAuth || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: %d %s %q", c.contract, c.code, status, body, h.Get("WWW-Authenticate"))
		}
		if retry := h.Get("Retry-After"); (retry != "") != (c.code == core.Unavailable) {
			t.Errorf("%s %s: Retry-After %q", c.contract, c.code, retry)
		}
		w := httptest.NewRecorder()
		ct.WriteRefusal(w, httptest.NewRequest("GET", "/api", nil), &core.Error{Code: c.code}, fakeNow)
		if w.Code != status || w.Body.String() != string(body) {
			t.Errorf("%s %s: written %d %s", c.contract, c.code, w.Code, w.Body)
		}
	}
}

func TestUnknownErrorIsOpaque(t *testing.T) {
	f := newFake()
	f.err = http.ErrHijacked
	rt, _ := mountOf(t, f, "itempath")
	w := do(t, serveRouter(rt), "POST /api/users/login", `{"username":"a","password":"b"}`)
	if w.Code != 500 || w.Body.String() != `{"msg":"Internal Server Error"}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestPolicies(t *testing.T) {
	const day = 24 * 3600 * 1000
	for _, c := range []struct {
		name     string
		opts     Options
		rotation core.Rotation
		access   int64
	}{
		{"pathstack", Options{}, core.Rotation{IdleMS: 30 * day}, 3_600_000},
		{"itempath", Options{}, core.Rotation{IdleMS: 30 * day}, 900_000},
		{"netography", Options{}, core.Rotation{Rotates: true, GraceMS: 120_000, IdleMS: day}, day},
		{"netography", Options{Lifetimes: map[token.Kind]time.Duration{token.Access: time.Hour, token.Refresh: 48 * time.Hour}}, core.Rotation{Rotates: true, GraceMS: 120_000, IdleMS: 2 * day}, 3_600_000},
		{"testdata/contracts/strapi.yaml", Options{}, core.Rotation{IdleMS: 30 * day}, 30 * day},
		{"testdata/contracts/keycloak.yaml", Options{}, core.Rotation{Rotates: true, GraceMS: 60_000, IdleMS: 1_800_000, AbsoluteMS: 36_000_000}, 300_000},
	} {
		ct, err := Load(c.name, c.opts)
		if err != nil {
			t.Fatal(err)
		}
		p := ct.Policy()
		if p.Rotation != c.rotation || p.Access.LifetimeMS != c.access {
			t.Errorf("%s: %+v %d", c.name, p.Rotation, p.Access.LifetimeMS)
		}
	}
	item, err := Load("itempath", Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := item.Policy()
	want := token.Header{Typ: "JWT", OmitKeyID: true, Order: token.TypAlgKid}
	if p.Access.Header != want || p.Application.Header != want || p.KindClaim != "type" || p.Application.KindValue != "access" || p.Application.LifetimeMS != 0 || !p.Access.NotBefore || p.Access.Audience != "" {
		t.Errorf("itempath: %+v %+v", p.Access, p.Application)
	}
	claims, err := p.Access.Claims.AppendMembers(nil, &core.TokenValues{Session: &core.Session{}, Subject: fakeSubject("mgordon")})
	if err != nil || string(claims) != `"fresh":false,"identity":"mgordon"` {
		t.Errorf("claims %s %v", claims, err)
	}
	claims, err = p.Refresh.Claims.AppendMembers(nil, &core.TokenValues{Session: &core.Session{LoginName: "as-issued"}})
	if err != nil || string(claims) != `"fresh":false,"identity":"as-issued"` {
		t.Errorf("refresh claims %s %v", claims, err)
	}
	if _, err := Load("itempath", Options{Lifetimes: map[token.Kind]time.Duration{token.Access: time.Millisecond}}); err == nil {
		t.Error("a lifetime of a millisecond was accepted")
	}
	net, err := Load("netography", Options{Audiences: map[token.Kind]string{token.ID: "other"}})
	if err != nil || net.Policy().ID.Audience != "other" || net.Policy().ID.Algorithm != token.ES256 {
		t.Errorf("netography id token: %+v %v", net.Policy().ID, err)
	}
}

func BenchmarkRefresh(b *testing.B) {
	rt, _ := mountOf(b, newFake(), "itempath")
	bench(b, rt, func() *http.Request {
		r := httptest.NewRequest("POST", "/api/users/refresh", nil)
		r.Header.Set("Authorization", "Bearer ref.resh.tok")
		return r
	})
}

func BenchmarkRefreshJSON(b *testing.B) {
	rt, _ := mountOf(b, newFake(), "pathstack")
	bench(b, rt, func() *http.Request {
		r := httptest.NewRequest("POST", "/refresh", strings.NewReader(`{"sub":"a6caf0bd-dbdf-4dfb-bcab-34f73e4c5b64","refresh_token":"ref.resh.tok"}`))
		r.Header.Set("Content-Type", "application/json")
		return r
	})
}

// discard is a ResponseWriter that keeps headers alone.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

func bench(b *testing.B, rt *Router, req func() *http.Request) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		r, w := req(), &discard{http.Header{}}
		b.StartTimer()
		_, h, ok := rt.Match(r)
		if !ok {
			b.Fatal("no route")
		}
		h.ServeHTTP(w, r)
	}
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := Load("itempath", Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
