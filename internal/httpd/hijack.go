package httpd

import (
	"net"
	"sync"
)

// hijackRegistry remembers connections that handlers took over (WebSockets):
// net/http forgets them, so nothing else would close them at shutdown.
type hijackRegistry struct {
	mu     sync.Mutex
	conns  map[*hijackedConn]struct{}
	closed bool
}

// track returns c wrapped so that closing it also forgets it. After closeAll
// it is closed at once.
func (h *hijackRegistry) track(c net.Conn) net.Conn {
	hc := &hijackedConn{Conn: c, reg: h}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		_ = c.Close() // the process ends; the handler sees a closed connection
		return hc
	}
	if h.conns == nil {
		h.conns = map[*hijackedConn]struct{}{}
	}
	h.conns[hc] = struct{}{}
	return hc
}

func (h *hijackRegistry) closeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for c := range h.conns {
		_ = c.Conn.Close() // already gone is as good
	}
	h.conns = nil
}

type hijackedConn struct {
	net.Conn
	reg *hijackRegistry
}

func (c *hijackedConn) Close() error {
	c.reg.mu.Lock()
	delete(c.reg.conns, c)
	c.reg.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite keeps half-closing possible, which proxied streams use.
func (c *hijackedConn) CloseWrite() error {
	if cw, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return c.Close()
}
