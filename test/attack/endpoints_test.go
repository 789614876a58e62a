package attack_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
)

// endpoint is a place that reads a credential.
type endpoint struct {
	name   string
	takes  []string // names of credentials that pass
	header bool     // it travels in a header, which net/http judges first
	cookie bool     // in this one
	send   func(tok, sub string) []byte
	// refused says what is wrong with a refusal; nil for nothing.
	refused func(response) error
	// accepts1 reports that an answer is no refusal; nil is any 2xx.
	accepts1 func(response) bool
	// writes says that a good credential makes or moves a row there, so hostile
	// ones that are free to pass are not sent.
	writes bool
	// scarce limits how often a good one may be sent: the feed counts.
	scarce bool
	// hint says that an id token may be stale there: nothing is opened by it.
	hint bool
}

func (e *endpoint) accepts(c *credential) bool { return slices.Contains(e.takes, c.name()) }

func (e *endpoint) passed(r response) bool {
	if e.accepts1 != nil {
		return e.accepts1(r)
	}
	return r.status >= 200 && r.status < 300
}

func bearer(method, path string, more ...string) func(tok, _ string) []byte {
	return func(tok, _ string) []byte {
		return []byte(method + " " + path + " HTTP/1.1\r\nHost: test\r\n" + strings.Join(more, "") + "Authorization: Bearer " + tok + "\r\nContent-Length: 0\r\n\r\n")
	}
}

func withCookie(method, path, name, payload string, more ...string) func(tok, _ string) []byte {
	return func(tok, _ string) []byte {
		return []byte(method + " " + path + " HTTP/1.1\r\nHost: test\r\n" + strings.Join(more, "") + "Cookie: " + name + "=" + tok + "\r\n" +
			fmt.Sprintf("Content-Type: %s\r\nContent-Length: %d\r\n\r\n%s", asJSON, len(payload), payload))
	}
}

func body(path, ctype string, write func(tok, sub string) string) func(tok, sub string) []byte {
	return func(tok, sub string) []byte {
		text := write(tok, sub)
		return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: test\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", path, ctype, len(text), text)
	}
}

// jsonText writes a JSON string of any bytes, as encoding/json would not.
func jsonText(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\' || c < ' ':
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String() + `"`
}

func formText(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

const (
	asJSON = "application/json"
	asForm = "application/x-www-form-urlencoded"
)

// endpoints are all routes that read a credential, with those they are for.
func endpoints(w *world) []*endpoint {
	all := append(contractEndpoints(), gatewayEndpoints()...)
	if w.clients["app"] != nil {
		all = append(all, oauthEndpoints(w)...)
		all = append(all, browserEndpoints(w)...)
	}
	for _, e := range all {
		e.cookie = bytes.Contains(e.send("", ""), []byte("\r\nCookie: "))
	}
	slices.SortFunc(all, func(a, b *endpoint) int { return strings.Compare(a.name, b.name) })
	return all
}

// find gives the endpoint of a name.
func find(es []*endpoint, name string) *endpoint {
	for _, e := range es {
		if e.name == name {
			return e
		}
	}
	panic("there is no endpoint " + name)
}

func contractEndpoints() []*endpoint {
	all := []*endpoint{
		{name: "pathstack refresh", takes: []string{"pathstack/refresh"}, refused: pathstackShape, send: body("/refresh", asJSON, func(tok, sub string) string {
			return `{"sub":"` + sub + `","refresh_token":` + jsonText(tok) + `}`
		})},
		{name: "netography exchange", takes: []string{"netography/request"}, refused: netographyShape, writes: true, send: body("/api/v1/auth/token", asJSON, func(tok, _ string) string {
			return `{"jwt":` + jsonText(tok) + `}`
		})},
		{name: "netography refresh", takes: []string{"netography/refresh"}, refused: netographyShape, writes: true, send: body("/api/auth/bearer/refresh", asForm, func(tok, _ string) string {
			return "refresh_token=" + formText(tok)
		})},
		{name: "directus refresh", takes: []string{"directus/refresh"}, refused: directusShape, writes: true, send: body("/dx/auth/refresh", asJSON, func(tok, _ string) string {
			return `{"refresh_token":` + jsonText(tok) + `}`
		})},
		{
			name: "directus refresh by cookie", takes: []string{"directus/refresh"}, header: true, refused: directusShape, writes: true,
			send: withCookie("POST", "/dx/auth/refresh", "directus_refresh_token", `{"mode":"cookie"}`),
		},
		{name: "directus whoami", takes: []string{"directus/access"}, header: true, refused: directusShape, send: bearer("GET", "/dx/users/me")},
		{name: "directus whoami by cookie", takes: []string{"directus/access"}, header: true, refused: directusShape, send: withCookie("GET", "/dx/users/me", "directus_session_token", "")},
		{
			name: "directus renew by cookie", takes: []string{"directus/access"}, header: true, refused: directusShape, writes: true,
			send: withCookie("POST", "/dx/auth/refresh", "directus_session_token", `{"mode":"session"}`),
		},
	}
	for prefix, mount := range map[string]string{"": "itempath", "/other": "other", "/held": "held"} {
		takes := []string{mount + "/refresh"}
		all = append(all,
			&endpoint{name: mount + " refresh", takes: takes, header: true, refused: itempathShape, send: bearer("POST", prefix+"/api/users/refresh")},
			&endpoint{name: mount + " refresh by GET", takes: takes, header: true, refused: itempathShape, send: bearer("GET", prefix+"/api/users/refresh")},
			&endpoint{name: mount + " application token", takes: takes, header: true, writes: true, refused: itempathShape, send: bearer("POST", prefix+"/api/users/application-token")},
		)
	}
	return all
}

// Who may call the API: every access and application token of a user of the
// account, in the words of whatever contract.
var (
	callers      = []string{"pathstack/access", "itempath/access", "itempath/application", "netography/access", "oauth/access", "exchanged/access", "machine/access"}
	heldCallers  = []string{"held/access", "held/application"}
	otherCallers = []string{"other/access", "other/application"}
	dxCallers    = []string{"directus/access"}
)

// without leaves a name out: an exchanged token has no more scope than asked for.
func without(list []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == name })
}

func gatewayEndpoints() []*endpoint {
	nginx := []string{"X-Original-Method: GET\r\nX-Original-URI: /api/stations\r\n"}
	other := []string{"X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /api/stations\r\nX-Forwarded-Host: test\r\n"}
	return []*endpoint{
		{name: "gateway", takes: callers, header: true, refused: anyShape, send: bearer("GET", "/api/stations")},
		{name: "gateway POST", takes: callers, header: true, refused: anyShape, send: bearer("POST", "/v2/things?x=1")},
		{name: "gateway /other", takes: otherCallers, header: true, refused: anyShape, send: bearer("GET", "/other/api/stations")},
		{name: "gateway /held", takes: slices.Concat(callers, heldCallers), header: true, refused: anyShape, send: bearer("GET", "/held/api/stations")},
		{name: "gateway /dx", takes: slices.Concat(callers, dxCallers), header: true, refused: anyShape, send: bearer("GET", "/dx/items")},
		{name: "nginx", takes: callers, header: true, refused: bareShape, send: bearer("GET", "/_sallyport/auth/nginx", nginx...)},
		{
			// It decides again and answers 503 when nothing stands against a token.
			name: "nginx refusal", takes: callers, header: true, refused: anyShape, send: bearer("GET", "/_sallyport/refusal", nginx...),
			accepts1: func(r response) bool { return r.status == http.StatusServiceUnavailable },
		},
		{name: "traefik", takes: callers, header: true, refused: anyShape, send: bearer("GET", "/_sallyport/auth/traefik", other...)},
		{name: "caddy", takes: callers, header: true, refused: anyShape, send: bearer("GET", "/_sallyport/auth/caddy", other...)},
		{name: "envoy", takes: callers, header: true, refused: anyShape, send: bearer("GET", "/_sallyport/auth/envoy/api/stations")},
		{
			name: "feed", takes: slices.Concat(without(callers, "exchanged/access"), otherCallers, dxCallers), header: true, scarce: true, refused: bearerShape,
			send: bearer("GET", "/_sallyport/revocations?since=0"),
		},
	}
}

func oauthEndpoints(w *world) []*endpoint {
	app, machine, post := w.clients["app"], w.clients["machine"], "/oauth2/token"
	assertions := []string{"es/assertion", "rsa/assertion", "okp/assertion"}
	byAssertion := func(path, rest string) func(tok, sub string) []byte {
		return func(tok, _ string) []byte {
			return formRequest(path, nil, rest+"&client_assertion_type="+formText(assertionType)+"&client_assertion="+formText(tok))
		}
	}
	form := func(path, rest, name string) func(tok, sub string) []byte {
		return func(tok, _ string) []byte { return formRequest(path, app, rest+name+"="+formText(tok)) }
	}
	bySecret := func(path, rest string) func(tok, sub string) []byte {
		return func(tok, sub string) []byte {
			return formRequest(path, &adminClient{ID: sub, Secret: tok}, rest)
		}
	}
	return []*endpoint{
		{name: "oauth refresh", takes: []string{"oauth/refresh"}, writes: true, refused: oauthShape, send: form(post, "grant_type=refresh_token&", "refresh_token")},
		{
			name: "oauth code", takes: []string{"oauth/code"}, writes: true, refused: oauthShape,
			send: form(post, "grant_type=authorization_code&redirect_uri="+formText(callback)+"&code_verifier="+verifier+"&", "code"),
		},
		{name: "oauth exchange", takes: []string{"oauth/access"}, refused: oauthShape, send: func(tok, _ string) []byte { return formRequest(post, app, exchangeForm(tok)) }},
		{
			name: "oauth assertion", takes: append(assertions, "apikey/key-assertion"), writes: true, refused: oauthShape,
			send: func(tok, _ string) []byte {
				return formRequest(post, nil, "grant_type="+formText(core.GrantAssertion)+"&assertion="+formText(tok))
			},
		},
		{name: "client assertion", takes: assertions, writes: true, refused: oauthShape, send: byAssertion(post, "grant_type=client_credentials")},
		{
			name: "client assertion at introspection", takes: assertions, writes: true, refused: oauthShape,
			send: byAssertion("/oauth2/introspect", "token="+w.cred("pathstack/access").text),
		},
		{name: "client assertion at revocation", takes: assertions, writes: true, refused: oauthShape, send: byAssertion("/oauth2/revoke", "token=nothing")},
		{name: "client secret", takes: []string{"machine/secret"}, refused: oauthShape, header: true, send: bySecret(post, "grant_type=client_credentials")},
		{
			name: "client secret at introspection", takes: []string{"machine/secret"}, refused: oauthShape, header: true,
			send: bySecret("/oauth2/introspect", "token="+w.cred("pathstack/access").text),
		},
		{
			name: "client secret at the feed", takes: []string{"machine/secret"}, refused: bearerShape, header: true, scarce: true,
			send: func(tok, sub string) []byte {
				return []byte("GET /_sallyport/revocations?since=0 HTTP/1.1\r\nHost: test\r\n" + basicAuth(sub, tok) + "\r\n")
			},
		},
		{
			name: "introspection", takes: slices.Concat(callers, otherCallers, dxCallers, []string{"oauth/refresh"}),
			refused: inactiveShape, send: form("/oauth2/introspect", "", "token"),
			accepts1: func(r response) bool { return r.status == 200 && string(r.body) != inactive },
		},
		{
			// Whether a token counted is not said: what it would have ended tells.
			name: "revocation", writes: true, send: func(tok, _ string) []byte { return formRequest("/oauth2/revoke", machine, "token="+formText(tok)) },
			refused: revokedShape, accepts1: func(response) bool { return false },
		},
	}
}

func browserEndpoints(w *world) []*endpoint {
	app := w.clients["app"]
	told := func(name string) func(r response) error {
		return func(r response) error { return toldShape(r, name) }
	}
	code := func(r response) bool { return strings.Contains(r.header.Get("Location"), "code=") }
	loginPage := func(r response) bool { return strings.Contains(string(r.body), `action="/oauth2/login"`) }
	signedOut := func(r response) bool { return r.status == 200 && strings.Contains(string(r.body), "Signed out") }
	return []*endpoint{
		{name: "userinfo", takes: []string{"oauth/access", "exchanged/access"}, header: true, refused: bearerShape, send: bearer("GET", "/oauth2/userinfo")},
		{
			name: "userinfo by form", takes: []string{"oauth/access", "exchanged/access"}, refused: bearerShape,
			send: func(tok, _ string) []byte { return formRequest("/oauth2/userinfo", nil, "access_token="+formText(tok)) },
		},
		{
			name: "authorize", takes: []string{"browser/cookie"}, header: true, writes: true, refused: told("login_required"), accepts1: code,
			send: withCookie("GET", authorizeQuery(app, "prompt", "none"), loginCookie, ""),
		},
		{
			// Who is nobody there is asked to log in.
			name: "own page", takes: []string{"browser/cookie"}, header: true, send: withCookie("GET", "/oauth2/account", loginCookie, ""),
			accepts1: func(r response) bool { return r.status == 200 && !loginPage(r) },
			refused: func(r response) error {
				if r.status == 200 && loginPage(r) {
					return nil
				}
				return pageShape(r)
			},
		},
		{
			name: "authorize with a hint", takes: []string{"oauth/id"}, header: true, hint: true, refused: told("invalid_request"),
			accepts1: func(r response) bool { return strings.Contains(r.header.Get("Location"), "error=login_required") },
			send: func(tok, _ string) []byte {
				return []byte("GET " + authorizeQuery(app, "prompt", "none") + "&id_token_hint=" + formText(tok) + " HTTP/1.1\r\nHost: test\r\n\r\n")
			},
		},
		{
			name: "logout", takes: []string{"oauth/id", "oauth.rs256/id", "oauth.eddsa/id"}, header: true, hint: true, writes: true, refused: pageShape, accepts1: signedOut,
			send: func(tok, _ string) []byte {
				return []byte("GET /oauth2/logout?id_token_hint=" + formText(tok) + " HTTP/1.1\r\nHost: test\r\n\r\n")
			},
		},
	}
}
