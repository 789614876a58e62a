package attack_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2 is an HTTP/2 connection that sends frames as they are.
type h2 struct {
	t    *testing.T
	conn net.Conn
	f    *http2.Framer
	buf  bytes.Buffer
	enc  *hpack.Encoder
	next uint32
}

// dialH2 begins a connection by prior knowledge (RFC 9113 section 3.3).
func dialH2(t *testing.T, w *world) *h2 {
	t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	c := &h2{t: t, conn: conn, f: http2.NewFramer(conn, conn), next: 1}
	c.enc = hpack.NewEncoder(&c.buf)
	c.f.AllowIllegalWrites = true
	if err := c.f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return c
}

// block encodes header fields, name and value by turns.
func (c *h2) block(fields ...string) []byte {
	c.buf.Reset()
	for i := 0; i+1 < len(fields); i += 2 {
		if err := c.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			c.t.Fatal(err)
		}
	}
	return bytes.Clone(c.buf.Bytes())
}

// stream opens a stream with a header block and says which.
func (c *h2) stream(block []byte, end bool) uint32 {
	id := c.next
	c.next += 2
	_ = c.f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndStream: end, EndHeaders: true}) // a server that closed has seen enough
	return id
}

// outcome is the status of a stream, or how it or its connection ended.
func (c *h2) outcome(id uint32) string {
	dec := hpack.NewDecoder(4096, nil)
	for {
		f, err := c.f.ReadFrame()
		if err != nil {
			return "closed"
		}
		switch f := f.(type) {
		case *http2.HeadersFrame:
			fields, err := dec.DecodeFull(f.HeaderBlockFragment())
			if err != nil {
				c.t.Fatal(err)
			}
			if f.StreamID == id && len(fields) > 0 && fields[0].Name == ":status" {
				return fields[0].Value
			}
		case *http2.RSTStreamFrame:
			if f.StreamID == id {
				return "reset"
			}
		case *http2.GoAwayFrame:
			return "goaway"
		}
	}
}

func (w *world) h2Fields(tok string, more ...string) []string {
	return append([]string{":method", "GET", ":scheme", "http", ":authority", "test", ":path", "/api/stations", "authorization", "Bearer " + tok}, more...)
}

// TestHTTP2 sends requests that HTTP/2 can frame and HTTP/1 cannot say: what
// the two would read differently must reach nobody.
func TestHTTP2(t *testing.T) {
	w := newWorldWith(t, true)
	log := &upstreamLog{}
	w.upstream = log.serve
	w.user("", "robot", "application")
	tok := text(w.login("/api/users/login", asJSON, "robot"), "accessToken")
	good := w.h2Fields(tok)
	with := func(pairs ...string) []string {
		out := append([]string{}, good...)
		for i := 0; i+1 < len(pairs); i += 2 {
			for k := 0; k+1 < len(out); k += 2 {
				if out[k] == pairs[i] {
					out[k+1] = pairs[i+1]
				}
			}
		}
		return out
	}
	refused := "400 401 403 404 405 413 414 422 431 reset goaway closed"
	for _, tc := range []struct {
		name   string
		fields []string
		want   string
	}{
		{"control", good, "200"},
		{"HTTP/2 to a route of ours", with(":path", "/oauth2/userinfo"), "401"},
		{"two authorization fields", append(with(), "authorization", "Bearer "+tok), refused},
		{"token in pieces", append(with("authorization", "Bearer "+tok[:20]), "authorization", tok[20:]), refused},
		{"no authorization", good[:8], refused},
		{"capitals in a name", append(good[:8:8], "Authorization", "Bearer "+tok), refused},
		{"CR LF in a value", append(with(), "x-a", "b\r\nx-sallyport-user: evil"), refused},
		{"LF in a value", append(with(), "x-a", "b\nx-sallyport-user: evil"), refused},
		{"NUL in a value", append(with(), "x-a", "b\x00c"), refused},
		{"CR LF in the path", with(":path", "/api HTTP/1.1\r\nX-Sallyport-User: evil\r\n\r\nGET /smuggled"), refused},
		{"blank in the path", with(":path", "/api /smuggled"), refused},
		{"CR LF in the method", with(":method", "GET / HTTP/1.1\r\nX: "), refused},
		{"CR LF in the authority", with(":authority", "test\r\nX-Sallyport-User: evil"), refused},
		{"blank in the authority", with(":authority", "te st"), refused},
		{"path in the authority", with(":authority", "test/../x"), refused},
		{"path without slash", with(":path", "api/stations"), refused},
		{"empty path", with(":path", ""), refused},
		{"absolute path", with(":path", "http://evil/api/stations"), refused},
		{"dots in the path", with(":path", "/x/../api/stations"), refused},
		{"path twice", append(append([]string{}, good[:8]...), ":path", "/smuggled", "authorization", "Bearer "+tok), refused},
		{"no method", good[2:], refused},
		{"no path", append(append([]string{}, good[:6]...), good[8:]...), refused},
		{"pseudo field behind", append(with(), ":path", "/smuggled"), refused},
		{"unknown pseudo field", append([]string{":protocol", "websocket"}, good...), refused},
		{"another pseudo field", append([]string{":x", "y"}, good...), refused},
		{"status from a client", append([]string{":status", "200"}, good...), refused},
		{"connection", append(with(), "connection", "close, x-sallyport-user"), refused},
		{"transfer-encoding", append(with(), "transfer-encoding", "chunked"), refused},
		{"upgrade", append(with(), "upgrade", "websocket"), refused},
		{"te", append(with(), "te", "gzip"), refused},
		{"name with a colon", append(with(), "x:y", "z"), refused},
		{"name with a blank", append(with(), "x y", "z"), refused},
		{"empty name", append(with(), "", "z"), refused},
		{"host beside the authority", append(with(), "host", "evil"), "200 400 reset goaway closed"},
		{"identity", append(with(), "x-sallyport-user", "evil", "x_sallyport_user", "evil"), "200"},
		{"cookie in pieces", append(with(), "cookie", "a=b", "cookie", "c=d"), "200"},
		{"CONNECT", []string{":method", "CONNECT", ":authority", "test:80", "authorization", "Bearer " + tok}, refused},
		{"20 KiB of header", append(with(), "x-a", strings.Repeat("a", 20<<10)), refused},
		{"1 MiB in 4 KiB fields", append(with(), strings.Split(strings.Repeat("x-a\x01"+strings.Repeat("a", 4096)+"\x01", 64)+"x-a\x01b", "\x01")...), refused},
	} {
		c := dialH2(t, w)
		log.take()
		got := c.outcome(c.stream(c.block(tc.fields...), true))
		if !strings.Contains(" "+tc.want+" ", " "+got+" ") {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
		for _, s := range log.take() {
			if got != "200" || s.target != "/api/stations" || s.header.Get("X-Sallyport-User") != "robot" || len(s.header.Values("X-Sallyport-User")) != 1 {
				t.Errorf("%s: the upstream was asked as %+v", tc.name, s)
			}
		}
	}
	w.watch.check()
}

// TestHTTP2Floods sends frames that cost their sender little. The connection
// may end; the server may not, and its memory stays where it was.
func TestHTTP2Floods(t *testing.T) {
	w := newWorldWith(t, true)
	w.user("", "robot", "application")
	tok := text(w.login("/api/users/login", asJSON, "robot"), "accessToken")
	control := func(when string) {
		t.Helper()
		c := dialH2(t, w)
		if got := c.outcome(c.stream(c.block(w.h2Fields(tok)...), true)); got != "200" {
			t.Errorf("%s: %s", when, got)
		}
		_ = c.conn.Close()
	}
	control("control")
	before, lines := settled(), runtime.NumGoroutine()
	for _, flood := range []struct {
		name string
		send func(c *h2) error
	}{
		{"resets (CVE-2023-44487)", func(c *h2) error {
			id := c.stream(c.block(w.h2Fields(tok)...), true)
			return c.f.WriteRSTStream(id, http2.ErrCodeCancel)
		}},
		{"continuations without end (CVE-2023-45288)", func(c *h2) error {
			if c.next == 1 {
				c.next = 3
				return c.f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.block(w.h2Fields(tok)...)})
			}
			return c.f.WriteContinuation(1, false, c.block("x-a", strings.Repeat("a", 1000)))
		}},
		{"pings", func(c *h2) error { return c.f.WritePing(false, [8]byte{1}) }},
		{"settings", func(c *h2) error {
			return c.f.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 14})
		}},
		{"empty frames", func(c *h2) error {
			if c.next == 1 {
				c.stream(c.block(":method", "POST", ":scheme", "http", ":authority", "test", ":path", "/token", "content-type", asJSON), false)
			}
			return c.f.WriteData(1, false, nil)
		}},
		{"a huge table", func(c *h2) error {
			return c.f.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 1 << 31})
		}},
		{"windows", func(c *h2) error { return c.f.WriteWindowUpdate(0, 1<<30) }},
		{"data on no stream", func(c *h2) error { return c.f.WriteData(99, false, []byte("x")) }},
		{"even streams", func(c *h2) error {
			return c.f.WriteHeaders(http2.HeadersFrameParam{StreamID: 2, BlockFragment: c.block(w.h2Fields(tok)...), EndStream: true, EndHeaders: true})
		}},
		{"a frame of 16 MiB", func(c *h2) error { return c.f.WriteRawFrame(http2.FrameData, 0, 1, make([]byte, 1<<20)) }},
		{"unknown frames", func(c *h2) error { return c.f.WriteRawFrame(0xfa, 0xff, 1, make([]byte, 1000)) }},
		{"broken HPACK", func(c *h2) error {
			return c.f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0x0f}, EndStream: true, EndHeaders: true})
		}},
		{"many open streams", func(c *h2) error {
			c.stream(c.block(":method", "POST", ":scheme", "http", ":authority", "test", ":path", "/token", "content-type", asJSON, "authorization", fmt.Sprint("Bearer ", c.next)), false)
			return nil
		}},
		{"dependencies on itself", func(c *h2) error { return c.f.WritePriority(1, http2.PriorityParam{StreamDep: 1, Weight: 255}) }},
	} {
		c := dialH2(t, w)
		go func() { _, _ = io.Copy(io.Discard, c.conn) }() // what it answers is of no matter
		_ = c.conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
		for range 2000 {
			if err := flood.send(c); err != nil {
				break // closed: good
			}
		}
		control("after " + flood.name)
		_ = c.conn.Close()
	}
	// Idle connections to the upstream stay for a while; 2,000 handlers may not.
	const idle = 400
	deadline := time.Now().Add(40 * time.Second)
	for runtime.NumGoroutine() > lines+idle && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > lines+idle {
		t.Errorf("%d goroutines, %d before the floods", n, lines)
	}
	if grown := growth(before.heap, settled().heap); grown > 16<<20 {
		t.Errorf("the heap grew by %d KiB", grown>>10)
	}
	w.watch.check()
}
