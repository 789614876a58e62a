package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// kinds of slowness: what is said at once, and what a byte of is said each
// second after it.
var kinds = []struct{ name, first, drip string }{
	{"idle", "", ""}, // connects and says nothing
	{"slow headers", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", "a"},
	{"slow bodies", "POST /api/auth/bearer/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 5000\r\n\r\n", "a"},
	{"slow bodies", "POST /api/refused HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n", "a"},
	{"slow bodies", "POST /public/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n"},
	{"no readers", "GET /public/never-read HTTP/1.1\r\nHost: x\r\n\r\n", ""},
	{"idle", "GET /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\n\r\n", ""}, // after an answer
	{"idle", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", ""},
}

const (
	// more than asked for are kept open, because the server ends those that are
	// too slow and others must be there by then; a fifth is what it ends while
	// they are opened.
	more = 1.2
	// unread is how long a connection that is not read is kept: that the server
	// ends it, after two minutes, cannot be seen.
	unread = 90 * time.Second
)

// load is one stretch of slow connections.
type load struct {
	s      *slow
	stop   chan struct{}
	all    sync.WaitGroup
	held   []atomic.Int64 // of each kind
	begun  []atomic.Int64 // held, and being opened
	opened atomic.Int64
}

// load opens connections and returns when more are there than were asked for.
func (s *slow) load(ctx context.Context) (*load, error) {
	l := &load{s: s, stop: make(chan struct{}), held: make([]atomic.Int64, len(kinds)), begun: make([]atomic.Int64, len(kinds))}
	l.all.Go(l.fill)
	for begun := time.Now(); l.total() < s.most(); time.Sleep(50 * time.Millisecond) {
		if ctx.Err() != nil || time.Since(begun) > time.Minute {
			l.end()
			return nil, fmt.Errorf("of %d slow connections %d could be opened in a minute", s.most(), l.total())
		}
	}
	return l, nil
}

// most is how many are kept open.
func (s *slow) most() int { return int(float64(s.conns)*more) / len(kinds) * len(kinds) }

func (l *load) total() int {
	n := 0
	for i := range l.held {
		n += int(l.held[i].Load())
	}
	return n
}

// fill opens connections where some are missing, of each kind as many.
func (l *load) fill() {
	want := int64(l.s.most() / len(kinds))
	for n := 0; l.wait(20 * time.Millisecond); {
		for kind := range kinds {
			// Not more than this at once: the queue of the listener is no part
			// of what is measured.
			for missing := min(want-l.begun[kind].Load(), 10); missing > 0; missing-- {
				l.begun[kind].Add(1)
				n++
				from := net.IPv4(127, 7, 0, byte(1+n%l.s.addrs))
				l.all.Go(func() { l.hold(kind, from) })
			}
		}
	}
}

// watch says, when it is asked, how many connections were held at every moment
// since, all and of each name.
func (l *load) watch() func() (least int, of map[string]int) {
	stop, done := make(chan struct{}), make(chan struct{})
	least, of := -1, map[string]int{}
	go func() {
		defer close(done)
		for {
			total, now := 0, map[string]int{}
			for i := range kinds {
				n := int(l.held[i].Load())
				total += n
				now[kinds[i].name] += n
			}
			for name, n := range now {
				if least < 0 || n < of[name] {
					of[name] = n
				}
			}
			if least < 0 || total < least {
				least = total
			}
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	return func() (int, map[string]int) { close(stop); <-done; return least, of }
}

func (l *load) end() {
	close(l.stop)
	l.all.Wait()
}

// hold keeps one connection until the server ends it.
func (l *load) hold(kind int, from net.IP) {
	defer l.begun[kind].Add(-1)
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: 10 * time.Second, Control: latePort}
	c, err := d.Dial("tcp", l.s.addr)
	if err != nil {
		l.wait(time.Second)
		return
	}
	l.opened.Add(1)
	l.held[kind].Add(1)
	_ = c.(*net.TCPConn).SetReadBuffer(4096) // a smaller window; without it only less is held back
	l.drip(c, kinds[kind].first, kinds[kind].drip)
	l.held[kind].Add(-1)
	_ = c.Close() // either side is done with it
}

// drip says a little each second until the server ends the connection or the
// stretch is over. What cannot be written to is gone; of a connection that only
// listens, reading tells.
func (l *load) drip(c net.Conn, first, drip string) {
	if _, err := io.WriteString(c, first); err != nil {
		return
	}
	gone := make(chan struct{})
	var late <-chan time.Time
	if strings.Contains(first, "never-read") {
		late = time.After(unread)
	} else {
		go func() { _, _ = io.Copy(io.Discard, c); close(gone) }() // ends with the connection
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-gone:
			return
		case <-late:
			return
		case <-l.stop:
			return
		case <-tick.C:
		}
		if drip != "" {
			if _, err := io.WriteString(c, drip); err != nil {
				return
			}
		}
	}
}

// wait says whether the stretch still goes on after d.
func (l *load) wait(d time.Duration) bool {
	select {
	case <-l.stop:
		return false
	case <-time.After(d):
		return true
	}
}
