package gateway

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sallyport/sallyport/internal/core"
)

// echo is an upstream WebSocket that says who it was told calls, then echoes.
func echo(t testing.TB) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		_ = c.Write(r.Context(), websocket.MessageText, []byte(r.Header.Get("X-Sallyport-User")))
		for {
			typ, msg, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), typ, msg) != nil {
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func dial(t testing.TB, d *door, user string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	return websocket.Dial(ctx, d.URL+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + user}}})
}

func talk(t testing.TB, c *websocket.Conn, say, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if say != "" {
		if err := c.Write(ctx, websocket.MessageText, []byte(say)); err != nil {
			t.Fatal(err)
		}
	}
	_, msg, err := c.Read(ctx)
	if err != nil || string(msg) != want {
		t.Fatal(string(msg), err)
	}
}

// cut waits for the connection to end; the test's time limit is the bound.
func cut(t testing.TB, c *websocket.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, _, err := c.Read(ctx); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Fatal("the connection goes on: ", err)
	}
}

func TestWebSocketEndsOnRevocation(t *testing.T) {
	d := open(t, echo(t).URL, nil)
	alice, _, err := dial(t, d, "alice")
	if err != nil {
		t.Fatal(err)
	}
	bob, _, err := dial(t, d, "bob")
	if err != nil {
		t.Fatal(err)
	}
	talk(t, alice, "", "alice")
	talk(t, bob, "", "bob")
	talk(t, alice, "hello", "hello")
	d.auth.kill("alice", core.TokenRevoked)
	cut(t, alice)
	talk(t, bob, "still here", "still here")
	_ = bob.Close(websocket.StatusNormalClosure, "")
}

func TestWebSocketEndsAtExpiry(t *testing.T) {
	d := open(t, echo(t).URL, nil)
	d.auth.tokens["alice"].ExpiresAt = d.auth.clock() + 60_000
	c, _, err := dial(t, d, "alice")
	if err != nil {
		t.Fatal(err)
	}
	talk(t, c, "", "alice")
	d.auth.advance(59_999)
	talk(t, c, "x", "x")
	d.auth.advance(1)
	cut(t, c)
}

func TestWebSocketNeedsAToken(t *testing.T) {
	d := open(t, echo(t).URL, nil)
	_, res, err := dial(t, d, "nobody")
	if err == nil || res.StatusCode != 401 {
		t.Fatal(res, err)
	}
}

func TestSecurity61_OtherUpgradesAreRefused(t *testing.T) {
	b := newBackend(t)
	d := open(t, b.URL, nil)
	for _, upgrade := range []string{"h2c", "websocket, h2c", "TLS/1.0", "websocket\r\nUpgrade: h2c", "foo", "Web Socket"} {
		got := raw(t, d.Listener.Addr().String(), "GET /x HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer bob\r\nConnection: Upgrade, close\r\nUpgrade: "+upgrade+"\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 400") || b.take() != nil {
			t.Errorf("%q: %s", upgrade, got)
		}
	}
	got := raw(t, d.Listener.Addr().String(), "POST /x HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer bob\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx")
	if !strings.HasPrefix(got, "HTTP/1.1 400") || b.take() != nil {
		t.Error(got)
	}
}

func TestStreamEndsOnRevocation(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
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
	in := bufio.NewReader(res.Body)
	if line, err := in.ReadString('\n'); err != nil || line != "first\n" {
		t.Fatal(line, err)
	}
	d.auth.kill("bob", core.TokenRevoked)
	if _, err := in.ReadByte(); err == nil || errors.Is(err, io.EOF) {
		t.Fatal("the stream ended as if it were whole: ", err)
	}
}

// A request whose token ends before the upstream has answered is refused in
// words; the answer that comes later is not passed on.
func TestTokenThatEndsBeforeTheAnswer(t *testing.T) {
	arrived := make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	}))
	defer up.Close()
	d := open(t, up.URL, nil)
	go func() {
		<-arrived
		d.auth.kill("bob", core.TokenRevoked)
	}()
	if a := d.do(t, "GET", "/x", bearer, "Bearer bob"); a.status != 401 || a.words() != "first token_revoked" {
		t.Errorf("%+v", a)
	}
}

// A core that cannot tell is given five seconds.
func TestDeafStreams(t *testing.T) {
	auth := newFakeAuth()
	s := newStreams(auth, auth.clock)
	ctx, cancel := context.WithCancelCause(t.Context())
	done := s.add(auth.tokens["bob"], cancel)
	auth.kill("bob", core.Unavailable)
	auth.advance(deafAfter - 1)
	s.look(t.Context())
	if ctx.Err() != nil {
		t.Fatal("cut at the first missing answer")
	}
	auth.kill("bob", "")
	s.look(t.Context())
	auth.kill("bob", core.Unavailable)
	auth.advance(deafAfter - 1)
	s.look(t.Context())
	if ctx.Err() != nil {
		t.Fatal("the good answer between did not count")
	}
	auth.advance(1)
	s.look(t.Context())
	if ctx.Err() == nil || core.CodeOf(context.Cause(ctx)) != core.Unavailable {
		t.Fatal(context.Cause(ctx))
	}
	done()
	if len(s.live) != 0 {
		t.Fatal("a request that has ended is still watched")
	}
}
