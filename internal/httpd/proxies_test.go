package httpd_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/httpd"
)

// ask sends one request from peer through a Front and returns what it learned.
func ask(t *testing.T, f httpd.Front, peer string, headers ...string) httpd.RequestInfo {
	t.Helper()
	if f.Logger == nil {
		f.Logger = slog.New(slog.DiscardHandler)
	}
	var got httpd.RequestInfo
	h := f.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = *httpd.Info(r) }))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = peer
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	h.ServeHTTP(httptest.NewRecorder(), r)
	return got
}

func proxies(t *testing.T, header string, list ...string) *httpd.Proxies {
	t.Helper()
	p, err := httpd.NewProxies(list, header)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestSecurity55_ClientAddress is the table of honest chains and spoofed ones.
func TestSecurity55_ClientAddress(t *testing.T) {
	none := proxies(t, "")
	xff := proxies(t, "", "10.0.0.0/8", "2001:db8::/32", "unix")
	fwd := proxies(t, httpd.Forwarded, "10.0.0.0/8")
	const proxy = "10.0.0.1:5000"
	tests := []struct {
		name     string
		proxies  *httpd.Proxies
		peer     string
		headers  []string
		client   string
		secure   bool
		unlisted bool
	}{
		{"nobody listed", none, "192.0.2.9:1", []string{"X-Forwarded-For: 1.1.1.1"}, "192.0.2.9", false, true},
		{"nobody listed, proto", none, "192.0.2.9:1", []string{"X-Forwarded-Proto: https"}, "192.0.2.9", false, true},
		{"nobody listed, no header", none, "192.0.2.9:1", nil, "192.0.2.9", false, false},
		{"mapped peer", none, "[::ffff:192.0.2.9]:1", nil, "192.0.2.9", false, false},
		{"one hop", xff, proxy, []string{"X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: https"}, "198.51.100.7", true, false},
		{"spoof on the left", xff, proxy, []string{"X-Forwarded-For: 1.1.1.1, 198.51.100.7"}, "198.51.100.7", false, false},
		{"spoof in a line of its own", xff, proxy, []string{"X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 198.51.100.7"}, "198.51.100.7", false, false},
		{"two listed hops", xff, proxy, []string{"X-Forwarded-For: 198.51.100.7, 10.9.9.9"}, "198.51.100.7", false, false},
		{"spoof behind two hops", xff, proxy, []string{"X-Forwarded-For: 10.1.1.1, 198.51.100.7, 10.9.9.9"}, "198.51.100.7", false, false},
		{"all listed", xff, proxy, []string{"X-Forwarded-For: 10.2.2.2, 10.9.9.9"}, "10.2.2.2", false, false},
		{"garbage ends the walk", xff, proxy, []string{"X-Forwarded-For: 198.51.100.7, <script>, 10.9.9.9"}, "10.9.9.9", false, false},
		{"empty header", xff, proxy, []string{"X-Forwarded-For: "}, "10.0.0.1", false, false},
		{"port", xff, proxy, []string{"X-Forwarded-For: 198.51.100.7:4711"}, "198.51.100.7", false, false},
		{"IPv6 with port", xff, proxy, []string{"X-Forwarded-For: [2001:db9::1]:4711"}, "2001:db9::1", false, false},
		{"bare IPv6", xff, "[2001:db8::2]:1", []string{"X-Forwarded-For: 2001:db9::1"}, "2001:db9::1", false, false},
		{"mapped hop is listed", xff, proxy, []string{"X-Forwarded-For: 198.51.100.7, ::ffff:10.3.3.3"}, "198.51.100.7", false, false},
		{"zone", xff, proxy, []string{"X-Forwarded-For: fe80::1%eth0"}, "10.0.0.1", false, false},
		{"unlisted peer in front of listed", xff, "203.0.113.5:1", []string{"X-Forwarded-For: 10.0.0.1"}, "203.0.113.5", false, true},
		{"the other family is not read", xff, proxy, []string{"Forwarded: for=1.1.1.1"}, "10.0.0.1", false, false},
		{"proto of the nearest", xff, proxy, []string{"X-Forwarded-Proto: https, http"}, "10.0.0.1", false, false},
		{"unix peer", xff, "@", []string{"X-Forwarded-For: 198.51.100.7"}, "198.51.100.7", false, false},
		{"unlisted unix peer", none, "@", []string{"X-Forwarded-For: 198.51.100.7"}, "invalid IP", false, true},
		{"forwarded", fwd, proxy, []string{`Forwarded: for=198.51.100.7;proto=https;by=10.0.0.1`}, "198.51.100.7", true, false},
		{"forwarded spoof", fwd, proxy, []string{`Forwarded: for=1.1.1.1;proto=https, for=198.51.100.7;proto=http`}, "198.51.100.7", false, false},
		{"forwarded IPv6", fwd, proxy, []string{`Forwarded: For="[2001:db9::1]:80"`}, "2001:db9::1", false, false},
		{"forwarded quoted comma", fwd, proxy, []string{`Forwarded: for="1.1.1.1, for=2.2.2.2"`}, "10.0.0.1", false, false},
		{"forwarded obfuscated", fwd, proxy, []string{`Forwarded: for=198.51.100.7, for=_hidden`}, "10.0.0.1", false, false},
		{"forwarded open quote swallows", fwd, proxy, []string{`Forwarded: for="1.1.1.1`, `Forwarded: for=198.51.100.7`}, "10.0.0.1", false, false},
		{"forwarded twice in one element", fwd, proxy, []string{`Forwarded: for=198.51.100.7;for=1.1.1.1`}, "10.0.0.1", false, false},
		{"forwarded reads no X-", fwd, proxy, []string{`X-Forwarded-For: 1.1.1.1`}, "10.0.0.1", false, false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got := ask(t, httpd.Front{Proxies: tc.proxies}, tc.peer, tc.headers...)
			if got.ClientAddr.String() != tc.client || got.Secure != tc.secure || got.ForwardedByUnlisted != tc.unlisted {
				t.Errorf("client %v, secure %v, unlisted %v; want %s, %v, %v",
					got.ClientAddr, got.Secure, got.ForwardedByUnlisted, tc.client, tc.secure, tc.unlisted)
			}
		})
	}
}

func TestNewProxiesRefuses(t *testing.T) {
	for _, s := range []string{"", "nginx", "10.0.0.0/33", "fe80::1%eth0", "10.0.0.1:80", "::ffff:10.0.0.0/104"} {
		if _, err := httpd.NewProxies([]string{s}, ""); err == nil {
			t.Errorf("%q is accepted", s)
		}
	}
	if _, err := httpd.NewProxies(nil, "x-real-ip"); err == nil {
		t.Error("an unknown header is accepted")
	}
}

func TestRequestID(t *testing.T) {
	const theirs = "trace-0123456789"
	listed := httpd.Front{Proxies: proxies(t, "", "10.0.0.1")}
	if got := ask(t, listed, "10.0.0.1:1", "X-Request-Id: "+theirs).ID; got != theirs {
		t.Errorf("a listed proxy's id became %q", got)
	}
	for _, tc := range [][]string{
		{"192.0.2.1:1", "X-Request-Id: " + theirs},
		{"10.0.0.1:1", "X-Request-Id: short"},
		{"10.0.0.1:1", `X-Request-Id: evil" level=ERROR msg="forged`},
		{"10.0.0.1:1", "X-Request-Id: " + theirs, "X-Request-Id: " + theirs},
	} {
		if got := ask(t, listed, tc[0], tc[1:]...).ID; len(got) != 22 || got == theirs {
			t.Errorf("%q: id %q, want 128 random bits", tc, got)
		}
	}
}

func TestUnlistedProxyIsReportedOnceAMinute(t *testing.T) {
	var buf bytes.Buffer
	now := time.UnixMilli(1_700_000_000_000)
	f := httpd.Front{Proxies: proxies(t, ""), Logger: slog.New(slog.NewTextHandler(&buf, nil)), NoAccessLog: true, Now: func() time.Time { return now }}
	for range 3 {
		ask(t, f, "192.0.2.9:1", "Forwarded: for=1.1.1.1")
	}
	if n := strings.Count(buf.String(), "\n"); n != 1 {
		t.Fatalf("%d lines, want 1:\n%s", n, buf.String())
	}
	if want := `if_it_is_your_proxy_add="trusted_proxies: [\"192.0.2.9\"]"`; !strings.Contains(buf.String(), want) {
		t.Errorf("the line to add is missing: %s", buf.String())
	}
	now = now.Add(61 * time.Second)
	ask(t, f, "192.0.2.9:1", "Forwarded: for=1.1.1.1")
	if n := strings.Count(buf.String(), "\n"); n != 2 {
		t.Errorf("%d lines after a minute, want 2", n)
	}
}

// FuzzForwarded: whatever a client puts in front, it cannot move the address
// that a listed proxy appended.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{"", "for=1.1.1.1", `for="1.1.1.1`, `for="a\`, ",,;", "for=1;for=2", `x="," ;for=[::1]`} {
		f.Add(s)
	}
	fwd, err := httpd.NewProxies([]string{"10.0.0.0/8"}, httpd.Forwarded)
	if err != nil {
		f.Fatal(err)
	}
	xff, err := httpd.NewProxies([]string{"10.0.0.0/8"}, "")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, left string) {
		const real, proxy = "198.51.100.7", "10.0.0.1"
		got := ask(t, httpd.Front{Proxies: fwd, NoAccessLog: true}, proxy+":1", "Forwarded: "+left+", for="+real).ClientAddr.String()
		if got != real && got != proxy {
			t.Errorf("Forwarded %q moved the client to %s", left, got)
		}
		got = ask(t, httpd.Front{Proxies: xff, NoAccessLog: true}, proxy+":1", "X-Forwarded-For: "+left+", "+real).ClientAddr.String()
		if got != real {
			t.Errorf("X-Forwarded-For %q moved the client to %s", left, got)
		}
	})
}
