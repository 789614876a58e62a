package httpd

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// connLimit keeps the number of open connections of a server below a limit,
// and that of each peer below a smaller one, so that one machine cannot take
// all of them. When the limit is reached, the connection that has been idle
// longest makes room; if none is idle, accepting waits, and the kernel's queue
// takes the rest. A peer over its own limit loses its longest idle connection,
// or else the new one.
type connLimit struct {
	max, perPeer int
	// exempt are peers with many clients behind them.
	exempt func(netip.Addr) bool
	// refused is told of peers over their limit, once a minute; it may be nil.
	refused func(netip.Addr)

	mu    sync.Mutex
	cond  *sync.Cond
	open  map[*limitedConn]struct{}
	peers map[netip.Addr]*peerConns
	idle  list.List // of *limitedConn, longest idle first
	done  bool
	told  time.Time
}

// peerConns are the connections of one peer, which may have very many: under
// the lock nothing searches through them.
type peerConns struct {
	open int
	idle list.List // of *limitedConn, longest idle first
}

func newConnLimit(n, perPeer int, exempt func(netip.Addr) bool) *connLimit {
	l := &connLimit{max: n, perPeer: perPeer, exempt: exempt, open: map[*limitedConn]struct{}{}, peers: map[netip.Addr]*peerConns{}}
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
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		lc := &limitedConn{Conn: c, limit: l.limit, peer: l.limit.peerOf(c)}
		switch l.limit.admit(lc) {
		case admitted:
			return lc, nil
		case tooMany:
			_ = c.Close() // never used; the error changes nothing
			l.limit.report(lc.peer, time.Now())
		case closing:
			_ = c.Close() // as above
			return nil, net.ErrClosed
		}
	}
}

// peerOf is the address that a connection counts for; invalid for none. An
// IPv6 network of 64 bits is one customer's.
func (l *connLimit) peerOf(c net.Conn) netip.Addr {
	addr := peerAddr(c.RemoteAddr().String())
	if !addr.IsValid() || l.perPeer <= 0 || l.exempt != nil && l.exempt(addr) {
		return netip.Addr{}
	}
	if addr.Is6() {
		return netip.PrefixFrom(addr, 64).Masked().Addr()
	}
	return addr
}

type admission int

const (
	admitted admission = iota
	tooMany
	closing
)

// admit waits for a place.
func (l *connLimit) admit(c *limitedConn) admission {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.peers[c.peer]; p != nil && p.open >= l.perPeer {
		longest := p.idle.Front()
		if longest == nil {
			return tooMany
		}
		l.sacrifice(longest.Value.(*limitedConn))
	}
	for len(l.open) >= l.max && !l.done {
		longest := l.idle.Front()
		if longest == nil {
			l.cond.Wait()
			continue
		}
		l.sacrifice(longest.Value.(*limitedConn))
	}
	if l.done {
		return closing
	}
	l.open[c] = struct{}{}
	if c.peer.IsValid() {
		if l.peers[c.peer] == nil {
			l.peers[c.peer] = &peerConns{}
		}
		l.peers[c.peer].open++
	}
	return admitted
}

func (l *connLimit) report(peer netip.Addr, now time.Time) {
	l.mu.Lock()
	due := l.refused != nil && now.Sub(l.told) >= time.Minute
	if due {
		l.told = now
	}
	l.mu.Unlock()
	if due {
		l.refused(peer)
	}
}

// sacrifice must be called with the lock held.
func (l *connLimit) sacrifice(victim *limitedConn) {
	l.forget(victim)
	_ = victim.Conn.Close() // its server goroutine sees the end of the connection
}

// stop lets waiting Accept calls return.
func (l *connLimit) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = true
	l.cond.Broadcast()
}

// closeUnused closes the connections on which no request ever began. Clients
// open some in advance, and net/http would wait five seconds for each.
func (l *connLimit) closeUnused() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		if !c.used {
			l.sacrifice(c)
		}
	}
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
	lc.used = lc.used || s != http.StateNew
	if s == http.StateIdle {
		lc.idle = l.idle.PushBack(lc)
		if p := l.peers[lc.peer]; p != nil {
			lc.peerIdle = p.idle.PushBack(lc)
		}
		l.cond.Signal()
	}
}

// forget must be called with the lock held.
func (l *connLimit) forget(c *limitedConn) {
	if _, open := l.open[c]; !open {
		return
	}
	l.unidle(c)
	delete(l.open, c)
	if p := l.peers[c.peer]; p != nil {
		if p.open--; p.open == 0 {
			delete(l.peers, c.peer)
		}
	}
	l.cond.Signal()
}

func (l *connLimit) unidle(c *limitedConn) {
	if c.idle == nil {
		return
	}
	l.idle.Remove(c.idle)
	if c.peerIdle != nil {
		l.peers[c.peer].idle.Remove(c.peerIdle)
	}
	c.idle, c.peerIdle = nil, nil
}

type limitedConn struct {
	net.Conn
	limit *connLimit
	peer  netip.Addr

	// Guarded by limit.mu.
	idle, peerIdle *list.Element // its places among those that are idle; nil while it is not
	used           bool          // a request began on it
}

func (c *limitedConn) Close() error {
	c.limit.mu.Lock()
	c.limit.forget(c)
	c.limit.mu.Unlock()
	return c.Conn.Close()
}
