package attack_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/token"
)

// credential is a good token.
type credential struct {
	mount string
	kind  token.Kind
	text  string
	sub   string // of the user, for PathStack
}

func (c *credential) name() string { return c.mount + "/" + string(c.kind) }

// endpoint is a place that reads tokens.
type endpoint struct {
	name   string
	takes  []string // names of credentials that pass
	header bool     // the token travels in a header
	send   func(tok, sub string) []byte
	shape  func(response) error
	bare   bool // a refusal has no body (nginx drops it)
}

func (e *endpoint) accepts(c *credential) bool { return slices.Contains(e.takes, c.name()) }

func bearer(method, path string, more ...string) func(tok, _ string) []byte {
	return func(tok, _ string) []byte {
		return []byte(method + " " + path + " HTTP/1.1\r\nHost: test\r\n" + strings.Join(more, "") + "Authorization: Bearer " + tok + "\r\nContent-Length: 0\r\n\r\n")
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

// endpoints are all routes that read a token, with those they are for.
func endpoints() []*endpoint {
	access := []string{"pathstack/access", "itempath/access", "itempath/application", "netography/access"}
	other := []string{"other/access", "other/application"}
	held := append(slices.Clone(access), "held/access", "held/application") // of the same account
	all := []*endpoint{
		{name: "pathstack refresh", takes: []string{"pathstack/refresh"}, shape: pathstackShape, send: body("/refresh", asJSON, func(tok, sub string) string {
			return `{"sub":"` + sub + `","refresh_token":` + jsonText(tok) + `}`
		})},
		{name: "netography exchange", takes: []string{"netography/request"}, shape: netographyShape, send: body("/api/v1/auth/token", asJSON, func(tok, _ string) string {
			return `{"jwt":` + jsonText(tok) + `}`
		})},
		{name: "netography refresh", takes: []string{"netography/refresh"}, shape: netographyShape, send: body("/api/auth/bearer/refresh", asForm, func(tok, _ string) string {
			return "refresh_token=" + formText(tok)
		})},
		{name: "gateway", takes: access, header: true, shape: anyShape, send: bearer("GET", "/api/stations")},
		{name: "gateway /other", takes: other, header: true, shape: itempathShape, send: bearer("GET", "/other/api/stations")},
		{name: "gateway /held", takes: held, header: true, shape: anyShape, send: bearer("GET", "/held/api/stations")},
		{name: "nginx", takes: access, header: true, bare: true, send: bearer("GET", "/_sallyport/auth/nginx", "X-Original-Method: GET\r\nX-Original-URI: /api/stations\r\n")},
		{name: "traefik", takes: access, header: true, shape: anyShape, send: bearer("GET", "/_sallyport/auth/traefik", "X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /api/stations\r\nX-Forwarded-Host: test\r\n")},
		{name: "envoy", takes: access, header: true, shape: anyShape, send: bearer("GET", "/_sallyport/auth/envoy/api/stations")},
	}
	for prefix, mount := range map[string]string{"": "itempath", "/other": "other", "/held": "held"} {
		takes := []string{mount + "/refresh"}
		all = append(all,
			&endpoint{name: mount + " refresh", takes: takes, header: true, shape: itempathShape, send: bearer("POST", prefix+"/api/users/refresh")},
			&endpoint{name: mount + " refresh by GET", takes: takes, header: true, shape: itempathShape, send: bearer("GET", prefix+"/api/users/refresh")},
			&endpoint{name: mount + " application token", takes: takes, header: true, shape: itempathShape, send: bearer("POST", prefix+"/api/users/application-token")},
		)
	}
	slices.SortFunc(all, func(a, b *endpoint) int { return strings.Compare(a.name, b.name) })
	return all
}

// mints reports an endpoint that a good token makes write a row.
func (e *endpoint) mints() bool { return strings.HasSuffix(e.name, "application token") }

func members(r response, of map[string]any) error {
	if ct := r.header.Get("Content-Type"); ct != asJSON {
		return fmt.Errorf("content type %q", ct)
	}
	if err := json.Unmarshal(r.body, &of); err != nil {
		return err
	}
	return nil
}

func pathstackShape(r response) error {
	m := map[string]any{}
	if err := members(r, m); err != nil {
		return err
	}
	e, ok := m["error"].(map[string]any)
	if len(m) != 1 || !ok || e["code"] != float64(r.status) || e["message"] == "" {
		return fmt.Errorf("not PathStack's envelope: %s", r.body)
	}
	return nil
}

func itempathShape(r response) error {
	m := map[string]any{}
	if err := members(r, m); err != nil {
		return err
	}
	msg, ok := m["msg"].(string)
	if !ok || msg == "" || len(m) != 1 {
		return fmt.Errorf("not ItemPath's envelope: %s", r.body)
	}
	return nil
}

func netographyShape(r response) error {
	m := map[string]any{}
	if err := members(r, m); err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(m))
	if !slices.Equal(names, []string{"message", "name", "status"}) || m["status"] != float64(r.status) || m["name"] != http.StatusText(r.status) {
		return fmt.Errorf("not Netography's error: %s", r.body)
	}
	return nil
}

// anyShape is for the gateway, which speaks as the token's contract.
func anyShape(r response) error {
	if pathstackShape(r) == nil || itempathShape(r) == nil || netographyShape(r) == nil {
		return nil
	}
	return fmt.Errorf("no contract's shape: %s", r.body)
}
