package gateway

import (
	"fmt"
	"strings"
	"testing"
)

func TestSecurity61_RuleDecides(t *testing.T) {
	set, err := compileRules([]Rule{
		{Path: "/", Access: Token},
		{Path: "/api", Access: Public, Methods: []string{"GET"}},
		{Path: "/api/admin", Roles: []string{"admin"}},
		{Path: "/api/admin/ping", Access: Public},
		{Path: "/internal/", Access: Deny},
		{Path: "/", Host: "intern.example", Access: Deny},
		{Path: "/café", Access: Public},
	}, mounts())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ host, method, path, want string }{
		{"a", "GET", "/", "/ token"},
		{"a", "GET", "/api", "/api public"},
		{"a", "HEAD", "/api/", "/api public"},
		{"a", "POST", "/api/x", "/ token"},
		{"a", "GET", "/apix", "/ token"},
		{"a", "GET", "/api/administrator", "/api public"},
		{"a", "GET", "/api/admin", "/api/admin token"},
		{"a", "GET", "/api/admin/ping/x", "/api/admin/ping public"},
		{"a", "GET", "/internal", "/internal/ deny"},
		{"a", "GET", "/internal/x", "/internal/ deny"},
		{"a", "GET", "/internals", "/ token"},
		{"intern.example", "GET", "/api", "/ deny"},
		{"a", "GET", "/café/1", "/café public"},
		// A path that meets a stricter rule once case is folded is refused.
		{"a", "GET", "/API/admin", "/ token < /api/admin"},
		{"a", "GET", "/api/ADMIN", "/api public < /api/admin"},
		{"a", "GET", "/api/\uff41dmin", "/api public < /api/admin"}, // full-width a
		{"a", "GET", "/api/adm\u0131n", "/api public < /api/admin"}, // the capital of a dotless i, to Java and JavaScript, is I
		{"a", "GET", "/Internal", "/ token < /internal/"},
		{"a", "GET", "/api/admin/PING", "/api/admin token"}, // the folded rule is laxer
	} {
		r, stricter := set.match(c.host, c.method, c.path)
		got := "none"
		if r != nil {
			got = r.Path + " " + string(r.Access)
		}
		if stricter != nil {
			got += " < " + stricter.Path
		}
		if got != c.want {
			t.Errorf("%s %s%s: %s, want %s", c.method, c.host, c.path, got, c.want)
		}
	}
	empty, err := compileRules(nil, mounts())
	if err != nil {
		t.Fatal(err)
	}
	if r, _ := empty.match("x", "PUT", "/anything"); r == nil || r.Access != Token {
		t.Error("without rules a path needs no token")
	}
	one, _ := compileRules([]Rule{{Path: "/a", Access: Public}}, mounts())
	if r, _ := one.match("x", "GET", "/b"); r != nil {
		t.Error("a path that no rule covers passes")
	}
}

func TestRulesAreChecked(t *testing.T) {
	for want, rules := range map[string][]Rule{
		"would never match":                         {{Path: "/a/../b"}},
		"does not begin with a slash":               {{Path: "a"}},
		"none of public, token, deny":               {{Path: "/", Access: "open"}},
		"mean nothing with access public":           {{Path: "/", Access: Public, Roles: []string{"x"}}},
		`method "get"`:                              {{Path: "/", Methods: []string{"get"}}},
		`kind "refresh"`:                            {{Path: "/", Kinds: []string{"refresh"}}},
		`there is no mount "m9"; there are: m1, m2`: {{Path: "/", Words: "m9"}},
		"keep one":       {{Path: "/a"}, {Path: "/a/", Access: Deny}},
		"differ by case": {{Path: "/a"}, {Path: "/A", Access: Deny}},
		"keep one ":      {{Path: "/a", Methods: []string{"GET", "POST"}}, {Path: "/a", Methods: []string{"POST"}}},
		"empty segment":  {{Path: "/a//b"}},
	} {
		_, err := compileRules(rules, mounts())
		part := strings.TrimSpace(want)
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%+v: %v, want %q", rules, err, part)
		}
	}
	if _, err := compileRules([]Rule{
		{Path: "/a"},
		{Path: "/A"},
		{Path: "/a", Methods: []string{"GET"}, Access: Public},
		{Path: "/a", Host: "x.example", Access: Deny},
		{Path: "/b", Words: "second", Mounts: []string{"m1"}},
	}, mounts()); err != nil {
		t.Error(err)
	}
}

// What a rule lets through is let through by every rule it is said to be at
// least as strict as.
func TestAtLeast(t *testing.T) {
	public, deny := &rule{Rule: Rule{Access: Public}}, &rule{Rule: Rule{Access: Deny}}
	tok := func(change func(*Rule)) *rule {
		r := &rule{Rule: Rule{Access: Token}}
		if change != nil {
			change(&r.Rule)
		}
		return r
	}
	plain := tok(nil)
	admin := tok(func(r *Rule) { r.Roles = []string{"admin"} })
	either := tok(func(r *Rule) { r.Roles = []string{"admin", "ops"} })
	scoped := tok(func(r *Rule) { r.Scopes = []string{"a"} })
	both := tok(func(r *Rule) { r.Scopes = []string{"a", "b"} })
	acme := tok(func(r *Rule) { r.Account = "acme" })
	for i, c := range []struct {
		a, b *rule
		want bool
	}{
		{deny, plain, true},
		{plain, deny, false},
		{public, plain, false},
		{plain, public, true},
		{public, public, true},
		{admin, plain, true},
		{plain, admin, false},
		{admin, either, true},
		{either, admin, false},
		{both, scoped, true},
		{scoped, both, false},
		{acme, plain, true},
		{plain, acme, false},
		{public, deny, false},
	} {
		if got := c.a.atLeast(c.b); got != c.want {
			t.Errorf("row %d: %v", i, got)
		}
	}
}

func FuzzMatch(f *testing.F) {
	set, err := compileRules([]Rule{
		{Path: "/", Access: Public}, {Path: "/secret", Access: Deny}, {Path: "/api", Access: Token}, {Path: "/api/Open", Access: Public},
	}, mounts())
	if err != nil {
		f.Fatal(err)
	}
	for _, p := range []string{"/", "/SECRET", "/secret/x", "/secreT/", "/ſecret", "/api/open", "/API"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, path string) {
		r, stricter := set.match("h", "GET", path)
		if r == nil || stricter != nil || r.Access == Deny {
			return
		}
		// Whatever case the upstream forgets, nothing below /secret passes.
		for _, form := range []string{strings.ToLower(path), strings.ToUpper(path), strings.ToLower(strings.ToUpper(path))} {
			if covers("/secret", form) || covers("/SECRET", form) {
				t.Fatalf("%q passes as %s and is %q to a careless server", path, r.Path, form)
			}
		}
	})
}

func TestExplain(t *testing.T) {
	d := open(t, "http://127.0.0.1:1", func(c *Config) {
		c.Rules = []Rule{{Path: "/a", Access: Public}, {Path: "/second", Words: "m1"}, {Path: "/b", Mounts: []string{"m2"}}, {Path: "/c", Access: Deny}}
	})
	for in, want := range map[string]string{
		"GET /a/x":      "public [] m1 the rule for /a decides",
		"GET /second/1": "token [m2 m1] m1 the rule for /second decides",
		"get /b":        "token [m2] m1 the rule for /b decides",
		"GET /zzz":      "deny []  no rule covers the path, and there are rules, so it is denied",
		"GET /C":        "deny []  no rule covers the path, and there are rules, so it is denied",
		"TRACE /a":      "deny []  the method TRACE is never forwarded",
		"GET /a/../c":   "deny []  the path can be read in more than one way: path: contains a dot segment",
	} {
		method, path, _ := strings.Cut(in, " ")
		e := d.g.Explain(method, "host:80", path)
		if got := fmt.Sprintf("%s %v %s %s", e.Access, e.Mounts, e.Words, e.Reason); got != want {
			t.Errorf("%s: %s\nwant %s", in, got, want)
		}
	}
	e := open(t, "http://127.0.0.1:1", nil).g.Explain("GET", "h", "/x")
	if e.Rule != nil || e.Access != Token || e.Words != "m1" {
		t.Errorf("%+v", e)
	}
}
