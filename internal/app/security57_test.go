package app_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// bodyRoutes take a body, each of its type, and say in their own way that it is
// too long.
var bodyRoutes = map[string]struct {
	ctype   string
	tooLong int
}{
	"/api/users/login":   {"application/json", 413},
	"/api/users/refresh": {"application/json", 401}, // there is no token, so it is not read
	"/oauth2/token":      {"application/x-www-form-urlencoded", 413},
	"/oauth2/introspect": {"application/x-www-form-urlencoded", 413},
	"/oauth2/revoke":     {"application/x-www-form-urlencoded", 413},
	"/oauth2/login":      {"application/x-www-form-urlencoded", 413},
	"/oauth2/userinfo":   {"application/x-www-form-urlencoded", 400}, // as RFC 6750 has it
}

// TestSecurity57_BodiesOfEveryRoute: one byte over limits.body is refused, said
// or not said beforehand; what is far over is not read, let alone kept.
func TestSecurity57_BodiesOfEveryRoute(t *testing.T) {
	const most = 4096
	s := serve(t, fmt.Sprintf("limits: {body: %d}\n", most))
	s.user("", "ann", "user")
	post := func(path, ctype string, body io.Reader) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+path, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", ctype)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0 // cut off while it was sent
		}
		_, err = io.Copy(io.Discard, res.Body)
		if err = errors.Join(err, res.Body.Close()); err != nil {
			return 0
		}
		return res.StatusCode
	}
	good := `{"username":"ann","password":"` + password + `"}`
	good += strings.Repeat(" ", most-len(good))
	if got := post("/api/users/login", "application/json", strings.NewReader(good)); got != 200 {
		t.Errorf("a login of %d bytes: %d", most, got)
	}
	for path, route := range bodyRoutes {
		one := strings.Repeat("x", most) + "="
		if path == "/api/users/login" {
			one = good + " "
		}
		for name, body := range map[string]io.Reader{"one over": strings.NewReader(one), "one over, chunked": io.MultiReader(strings.NewReader(one))} {
			if got := post(path, route.ctype, body); got != route.tooLong {
				t.Errorf("%s, %s: %d", path, name, got)
			}
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		sent := &counted{}
		if got := post(path, route.ctype, sent); got != 0 && got/100 != 4 {
			t.Errorf("%s, endless: %d", path, got)
		}
		if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 8<<20 || sent.sent.Load() > longBody/2 {
			t.Errorf("%s: %d KiB were allocated, %d MiB were taken", path, (after.TotalAlloc-before.TotalAlloc)>>10, sent.sent.Load()>>20)
		}
	}
}

// counted is a long body, which http.Client may go on reading for a moment.
type counted struct{ sent atomic.Int64 }

const longBody = 64 << 20

func (c *counted) Read(p []byte) (int, error) {
	n := int(min(int64(len(p)), longBody-c.sent.Load()))
	if n == 0 {
		return 0, io.EOF
	}
	for i := range p[:n] {
		p[i] = 'x'
	}
	c.sent.Add(int64(n))
	return n, nil
}

// TestSecurity57_TimeOfEveryRoute: who sends half a body is let go of when
// limits.request_timeout is over.
func TestSecurity57_TimeOfEveryRoute(t *testing.T) {
	s := serve(t, "limits: {request_timeout: 1s}\n")
	var all sync.WaitGroup
	for path, route := range bodyRoutes {
		all.Go(func() {
			c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if _, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: 100\r\n\r\n{", path, route.ctype); err != nil {
				t.Error(err)
				return
			}
			// Twenty seconds are for a busy machine; without a limit it is never.
			if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Error(err)
			}
			all, err := io.ReadAll(c)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: the connection is still open; it answered %q", path, all)
			}
			if strings.HasPrefix(string(all), "HTTP/1.1 2") || strings.HasPrefix(string(all), "HTTP/1.1 5") {
				t.Errorf("%s answers %q", path, all)
			}
		})
	}
	all.Wait()
}

// TestSecurity57_PagesOfEveryList: no list gives more than a page at once,
// whatever is asked for.
func TestSecurity57_PagesOfEveryList(t *testing.T) {
	s := serve(t, "")
	for i := range 120 {
		s.act("/users", map[string]any{"username": fmt.Sprint("user", i), "type": "user"})
	}
	for _, list := range []string{"/users", "/sessions", "/application-tokens", "/api-keys", "/clients", "/accounts", "/audit"} {
		var page struct {
			Items []any  `json:"items"`
			Next  string `json:"next"`
		}
		for _, limit := range []string{"100000", "0", "-1", "9223372036854775808", "x"} {
			if err := s.admin.Get(t.Context(), list, url.Values{"limit": {limit}}, &page); err == nil {
				t.Errorf("%s: %s at once are given", list, limit)
			}
		}
		if err := s.admin.Get(t.Context(), list, nil, &page); err != nil {
			t.Errorf("%s: %v", list, err)
		}
		if full := list == "/users" || list == "/audit"; len(page.Items) > 100 || full != (page.Next != "") {
			t.Errorf("%s: a page of %d, the next is %q", list, len(page.Items), page.Next)
		}
	}
}

// TestSecurity57_Descriptors: connections that never say what they want, from
// many addresses, cost as many descriptors as limits.connections at most; the
// others wait with the system.
func TestSecurity57_Descriptors(t *testing.T) {
	const most, all = 24, 72
	descriptors := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("descriptors are counted on Linux:", err)
		}
		return len(entries)
	}
	s := serve(t, fmt.Sprintf("limits: {connections: %d, header_timeout: 1m}\n", most))
	before := descriptors()
	for i := range all {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i))}}
		c, err := d.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Skip("this machine has no such loopback address:", err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\n") // it may be closed already
	}
	held := func() int { return descriptors() - before - all } // ours are not theirs
	for began := time.Now(); held() < most && time.Since(began) < time.Minute; {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond) // for one too many
	if n := held(); n < most/2 || n > 2*most {
		t.Errorf("%d connections cost the server %d descriptors, want %d", all, n, most)
	}
}
