package sqlite

import (
	"encoding/binary"
	"strconv"
	"sync"
	"sync/atomic"

	lib "modernc.org/sqlite/lib"
)

// On a full disk the log is what there is to write into. It is begun anew once
// it is carried over into the file as a whole, and what ends something then
// finds its room again, as often as it takes. Two things stand against that.
// New pages of the file need room of their own, behind its end: that is what
// the ballast is for, so no more of them may wait in the log than it has room
// for. And who reads in the log keeps it from beginning anew: nobody reads for
// long but a dump, and while there is one the log is left alone.

const (
	pageSize = 4096 // SQLite's, unless told otherwise
	// carryPages is how many pages of log are worth carrying over on a full disk.
	carryPages = 64
	// growthEvery is after how many commits is looked at how much the file has to
	// grow.
	growthEvery = 8
	// patience is how long a reader in the log is waited for, in milliseconds.
	patience, usualPatience = 100, 10_000
	// The log gives back its own end, so much at a time, when the file grows and
	// there is nothing else; never so much that others are let in for it.
	slice, leastFree, leastLog = margin / 2, margin / 4, 1 << 20
)

// openDumps are the views open for a dump.
type openDumps struct {
	wg sync.WaitGroup
	n  atomic.Int64
}

// Add counts n more.
func (d *openDumps) Add(n int) { d.wg.Add(n); d.n.Add(int64(n)) }

// Done counts one less.
func (d *openDumps) Done() { d.n.Add(-1); d.wg.Done() }

// Wait waits until there is none.
func (d *openDumps) Wait() { d.wg.Wait() }

// checkpoint carries the log over and says how many pages it has, and how many
// of them are in the file; by SQLITE_CHECKPOINT_NOOP it only says so.
func (c *conn) checkpoint(mode int32) (pages, done int, err error) {
	out := c.tls.Alloc(8)
	defer c.tls.Free(8)
	err = c.fault(lib.Xsqlite3_wal_checkpoint_v2(c.tls, c.db, 0, mode, out, out+4))
	n := memory(out, 8)
	return int(int32(binary.NativeEndian.Uint32(n))), int(int32(binary.NativeEndian.Uint32(n[4:]))), err // #nosec G115 -- SQLite counts in int
}

// carry carries the log over if it has pages enough for that. It says whether
// the next transaction writes it from its beginning. When it fails the log
// still has everything, and SQLite carries it all over again the next time.
func (s *Store) carry(mode int32) bool {
	w := s.writer
	if w == nil || s.dumps.n.Load() > 0 {
		return false
	}
	pages, done, err := w.checkpoint(lib.SQLITE_CHECKPOINT_NOOP)
	if err != nil || pages-done < carryPages {
		return false
	}
	now := carried{pages, freeBytes(s.path)}
	if growth, err := s.growth(); err != nil || growth > now.free || now == s.care.vain {
		return false
	}
	s.care.vain = carried{}
	lib.Xsqlite3_busy_timeout(w.tls, w.db, patience)
	_, _, err = w.checkpoint(mode)
	lib.Xsqlite3_busy_timeout(w.tls, w.db, usualPatience)
	if err != nil {
		s.care.vain = now
		if primary(err) != lib.SQLITE_BUSY { // somebody reads in it
			s.log.Warn("store: carrying the log over", "pages", pages, "err", err)
		}
	}
	return err == nil
}

// logCare is what the writer keeps in mind about the log.
type logCare struct {
	commits   int     // since it looked
	vain      carried // how things stood when carrying over failed
	shortened bool    // the log has another limit than the usual one
}

type carried struct {
	pages int
	free  int64
}

// growth is by how many bytes the file grows when the log is carried over.
func (s *Store) growth() (int64, error) {
	var pages int64
	if err := s.writer.row("PRAGMA page_count").Scan(&pages); err != nil {
		return 0, err
	}
	return max(0, pages*pageSize-sizeOf(s.path)), nil
}

// makeRoom makes room for what ends something, and says whether there is more
// than before. From now on only such steps are written.
func (s *Store) makeRoom() bool {
	s.tighten(0)
	if s.carry(lib.SQLITE_CHECKPOINT_RESTART) {
		return true
	}
	if !s.GiveUpBallast() {
		return false
	}
	s.carry(lib.SQLITE_CHECKPOINT_RESTART)
	return true
}

// lookAtLog sees to it, after a commit, that what waits in the log finds room
// in the file.
func (s *Store) lookAtLog() {
	var size int64
	if b := s.room.ballast; b != nil {
		size = b.size
	}
	tight := s.turnedAway() != nil
	s.care.commits++
	if s.loading.Load() || s.writer == nil || !tight && (s.care.commits < growthEvery || size == 0 && !s.care.shortened) {
		return
	}
	s.care.commits = 0
	growth, err := s.growth()
	if err != nil {
		s.log.Warn("store: looking how much the file has to grow", "err", err)
		return
	}
	short := growth > freeBytes(s.path)
	switch {
	case tight && short && growth > size/2:
		s.GiveUpBallast()
		fallthrough
	case tight:
		if s.carry(lib.SQLITE_CHECKPOINT_RESTART) {
			s.shortenLog()
		}
	case size == 0, growth <= size/4:
	case short:
		s.tighten(growth)
	default:
		s.carry(lib.SQLITE_CHECKPOINT_PASSIVE)
	}
	if !tight && s.care.shortened {
		s.care.shortened = false
		s.limitLog(logLimit)
	}
}

// logLimit is what the log's file is cut to when it begins anew, usually.
const logLimit = 64 << 20

// shortenLog has the log give back some of its end with the next commit, when
// hardly anything is free.
func (s *Store) shortenLog() {
	size := sizeOf(s.path + "-wal")
	if freeBytes(s.path) < leastFree && size > leastLog {
		s.care.shortened = true
		s.limitLog(max(size-slice, leastLog))
	}
}

// limitLog sets what the log's file is cut to when it begins anew.
func (s *Store) limitLog(size int64) {
	if _, err := s.writer.exec("PRAGMA journal_size_limit=" + strconv.FormatInt(size, 10)); err != nil {
		s.log.Warn("store: limiting the log", "err", err)
	}
}

// tighten turns ordinary steps away until need bytes are free, and a margin.
func (s *Store) tighten(need int64) {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	s.room.need = max(need, s.room.need)
	if s.room.tight {
		return
	}
	s.room.tight = true
	s.log.Error("store: the disk is full; only what ends something is written until there is room", "dir", s.path)
}
