package app_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sallyport/sallyport/internal/admin"
)

// TestPagesInChromium goes through login, consent and logout in a real browser
// with scripts switched off in the pages: what the content policy forbids, what
// a form's redirect may do and which cookies are kept, only a browser says.
// With SALLYPORT_SCREENSHOTS=DIR it leaves pictures of the pages there.
func TestPagesInChromium(t *testing.T) {
	bin := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			bin = path
			break
		}
	}
	if bin == "" {
		t.Skip("there is no Chromium here; install it (Debian: chromium) to test the pages in a browser")
	}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "<title>arrived</title><p>%s", r.URL.Path)
	}))
	defer app.Close()
	s := serve(t, "")
	s.user("", "ada", "user", "read", "write")
	// An issuer's clients are on other origins: the form's redirect crosses one.
	target := strings.Replace(app.URL, "127.0.0.1", "localhost", 1) + "/cb"
	c := s.oauthClient(admin.NewOAuthClient{
		Name: "Warehouse Scanner", RequireConsent: true, RedirectURIs: []string{target}, PostLogoutRedirectURIs: []string{target},
	})
	tab := chromium(t, bin)
	start := s.url + "/oauth2/authorize?" + ask(c, "redirect_uri", target, "scope", "openid profile email offline_access read").Encode()

	tab.open(start)
	tab.at("/oauth2/authorize", "Sign in")
	tab.until(`document.activeElement.id === "username"`)
	tab.picture("login")
	tab.fill("username", "ada")
	tab.fill("password", "wrong")
	tab.click(`button.primary`)
	tab.at("/oauth2/login", "Sign in")
	tab.until(`document.activeElement.id === "password"`)
	tab.picture("login-refused")
	if got := tab.eval(`document.getElementById(document.getElementById("password").getAttribute("aria-describedby")).getAttribute("role")`); got != "alert" {
		t.Errorf("the error has the role %q", got)
	}
	tab.fill("password", password)
	tab.click(`button.primary`)
	tab.at("/oauth2/authorize", "Allow access?")
	tab.picture("consent")
	tab.check("consent")
	tab.click(`.note a`)
	tab.at("/oauth2/authorize", "Sign in")
	tab.check("login")
	// By the keyboard alone.
	tab.types("ada")
	tab.key("Tab")
	tab.types(password)
	tab.key("Enter")
	tab.at("/oauth2/authorize", "Allow access?")
	tab.mark()
	tab.key("Tab")
	if got := tab.eval(`document.activeElement.textContent`); got != "Allow" {
		t.Errorf("the first thing that Tab reaches is %q", got)
	}
	tab.key("Enter")
	if q := tab.arrived(target); q.Get("code") == "" || q.Get("state") != "st-1" || q.Get("iss") != s.url {
		t.Errorf("the client is told %v", q)
	}
	tab.open(start)
	tab.arrived(target) // logged in and allowed: no page between
	for range 2 {
		s.do("POST", "/api/users/login", "", map[string]string{"username": "ada", "password": password}).want(200, "")
		s.pass(time.Minute)
	}
	tab.open(s.url + accountPath)
	tab.at(accountPath, "Your account")
	tab.picture("account")
	tab.check("account")
	sessions := tab.eval(`document.querySelectorAll("[name=session]").length`)
	tab.click(`[name=session] ~ button`)
	tab.at(accountPath, "Your account")
	if got := tab.eval(`document.querySelectorAll("[name=session]").length`); got == sessions {
		t.Errorf("still %s sessions", got)
	}
	tab.open(s.url + "/oauth2/authorize?" + ask(c, "redirect_uri", "https://evil.example/").Encode())
	tab.at("/oauth2/authorize", "This did not work")
	tab.picture("error")
	tab.check("error")
	tab.open(s.url + "/oauth2/logout?" + form("client_id", c.ID, "post_logout_redirect_uri", target, "state", "s1").Encode())
	tab.at("/oauth2/logout", "Sign out?")
	tab.picture("logout")
	tab.check("logout")
	tab.click(`button.primary`)
	if q := tab.arrived(target); q.Get("state") != "s1" {
		t.Errorf("after the logout: %v", q)
	}
	tab.open(start)
	tab.at("/oauth2/authorize", "Sign in")
	tab.check("login")
}

// tab is a page of a Chromium that is spoken to by its DevTools protocol.
type tab struct {
	t    *testing.T
	conn *websocket.Conn
	next int
}

// chromium starts a browser with a profile of its own and one tab.
func chromium(t *testing.T, bin string) *tab {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, bin, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--remote-debugging-port=0", "--window-size=900,860", "--user-data-dir="+t.TempDir(), "about:blank")
	cmd.WaitDelay = 5 * time.Second
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		cancel()
		t.Skip("Chromium does not start: ", err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
	})
	lines, at := bufio.NewScanner(stderr), ""
	for at == "" && lines.Scan() {
		if _, rest, ok := strings.Cut(lines.Text(), "DevTools listening on ws://"); ok {
			at, _, _ = strings.Cut(rest, "/")
		}
	}
	if at == "" {
		t.Skip("Chromium ended before it listened; it may not run in this sandbox")
	}
	go func() {
		for lines.Scan() { // what it says is not kept, but must be read
		}
	}()
	res, err := http.Get("http://" + at + "/json/list")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var pages []struct {
		Type string `json:"type"`
		URL  string `json:"webSocketDebuggerUrl"`
	}
	if err := json.NewDecoder(res.Body).Decode(&pages); err != nil {
		t.Fatal(err)
	}
	for _, p := range pages {
		if p.Type != "page" {
			continue
		}
		conn, _, err := websocket.Dial(t.Context(), p.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetReadLimit(64 << 20)
		t.Cleanup(func() { _ = conn.CloseNow() })
		b := &tab{t: t, conn: conn}
		b.call("Emulation.setFocusEmulationEnabled", map[string]any{"enabled": true})
		b.call("Emulation.setScriptExecutionDisabled", map[string]any{"value": true}) // of the pages; ours by DevTools still run
		return b
	}
	t.Fatal("Chromium has no tab")
	return nil
}

// call sends a command and gives its result.
func (b *tab) call(method string, params map[string]any) json.RawMessage {
	b.t.Helper()
	b.next++
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	out, err := json.Marshal(map[string]any{"id": b.next, "method": method, "params": params})
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.conn.Write(ctx, websocket.MessageText, out); err != nil {
		b.t.Fatal(err)
	}
	for {
		_, in, err := b.conn.Read(ctx)
		if err != nil {
			b.t.Fatal(err)
		}
		var reply struct {
			ID     int             `json:"id"`
			Result json.RawMessage `json:"result"`
			Error  *struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		if err := json.Unmarshal(in, &reply); err != nil {
			b.t.Fatal(err)
		}
		if reply.ID != b.next {
			continue
		}
		if reply.Error != nil && strings.Contains(reply.Error.Message, "navigated") {
			return json.RawMessage("{}") // the page went away over it, which is what a click is for
		}
		if reply.Error != nil {
			b.t.Fatalf("%s: %s", method, reply.Error.Message)
		}
		return reply.Result
	}
}

// eval runs an expression in the page and gives its text.
func (b *tab) eval(expr string) string {
	b.t.Helper()
	var r struct {
		Result struct {
			Value string `json:"value"`
		} `json:"result"`
	}
	if err := json.Unmarshal(b.call("Runtime.evaluate", map[string]any{"expression": `String(` + expr + `)`, "userGesture": true}), &r); err != nil {
		b.t.Fatal(err)
	}
	return r.Result.Value
}

func (b *tab) open(url string) {
	b.t.Helper()
	b.mark()
	b.call("Page.navigate", map[string]any{"url": url})
}

// mark makes the page known as the old one, so that until can tell.
func (b *tab) mark() {
	b.t.Helper()
	b.eval(`document.documentElement.dataset.old = "old"`)
}

// until waits for the next page and for an expression to hold in it. The
// browser is another process with its own pace, so it is asked again and again.
func (b *tab) until(expr string) {
	b.t.Helper()
	end := time.Now().Add(time.Minute)
	for time.Now().Before(end) {
		if b.eval(`document.readyState === "complete" && !document.documentElement.dataset.old && (`+expr+`)`) == "true" {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.t.Fatalf("the browser is at %s, want %s: %s", b.eval(`location.href`), expr, b.eval(`document.body.innerText`))
}

func (b *tab) at(path, heading string) {
	b.t.Helper()
	b.until(fmt.Sprintf(`location.pathname === %q && !!document.querySelector("h1") && document.querySelector("h1").textContent === %q`, path, heading))
}

// arrived waits until the browser is at the client, and gives what it is told.
func (b *tab) arrived(target string) url.Values {
	b.t.Helper()
	b.until(fmt.Sprintf(`document.title === "arrived" && location.href.startsWith(%q)`, target))
	u, err := url.Parse(b.eval(`location.href`))
	if err != nil {
		b.t.Fatal(err)
	}
	return u.Query()
}

func (b *tab) fill(id, value string) {
	b.t.Helper()
	b.eval(fmt.Sprintf(`document.getElementById(%q).value = %q`, id, value))
}

// types puts text where the focus is, as a keyboard does.
func (b *tab) types(text string) {
	b.t.Helper()
	b.call("Input.insertText", map[string]any{"text": text})
}

// key presses Tab or Enter. What Enter submits leads to another page.
func (b *tab) key(name string) {
	b.t.Helper()
	press := map[string]any{"type": "keyDown", "key": name, "code": name, "windowsVirtualKeyCode": 9}
	if name == "Enter" {
		b.mark()
		press["windowsVirtualKeyCode"], press["text"] = 13, "\r"
	}
	b.call("Input.dispatchKeyEvent", press)
	press["type"] = "keyUp"
	delete(press, "text")
	b.call("Input.dispatchKeyEvent", press)
}

func (b *tab) click(selector string) {
	b.t.Helper()
	b.mark()
	b.eval(fmt.Sprintf(`document.querySelector(%q).click()`, selector))
}

// check looks for what keeps people out: controls without a name, or with one
// that another has too, and text that is too faint (WCAG 2.2 AA: 4.5 to 1).
func (b *tab) check(page string) {
	b.t.Helper()
	var tree struct {
		Nodes []struct {
			Ignored bool
			Role    struct{ Value string }
			Name    struct{ Value string }
		}
	}
	if err := json.Unmarshal(b.call("Accessibility.getFullAXTree", nil), &tree); err != nil {
		b.t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, n := range tree.Nodes {
		if role := n.Role.Value; !n.Ignored && (role == "button" || role == "textbox" || role == "link") {
			if name := n.Name.Value; name == "" || seen[role+name] {
				b.t.Errorf("%s: a %s is called %q, which says nothing", page, role, name)
			}
			seen[role+n.Name.Value] = true
		}
	}
	for _, scheme := range []string{"dark", "light"} {
		b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}})
		b.faults(page + ", " + scheme)
	}
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{}})
}

func (b *tab) faults(page string) {
	b.t.Helper()
	if bad := b.eval(faults); bad != "" {
		b.t.Errorf("%s: %s", page, bad)
	}
}

const faults = `(() => {
	const bad = [];
	if (!document.documentElement.lang || !document.title || !document.querySelector("main h1")) bad.push("no lang, title or heading");
	for (const e of document.querySelectorAll("input:not([type=hidden]),button"))
		if (!(e.labels && e.labels.length) && !e.textContent.trim()) bad.push(e.outerHTML + " has no name");
	const lum = c => { const v = c.match(/[\d.]+/g).slice(0, 3).map(x => { x /= 255; return x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; });
		return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2]; };
	const back = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\)$/.test(c)) return c; } return "rgb(255,255,255)"; };
	for (const e of document.querySelectorAll("h1,h2,p,label,button,a,li,strong,input:not([type=hidden])")) {
		const a = lum(getComputedStyle(e).color), b = lum(back(e)), ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (ratio < 4.5) bad.push(e.tagName + " " + e.textContent.slice(0, 20) + " has contrast " + ratio.toFixed(2));
	}
	return bad.join("; ");
})()`

// picture leaves a screenshot, light and dark, and of a narrow screen.
func (b *tab) picture(name string) {
	b.t.Helper()
	dir := os.Getenv("SALLYPORT_SCREENSHOTS")
	if dir == "" {
		return
	}
	for _, mode := range []struct {
		name, scheme string
		width        int
	}{{"", "light", 0}, {"-dark", "dark", 0}, {"-narrow", "light", 360}} {
		b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": mode.scheme}}})
		if mode.width > 0 {
			b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": mode.width, "height": 700, "deviceScaleFactor": 1, "mobile": true})
		}
		var shot struct {
			Data string `json:"data"`
		}
		if err := json.Unmarshal(b.call("Page.captureScreenshot", nil), &shot); err != nil {
			b.t.Fatal(err)
		}
		png, err := base64.StdEncoding.DecodeString(shot.Data)
		if err != nil {
			b.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+mode.name+".png"), png, 0o600); err != nil {
			b.t.Fatal(err)
		}
	}
	b.call("Emulation.clearDeviceMetricsOverride", nil)
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{}})
}
