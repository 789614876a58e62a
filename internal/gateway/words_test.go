package gateway

import (
	"net/http"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
)

// Whose words a refusal has: the rule's, the token's, the path's, ours.
func TestWordsOfRefusals(t *testing.T) {
	b := newBackend(t)
	d := open(t, b.URL, func(c *Config) {
		c.Rules = []Rule{
			{Path: "/"},
			{Path: "/ruled", Words: "second"},
			{Path: "/adm", Roles: []string{"admin"}},
			{Path: "/both", Mounts: []string{"m1", "m2"}},
			{Path: "/scoped", Scopes: []string{"read", "admin"}},
			{Path: "/acme", Account: "acme"},
			{Path: "/robots", Kinds: []string{"application"}},
			{Path: "/deny", Access: Deny},
		}
	})
	d.auth.add("late", "m2", "access")
	d.auth.kill("late", core.TokenExpired)
	for _, c := range []struct {
		path, words string
		status      int
		header      []string
	}{
		{"/x", "first token_missing", 401, nil},
		{"/x", "first token_missing", 401, []string{bearer, "Basic YTpi"}},
		{"/x", "first token_malformed", 401, []string{bearer, "Bearer a", bearer, "Bearer b"}},
		{"/x", "first token_invalid", 401, []string{bearer, "Bearer nobody"}},
		{"/x", "first token_invalid", 401, []string{bearer, "Bearer carol"}}, // another mount's
		{"/ruled/x", "second token_missing", 401, nil},
		{"/ruled/x", "second token_invalid", 401, []string{bearer, "Bearer nobody"}},
		{"/second/x", "second token_missing", 401, nil},
		{"/second/x", "second token_expired", 401, []string{"X-Token", "late"}},
		{"/both", "second token_expired", 401, []string{"X-Token", "late"}}, // an expired token speaks for its mount
		{"/both", "first token_missing", 401, nil},
		{"/adm", "first scope_insufficient", 403, []string{bearer, "Bearer bob"}},
		{"/scoped", "first scope_insufficient", 403, []string{bearer, "Bearer bob"}},
		{"/acme", "first scope_insufficient", 403, []string{bearer, "Bearer alice"}},
		{"/robots", "first token_wrong_kind", 401, []string{bearer, "Bearer alice"}},
		{"/deny", "first forbidden", 403, []string{bearer, "Bearer alice"}},
		{"/x?access_token=alice", "first token_missing", 401, nil},
		{"/x?a=1;Access%5Ftoken=alice", "first token_missing", 401, nil},
		{"/x?access_token=alice", "first bad_request", 400, []string{bearer, "Bearer alice"}},
		{"/x/../y", "first bad_request", 400, []string{bearer, "Bearer alice"}},
	} {
		a := d.do(t, "GET", c.path, c.header...)
		if a.status != c.status || a.words() != c.words || a.header.Get("Cache-Control") != "no-store" || b.take() != nil {
			t.Errorf("%s %v: %d %s, want %d %s", c.path, c.header, a.status, a.words(), c.status, c.words)
		}
	}
	for _, c := range []struct {
		path   string
		header []string
	}{
		{"/adm", []string{bearer, "Bearer alice"}},
		{"/scoped", []string{bearer, "Bearer alice"}},
		{"/robots", []string{bearer, "Bearer robot"}},
		{"/both", []string{"X-Token", "carol"}},
		{"/both", []string{bearer, "Bearer bob"}},
		{"/second/x", []string{bearer, "Bearer bob"}},
		{"/x?token=1", []string{bearer, "Bearer bob"}},
	} {
		if a := d.do(t, "GET", c.path, c.header...); a.status != 200 {
			t.Errorf("%s: %+v", c.path, a)
		}
	}
}

func TestWordsWhenMountsTie(t *testing.T) {
	tie := func(c *Config) {
		c.Mounts[1].Prefix = ""
	}
	b := newBackend(t)
	if a := open(t, b.URL, tie).do(t, "GET", "/x"); a.words() != "first token_missing" {
		t.Error(a.words())
	}
	own := open(t, b.URL, func(c *Config) { tie(c); c.Words = c.Mounts[1].Words })
	if a := own.do(t, "GET", "/x"); a.words() != "second token_missing" {
		t.Error(a.words())
	}
	host := open(t, b.URL, func(c *Config) { tie(c); c.Mounts[1].Host = "second.example" })
	if a := host.do(t, "GET", "/x", "Host", "Second.Example:80", bearer, "Bearer x"); a.words() != "second token_invalid" {
		t.Error(a.words())
	}
	// A token of a mount of another host does not count.
	if a := host.do(t, "GET", "/x", "X-Token", "carol"); a.status != 401 {
		t.Error(a.status)
	}
}

// Below a mount of its own, an account meets no tokens of another's: neither
// those of a mount of the whole host, nor those of a mount of every host.
func TestAccountsBelowEachOther(t *testing.T) {
	b := newBackend(t)
	own := func(c *Config) {
		c.Mounts[0].Mount.Account, c.Mounts[1].Mount.Account = "acme", "other"
	}
	for _, c := range []struct {
		name, path string
		change     func(*Config)
		header     []string
		status     int
	}{
		{"the host's at the prefix", "/second/x", own, []string{bearer, "Bearer bob"}, 401},
		{"the prefix's own", "/second/x", own, []string{"X-Token", "carol"}, 200},
		{"the host's elsewhere", "/secondary", own, []string{bearer, "Bearer bob"}, 200},
		{"every account's at the prefix of one", "/second/x", func(c *Config) { own(c); c.Mounts[0].Mount.Account = core.AnyAccount }, []string{bearer, "Bearer bob"}, 401},
		{"one account's at the prefix of every", "/second/x", func(c *Config) { own(c); c.Mounts[1].Mount.Account = core.AnyAccount }, []string{bearer, "Bearer bob"}, 200},
		{"side by side", "/second/x", func(c *Config) { own(c); c.Mounts[1].Prefix = "" }, []string{bearer, "Bearer bob"}, 200},
		{"every host's at one", "/x", func(c *Config) { own(c); c.Mounts[1].Prefix, c.Mounts[1].Host = "", "127.0.0.1" }, []string{bearer, "Bearer bob"}, 401},
		{"by a rule that names them", "/second/x", func(c *Config) { own(c); c.Rules = []Rule{{Path: "/", Mounts: []string{"m1", "m2"}}} }, []string{bearer, "Bearer bob"}, 200},
	} {
		if a := open(t, b.URL, c.change).do(t, "GET", c.path, c.header...); a.status != c.status || (b.take() != nil) != (c.status == 200) {
			t.Errorf("%s: %d %s", c.name, a.status, a.body)
		}
	}
}

// What is refused after the token was found good is said in its words as well.
func TestWordsWhenTheUpstreamFails(t *testing.T) {
	for _, c := range []struct {
		name, path, words string
		header            []string
		rules             []Rule
	}{
		{"the path's", "/x", "first upstream_failed", nil, []Rule{{Path: "/", Access: Public}}},
		{"the token's", "/x", "second upstream_failed", []string{"X-Token", "carol"}, nil},
		{"the token's, an upgrade", "/x", "second bad_request", []string{"X-Token", "carol", "Upgrade", "h2c"}, nil},
		{"the rule's", "/x", "first upstream_failed", []string{"X-Token", "carol"}, []Rule{{Path: "/", Words: "first"}}},
		{"the rule's, in public", "/x", "second upstream_failed", nil, []Rule{{Path: "/", Access: Public, Words: "second"}}},
	} {
		d := open(t, "http://127.0.0.1:1", func(cfg *Config) { cfg.Mounts[1].Prefix, cfg.Rules = "", c.rules })
		if a := d.do(t, "GET", c.path, c.header...); a.words() != c.words {
			t.Errorf("%s: %s, want %s", c.name, a.words(), c.words)
		}
	}
}

// A contract that gave a refusal the look of success is not believed.
func TestRefusalNeverLooksLikeSuccess(t *testing.T) {
	b := newBackend(t)
	d := open(t, b.URL, func(c *Config) { c.Mounts = []Mount{{Mount: &core.Mount{ID: "m1"}, Words: okWords{}}} })
	if a := d.do(t, "GET", "/x"); a.status != 500 || b.take() != nil {
		t.Errorf("%+v", a)
	}
}

type okWords struct{}

func (okWords) Token(*http.Request) (string, bool, error)         { return "", false, nil }
func (okWords) Cookies() []string                                 { return nil }
func (okWords) RenderRefusal(*http.Request, error) (none Refusal) { return Refusal{Status: 200} }

func TestHostileSubjectsAreNotForwarded(t *testing.T) {
	b := newBackend(t)
	d := open(t, b.URL, nil)
	for _, name := range []string{"ad\nmin", " admin", "admin\t", "a\x00b"} {
		d.auth.add("odd", "m1", "access")
		d.auth.tokens["odd"].Subject.Username = name
		if a := d.do(t, "GET", "/x", bearer, "Bearer odd"); a.status != 500 || b.take() != nil {
			t.Errorf("%q: %d", name, a.status)
		}
	}
	d.auth.tokens["odd"].Subject.Username = "josé"
	d.do(t, "GET", "/x", bearer, "Bearer odd")
	if s := b.take(); s == nil || s.Header.Get("X-Sallyport-User") != "josé" {
		t.Errorf("%+v", s)
	}
}
