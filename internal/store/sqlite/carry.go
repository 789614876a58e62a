package sqlite

import (
	"context"
	"encoding/binary"
	"errors"

	lib "modernc.org/sqlite/lib"
)

// Carrying the log over. A commit appends pages to the log; later they are
// written to their places in the file, and the file is synced. For some
// thousand pages that takes near a tenth of a second, and a writer that does it
// itself answers nobody meanwhile. So a goroutine does it beside the writer, on
// a connection of its own, twice, because pages come while it is at it. Those
// that come during its second round are left to the writer: the log begins anew
// only when a writing finds all of it carried over.

const (
	// carryEvery is after how many pages of log it is carried over.
	carryEvery = 4000
	// autocheckpoint is after how many pages the writer does it at a stroke,
	// because the goroutine could not.
	autocheckpoint = 4 * carryEvery
)

// carrier is what the writer and the goroutine tell each other.
type carrier struct {
	due  chan struct{} // room for one: there is a log to be carried over
	rest chan struct{} // room for one: what is left is the writer's
	done chan struct{} // closed when the goroutine is
}

func newCarrier() carrier {
	return carrier{make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{})}
}

// nudge sends what has room for one, and says the same twice.
func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// countLog counts the pages of a commit, and wakes the goroutine.
func (s *Store) countLog() {
	if s.logged += s.writer.pagesWritten(); s.logged < carryEvery || s.loading.Load() {
		return // while loading, what is written again goes over once
	}
	s.logged = 0
	nudge(s.carrier.due)
}

// carryRest is the writer's part, when it has answered.
func (s *Store) carryRest() {
	select {
	case <-s.carrier.rest:
		if s.writer != nil {
			_, _ = s.writer.checkpoint() // what cannot be done now is done with the next
		}
	default:
	}
}

// carryLog is the goroutine. It ends when the store is closed.
func (s *Store) carryLog() {
	defer close(s.carrier.done)
	for {
		select {
		case <-s.closing:
			return
		case <-s.carrier.due:
		}
		all, err := s.carryTwice()
		if err != nil {
			s.log.Warn("store: the log could not be carried over beside the writer", "err", err)
		}
		// Where a dump keeps the log as it is, the rest may be all of it.
		if all {
			nudge(s.carrier.rest)
		}
	}
}

// carryTwice says whether the second round found nothing in its way.
func (s *Store) carryTwice() (all bool, err error) {
	c, err := s.openCarrier()
	if err != nil {
		return false, err
	}
	for range 2 {
		if all, err = c.checkpoint(); err != nil {
			break
		}
		// SQLite syncs the file when the log is carried over to its very end,
		// which would be in the writer's part.
		if err = syncInSlices(s.file); err != nil {
			break
		}
	}
	return all && err == nil, errors.Join(err, c.close())
}

// openCarrier opens a connection that may write to the file.
func (s *Store) openCarrier() (*conn, error) {
	return openConn(context.Background(), s.path, readerPragmas[:2])
}

// checkpoint carries over what no reader needs in the log, waiting for nobody.
// It says whether that was all there was when it began.
func (c *conn) checkpoint() (all bool, err error) {
	var busy, log, done int
	err = c.row("PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &log, &done)
	return err == nil && busy == 0 && log == done, err
}

// pagesWritten is how many pages this connection wrote since it was last asked.
func (c *conn) pagesWritten() int {
	const size = 4 // of an int of C
	out := c.tls.Alloc(2 * size)
	defer c.tls.Free(2 * size)
	if lib.Xsqlite3_db_status(c.tls, c.db, lib.SQLITE_DBSTATUS_CACHE_WRITE, out, out+size, 1) != lib.SQLITE_OK {
		return 0 // it knows that counter
	}
	return int(int32(binary.NativeEndian.Uint32(memory(out, size))))
}
