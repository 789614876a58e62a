package app_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
	"github.com/sallyport/sallyport/internal/token"
)

// grid is a server with a token of every kind of every contract and of OAuth.
type grid struct {
	*server
	id       string // ann
	client   *admin.OAuthClient
	rs       *admin.OAuthClient // may introspect, read the feed, and speak for itself
	key      *core.MadeAPIKey
	requests int
	made     map[string]string
}

// gridKinds make the tokens. ann is an application user, so all of them speak
// for somebody who may do everything.
var gridKinds = map[string]func(*grid) string{
	"pathstack access":     func(g *grid) string { return g.pathstack().text("data", "access_token") },
	"pathstack refresh":    func(g *grid) string { return g.pathstack().text("data", "refresh_token") },
	"itempath access":      func(g *grid) string { return g.itempath().text("accessToken") },
	"itempath refresh":     func(g *grid) string { return g.itempath().text("refreshToken") },
	"application":          func(g *grid) string { return g.application() },
	"netography access":    func(g *grid) string { return g.netography().text("access_token") },
	"netography refresh":   func(g *grid) string { return g.netography().text("refresh_token") },
	"netography id":        func(g *grid) string { return g.netography().text("id_token") },
	"request token":        func(g *grid) string { return g.requestToken() },
	"access of an API key": func(g *grid) string { return g.exchanged().text("access_token") },
	"oauth access": func(g *grid) string {
		return g.session(g.client, "ann", "openid", "read", core.RoleRevocations).text("access_token")
	},
	"oauth refresh":         func(g *grid) string { return g.session(g.client, "ann", "openid", "read").text("refresh_token") },
	"oauth id":              func(g *grid) string { return g.session(g.client, "ann", "openid", "read").text("id_token") },
	"oauth access, machine": func(g *grid) string { return g.token(g.rs, "grant_type", "client_credentials").text("access_token") },
	"code":                  func(g *grid) string { return g.code(g.client, g.login("ann"), "openid") },
	"browser cookie":        func(g *grid) string { return g.login("ann").Cookie },
	"the feed":              func(g *grid) string { return g.poll("?since=0", g.basic()).raw },
	"a status list": func(g *grid) string {
		g.netography()
		return g.do("GET", "/oauth2/status-lists/s0", "", nil).want(200, "").raw
	},
	"an API key's netosecret": func(g *grid) string { return g.key.Netosecret },
}

func (g *grid) form(path string, pairs ...string) *answer {
	g.t.Helper()
	return g.do("POST", path, "", form(pairs...)).want(200, "")
}

func (g *grid) pathstack() *answer {
	g.t.Helper()
	return g.do("POST", "/token", "", map[string]string{"username": "ann", "password": password}).want(200, "")
}

func (g *grid) itempath() *answer {
	g.t.Helper()
	return g.do("POST", "/api/users/login", "", map[string]string{"username": "ann", "password": password}).want(200, "")
}

func (g *grid) application() string {
	g.t.Helper()
	return g.do("POST", "/api/users/application-token", g.itempath().text("refreshToken"), nil).want(200, "").text("token")
}

func (g *grid) netography() *answer {
	g.t.Helper()
	return g.form("/api/auth/bearer/token", "username", "ann", "password", password)
}

func (g *grid) requestToken() string {
	g.t.Helper()
	g.requests++
	key, err := token.NewRequestKey([]byte(g.key.Secret))
	if err != nil {
		g.t.Fatal(err)
	}
	raw, err := token.MintRequest(key, &token.RequestToken{
		AppName: g.key.Key.AppName, AppKey: g.key.Key.AppKey, ShortName: g.key.Account, ID: fmt.Sprint(g.requests), IssuedAt: g.clock.Load() / 1000,
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return raw
}

func (g *grid) exchanged() *answer {
	g.t.Helper()
	return g.do("POST", "/api/v1/auth/token", "", map[string]string{"jwt": g.requestToken()}).want(200, "")
}

func (g *grid) basic() string {
	r, _ := http.NewRequest(http.MethodGet, g.url, nil) // the URL is a server's
	r.SetBasicAuth(g.rs.ID, g.rs.Secret)
	return r.Header.Get("Authorization")
}

// bearer asks a path with the token as bearer; what answers with the status is
// what accepts.
func bearerAt(method, path string, status int) func(*grid, string) bool {
	return func(g *grid, tok string) bool {
		req, err := http.NewRequestWithContext(g.t.Context(), method, g.url+path, nil)
		if err != nil {
			g.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+tok)
		return g.send(req).status == status
	}
}

func jsonAt(path, member string, more ...string) func(*grid, string) bool {
	return func(g *grid, tok string) bool {
		body := map[string]string{member: tok}
		for i := 0; i < len(more); i += 2 {
			body[more[i]] = strings.ReplaceAll(more[i+1], "ANN", g.id)
		}
		return g.do("POST", path, "", body).status == 200
	}
}

func formAt(path string, client func(*grid) *admin.OAuthClient, pairs ...string) func(*grid, string) bool {
	return func(g *grid, tok string) bool {
		f := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			f.Set(pairs[i], strings.ReplaceAll(pairs[i+1], "TOKEN", tok))
		}
		var c *admin.OAuthClient
		if client != nil {
			c = client(g)
		}
		return g.post(path, c, f).status == 200
	}
}

// dialectAt asks a forward-auth endpoint as its proxy does.
func dialectAt(name string) func(*grid, string) bool {
	return func(g *grid, tok string) bool {
		path, header := "/_sallyport/auth/"+name, map[string]string{"Authorization": "Bearer " + tok}
		switch name {
		case "nginx":
			header["X-Original-Method"], header["X-Original-Uri"] = "GET", "/api/stations"
		case "envoy":
			path += "/api/stations"
		default:
			header["X-Forwarded-Method"], header["X-Forwarded-Uri"], header["X-Forwarded-Host"] = "GET", "/api/stations", "127.0.0.1"
		}
		req, err := http.NewRequestWithContext(g.t.Context(), "GET", g.url+path, nil)
		if err != nil {
			g.t.Fatal(err)
		}
		for k, v := range header {
			req.Header.Set(k, v)
		}
		a := g.send(req)
		return a.status == 200 && a.header.Get("X-Sallyport-User-Id")+a.header.Get("X-Sallyport-User") != ""
	}
}

// ends reports whether the token's session, or the token, is over after it was
// sent to the revocation endpoint.
func ends(g *grid, tok string) bool {
	g.post("/oauth2/revoke", g.client, form("token", tok))
	g.post("/oauth2/revoke", g.rs, form("token", tok))
	in, err := g.app.Service().InspectToken(g.t.Context(), tok)
	if err != nil {
		g.t.Fatal(err)
	}
	return in.Kind != "" && !in.Valid
}

// good are the tokens that open an API.
var good = []string{
	"pathstack access", "itempath access", "application", "netography access", "access of an API key", "oauth access", "oauth access, machine",
}

func gridClient(g *grid) *admin.OAuthClient { return g.client }

// gridEndpoints are all endpoints that take a token, and what each accepts.
// Those that spend a token get a fresh one each time.
var gridEndpoints = []struct {
	name    string
	spends  bool
	accepts func(*grid, string) bool
	want    []string
}{
	{"gateway", false, bearerAt("GET", "/api/stations", 200), good},
	{"forward-auth of nginx", false, dialectAt("nginx"), good},
	{"forward-auth of Traefik", false, dialectAt("traefik"), good},
	{"forward-auth of Caddy", false, dialectAt("caddy"), good},
	{"forward-auth of Envoy", false, dialectAt("envoy"), good},
	{"introspection", false, func(g *grid, tok string) bool { return g.introspect(g.rs, tok).body["active"] == true }, good},
	{"introspection by the token's client", false, func(g *grid, tok string) bool {
		return g.introspect(g.client, tok).body["active"] == true
	}, append(slices.Clone(good), "oauth refresh")},
	{"revocation", true, ends, append(slices.Clone(good), "pathstack refresh", "itempath refresh", "netography refresh", "oauth refresh")},
	{"userinfo", false, bearerAt("GET", "/oauth2/userinfo", 200), []string{"oauth access"}},
	{"the feed", false, bearerAt("GET", feedPath+"?since=0", 200), good},
	{"pathstack login", false, jsonAt("/token", "password", "username", "ann"), nil},
	{"pathstack refresh", false, jsonAt("/refresh", "refresh_token", "sub", "ANN"), []string{"pathstack refresh"}},
	{"itempath login", false, jsonAt("/api/users/login", "password", "username", "ann"), nil},
	{"itempath refresh", false, bearerAt("POST", "/api/users/refresh", 200), []string{"itempath refresh"}},
	{"itempath refresh by GET", false, bearerAt("GET", "/api/users/refresh", 200), []string{"itempath refresh"}},
	{"itempath application token", false, bearerAt("POST", "/api/users/application-token", 200), []string{"itempath refresh"}},
	{"netography request token", true, jsonAt("/api/v1/auth/token", "jwt"), []string{"request token"}},
	{"netography login", false, formAt("/api/auth/bearer/token", nil, "username", "ann", "password", "TOKEN"), nil},
	{"netography refresh", true, formAt("/api/auth/bearer/refresh", nil, "refresh_token", "TOKEN"), []string{"netography refresh"}},
	{"code grant", true, formAt("/oauth2/token", gridClient, "grant_type", "authorization_code", "code", "TOKEN", "redirect_uri", callback, "code_verifier", verifier), []string{"code"}},
	{"refresh grant", true, formAt("/oauth2/token", gridClient, "grant_type", "refresh_token", "refresh_token", "TOKEN"), []string{"oauth refresh"}},
	{"exchange grant", false, formAt("/oauth2/token", gridClient, "grant_type", core.GrantExchange, "subject_token", "TOKEN", "subject_token_type", authserver.TypeAccessToken), []string{"oauth access"}},
	{"assertion grant", true, formAt("/oauth2/token", nil, "grant_type", core.GrantAssertion, "assertion", "TOKEN"), nil},
	{"client secret", false, func(g *grid, tok string) bool {
		return g.post("/oauth2/token", nil, form("grant_type", "client_credentials", "client_id", g.rs.ID, "client_secret", tok)).status == 200
	}, nil},
	{"the hosted pages", false, func(g *grid, tok string) bool {
		_, err := g.app.AuthServer().Browser(g.t.Context(), tok, &coreClient)
		return err == nil
	}, []string{"browser cookie"}},
	{"logout hint", false, func(g *grid, tok string) bool {
		_, _, _, err := g.app.AuthServer().IDTokenHint(tok)
		return err == nil
	}, []string{"oauth id"}},
	// Status lists are public, and the administration is not on this listener:
	// no token makes a difference.
	{"status list", false, bearerAt("GET", "/oauth2/status-lists/s77", 200), nil},
	{"administration", false, bearerAt("GET", "/_sallyport/admin/v1/users", 200), nil},
	{"administration, as on its socket", false, func(g *grid, tok string) bool {
		return bearerAt("POST", "/_sallyport/users", 200)(g, tok) || bearerAt("GET", "/admin/v1/users", 200)(g, tok) && g.seen.Load() == 0
	}, nil},
}

// TestKindsTimesEndpoints holds every kind of token against every endpoint of
// every contract and of OAuth: the diagonal alone is accepted, and where several
// kinds open a door, those alone.
func TestKindsTimesEndpoints(t *testing.T) {
	s := serve(t, "forward_auth: {proxies: [127.0.0.1]}\nlimits: {application_tokens: 100}\n")
	g := &grid{server: s, made: map[string]string{}}
	g.id = s.user("", "ann", "application", "read", core.RoleRevocations)
	g.client = s.oauthClient(admin.NewOAuthClient{
		Grants: []string{core.GrantCode, core.GrantRefresh, core.GrantExchange}, Scopes: []string{"openid", "read", core.RoleRevocations},
	})
	g.rs = s.machine("read", core.RoleRevocations)
	var err error
	g.key, err = s.app.Service().CreateAPIKey(t.Context(), operator, core.NewAPIKey{AppName: "daemon", Roles: []string{"read", core.RoleRevocations}})
	if err != nil {
		t.Fatal(err)
	}
	kinds := slices.Sorted(maps.Keys(gridKinds))
	for _, k := range kinds {
		g.made[k] = gridKinds[k](g)
	}
	for _, e := range gridEndpoints {
		for _, k := range kinds {
			tok := g.made[k]
			if e.spends {
				tok = gridKinds[k](g)
			}
			if got, want := e.accepts(g, tok), slices.Contains(e.want, k); got != want {
				t.Errorf("%s at %s: accepted %v, want %v", k, e.name, got, want)
			}
		}
		s.pass(time.Second)
	}
	// What was used all along is still good: no endpoint spent it unseen.
	for _, k := range good {
		if !bearerAt("GET", "/api/stations", 200)(g, g.made[k]) {
			t.Errorf("%s ended by being held against others' endpoints", k)
		}
	}
}
