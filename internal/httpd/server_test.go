package httpd_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/httpd"
)

var quiet = slog.New(slog.DiscardHandler)

// running is a server under test.
type running struct {
	*httpd.Server
	url  string
	stop context.CancelFunc
	done chan error
}

// start serves cfg on a free port of loopback until the test ends.
func start(t *testing.T, cfg httpd.Config) *running {
	t.Helper()
	if cfg.Listen == nil {
		cfg.Listen = []string{"127.0.0.1:0"}
	}
	if cfg.Front.Logger == nil {
		cfg.Front.Logger = quiet
	}
	s, err := httpd.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Server: s, url: "http://" + s.PublicAddrs()[0], stop: cancel, done: make(chan error, 1)}
	go func() { r.done <- s.Serve(ctx) }()
	t.Cleanup(func() { cancel(); r.wait(t) })
	return r
}

// wait expects an orderly end; it may be called again.
func (r *running) wait(t *testing.T) {
	t.Helper()
	select {
	case err := <-r.done:
		if err != nil {
			t.Errorf("Serve: %v", err)
		}
		r.done <- nil
	case <-time.After(20 * time.Second):
		t.Fatal("Serve does not end")
	}
}

func (r *running) addr() string { return r.PublicAddrs()[0] }

// get asks over a connection of its own.
func get(t *testing.T, url string) (int, string, http.Header) {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }() // read to its end
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body), res.Header
}

func handler(f func(w http.ResponseWriter, r *http.Request)) http.Handler { return http.HandlerFunc(f) }

func say(text string) http.Handler {
	return handler(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
}

func TestShutdownFinishesRequestsInFlight(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s := start(t, httpd.Config{Public: handler(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, "finished")
	})})
	hook := make(chan struct{})
	s.OnShutdown(func() { close(hook) })
	answer := make(chan string, 1)
	go func() { _, body, _ := get(t, s.url); answer <- body }()
	<-entered
	s.stop()
	<-hook
	if !s.Draining() {
		t.Error("the server does not say that it is draining")
	}
	close(release)
	if got := <-answer; got != "finished" {
		t.Errorf("the request in flight got %q", got)
	}
	s.wait(t)
	if c, err := net.Dial("tcp", s.addr()); err == nil {
		_ = c.Close() // the test has failed already
		t.Error("the port is still open")
	}
}

// TestShutdownCutsStreams: what never ends by itself ends with its context,
// and what ignores that is cut; both within the timeout.
func TestShutdownCutsStreams(t *testing.T) {
	for _, stubborn := range []bool{false, true} {
		t.Run(fmt.Sprint("stubborn=", stubborn), func(t *testing.T) {
			entered, never := make(chan struct{}), make(chan struct{})
			t.Cleanup(func() { close(never) })
			s := start(t, httpd.Config{ShutdownTimeout: 600 * time.Millisecond, Public: handler(func(w http.ResponseWriter, r *http.Request) {
				_ = http.NewResponseController(w).Flush() // begins the stream
				close(entered)
				if stubborn {
					<-never
				}
				<-r.Context().Done()
			})})
			go func() {
				res, err := http.Get(s.url)
				if err == nil {
					_, _ = io.Copy(io.Discard, res.Body) // it is cut, whatever it says
					_ = res.Body.Close()                 // likewise
				}
			}()
			<-entered
			begin := time.Now()
			s.stop()
			s.wait(t)
			if took := time.Since(begin); took > 2*time.Second {
				t.Errorf("shutdown took %v", took)
			}
		})
	}
}

func TestShutdownClosesHijacked(t *testing.T) {
	s := start(t, httpd.Config{Public: handler(func(w http.ResponseWriter, _ *http.Request) {
		c, brw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = brw.WriteString("HTTP/1.1 101 Switching Protocols\r\n\r\n") // seen by the client below
		_ = brw.Flush()                                                    // likewise
		_, _ = io.Copy(io.Discard, c)                                      // until it is closed
		_ = c.Close()                                                      // closed already
	})})
	c, err := net.Dial("tcp", s.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }() // the server closed it
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(c)
	if line, err := br.ReadString('\n'); err != nil || !strings.Contains(line, "101") {
		t.Fatalf("%q, %v", line, err)
	}
	s.stop()
	if _, err := io.Copy(io.Discard, br); err != nil {
		t.Errorf("the connection did not end cleanly: %v", err)
	}
	s.wait(t)
}

// TestSecurity57_SlowHeaders: a client that dribbles its headers is hung up on.
func TestSecurity57_SlowHeaders(t *testing.T) {
	s := start(t, httpd.Config{Public: say("never"), ReadHeaderTimeout: 100 * time.Millisecond})
	c, err := net.Dial("tcp", s.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }() // the server closed it
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil || strings.Contains(string(b), "never") {
		t.Errorf("got %q, %v; want the end of the connection", b, err)
	}
}

func TestSecurity57_HeaderCap(t *testing.T) {
	s := start(t, httpd.Config{Public: say("ok")})
	for _, tc := range []struct{ size, want int }{{15 << 10, 200}, {17 << 10, 431}} {
		req, err := http.NewRequest(http.MethodGet, s.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", strings.Repeat("x", tc.size))
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close() // only the status matters
		if res.StatusCode != tc.want {
			t.Errorf("%d bytes of header: %d, want %d", tc.size, res.StatusCode, tc.want)
		}
	}
}

func TestSecurity57_IdleConnectionsMakeRoom(t *testing.T) {
	s := start(t, httpd.Config{Public: say("ok"), MaxConns: 2})
	var conns []*http.Client
	for range 5 {
		c := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
		conns = append(conns, c)
		res, err := c.Get(s.url)
		if err != nil {
			t.Fatalf("connection %d: %v", len(conns), err)
		}
		_, _ = io.Copy(io.Discard, res.Body) // so that it becomes idle
		_ = res.Body.Close()                 // likewise
	}
	for _, c := range conns {
		c.CloseIdleConnections()
	}
}

// TestSecurity57_OnePeerHasNotAllConnections: a peer over its share is refused,
// or loses what it does not use; another address, and a listed proxy, has room.
func TestSecurity57_OnePeerHasNotAllConnections(t *testing.T) {
	listed, err := httpd.NewProxies([]string{"127.0.0.3"}, "")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, httpd.Config{Public: say("ok"), MaxConns: 10, MaxPerPeer: 2, Front: httpd.Front{Proxies: listed}})
	ask := func(from string, whole bool) (net.Conn, error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
		c, err := d.Dial("tcp", s.addr())
		if err != nil {
			t.Skip("this machine has no such loopback address: ", err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		if !whole {
			_, err := io.WriteString(c, "GET / HTTP/1.1\r\n")
			return c, err
		}
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return c, err
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
		}
		return c, err
	}
	for range 5 { // each idle one makes room for the next
		if _, err := ask("127.0.0.1", true); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // and these are busy
		if _, err := ask("127.0.0.1", false); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ask("127.0.0.1", true); err == nil {
		t.Error("a third connection is served")
	}
	for range 4 {
		if _, err := ask("127.0.0.3", false); err != nil {
			t.Fatal(err)
		}
	}
	for _, from := range []string{"127.0.0.2", "127.0.0.3"} {
		if _, err := ask(from, true); err != nil {
			t.Errorf("%s: %v", from, err)
		}
	}
}

func TestCleartextHTTP2(t *testing.T) {
	for _, on := range []bool{true, false} {
		s := start(t, httpd.Config{H2C: on, Public: handler(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })})
		p := new(http.Protocols)
		p.SetUnencryptedHTTP2(true)
		res, err := (&http.Client{Transport: &http.Transport{Protocols: p}, Timeout: 5 * time.Second}).Get(s.url)
		if (err == nil) != on {
			t.Errorf("h2c %v: %v", on, err)
		}
		if err == nil {
			body, _ := io.ReadAll(res.Body) // compared below
			_ = res.Body.Close()            // read to its end
			if string(body) != "HTTP/2.0" {
				t.Errorf("spoke %s", body)
			}
		}
	}
}

func TestListenUnixAndErrors(t *testing.T) {
	path := t.TempDir() + "/s.sock"
	s := start(t, httpd.Config{Public: say("over unix"), Listen: []string{"127.0.0.1:0", "unix:" + path}})
	if got := s.PublicAddrs()[1]; got != "unix:"+path {
		t.Errorf("address %q", got)
	}
	c := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) }}}
	res, err := c.Get("http://x/")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body) // compared below
	_ = res.Body.Close()            // read to its end
	c.CloseIdleConnections()
	if string(body) != "over unix" {
		t.Errorf("got %q", body)
	}
	for _, tc := range []struct {
		cfg  httpd.Config
		want string
	}{
		{httpd.Config{Public: say(""), Listen: []string{s.addr()}}, "listen: " + s.addr() + " is in use by another program (or another sallyport); stop it or set listen to a free port"},
		{httpd.Config{Public: say(""), Listen: []string{"unix:" + path}}, "listen: socket " + path + ": another process answers on it; stop it first"},
		{httpd.Config{Public: say(""), Listen: []string{"127.0.0.1:0"}, Private: say(""), PrivateListen: []string{"0.0.0.0:0"}}, "private_listen: 0.0.0.0:0 can be reached from other machines, and this listener asks for no login; use 127.0.0.1 or set private_off_loopback: true"},
		{httpd.Config{}, "httpd: a public handler and an address to listen on are needed"},
	} {
		tc.cfg.Front.Logger = quiet
		srv, err := httpd.New(tc.cfg)
		if err == nil {
			err = srv.Listen()
		}
		if err == nil || err.Error() != tc.want {
			t.Errorf("got  %v\nwant %s", err, tc.want)
		}
	}
}

func TestSecurity60_PanicsOverTheWire(t *testing.T) {
	boom := errors.New("boom")
	ew := func(w http.ResponseWriter, _ *http.Request, err error) {
		var pe *httpd.PanicError
		if errors.As(err, &pe) {
			http.Error(w, "panicked", http.StatusInternalServerError)
			return
		}
		http.Error(w, err.Error(), http.StatusTeapot)
	}
	mux := http.NewServeMux()
	mux.Handle("/error", httpd.Wrap(func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Length", "999")
		w.Header().Set("X-Api-Version", "1")
		return boom
	}, ew))
	mux.Handle("/panic", httpd.Wrap(func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Set-Cookie", "session=1")
		panic("secret detail")
	}, ew))
	mux.Handle("/late", httpd.Wrap(func(w http.ResponseWriter, _ *http.Request) error {
		_, _ = io.WriteString(w, "half of the ans") // the point of the test
		_ = http.NewResponseController(w).Flush()   // likewise
		return boom
	}, ew))
	mux.Handle("/bare", handler(func(http.ResponseWriter, *http.Request) { panic("bare") }))
	s := start(t, httpd.Config{Public: mux})

	status, body, h := get(t, s.url+"/error")
	if status != http.StatusTeapot || body != "boom\n" || h.Get("X-Api-Version") != "1" || h.Get("X-Request-Id") == "" {
		t.Errorf("error: %d %q %v", status, body, h)
	}
	status, body, h = get(t, s.url+"/panic")
	if status != 500 || body != "panicked\n" || h.Get("Set-Cookie") != "" || h.Get("X-Request-Id") == "" {
		t.Errorf("panic: %d %q %v", status, body, h)
	}
	status, body, h = get(t, s.url+"/bare")
	if status != 500 || body != `{"status":500,"title":"Internal Server Error"}` || h.Get("Content-Type") != "application/problem+json" {
		t.Errorf("bare panic: %d %q %v", status, body, h)
	}
	res, err := http.Get(s.url + "/late")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("a failed answer looks whole: %q", b)
	}
	_ = res.Body.Close() // broken, as wanted
	if status, _, _ := get(t, s.url+"/error"); status != http.StatusTeapot {
		t.Error("the process did not survive")
	}
}
