package attack_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// wire is a connection that sends bytes as they are: net/http would refuse to
// send most of what is tried here.
type wire struct {
	w    *world
	from string // the address to come from; "" is any
	conn net.Conn
	in   *bufio.Reader
}

// response is an answer read whole; status 0 is a connection that was closed
// without one.
type response struct {
	status int
	header http.Header
	body   []byte
}

func newWire(w *world) *wire { return &wire{w: w} }

func (c *wire) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// do sends one request and reads one answer. What it cannot reuse it closes.
func (c *wire) do(raw []byte) response {
	c.w.t.Helper()
	for try := 0; ; try++ {
		fresh := c.conn == nil
		res, err := c.once(raw)
		if err == nil {
			return res
		}
		c.close()
		if fresh || try > 0 {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isReset(err) {
				return response{}
			}
			c.w.t.Fatalf("no answer to %.300q: %v", raw, err)
		}
	}
}

func isReset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && !op.Timeout()
}

func (c *wire) once(raw []byte) (response, error) {
	if c.conn == nil {
		var from net.Dialer
		if c.from != "" {
			from.LocalAddr = &net.TCPAddr{IP: net.ParseIP(c.from)}
		}
		conn, err := from.Dial("tcp", c.w.addr)
		if err != nil {
			c.w.t.Fatal(err)
		}
		c.conn, c.in = conn, bufio.NewReader(conn)
	}
	if err := c.conn.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		return response{}, err
	}
	// A server that refuses early answers while we still write.
	wrote, conn := make(chan error, 1), c.conn
	go func() {
		_, err := conn.Write(raw)
		wrote <- err
	}()
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.close()
		return response{}, errors.Join(err, <-wrote)
	}
	if res.Close && res.ContentLength < 0 && strings.HasPrefix(res.Header.Get("Content-Type"), "text/plain") {
		// What net/http refuses itself: it keeps the connection for a while
		// before it closes, and there is no body to judge.
		c.close()
		return response{res.StatusCode, res.Header, nil}, nil
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		return response{}, err
	}
	// After control characters the server may have read the bytes otherwise
	// than as one request, and more answers may follow.
	if res.Close || len(raw) > 12_000 || bytes.Count(raw, []byte("\r\n\r\n")) != 1 || bytes.Count(raw, []byte("\n")) != bytes.Count(raw, []byte("\r\n")) {
		c.close()
	}
	if err := <-wrote; err != nil {
		c.close()
	}
	return response{res.StatusCode, res.Header, body}, nil
}

func (r response) String() string { return fmt.Sprintf("%d %.300s", r.status, r.body) }
