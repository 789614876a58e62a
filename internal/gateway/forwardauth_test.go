package gateway

import (
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/httpd"
)

func askable(t testing.TB, change func(*Config)) *door {
	return open(t, "", func(c *Config) {
		c.Proxies = loopback(t)
		c.Rules = []Rule{{Path: "/"}, {Path: "/public", Access: Public}, {Path: "/admin", Roles: []string{"admin"}}, {Path: "/post", Methods: []string{"POST"}, Access: Deny}}
		if change != nil {
			change(c)
		}
	})
}

// dialectAsk gives the headers with which a dialect asks about GET uri.
func dialectAsk(name, method, uri string) []string {
	switch name {
	case "nginx":
		return []string{"X-Original-Method", method, "X-Original-Uri", uri}
	case "envoy":
		return nil
	}
	return []string{"X-Forwarded-Method", method, "X-Forwarded-Uri", uri, "X-Forwarded-Host", "api.example"}
}

func dialectPath(name, uri string) string {
	if name == "envoy" {
		return AuthPrefix + name + uri
	}
	return AuthPrefix + name
}

func TestForwardAuthAnswers(t *testing.T) {
	d := askable(t, nil)
	for name := range dialects {
		for _, c := range []struct {
			method, uri, token string
			status             int
			words              string // or the user
		}{
			{"GET", "/x?y=1", "alice", 200, "alice"},
			{"GET", "/public/x", "", 200, ""},
			{"GET", "/public/x", "alice", 200, ""},
			{"GET", "/x", "", 401, "first token_missing"},
			{"GET", "/x", "nobody", 401, "first token_invalid"},
			{"GET", "/admin/x", "bob", 403, "first scope_insufficient"},
			{"POST", "/post", "alice", 403, "first forbidden"},
			{"GET", "/post", "alice", 200, "alice"},
			{"GET", "/Admin", "bob", 403, "first forbidden"},
			{"GET", "/public/%2e%2e/admin", "bob", 400, "first bad_request"},
			{"GET", "/public//x", "bob", 400, "first bad_request"},
			{"GET", "/x?access_token=alice", "", 401, "first token_missing"},
		} {
			h := dialectAsk(name, c.method, c.uri)
			if c.token != "" {
				h = append(h, bearer, "Bearer "+c.token)
			}
			method := "GET"
			if name == "envoy" {
				method = c.method
			}
			a := d.do(t, method, dialectPath(name, c.uri), h...)
			status, said := c.status, c.words
			if name == "nginx" && status != 200 {
				status, said = 401, "" // and the rest at the refusal
				r := d.do(t, "GET", RefusalPath, h...)
				if r.status != c.status || r.words() != c.words {
					t.Errorf("refusal of %s %s: %d %s", c.method, c.uri, r.status, r.words())
				}
			}
			got := a.header.Get("X-Sallyport-User")
			if status != 200 && name != "nginx" {
				got = a.words()
			}
			if a.status != status || got != said {
				t.Errorf("%s %s %s as %q: %d %q, want %d %q", name, c.method, c.uri, c.token, a.status, got, status, said)
			}
			for _, n := range []string{"X-Sallyport-User", "X-Sallyport-User-Id", "X-Sallyport-Account", "X-Sallyport-Type", "X-Sallyport-Roles", "X-Sallyport-Session"} {
				if _, ok := a.header[n]; ok != (status == 200) {
					t.Errorf("%s %s: header %s there: %v", name, c.uri, n, ok)
				}
			}
			if a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s: the decision may be stored", name, c.uri)
			}
		}
	}
}

// A question that is not asked in exactly one dialect is not answered.
func TestForwardAuthRefusesOtherDialects(t *testing.T) {
	d := askable(t, nil)
	good := map[string][]string{}
	for name := range dialects {
		good[name] = append(dialectAsk(name, "GET", "/public/x"), bearer, "Bearer alice")
		if a := d.do(t, "GET", dialectPath(name, "/public/x"), good[name]...); a.status != 200 {
			t.Fatalf("%s: the untouched question is refused: %+v", name, a)
		}
	}
	for name := range dialects {
		want := 400
		if dialects[name].only401 {
			want = 401
		}
		refuse := func(why string, h []string) {
			t.Helper()
			if a := d.do(t, "GET", dialectPath(name, "/public/x"), h...); a.status != want || a.header.Get("X-Sallyport-User") != "" {
				t.Errorf("%s, %s: %d %s", name, why, a.status, a.body)
			}
		}
		for i := 0; i+2 < len(good[name]); i += 2 {
			rest := append(append([]string{}, good[name][:i]...), good[name][i+2:]...)
			refuse("without "+good[name][i], rest)
			refuse("twice "+good[name][i], append(append([]string{}, good[name]...), good[name][i], good[name][i+1]))
			refuse("another spelling of "+good[name][i], append(append([]string{}, good[name]...), strings.ReplaceAll(good[name][i], "-", "_"), "x"))
			refuse("empty "+good[name][i], append(append([]string{}, rest...), good[name][i], ""))
		}
		for other := range dialects {
			if other == "envoy" || dialects[other].method == dialects[name].method {
				continue
			}
			for i := 0; i < 4; i += 2 {
				refuse("with "+good[other][i], append(append([]string{}, good[name]...), good[other][i], good[other][i+1]))
			}
		}
		refuse("with X-Original-URL", append(append([]string{}, good[name]...), "X-Original-URL", "/public/x"))
		refuse("with X_Forwarded_Uri", append(append([]string{}, good[name]...), "X_Forwarded_Uri", "/public/x"))
	}
	for _, uri := range []string{"", "x", "http://h/public/x", "//h/public", "*", "/public/x#y", "/public x"} {
		if a := d.do(t, "GET", AuthPrefix+"caddy", dialectAsk("caddy", "GET", uri)...); a.status != 400 {
			t.Errorf("uri %q: %d", uri, a.status)
		}
	}
	for _, method := range []string{"get", "", "TRACE", "CONNECT", "G T", "POST, GET"} {
		if a := d.do(t, "GET", AuthPrefix+"caddy", dialectAsk("caddy", method, "/public")...); a.status != 400 {
			t.Errorf("method %q: %d", method, a.status)
		}
	}
	for _, path := range []string{"", "apache", "nginx/x", "Nginx", "envoy"} {
		if a := d.do(t, "GET", AuthPrefix+path, good["nginx"]...); a.status != 404 {
			t.Errorf("%q: %d", path, a.status)
		}
	}
}

func TestForwardAuthNeedsAListedProxy(t *testing.T) {
	d := askable(t, func(c *Config) { c.Proxies = nil })
	for name := range dialects {
		want := 403
		if name == "nginx" {
			want = 401
		}
		a := d.do(t, "GET", dialectPath(name, "/public"), dialectAsk(name, "GET", "/public")...)
		if a.status != want || a.header.Get("X-Sallyport-User") != "" {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if a := d.do(t, "GET", RefusalPath, dialectAsk("nginx", "GET", "/public")...); a.status != 403 {
		t.Errorf("%+v", a)
	}
	if line := `forward_auth: {proxies: [\"127.0.0.1\"]}`; strings.Count(d.log.String(), line) != 1 {
		t.Errorf("the log lacks %s once: %s", line, d.log)
	}
}

func TestForwardAuthPreflightAndFailure(t *testing.T) {
	d := askable(t, nil)
	h := append(dialectAsk("caddy", "OPTIONS", "/x"), "Origin", "https://app.example", "Access-Control-Request-Method", "GET")
	if a := d.do(t, "GET", AuthPrefix+"caddy", h...); a.status != 200 {
		t.Errorf("%+v", a)
	}
	d.auth.kill("bob", core.Unavailable)
	a := d.do(t, "GET", AuthPrefix+"traefik", append(dialectAsk("traefik", "GET", "/x"), bearer, "Bearer bob")...)
	if a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("%+v", a)
	}
	// What would pass by now is an outage that has just ended.
	a = d.do(t, "GET", RefusalPath, append(dialectAsk("nginx", "GET", "/x"), bearer, "Bearer alice")...)
	if a.status != 503 || a.header.Get("Retry-After") != "1" {
		t.Errorf("%+v", a)
	}
}

// The address of a proxy that may ask, but is not trusted with addresses, does
// not stand for its clients'.
func TestForwardAuthOfAnUntrustedProxy(t *testing.T) {
	d := askable(t, nil)
	ask := append(dialectAsk("caddy", "GET", "/x"), bearer, "Bearer bob", "X-Forwarded-For", "192.0.2.1")
	d.do(t, "GET", AuthPrefix+"caddy", ask...)
	if got := d.auth.asked[0].Client.Address.String(); got != "192.0.2.1" {
		t.Errorf("trusted: %s", got)
	}
	bare := httptest.NewServer(httpd.Front{NoAccessLog: true, Logger: slog.New(slog.DiscardHandler)}.Wrap(d.g.ForwardAuth()))
	defer bare.Close()
	d.via = bare.URL
	if a := d.do(t, "GET", AuthPrefix+"caddy", ask...); a.status != 200 || d.auth.asked[1].Client.Address.IsValid() {
		t.Errorf("%d %v", a.status, d.auth.asked[1].Client.Address)
	}
	if !strings.Contains(d.log.String(), "trusted_proxies") {
		t.Errorf("no line to add: %s", d.log)
	}
}

// The transcripts are typed from the proxies' documentation.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	d := askable(t, nil)
	for _, file := range files {
		text, err := os.ReadFile(file) // #nosec G304 -- a test's own file
		if err != nil {
			t.Fatal(err)
		}
		request, n := "", 0
		for line := range strings.Lines(string(text)) {
			if l, ok := strings.CutPrefix(line, "> "); ok {
				request += strings.TrimRight(l, "\n") + "\r\n"
			}
			want, ok := strings.CutPrefix(line, "< ")
			if !ok {
				continue
			}
			n++
			got := raw(t, d.Listener.Addr().String(), request+"Connection: close\r\n\r\n")
			if g := summary(got); g != strings.TrimRight(want, "\n") {
				t.Errorf("%s, request %d: %q, want %q\n%s", file, n, g, want, got)
			}
			request = ""
		}
		if n < 5 {
			t.Errorf("%s has %d requests", file, n)
		}
	}
}

// summary is "200 user", "401 words" or a bare status for a problem.
func summary(response string) string {
	head, body, _ := strings.Cut(response, "\r\n\r\n")
	status := strings.Fields(head)[1]
	for line := range strings.SplitSeq(head, "\r\n") {
		if v, ok := strings.CutPrefix(line, "X-Sallyport-User: "); ok && status == "200" {
			return "200 " + v
		}
	}
	if !strings.Contains(body, `"words"`) {
		return status
	}
	a := answer{body: body}
	for s, n := range map[string]int{"400": 400, "401": 401, "403": 403, "503": 503} {
		if s == status {
			a.status = n
		}
	}
	return status + " " + a.words()
}
