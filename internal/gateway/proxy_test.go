package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/httpd"
)

func TestProxyPassesIdentity(t *testing.T) {
	b := newBackend(t)
	d := open(t, b.URL, func(c *Config) {
		c.Rules = []Rule{{Path: "/"}, {Path: "/public", Access: Public}}
	})
	a := d.do(t, "GET", "/api/stations?x=1&y=%20", bearer, "Bearer alice", "User-Agent", "test/1")
	s := b.take()
	if a.status != 200 || s == nil || s.Target != "/api/stations?x=1&y=%20" || s.Method != "GET" {
		t.Fatalf("%+v %+v", a, s)
	}
	sid := d.auth.tokens["alice"].Session.String()
	for name, want := range map[string]string{
		"X-Sallyport-User": "alice", "X-Sallyport-User-Id": "u-alice", "X-Sallyport-Account": "default", "X-Sallyport-Type": "user",
		"X-Sallyport-Roles": "admin read", "X-Sallyport-Session": sid, "Authorization": "Bearer alice",
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": strings.TrimPrefix(d.URL, "http://"), "User-Agent": "test/1",
	} {
		if got := s.Header.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if id := s.Header.Get("X-Request-Id"); id == "" || id != a.header.Get("X-Request-Id") || len(a.header.Values("X-Request-Id")) != 1 {
		t.Errorf("request id %q and %q", id, a.header.Values("X-Request-Id"))
	}
	d.do(t, "GET", "/x", bearer, "Bearer robot")
	if s := b.take(); s.Header.Get("X-Sallyport-Session") != "" || s.Header.Get("X-Sallyport-Type") != "application" {
		t.Errorf("robot: %v", s.Header)
	}
	// On public paths the headers are there and empty, whoever calls.
	d.do(t, "GET", "/public", bearer, "Bearer alice", "X-Sallyport-User", "root")
	s = b.take()
	if v, ok := s.Header["X-Sallyport-User"]; !ok || v[0] != "" {
		t.Errorf("public: %v", s.Header)
	}
}

// What a client sends in the name of the gateway must not arrive, however it
// is spelled (SECURITY 61).
func TestSecurity61_SpoofedHeadersAreStripped(t *testing.T) {
	b := newBackend(t)
	d := open(t, b.URL, nil)
	for _, name := range []string{
		"X-Sallyport-User", "x-sallyport-user", "X_Sallyport_User", "X.Sallyport.User", "X-Sallyport_User", "x-SALLYPORT-user",
		"X-Sallyport-User-Id", "X_SALLYPORT_USER_ID", "X-Sallyport-Roles", "X-Sallyport-Anything", "XSallyportUser", "X--Sallyport-User",
		"X-Original-URL", "X-Original-Uri", "X-Rewrite-URL", "X_Rewrite_Url", "X-Original-Method",
		"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X_HTTP_METHOD_OVERRIDE",
		"X-Forwarded-User", "X-Forwarded-For", "X_Forwarded_For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Prefix",
		"Forwarded", "X-Real-IP",
	} {
		a := d.do(t, "GET", "/x", bearer, "Bearer bob", name, "SPOOFED", "X-Harmless", "kept")
		s := b.take()
		if a.status != 200 || s == nil || s.Header.Get("X-Harmless") != "kept" {
			t.Fatalf("%s: %+v", name, a)
		}
		for n, v := range s.Header {
			if strings.Contains(strings.Join(v, ","), "SPOOFED") {
				t.Errorf("%s arrived as %s: %q", name, n, v)
			}
		}
		if s.Header.Get("X-Sallyport-User") != "bob" {
			t.Errorf("%s took our own header away", name)
		}
	}
	// Naming our headers in Connection must not have them removed.
	d.do(t, "GET", "/x", bearer, "Bearer bob", "Connection", "X-Sallyport-User, X-Forwarded-For, close")
	if s := b.take(); s.Header.Get("X-Sallyport-User") != "bob" || s.Header.Get("X-Forwarded-For") != "127.0.0.1" {
		t.Errorf("Connection took our headers away: %v", s.Header)
	}
}

func TestConfiguredHeaderNames(t *testing.T) {
	b := newBackend(t)
	d := open(t, b.URL, func(c *Config) {
		c.Headers = IdentityHeaders{User: "Remote-User"}
		c.StripAuthorization, c.UpstreamHost = true, "api.internal"
	})
	d.do(t, "GET", "/x", bearer, "Bearer bob", "Remote_User", "root", "REMOTE-USER", "root")
	s := b.take()
	if v := s.Header.Values("Remote-User"); len(v) != 1 || v[0] != "bob" || s.Header.Get("Remote_User") != "" || len(s.Header["Remote_user"]) != 0 {
		t.Errorf("%v", s.Header)
	}
	if s.Header.Get("Authorization") != "" || s.Host != "api.internal" {
		t.Errorf("%v %s", s.Header, s.Host)
	}
	for _, bad := range []IdentityHeaders{{User: "Authorization"}, {User: "X-A", Roles: "x_a"}, {User: "--"}} {
		if _, err := newIdentityNames(&bad); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

func TestSecurity61_TrailersDoNotPass(t *testing.T) {
	b := newBackend(t)
	d := open(t, b.URL, nil)
	body := "POST /x HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer bob\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sallyport-User, X-Other\r\n" +
		"Connection: close\r\n\r\n3\r\nabc\r\n0\r\nX-Sallyport-User: root\r\nX-Other: 1\r\n\r\n"
	if got := raw(t, d.Listener.Addr().String(), body); !strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Fatal(got)
	}
	s := b.take()
	if s.Body != "abc" || len(s.Trailer) != 0 || s.Header.Get("X-Sallyport-User") != "bob" {
		t.Fatalf("%+v", s)
	}
}

func raw(t testing.TB, addr, text string) string {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(c)
	return string(got)
}

// What passes reaches the backend byte for byte, and what can be read in two
// ways never does.
func TestSecurity61_PathsPassUnchangedOrNotAtAll(t *testing.T) {
	b := newBackend(t)
	d := open(t, b.URL, func(c *Config) {
		c.Rules = []Rule{{Path: "/", Access: Public}, {Path: "/admin", Access: Deny}, {Path: "/public", Access: Public}}
	})
	addr := d.Listener.Addr().String()
	get := func(target string) (status string, s *seen) {
		got := raw(t, addr, "GET "+target+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		line, _, _ := strings.Cut(got, "\r\n")
		return line, b.take()
	}
	for _, target := range []string{
		"/", "/public", "/public/", "/public/a%20b", "/public/%C3%A9", "/public/a!b", "/public/a%21b", "/public?a=../admin", "/public?x=%2e%2e&y=;z",
		"/public/a:b@c", "/public?", "/public/" + strings.Repeat("a", 4000), "/adminx", "/a.b/..c/...", "/public/%E2%82%AC?q=%zz",
	} {
		line, s := get(target)
		if !strings.HasPrefix(line, "HTTP/1.1 200") || s == nil || s.Target != target {
			t.Errorf("%s: %s, backend saw %+v", target, line, s)
		}
	}
	for _, target := range []string{
		"/admin", "/admin/", "/admin/x", "/Admin", "/ADMIN/x", "/public/../admin", "/public/..", "/./admin", "//admin", "/public//x",
		"/%61dmin", "/admin%2fx", "/public/%2e%2e/admin", "/public/%2E%2E%2Fadmin", "/public/..%2fadmin", "/public\\..\\admin", "/public/..%5cadmin",
		"/admin;x=1", "/;/admin", "/public/%00", "/public/%0a", "/%2561dmin", "/public/%25", "/public/%", "/public/%zz", "/public/%c0%ae%c0%ae/admin",
		"/public/\xff", "/public/%ff", "/public#/admin", "/public/a b", "http://other/admin", "http://h/public/../admin", "*", "/%41dmin", "/\u0131", "/%EF%BD%81dmin",
	} {
		line, s := get(target)
		if s != nil {
			t.Errorf("%s reached the backend as %s", target, s.Target)
		}
		if strings.HasPrefix(line, "HTTP/1.1 2") || strings.HasPrefix(line, "HTTP/1.1 5") || line == "" {
			t.Errorf("%s: %s", target, line)
		}
	}
	if line, s := get("http://h/public/x"); !strings.HasPrefix(line, "HTTP/1.1 200") || s.Target != "/public/x" {
		t.Errorf("absolute form: %s %+v", line, s)
	}
}

func TestMethods(t *testing.T) {
	b := newBackend(t)
	d := open(t, b.URL, func(c *Config) {
		c.Rules = []Rule{{Path: "/", Access: Public}, {Path: "/", Methods: []string{"DELETE"}, Access: Deny}}
	})
	for method, want := range map[string]int{
		"GET": 200, "PATCH": 200, "PROPFIND": 200, "M-SEARCH": 200, "DELETE": 403, "delete": 400, "Delete": 400, "TRACE": 400, "get": 400,
	} {
		a := d.do(t, method, "/x")
		if a.status != want || (b.take() != nil) != (want == 200) {
			t.Errorf("%s: %d, want %d", method, a.status, want)
		}
	}
}

// A body that the client sends broken is the client's fault, and no news of
// the upstream: anybody with a token could write that line into the log.
func TestBrokenBodyIsNoFailureOfTheUpstream(t *testing.T) {
	b := newBackend(t)
	d := open(t, b.URL, nil)
	for _, chunks := range []string{"zz\r\nx\r\n0\r\n\r\n", "-1\r\nx\r\n0\r\n\r\n", "1\r\nxx\r\n0\r\n\r\n", "10000000000000000\r\nx\r\n0\r\n\r\n"} {
		conn, err := net.Dial("tcp", d.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(conn, "POST /x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer bob\r\nTransfer-Encoding: chunked\r\n\r\n"+chunks)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body) // the status decides
		if a := (&answer{res.StatusCode, res.Header, string(body)}); a.status != 400 || a.words() != "first bad_request" {
			t.Errorf("%q: %+v", chunks, a)
		}
		_ = conn.Close()
	}
	if strings.Contains(d.log.String(), "the upstream does not answer") {
		t.Errorf("log: %s", d.log)
	}
}

func TestUpstreamThatFails(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := dead.Addr().String()
	_ = dead.Close()
	d := open(t, "http://"+addr, nil)
	a := d.do(t, "GET", "/x", bearer, "Bearer bob")
	if a.status != 502 || a.words() != "first upstream_failed" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%+v", a)
	}
	if !strings.Contains(d.log.String(), "the upstream does not answer") || strings.Contains(d.log.String(), "bob") {
		t.Errorf("log: %s", d.log)
	}

	block := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-block }))
	defer slow.Close()
	defer close(block)
	d = open(t, slow.URL, func(c *Config) { c.Timeouts.ResponseHeader = 20 * time.Millisecond })
	if a := d.do(t, "GET", "/second/x", "X-Token", "carol"); a.status != 504 || a.words() != "second upstream_timeout" {
		t.Errorf("%+v", a)
	}
	// Nobody without a token learns how the upstream does.
	if a := d.do(t, "GET", "/x"); a.status != 401 {
		t.Errorf("%+v", a)
	}

	rude := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	defer rude.Close()
	d = open(t, rude.URL, nil)
	req, _ := http.NewRequestWithContext(t.Context(), "GET", d.URL+"/x", nil)
	req.Header.Set("Authorization", "Bearer bob")
	if res, err := d.Client().Do(req); err == nil {
		if _, err := io.ReadAll(res.Body); err == nil {
			t.Error("half an answer looks whole")
		}
		_ = res.Body.Close()
	}
}

func TestUpstreamIsChecked(t *testing.T) {
	for _, s := range []string{"ftp://x", "http://", "http://u:p@x", "http://x/base", "http://x?y", "unix:/x"} {
		u, _ := url.Parse(s)
		if _, err := New(Config{Auth: newFakeAuth(), Mounts: mounts(), Upstream: u}); err == nil {
			t.Errorf("%s is accepted", s)
		}
	}
}

func TestUnavailableIs503(t *testing.T) {
	b := newBackend(t)
	d := open(t, b.URL, nil)
	d.auth.kill("bob", core.Unavailable)
	a := d.do(t, "GET", "/x", bearer, "Bearer bob")
	if a.status != 503 || a.header.Get("Retry-After") != "5" || b.take() != nil {
		t.Errorf("%+v", a)
	}
	if got := retryAfter(&core.Error{RetryAfter: 1001}); got != "2" {
		t.Error(got)
	}
}

func TestStreamingFlushes(t *testing.T) {
	next := make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			_, _ = fmt.Fprintf(w, "data: %d\n", i)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	}))
	defer up.Close()
	d := open(t, up.URL, nil)
	req, _ := http.NewRequestWithContext(t.Context(), "GET", d.URL+"/x", nil)
	req.Header.Set("Authorization", "Bearer bob")
	res, err := d.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	lines := bufio.NewReader(res.Body)
	for i := range 3 { // each line arrives before the backend may write the next
		line, err := lines.ReadString('\n')
		if err != nil || line != fmt.Sprintf("data: %d\n", i) {
			t.Fatal(line, err)
		}
		next <- struct{}{}
	}
	if _, err := lines.ReadByte(); err != io.EOF {
		t.Fatal(err)
	}
}

func TestSecurity61_TwoUsersOnOneConnection(t *testing.T) {
	b := newBackend(t)
	d := open(t, b.URL, nil)
	c, err := net.Dial("tcp", d.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	in := bufio.NewReader(c)
	for i, user := range []string{"alice", "bob", "", "alice", "nobody", "bob"} {
		auth := ""
		if user != "" {
			auth = "Authorization: Bearer " + user + "\r\n"
		}
		if _, err := fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: h\r\n%s\r\n", i, auth); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		s := b.take()
		known := user == "alice" || user == "bob"
		if known != (res.StatusCode == 200) || known != (s != nil) || known && s.Header.Get("X-Sallyport-User") != user {
			t.Fatalf("%s: %d %+v", user, res.StatusCode, s)
		}
	}
}

func TestHTTP2BothWays(t *testing.T) {
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto+" "+r.RequestURI+" "+r.Header.Get("X-Sallyport-User"))
	}))
	up.Config.Protocols = new(http.Protocols)
	up.Config.Protocols.SetUnencryptedHTTP2(true)
	up.Start()
	defer up.Close()
	d := open(t, strings.Replace(up.URL, "http://", "h2c://", 1), nil)
	front := httptest.NewUnstartedServer(httpd.Front{NoAccessLog: true}.Wrap(d.g.Handler()))
	front.EnableHTTP2 = true
	front.StartTLS()
	defer front.Close()
	for _, c := range []struct{ path, tok, want string }{
		{"/a%20b?c", "alice", "HTTP/2.0 /a%20b?c alice"}, {"/x", "bob", "HTTP/2.0 /x bob"},
	} {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", front.URL+c.path, nil)
		req.Header.Set("Authorization", "Bearer "+c.tok)
		res, err := front.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.ProtoMajor != 2 || string(body) != c.want {
			t.Errorf("%s %q", res.Proto, body)
		}
	}
}

func TestPreflight(t *testing.T) {
	b := newBackend(t)
	ask := []string{"Origin", "https://app.example", "Access-Control-Request-Method", "POST", "Cookie", "a=b", bearer, "Bearer alice"}
	rules := func(c *Config) {
		c.Rules = []Rule{{Path: "/api", Methods: []string{"POST"}}, {Path: "/no", Access: Deny}}
	}
	d := open(t, b.URL, rules)
	a := d.do(t, "OPTIONS", "/api/x", ask...)
	s := b.take()
	if a.status != 200 || s == nil || s.Header.Get("Cookie") != "" || s.Header.Get("Authorization") != "" || s.Header.Get("X-Sallyport-User") != "" {
		t.Fatalf("%+v %+v", a, s)
	}
	for _, path := range []string{"/no", "/elsewhere"} {
		if a := d.do(t, "OPTIONS", path, ask...); a.status != 403 || b.take() != nil {
			t.Errorf("%s: %+v", path, a)
		}
	}
	// OPTIONS that is no preflight is a request like any other.
	if a := d.do(t, "OPTIONS", "/api/x"); a.status != 403 {
		t.Errorf("%+v", a)
	}

	d = open(t, b.URL, func(c *Config) {
		rules(c)
		c.CORS = &httpd.CORS{Origins: []string{"https://app.example"}, Methods: []string{"POST"}}
	})
	a = d.do(t, "OPTIONS", "/api/x", ask...)
	if a.status != 204 || a.header.Get("Access-Control-Allow-Origin") != "https://app.example" || b.take() != nil {
		t.Fatalf("%+v", a)
	}
	a = d.do(t, "POST", "/api/x", "Origin", "https://app.example")
	if a.status != 401 || a.header.Get("Access-Control-Allow-Origin") != "https://app.example" {
		t.Fatalf("a script cannot read the refusal: %+v", a)
	}
}

// TestPreflightOfDeniedMethod: rules are asked about the method that a preflight
// is for, and about OPTIONS where one names it: who denies that means it.
func TestPreflightOfDeniedMethod(t *testing.T) {
	b := newBackend(t)
	rules := func(c *Config) {
		c.Rules = []Rule{
			{Path: "/", Access: Deny},
			{Path: "/api", Methods: []string{"GET", "POST"}},
			{Path: "/api/open", Methods: []string{"GET", "OPTIONS"}, Access: Public},
			{Path: "/api/quiet"},
			{Path: "/api/quiet", Methods: []string{"OPTIONS", "TRACE"}, Access: Deny},
		}
	}
	own := func(c *Config) {
		rules(c)
		c.CORS = &httpd.CORS{Origins: []string{"https://app.example"}, Methods: []string{"GET", "POST", "DELETE"}}
	}
	for name, configure := range map[string]func(*Config){"upstream": rules, "own": own} {
		d := open(t, b.URL, configure)
		for _, c := range []struct {
			path, method string
			passes       bool
		}{
			{"/api/x", "POST", true},
			{"/api/x", "HEAD", true},    // as GET
			{"/api/x", "DELETE", false}, // the rule for all paths denies it
			{"/api/open", "GET", true},
			{"/api/open", "DELETE", false},
			{"/api/quiet", "POST", false},
			{"/elsewhere", "GET", false},
		} {
			a := d.do(t, "OPTIONS", c.path, "Origin", "https://app.example", "Access-Control-Request-Method", c.method)
			reached := b.take() != nil
			if passes := a.status/100 == 2; passes != c.passes || !passes && a.status != 403 || reached != (passes && name == "upstream") {
				t.Errorf("%s, %s for %s: %d, reached the API: %v", name, c.path, c.method, a.status, reached)
			}
		}
	}
}
