package httpd

import (
	"net"
	"net/http"
	"testing"
	"time"
)

// TestCloseUnused: when we shut down, what a client opened in advance is
// closed, and what carries a request is not.
func TestCloseUnused(t *testing.T) {
	l := newConnLimit(10, 0, nil)
	open := func(states ...http.ConnState) net.Conn {
		theirs, ours := net.Pipe()
		c := &limitedConn{Conn: ours, limit: l}
		if l.admit(c) != admitted {
			t.Fatal("there was room")
		}
		for _, s := range states {
			l.state(c, s)
		}
		return theirs
	}
	unused := open(http.StateNew)
	busy, idle := open(http.StateNew, http.StateActive), open(http.StateNew, http.StateActive, http.StateIdle)
	l.closeUnused()
	for _, c := range []struct {
		name   string
		conn   net.Conn
		closed bool
	}{{"unused", unused, true}, {"busy", busy, false}, {"idle", idle, false}} {
		_ = c.conn.SetReadDeadline(time.Now().Add(-time.Second)) // a pipe that is closed says so all the same
		_, err := c.conn.Read(make([]byte, 1))
		timeout, _ := err.(net.Error)
		if got := timeout == nil || !timeout.Timeout(); got != c.closed {
			t.Errorf("%s: closed %t (%v), want %t", c.name, got, err, c.closed)
		}
	}
}
