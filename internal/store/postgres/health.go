package postgres

import (
	"strings"
	"sync"
)

// fault is why writes fail, as last seen.
type fault struct {
	mu  sync.Mutex
	err error
}

// WriteFault implements core.Store: the server's refusal of a write for want of
// space or memory, until a write succeeds.
func (s *Store) WriteFault() error {
	if err := s.turnedAway(); err != nil {
		return err
	}
	s.fault.mu.Lock()
	defer s.fault.mu.Unlock()
	return s.fault.err
}

// noteWrite takes the outcome of a write.
func (s *Store) noteWrite(err error) {
	if err != nil && !strings.HasPrefix(sqlState(err), "53") {
		return // says nothing about room
	}
	s.fault.mu.Lock()
	defer s.fault.mu.Unlock()
	s.fault.err = err
}
