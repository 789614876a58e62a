package gateway

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/core"
)

// A host that two programs read differently would have one look for its rule
// and the other serve another: "a.example:80:" is a.example to nginx.
func TestSecurity61_OneReadingOfTheHost(t *testing.T) {
	b := newBackend(t)
	d := open(t, b.URL, func(c *Config) {
		c.Rules = []Rule{{Path: "/", Access: Public}, {Host: "a.example", Path: "/", Access: Deny}}
	})
	for host, status := range map[string]int{
		"b.example": 200, "b.example:80": 200, "B.example.": 200, "192.0.2.1:80": 200, "[2001:db8::1]:80": 200, "[::1]": 200, "b_1.example": 200,
		"a.example": 403, "A.EXAMPLE": 403, "a.example.": 403, "a.example:1": 403, "a.example.:1": 403,
		"a.example:80:": 400, "a.example:": 400, "a.example::80": 400, "a.example:x": 400, "a.example:99999": 400, "a.example:+80": 400, "a.example..": 400, ".a.example": 400,
		"%61.example": 400, "a.example,b.example": 400, "a.example;": 400, "[a.example]": 400, "[::1": 400, "[fe80::1%25eth0]": 400, "a.example!": 400, ":80": 400, strings.Repeat("a", 254): 400,
	} {
		got := raw(t, d.Listener.Addr().String(), "GET /x HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
		if s := b.take(); !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", status)) || (s != nil) != (status == 200) {
			t.Errorf("%.60s: %.60q, want %d; backend %v", host, got, status, s != nil)
		}
	}
}

// Forward-auth refuses the upgrades that the reverse proxy refuses: a proxy in
// front that passes h2c on lets the client speak to the API unasked.
func TestSecurity61_ForwardAuthRefusesOtherUpgrades(t *testing.T) {
	d := askable(t, nil)
	for name := range dialects {
		for upgrade, status := range map[string]int{"websocket": 200, "WebSocket": 200, "h2c": 400, "websocket, h2c": 400, "foo": 400} {
			h := append(dialectAsk(name, "GET", "/x"), bearer, "Bearer bob", "Upgrade", upgrade)
			if name == "nginx" && status == 400 {
				status = 401
			}
			if a := d.do(t, "GET", dialectPath(name, "/x"), h...); a.status != status {
				t.Errorf("%s, %s: %d, want %d", name, upgrade, a.status, status)
			}
		}
	}
}

func withCookie(change func(*Config)) func(*Config) {
	return func(c *Config) {
		c.Mounts[0].Words = &fakeWords{name: "first", cookie: "tok"}
		c.Rules = []Rule{{Path: "/"}, {Path: "/public", Access: Public}}
		c.Origins = []string{"https://listed.example"}
		if change != nil {
			change(c)
		}
	}
}

// A page of another site must not act with its visitors' cookies.
func TestSecurity61_CookiesOfOtherSitesDoNotAct(t *testing.T) {
	b := newBackend(t)
	d := open(t, b.URL, withCookie(nil))
	for _, c := range []struct {
		method string
		header []string
		status int
	}{
		{"GET", nil, 200},
		{"POST", nil, 200}, // no browser
		{"POST", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"POST", []string{"Sec-Fetch-Site", "none"}, 200},
		{"POST", []string{"Origin", "http://api.example"}, 200},
		{"POST", []string{"Origin", "https://listed.example", "Sec-Fetch-Site", "same-site"}, 200},
		{"GET", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 200},
		{"POST", []string{"Origin", "https://evil.example"}, 403},
		{"POST", []string{"Origin", "null"}, 403},
		{"POST", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"POST", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"DELETE", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "same-site"}, 403},
		{"POST", []string{"Origin", "http://api.example", "Origin", "https://evil.example"}, 403},
		{"POST", []string{"Origin", "https://evil.example", bearer, "Bearer bob"}, 200}, // no page can send that unasked
	} {
		h := append([]string{"Host", "api.example", "Cookie", "tok=bob"}, c.header...)
		if a := d.do(t, c.method, "/x", h...); a.status != c.status || (b.take() != nil) != (c.status == 200) {
			t.Errorf("%s %v: %d, want %d", c.method, c.header, a.status, c.status)
		}
	}
	open := "GET /ws HTTP/1.1\r\nHost: api.example\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nCookie: tok=bob\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: "
	if got := raw(t, d.Listener.Addr().String(), open+"https://evil.example\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 403 ") || b.take() != nil {
		t.Errorf("a WebSocket of another site: %s", got)
	}
	if got := raw(t, d.Listener.Addr().String(), open+"http://api.example\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200 ") || b.take() == nil {
		t.Errorf("a WebSocket of our own site: %s", got)
	}
}

// The cookie that holds a token ends at the gateway, in every reading.
func TestTokenCookiesEndHere(t *testing.T) {
	b := newBackend(t)
	for _, c := range []struct {
		pass       bool
		sent, want string
	}{
		{false, "tok=bob", ""},
		{false, "a=1; tok=bob; b=2", "a=1; b=2"},
		{false, "a=1; tok=bob;tok=alice; TOK=x;  tok =y; \"tok\"=z;tok", "a=1"},
		{false, "tokens=1; a=tok=bob", "tokens=1; a=tok=bob"},
		{true, "a=1; tok=bob", "a=1; tok=bob"},
	} {
		d := open(t, b.URL, withCookie(func(cfg *Config) { cfg.PassCookies = c.pass }))
		for _, path := range []string{"/x", "/public"} {
			if path == "/x" && !strings.Contains(c.sent, " tok=bob") && !strings.HasPrefix(c.sent, "tok=bob") {
				continue
			}
			d.do(t, "GET", path, "Cookie", c.sent)
			if s := b.take(); s == nil || s.Header.Get("Cookie") != c.want {
				t.Errorf("%s with %q: %+v, want %q", path, c.sent, s, c.want)
			}
		}
	}
}

// A preflight passes unverified, so it brings and takes nothing but what a
// browser asks: an API that does not look at the method would answer it.
func TestPreflightsBringAndTakeNothing(t *testing.T) {
	b := newBackend(t)
	d := open(t, b.URL, nil)
	req, err := http.NewRequestWithContext(t.Context(), "OPTIONS", d.URL+"/x", strings.NewReader(`{"delete":1}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]string{
		"Origin": "https://app.example", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-a",
		"X-Token": "carol", "X-Api-Key": "k", "Cookie": "a=b", bearer: "Bearer bob", "Content-Type": "application/json",
	} {
		req.Header.Set(name, v)
	}
	res, err := d.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	s := b.take()
	if s == nil || s.Body != "" || s.Header.Get("Access-Control-Request-Headers") != "x-a" || s.Header.Get("Origin") == "" {
		t.Fatalf("%+v", s)
	}
	for _, name := range []string{"X-Token", "X-Api-Key", "Cookie", bearer, "Content-Type"} {
		if s.Header.Get(name) != "" {
			t.Errorf("%s came through", name)
		}
	}
	if res.StatusCode != 200 || len(body) != 0 || res.Header.Get("Content-Type") != "" {
		t.Errorf("%d %v %q", res.StatusCode, res.Header, body)
	}
}

// Headers by which front ends of frameworks take another path or host.
func TestSecurity61_PathOverridesAreStripped(t *testing.T) {
	b := newBackend(t)
	d := open(t, b.URL, nil)
	for _, name := range []string{"X-Script-Name", "X_Script_Name", "X-Path-Info", "X-Envoy-Original-Path", "X-Override-Url", "X-HTTP-Host-Override", "X-HTTP-Path-Override", "X-Host", "X-Url", "SCRIPT_NAME", "Script-Name", "script.name", "Path_Info", "PATH_TRANSLATED", "Request_Uri", "Proxy", "X-Remote-User", "Remote_User", "X-Client-IP", "True-Client-IP", "X-Scheme", "Front-End-Https", "X-Waws-Unencoded-Url", "X-Proxy-Url", "Base-Url"} {
		d.do(t, "GET", "/x", bearer, "Bearer bob", name, "SPOOFED")
		s := b.take()
		for n, v := range s.Header {
			if strings.Contains(strings.Join(v, ","), "SPOOFED") {
				t.Errorf("%s arrived as %s", name, n)
			}
		}
	}
}

// Windows drops dots and blanks at the end of a name.
func TestSecurity61_TrailingDotsMeetTheStricterRule(t *testing.T) {
	b := newBackend(t)
	d := open(t, b.URL, func(c *Config) { c.Rules = []Rule{{Path: "/", Access: Public}, {Path: "/admin", Access: Deny}} })
	for path, status := range map[string]int{"/admin.": 403, "/admin%20": 403, "/admin.%20./x": 403, "/ADMIN..": 403, "/admin.x": 200, "/x./y": 200} {
		if a := d.do(t, "GET", path); a.status != status || (b.take() != nil) != (status == 200) {
			t.Errorf("%s: %d, want %d", path, a.status, status)
		}
	}
}

// What an API makes of characters that are others in another form: by NFKC, as
// names of hosts and files are compared, or by the capitals of a language.
func TestSecurity61_OtherFormsMeetTheStricterRule(t *testing.T) {
	b := newBackend(t)
	d := open(t, b.URL, func(c *Config) {
		c.Rules = []Rule{{Path: "/", Access: Public}, {Path: "/admin", Access: Deny}, {Path: "/passes", Access: Deny}}
	})
	for path, status := range map[string]int{
		"/x/\u2025/admin": 403, "/x\uff0f\uff0e\uff0e\uff0fadmin": 403, "/x/\uff0e\uff0e/admin/y": 403, "/\uff0fadmin": 403, "/\u2024/admin": 403,
		"/x\uff3c..\uff3cadmin": 403, "/admin\uff1bx/y": 403, "/ /admin": 403, "/adm\u0131n": 403, "/ADM\u0130N": 403, "/pa\u00dfes": 403, "/PA\u1e9eES": 403,
		"/admin#x": 403, "/admin?x": 403, "/ADMIN#/x": 403, "/x#y": 200, "/admins?x": 200, "/x?/admin": 200, "/#/admin": 200,
		"/\u2025x/admin": 200, "/x/\u2026y": 200, "/stra\u00dfe": 200,
	} {
		a := d.do(t, "GET", (&url.URL{Path: path}).EscapedPath())
		if a.status != status || (b.take() != nil) != (status == 200) {
			t.Errorf("%q: %d, want %d", path, a.status, status)
		}
	}
}

// Who does not see the way up that another sees stays where the stricter rule
// is.
func TestSecurity61_WaysUpThatSomeDoNotSee(t *testing.T) {
	b := newBackend(t)
	d := open(t, b.URL, func(c *Config) {
		c.Rules = []Rule{{Path: "/cased", Access: Public}, {Path: "/cased/Secret", Access: Deny}}
	})
	for path, status := range map[string]int{
		"/cased/secret/%ef%bc%8e%ef%bc%8e": 403, "/cased/SECRET/%E2%80%A5": 403, "/cased/secret/x/%E2%80%A5": 403, "/cased/x/%E2%80%A5/secret": 403,
		"/cased/x/%E2%80%A5": 200, "/cased/secret/%E2%80%A5%3fx": 403, "/cased/other": 200,
	} {
		if a := d.do(t, "GET", path); a.status != status || (b.take() != nil) != (status == 200) {
			t.Errorf("%s: %d, want %d", path, a.status, status)
		}
	}
}

// A way up that appears only in another reading leads nowhere either.
func TestSecurity61_OtherFormsStayUnderTheirRule(t *testing.T) {
	b := newBackend(t)
	d := open(t, b.URL, func(c *Config) { c.Rules = []Rule{{Path: "/public", Access: Public}} })
	for path, status := range map[string]int{"/public/..%3f": 403, "/public/..%23/x": 403, "/public/x/%EF%BC%8E.%3Fy": 200, "/public/%E2%80%A5/other": 403, "/public/a%3fb": 200, "/PUBLIC": 403} {
		if a := d.do(t, "GET", path); a.status != status || (b.take() != nil) != (status == 200) {
			t.Errorf("%s: %d, want %d", path, a.status, status)
		}
	}
}

// Where two contracts cover a path and their clients put the token in two
// places, either is found; without one the first one's words are used.
func TestTokensOfTheSecondMount(t *testing.T) {
	b := newBackend(t)
	d := open(t, b.URL, func(c *Config) { c.Mounts[1].Prefix = "" })
	if a := d.do(t, "GET", "/x", "X-Token", "carol"); a.status != 200 || b.take() == nil {
		t.Errorf("%+v", a)
	}
	if a := d.do(t, "GET", "/x"); a.status != 401 || a.words() != "first token_missing" {
		t.Errorf("%+v", a)
	}
}

// What is with the upstream at once is bounded, and with it the descriptors.
func TestSecurity57_RequestsWithTheUpstreamAreBounded(t *testing.T) {
	arrived, leave := make(chan struct{}), make(chan struct{})
	up := newBackend(t)
	up.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived <- struct{}{}; <-leave })
	d := open(t, up.URL, func(c *Config) { c.MaxRequests = 1 })
	done := make(chan int, 1)
	go func() { done <- d.do(t, "GET", "/x", bearer, "Bearer bob").status }()
	<-arrived
	a := d.do(t, "GET", "/x", bearer, "Bearer bob")
	if a.status != 503 || a.words() != "first unavailable" || a.header.Get("Retry-After") != "1" {
		t.Errorf("%+v", a)
	}
	if a := d.do(t, "GET", "/x"); a.status != 401 {
		t.Errorf("who may not pass is told so: %+v", a)
	}
	close(leave)
	if status := <-done; status != 200 {
		t.Error(status)
	}
	go func() { done <- d.do(t, "GET", "/x", bearer, "Bearer bob").status }()
	<-arrived
	if status := <-done; status != 200 {
		t.Errorf("the place is not given back: %d", status)
	}
}

// An upload that nothing comes of may take its time while its token stands, and
// ends with it.
func TestSlowUploadEndsOnRevocation(t *testing.T) {
	arrived := make(chan struct{})
	up := newBackend(t)
	up.Config.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		_, _ = io.Copy(io.Discard, r.Body) // it breaks off
	})
	d := open(t, up.URL, nil)
	c, err := net.Dial("tcp", d.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = io.WriteString(c, "POST /x HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer bob\r\nContent-Length: 2\r\nConnection: close\r\n\r\na")
	<-arrived
	d.auth.kill("bob", core.TokenRevoked)
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if got, _ := io.ReadAll(c); !strings.HasPrefix(string(got), "HTTP/1.1 401 ") {
		t.Errorf("a revoked client's upload goes on: %q", got)
	}
}
