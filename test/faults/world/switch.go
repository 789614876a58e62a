package world

import (
	"fmt"
	"io"
	"net"
	"sync"
)

// Switch passes TCP connections on to one address at a time: the smallest
// thing that can stand where HAProxy does. Pointing it elsewhere cuts what
// passes through it, so that nobody goes on talking to the old one.
type Switch struct {
	Address string // where it listens

	ln   net.Listener
	mu   sync.Mutex
	to   string // "" refuses
	open map[net.Conn]bool
}

// NewSwitch listens and passes on to the address given.
func NewSwitch(to string) (*Switch, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting a switch: %w", err)
	}
	s := &Switch{Address: ln.Addr().String(), ln: ln, to: to, open: map[net.Conn]bool{}}
	go s.serve()
	return s, nil
}

// Point passes new connections on to another address, "" for none, and cuts
// the ones there are.
func (s *Switch) Point(to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = to
	for c := range s.open {
		_ = c.Close() // its other end notices
	}
	clear(s.open)
}

// Close ends it.
func (s *Switch) Close() error {
	err := s.ln.Close()
	s.Point("")
	return err
}

func (s *Switch) serve() {
	for {
		c, err := s.ln.Accept()
		if err != nil {
			return // closed
		}
		go s.pass(c)
	}
}

func (s *Switch) pass(c net.Conn) {
	defer func() { _ = c.Close() }() // however it went
	s.mu.Lock()
	to := s.to
	s.mu.Unlock()
	if to == "" {
		return
	}
	d, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer func() { _ = d.Close() }() // however it went
	s.mu.Lock()
	if s.to != to { // pointed elsewhere while we dialled
		s.mu.Unlock()
		return
	}
	s.open[c], s.open[d] = true, true
	s.mu.Unlock()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{c, d}, {d, c}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1]) // it ends with either side, or with Point
			_ = c.Close()
			_ = d.Close()
		})
	}
	both.Wait()
	s.mu.Lock()
	delete(s.open, c)
	delete(s.open, d)
	s.mu.Unlock()
}
