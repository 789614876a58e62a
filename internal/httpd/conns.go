package httpd

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// connLimit keeps the number of open connections of a server below a limit.
// When it is reached, the connection that has been idle longest makes room; if
// none is idle, accepting waits, and the kernel's queue takes the rest.
type connLimit struct {
	max  int
	mu   sync.Mutex
	cond *sync.Cond
	open map[*limitedConn]struct{}
	idle []*limitedConn // longest idle first
	done bool
}

func newConnLimit(n int) *connLimit {
	l := &connLimit{max: n, open: map[*limitedConn]struct{}{}}
	l.cond = sync.NewCond(&l.mu)
	return l
}

type limitedListener struct {
	net.Listener
	limit *connLimit
}

// Accept reserves nothing before there is a connection, so that an idle one is
// sacrificed for a real newcomer alone.
func (l *limitedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	lc := &limitedConn{Conn: c, limit: l.limit}
	if !l.limit.admit(lc) {
		_ = c.Close() // never used; the error changes nothing
		return nil, net.ErrClosed
	}
	return lc, nil
}

// admit waits for a place; false means that the server is shutting down.
func (l *connLimit) admit(c *limitedConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.open) >= l.max && !l.done {
		if len(l.idle) == 0 {
			l.cond.Wait()
			continue
		}
		victim := l.idle[0]
		l.forget(victim)
		_ = victim.Conn.Close() // its server goroutine sees the end of the connection
	}
	if l.done {
		return false
	}
	l.open[c] = struct{}{}
	return true
}

// stop lets waiting Accept calls return.
func (l *connLimit) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = true
	l.cond.Broadcast()
}

// state follows net/http's view of a connection.
func (l *connLimit) state(c net.Conn, s http.ConnState) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	lc, ok := c.(*limitedConn)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, open := l.open[lc]; !open {
		return
	}
	l.unidle(lc)
	if s == http.StateIdle {
		lc.idle = true
		l.idle = append(l.idle, lc)
		l.cond.Signal()
	}
}

// forget must be called with the lock held.
func (l *connLimit) forget(c *limitedConn) {
	l.unidle(c)
	delete(l.open, c)
	l.cond.Signal()
}

func (l *connLimit) unidle(c *limitedConn) {
	if !c.idle {
		return
	}
	c.idle = false
	for i, o := range l.idle {
		if o == c {
			l.idle = append(l.idle[:i], l.idle[i+1:]...)
			return
		}
	}
}

type limitedConn struct {
	net.Conn
	limit *connLimit
	idle  bool // guarded by limit.mu
}

func (c *limitedConn) Close() error {
	c.limit.mu.Lock()
	c.limit.forget(c)
	c.limit.mu.Unlock()
	return c.Conn.Close()
}
