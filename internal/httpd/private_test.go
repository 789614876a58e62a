package httpd_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sallyport/sallyport/internal/httpd"
)

// TestPrivateHost: a page that rebinds its name to loopback gets nothing.
func TestPrivateHost(t *testing.T) {
	s := start(t, httpd.Config{
		Public: say(""), Private: httpd.NewPrivate(httpd.PrivateConfig{Hosts: []string{"Probe.internal"}, Metrics: say("metrics")}),
		PrivateListen: []string{"127.0.0.1:0"},
	})
	addr := s.PrivateAddrs()[0]
	for host, want := range map[string]int{
		"localhost": 200, "LOCALHOST:8081": 200, "127.0.0.1": 200, "127.0.0.1:1": 200, "[::1]": 200, "[::1]:8081": 200,
		"probe.internal": 200, "probe.internal:80": 200,
		"evil.example": 403, "localhost.evil.example": 403, "127.0.0.1.evil.example": 403, "evil.example:8081": 403,
		"10.0.0.1": 403, "[2001:db8::1]": 403, "localhost:x": 403, "0.0.0.0": 403,
	} {
		req, err := http.NewRequest(http.MethodGet, "http://"+addr+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatalf("%s: %v", host, err)
		}
		_ = res.Body.Close() // the status is all that matters
		if res.StatusCode != want {
			t.Errorf("Host %q: %d, want %d", host, res.StatusCode, want)
		}
	}
}

func TestHealth(t *testing.T) {
	checks := []httpd.Check{{Name: "store"}, {Name: "keys"}}
	s := start(t, httpd.Config{Public: say(""), PrivateListen: []string{"127.0.0.1:0"}, Private: httpd.NewPrivate(httpd.PrivateConfig{
		Ready: func(context.Context) []httpd.Check { return checks }, Pprof: false,
	})})
	base := "http://" + s.PrivateAddrs()[0]
	if status, body, _ := get(t, base+"/healthz"); status != 200 || body != "ok\n" {
		t.Errorf("healthz: %d %q", status, body)
	}
	if status, body, _ := get(t, base+"/readyz"); status != 200 || body != "ok\nstore: ok\nkeys: ok\n" {
		t.Errorf("readyz: %d %q", status, body)
	}
	checks = []httpd.Check{{Name: "store", Err: errors.New("disk full")}, {Name: "keys"}}
	if status, body, h := get(t, base+"/readyz"); status != 503 || body != "failing\nstore: failing: disk full\nkeys: ok\n" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("readyz: %d %q %v", status, body, h)
	}
	req, err := http.NewRequest(http.MethodGet, base+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body) // compared below
	_ = res.Body.Close()            // read to its end
	if want := `{"checks":[{"name":"store","status":"failing","error":"disk full"},{"name":"keys","status":"ok"}],"status":"failing"}`; string(body) != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
	for _, path := range []string{"/metrics", "/debug/pprof/", "/"} {
		if status, _, _ := get(t, base+path); status != 404 {
			t.Errorf("%s: %d, want 404", path, status)
		}
	}
}

func TestPprofOnRequest(t *testing.T) {
	s := start(t, httpd.Config{Public: say(""), PrivateListen: []string{"127.0.0.1:0"}, Private: httpd.NewPrivate(httpd.PrivateConfig{Pprof: true})})
	if status, body, _ := get(t, "http://"+s.PrivateAddrs()[0]+"/debug/pprof/cmdline"); status != 200 || body == "" {
		t.Errorf("pprof: %d %q", status, body)
	}
}

func TestAdminSocket(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 30)+"data")
	path := filepath.Join(dir, "admin.sock")
	s := start(t, httpd.Config{Public: say(""), Admin: say("admin"), AdminSocket: path})
	if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", fi.Mode(), err)
	}
	if fi, err := os.Lstat(path); err != nil || fi.Mode().Perm() != 0o600 || fi.Mode()&os.ModeSocket == 0 {
		t.Errorf("socket: %v, %v", fi.Mode(), err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return httpd.DialAdmin(ctx, path) }}}
	res, err := client.Get("http://admin/")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body) // compared below
	_ = res.Body.Close()            // read to its end
	if string(body) != "admin" {
		t.Errorf("got %q", body)
	}
	if l, err := httpd.ListenAdmin(path, quiet); err == nil {
		_ = l.Close() // the test has failed already
		t.Error("a live socket was taken over")
	}
	s.stop()
	s.wait(t)
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket was left behind: %v", err)
	}
	if _, err := httpd.DialAdmin(context.Background(), path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no server: %v", err)
	}
}

// TestAdminSocketLeftByACrash: a socket nobody answers on is replaced, other
// things in its place are not.
func TestAdminSocketLeftByACrash(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "admin.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := httpd.DialAdmin(context.Background(), path); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dead socket: %v", err)
	}
	l, err := httpd.ListenAdmin(path, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := httpd.ListenAdmin(path, quiet); err == nil || !strings.Contains(err.Error(), "no socket stands there") {
		t.Errorf("a file in the way: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("the file is %q, %v", b, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := httpd.ListenAdmin(path, quiet); err == nil || !strings.HasSuffix(err.Error(), "(mode 0777); run: chmod 700 "+dir) {
		t.Errorf("an open folder: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
