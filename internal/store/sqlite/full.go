package sqlite

// WriteFault implements core.Store.
func (s *Store) WriteFault() error { return nil }
