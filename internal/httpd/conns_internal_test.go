package httpd

import (
	"net"
	"net/http"
	"net/netip"
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

// TestLongestIdleGoes: who makes room is the connection that has been idle
// longest, of all at the limit of the server, and of its own at that of a peer;
// what was busy meanwhile begins to be idle anew.
func TestLongestIdleGoes(t *testing.T) {
	l := newConnLimit(6, 3, nil)
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	var all []*limitedConn
	open := func(peer netip.Addr, want admission) {
		t.Helper()
		_, ours := net.Pipe()
		c := &limitedConn{Conn: ours, limit: l, peer: peer}
		if got := l.admit(c); got != want {
			t.Fatalf("connection %d: admission %d, want %d", len(all), got, want)
		}
		all = append(all, c)
	}
	idle := func(n int) { l.state(all[n], http.StateActive); l.state(all[n], http.StateIdle) }
	gone := func(want ...int) {
		t.Helper()
		left := len(all) - len(want)
		for _, n := range want {
			if _, there := l.open[all[n]]; there {
				t.Errorf("connection %d is still there", n)
			}
		}
		if len(l.open) != left {
			t.Errorf("%d connections are open, want %d", len(l.open), left)
		}
	}
	for _, peer := range []netip.Addr{a, b, b, b, a} {
		open(peer, admitted)
	}
	for _, n := range []int{2, 0, 3, 1, 4} {
		idle(n)
	}
	idle(2)           // since last
	open(b, admitted) // b is at its limit: 3 is its longest idle one, though 0 of a is idle longer
	gone(3)
	open(netip.Addr{}, admitted) // who counts for no peer
	open(a, admitted)            // all six are there: 0, the longest idle of all
	gone(3, 0)
	for _, n := range []int{1, 2, 5} {
		l.state(all[n], http.StateActive)
	}
	open(b, tooMany) // none of b's is idle
	all = all[:len(all)-1]
	gone(3, 0)
	for _, c := range all {
		_ = c.Close() // a pipe
	}
	if len(l.open)+len(l.peers)+l.idle.Len() != 0 {
		t.Errorf("left behind: %d open, %d peers, %d idle", len(l.open), len(l.peers), l.idle.Len())
	}
}
