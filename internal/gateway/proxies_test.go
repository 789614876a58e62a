package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sallyport/sallyport/internal/core"
)

// The files of docs/proxies, started as they are but for the three addresses.

const docsProxies = "../../docs/proxies"

// startProxy writes the files into a folder with the addresses of this test,
// starts a program on them and waits for its port.
func startProxy(t *testing.T, program string, files []string, sallyport, api string, edit func(text, dir string) string, args func(dir string) []string) string {
	t.Helper()
	bin, err := exec.LookPath(program)
	if err != nil {
		bin, err = exec.LookPath(filepath.Join("/usr/sbin", program)) // not in everybody's PATH
	}
	if err != nil {
		t.Skipf("%s is not installed (Debian: apt-get install %s); its configuration is not tested here", program, program)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	dir := t.TempDir()
	_, port, _ := net.SplitHostPort(addr)
	change := strings.NewReplacer("127.0.0.1:8000", addr, "\n:8000 {", "\nhttp://:"+port+" {\n\tbind 127.0.0.1", "127.0.0.1:8080", sallyport, "127.0.0.1:3000", api)
	for i, name := range files {
		text, err := os.ReadFile(filepath.Join(docsProxies, name)) // #nosec G304 -- the project's own file
		if err != nil {
			t.Fatal(err)
		}
		out := change.Replace(string(text))
		if i == 0 {
			out = edit(out, dir)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	cmd := exec.Command(bin, args(dir)...) // #nosec G204 -- a program of the machine, for a test
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir, "HOME="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	var endedWith error
	go func() { endedWith = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
		}
	})
	for deadline := time.Now().Add(10 * time.Second); ; {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
			return addr
		}
		select {
		case <-ended:
			t.Fatalf("%s ended: %v\n%s", program, endedWith, log.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen: %v", program, err)
		}
		time.Sleep(10 * time.Millisecond) // a program of others has no other way to say it is ready
	}
}

func TestNginx(t *testing.T) {
	throughProxy(t, func(sallyport, api string) string {
		return startProxy(t, "nginx", []string{"nginx.conf", "sallyport_ask.conf", "sallyport_pass.conf"}, sallyport, api,
			func(text, dir string) string {
				// Where nginx may write; it has no part in what is tested.
				paths := "http {\n access_log off;\n"
				for _, p := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
					paths += " " + p + "_temp_path " + dir + "/" + p + ";\n"
				}
				return strings.Replace(text, "http {\n", paths, 1)
			},
			func(dir string) []string {
				global := "daemon off; pid " + dir + "/pid;"
				if os.Getuid() == 0 {
					global += " user root;" // or its workers could not enter dir
				}
				return []string{"-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr", "-g", global}
			})
	})
}

func TestCaddy(t *testing.T) {
	throughProxy(t, func(sallyport, api string) string { return startCaddy(t, sallyport, api) })
}

// proxied is a client's way through a real proxy.
type proxied struct {
	*door
	b    *backend
	addr string
}

func throughProxy(t *testing.T, start func(sallyport, api string) string) {
	b := newBackend(t)
	d := askable(t, func(c *Config) {
		c.Rules = append(c.Rules, Rule{Path: "/public/own401", Access: Public})
	})
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/public/own401":
			http.Error(w, "the API's own words", http.StatusUnauthorized)
		case "/ws":
			c, err := websocket.Accept(w, r, nil)
			if err == nil {
				_ = c.Write(r.Context(), websocket.MessageText, []byte(r.Header.Get("X-Sallyport-User")))
				_ = c.Close(websocket.StatusNormalClosure, "")
			}
		default:
			b.Config.Handler.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(api.Close)
	p := &proxied{door: d, b: b}
	p.addr = start(d.Listener.Addr().String(), api.Listener.Addr().String())
	p.via = "http://" + p.addr
	t.Run("decisions", p.decisions)
	t.Run("body", p.body)
	t.Run("spoofed headers", p.spoofed)
	t.Run("paths", p.paths)
	t.Run("own routes", p.ownRoutes)
	t.Run("websocket", p.websocket)
	t.Run("other upgrades", p.otherUpgrades)
	t.Run("nominated headers", p.nominated)
}

// nominated: headers that Connection names are taken away by a proxy on the
// way to the API; those that say who calls must not be among them.
func (p *proxied) nominated(t *testing.T) {
	for _, lines := range []string{
		"Connection: X-Sallyport-User, X-Sallyport-Roles\r\n", "Connection: close, x-sallyport-user\r\n",
		"Connection: Upgrade\r\nConnection: X-Sallyport-User\r\nUpgrade: websocket\r\n", "Connection: Upgrade, X-Sallyport-User\r\nUpgrade: websocket\r\n",
		"Connection: Upgrade, X-Sallyport-User\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n",
	} {
		raw(t, p.addr, "GET /x HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer bob\r\n"+lines+"Connection: close\r\n\r\n")
		if s := p.b.take(); s != nil && (s.Header.Get("X-Sallyport-User") != "bob" || s.Header.Get("X-Sallyport-Roles") != "read" || strings.Contains(strings.Join(s.Header["Upgrade"], ","), "h2c")) {
			t.Errorf("%q: the API sees %v", lines, s.Header)
		}
	}
}

// otherUpgrades: after a change to h2c the client would speak to the API on a
// connection where nobody asks us.
func (p *proxied) otherUpgrades(t *testing.T) {
	for _, upgrade := range []string{"h2c", "H2C", "websocket, h2c", "websocket\r\nUpgrade: h2c", "foo"} {
		raw(t, p.addr, "GET /x HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer bob\r\nConnection: Upgrade, HTTP2-Settings, close\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nUpgrade: "+upgrade+"\r\n\r\n")
		if s := p.b.take(); s != nil && strings.Trim(strings.Join(s.Header["Upgrade"], ","), " ") != "" && s.Header.Get("Upgrade") != "websocket" {
			t.Errorf("%q reached the API: %v", upgrade, s.Header)
		}
	}
}

func (p *proxied) decisions(t *testing.T) {
	for _, c := range []struct {
		method, path, token string
		status              int
		words               string
	}{
		{"GET", "/x?y=%20&z", "alice", 200, "alice"},
		{"DELETE", "/x", "bob", 200, "bob"},
		{"GET", "/public/x", "", 200, ""},
		{"GET", "/x", "", 401, "first token_missing"},
		{"GET", "/x", "nobody", 401, "first token_invalid"},
		{"GET", "/admin", "bob", 403, "first scope_insufficient"},
		{"GET", "/admin", "alice", 200, "alice"},
		{"POST", "/post", "alice", 403, "first forbidden"},
		{"GET", "/post", "alice", 200, "alice"},
		{"PUT", "/admin", "bob", 403, "first scope_insufficient"},
	} {
		h := []string{"X-Forwarded-For", "192.0.2.66"}
		if c.token != "" {
			h = append(h, bearer, "Bearer "+c.token)
		}
		a := p.do(t, c.method, c.path, h...)
		s := p.b.take()
		if c.status != 200 {
			if a.status != c.status || a.words() != c.words || s != nil {
				t.Errorf("%s %s as %q: %d %s, backend %v", c.method, c.path, c.token, a.status, a.body, s)
			}
			continue
		}
		if a.status != 200 || s == nil || s.Target != c.path || s.Method != c.method || s.Header.Get("X-Sallyport-User") != c.words {
			t.Errorf("%s %s as %q: %d, backend %+v", c.method, c.path, c.token, a.status, s)
		}
	}
	for _, r := range p.auth.asked {
		if r.Client.Address.String() != "127.0.0.1" {
			t.Errorf("the client's word on its address was believed: %s", r.Client.Address)
		}
	}
	p.auth.kill("robot", core.Unavailable)
	a := p.do(t, "GET", "/x", bearer, "Bearer robot")
	if a.status != 503 || a.words() != "first unavailable" || a.header.Get("Retry-After") != "5" {
		t.Errorf("%+v", a)
	}
	if a := p.do(t, "GET", "/public/own401"); a.status != 401 || a.body != "the API's own words\n" {
		t.Errorf("the API's own refusal was replaced: %+v", a)
	}
}

func (p *proxied) body(t *testing.T) {
	sent := strings.Repeat("0123456789", 20_000)
	req, err := http.NewRequestWithContext(t.Context(), "POST", p.base()+"/x", strings.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer bob")
	res, err := p.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if s := p.b.take(); res.StatusCode != 200 || s == nil || s.Body != sent {
		t.Errorf("status %d, arrived: %v", res.StatusCode, s != nil)
	}
}

func (p *proxied) spoofed(t *testing.T) {
	for _, name := range []string{
		"X-Sallyport-User", "X_Sallyport_User", "X.Sallyport.User", "X-Sallyport_User", "X_Sallyport.User", "XSallyport-User", "x-sallyport-user", "X-Sallyport-Roles", "X_SALLYPORT_ROLES",
		"X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override", "X_HTTP-Method-Override", "X-HTTP_Method", "X-Script_Name", "X-HTTP-Method", "X-Method-Override", "X-Forwarded-For",
		"X-Original-Method", "X-Original-Uri", "X-Forwarded-Method", "X-Forwarded-Uri",
	} {
		for _, target := range []string{"/x", "/public/x"} {
			p.do(t, "GET", target, bearer, "Bearer bob", name, "SPOOFED")
			s := p.b.take()
			if s == nil {
				continue // refused is as good
			}
			for n, v := range s.Header {
				if strings.Contains(strings.Join(v, ","), "SPOOFED") && standsForUs(n) {
					t.Errorf("%s arrived as %s at %s", name, n, target)
				}
			}
			want := map[string]string{"/x": "bob", "/public/x": ""}[target]
			if got := s.Header.Get("X-Sallyport-User"); got != want {
				t.Errorf("%s with %s: user %q", target, name, got)
			}
		}
	}
}

func standsForUs(name string) bool {
	b := strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
	for _, p := range []string{"x-sallyport-", "x-original-url", "x-rewrite-url", "x-http-method", "x-method-override", "x-script-name"} {
		if strings.HasPrefix(b, p) {
			return true
		}
	}
	return false
}

// As bob, who may not see /admin: whatever arrives is outside it however the
// backend may read the path, and is what was asked for.
func (p *proxied) paths(t *testing.T) {
	arrived := 0
	for _, target := range []string{
		"/public/a%20b", "/public/%C3%A9", "/x?a=../admin", "/public/", "/public/a%21b",
		"/admin", "/admin/x", "/Admin", "/public/../admin", "/./admin", "//admin", "/public//../admin", "/%61dmin", "/admin%2fx",
		"/public/%2e%2e/admin", "/public/%2E%2E%2Fadmin", "/public/..%2fadmin", "/public\\..\\admin", "/public/..%5cadmin", "/admin;x=1",
		"/;/admin", "/public/..;/admin", "/public/%00", "/%2561dmin", "/public/%c0%ae%c0%ae/admin", "/public#/../admin", "http://h/public/../admin", "/public/%2e./admin",
	} {
		got := raw(t, p.addr, "GET "+target+" HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer bob\r\nConnection: close\r\n\r\n")
		s := p.b.take()
		if s == nil {
			if strings.HasPrefix(got, "HTTP/1.1 2") && !strings.Contains(got, "contract route") || strings.HasPrefix(got, "HTTP/1.1 5") {
				t.Errorf("%s: %s", target, got)
			}
			continue
		}
		arrived++
		if s.Target != target {
			t.Errorf("%s arrived as %s", target, s.Target)
		}
		plain, _, _ := strings.Cut(s.Target, "?")
		for range 3 {
			if u, err := url.PathUnescape(plain); err == nil {
				plain = strings.ReplaceAll(strings.ReplaceAll(u, "\\", "/"), ";", "/")
			}
		}
		if strings.HasPrefix(strings.ToLower(path.Clean("/"+plain)), "/admin") {
			t.Errorf("%s arrived, as %s", target, s.Target)
		}
	}
	if arrived < 5 {
		t.Errorf("only %d paths arrived: the test proves nothing", arrived)
	}
}

func (p *proxied) ownRoutes(t *testing.T) {
	if a := p.do(t, "POST", "/api/users/login"); a.status != 200 || a.body != "contract route /api/users/login" {
		t.Errorf("%+v", a)
	}
	for _, path := range []string{AuthPrefix + "nginx", AuthPrefix + "caddy", AuthPrefix + "envoy/public", "/_sallyport/auth", RefusalPath, "/_sallyport/x"} {
		a := p.do(t, "GET", path, dialectAsk("nginx", "GET", "/public")...)
		if a.status != 404 || json.Valid([]byte(a.body)) && a.body != "" {
			t.Errorf("%s can be asked from outside: %d %s", path, a.status, a.body)
		}
	}
}

func (p *proxied) websocket(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c, _, err := websocket.Dial(ctx, p.base()+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer alice"}}})
	if err != nil {
		t.Fatal(err)
	}
	_, msg, err := c.Read(ctx)
	if err != nil || string(msg) != "alice" {
		t.Fatal(string(msg), err)
	}
	_ = c.CloseNow()
	_, res, err := websocket.Dial(ctx, p.base()+"/ws", nil)
	if err == nil || errors.Is(err, context.DeadlineExceeded) || res.StatusCode != 401 {
		t.Fatal(err)
	}
}
