package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"

	"github.com/sallyport/sallyport/internal/core"
	lib "modernc.org/sqlite/lib"
)

const (
	batchMax = 256  // steps in one transaction
	queueMax = 1024 // steps waiting
)

// step is one unit of work for the writer.
type step struct {
	run  func(*tx) error
	many bool // several statements: undo them together when it fails
	// vital steps end something: on a full disk the ballast is given up for
	// them. Their run must bear to be run again after the transaction failed.
	vital bool
	done  chan error // room for one: the writer never waits for a caller
	err   error      // of the step alone, until the commit is known
}

// tx is what a step works with: the writer's connection inside the open
// transaction, and a place for what is to happen with the commit.
type tx struct {
	*conn
	events []stamped // audit events of this step
	news   bool      // followers of Changes must hear of this step
	saved  bool      // a savepoint is open
}

type stamped struct {
	at    int64
	event core.Event
}

// audit notes an event; it is written when the batch is about to commit.
func (t *tx) audit(now int64, e core.Event) {
	if e.Kind != "" {
		t.events = append(t.events, stamped{now, e})
	}
}

// savepoint makes the rest of the step undo itself as a whole. A step that
// finds only on the way that it needs several statements calls it itself.
func (t *tx) savepoint() error {
	if t.saved {
		return nil
	}
	if _, err := t.exec("SAVEPOINT step"); err != nil {
		return err
	}
	t.saved = true
	return nil
}

// settle closes the savepoint, if there is one, keeping or undoing the step.
func (t *tx) settle(keep bool) error {
	if !t.saved {
		return nil
	}
	t.saved = false
	if !keep {
		if _, err := t.exec("ROLLBACK TO step"); err != nil {
			return err
		}
	}
	_, err := t.exec("RELEASE step")
	return err
}

// single hands over a step of one statement.
func (s *Store) single(ctx context.Context, run func(*tx) error) error {
	return s.submit(ctx, &step{run: run})
}

// multi hands over a step of several statements.
func (s *Store) multi(ctx context.Context, run func(*tx) error) error {
	return s.submit(ctx, &step{run: run, many: true})
}

// ending is multi for a step that, if ends is true, ends something.
func (s *Store) ending(ctx context.Context, ends bool, run func(*tx) error) error {
	return s.submit(ctx, &step{run: run, many: true, vital: ends})
}

// submit hands a step to the writer and waits for the commit. Results travel
// in variables of run's closure; they count only when submit returned nil or
// the step's own error.
func (s *Store) submit(ctx context.Context, st *step) error {
	if ctx.Err() != nil {
		return gone(ctx)
	}
	if !st.vital {
		if err := s.turnedAway(); err != nil {
			return err
		}
	}
	st.done = make(chan error, 1)
	s.gate.RLock()
	if s.closed {
		s.gate.RUnlock()
		return errClosed
	}
	select {
	case s.queue <- st:
		s.gate.RUnlock()
	case <-ctx.Done():
		s.gate.RUnlock()
		return gone(ctx)
	}
	select {
	case err := <-st.done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-st.done: // both were ready: the outcome is known after all
		return err
	default:
		return fmt.Errorf("%w: %w", core.ErrUnknownOutcome, context.Cause(ctx))
	}
}

// write is the writer goroutine. It ends when the queue is closed and empty.
//
// Where steps come many at a time, those whose callers were just answered are
// often followed by another of theirs at once. So the writer lets the others
// run for a moment before it looks again: else the clients fall into two halves
// that take turns, with twice the commits.
func (s *Store) write() {
	defer close(s.written)
	batch := make([]*step, 0, batchMax)
	many := false
	for first := range s.queue {
		if many {
			runtime.Gosched()
		}
		batch = append(batch[:0], first)
	fill:
		for len(batch) < batchMax {
			select {
			case st, ok := <-s.queue:
				if !ok {
					break fill
				}
				batch = append(batch, st)
			default:
				break fill
			}
		}
		s.commit(batch)
		many = len(batch) > 1
		clear(batch)
	}
}

// commit runs a batch in one transaction and answers its steps.
func (s *Store) commit(batch []*step) {
	if err := s.turnedAway(); err != nil { // since they were handed over
		var others []*step
		batch, others = vital(batch)
		for _, st := range others {
			st.done <- err
		}
		if len(batch) == 0 {
			return
		}
	}
	var done batchResult
	err := s.attempt(batch, &done)
	if err != nil {
		if rest, ok := s.salvage(err, batch); ok {
			batch, done = rest, batchResult{}
			err = s.attempt(batch, &done)
		}
	}
	s.noteWrite(err)
	if err != nil {
		s.refuse(err, batch)
		return
	}
	s.chain = done.chain
	s.steps.Add(uint64(len(batch)))
	s.batches.Add(1)
	s.lastCommit.Store(s.now())
	if done.news {
		select {
		case s.changes <- struct{}{}:
		default: // the reader has not yet seen the last one, which tells the same
		}
	}
	for _, st := range batch {
		st.done <- outward(st.err)
	}
}

// refuse answers the steps of a transaction that failed. What a step found
// inside it, even a refusal, is not to be believed.
func (s *Store) refuse(err error, batch []*step) {
	if len(batch) == 0 {
		return
	}
	err = fmt.Errorf("%w: %w", core.ErrStoreUnavailable, err)
	for _, st := range batch {
		st.done <- err
	}
	s.room.refusals.note(s.log, s.now(), len(batch), err)
}

// batchResult is what memory takes over once the batch is committed.
type batchResult struct {
	chain chainHead
	news  bool
}

func (s *Store) attempt(batch []*step, done *batchResult) (err error) {
	if err := s.begin(); err != nil {
		return err
	}
	defer func() {
		switch {
		case err == nil:
		case errors.Is(err, errDoubt):
			// A statement may have been left under way, and could not be run again.
			_ = s.writer.close() // it is given up; begin opens another
			s.writer = nil
		default:
			// It may be rolled back already; an error then says only that.
			_, _ = s.writer.exec("ROLLBACK")
		}
	}()
	s.setLogLength()
	done.chain = s.chain
	for _, st := range batch {
		t := tx{conn: s.writer}
		st.err = t.do(st)
		if st.err != nil {
			if fatal(st.err) {
				return st.err
			}
			continue
		}
		for _, e := range t.events {
			if err := appendAudit(s.writer, &done.chain, e); err != nil {
				return fmt.Errorf("writing an audit record: %w", err)
			}
		}
		done.news = done.news || t.news
	}
	_, err = s.writer.exec("COMMIT")
	return err
}

// do runs one step. A panic in it must not end the process, nor may half of
// its work be committed.
func (t *tx) do(st *step) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: panic: %v\n%s", errDoubt, p, debug.Stack())
		}
	}()
	if st.many {
		if err := t.savepoint(); err != nil {
			return err
		}
	}
	err = st.run(t)
	if err != nil && fatal(err) {
		return err
	}
	if serr := t.settle(err == nil); serr != nil {
		return fmt.Errorf("%w: closing a savepoint: %w", errDoubt, serr)
	}
	return err
}

// begin opens the transaction. A connection that a failure has made useless is
// replaced once, so that the store recovers by itself when space is back.
func (s *Store) begin() error {
	if s.writer != nil {
		_, err := s.writer.exec("BEGIN IMMEDIATE")
		if err == nil {
			return nil
		}
		s.log.Warn("store: reopening the writing connection", "err", err)
		_ = s.writer.close() // it is given up
		s.writer = nil
	}
	w, err := s.openWriter(context.Background())
	if err != nil {
		return err
	}
	if _, err := w.exec("BEGIN IMMEDIATE"); err != nil {
		_ = w.close() // the first error tells more
		return err
	}
	s.writer, s.logLength = w, autocheckpoint
	return nil
}

// wantedLog is after how many pages of log it is to be carried over; 0 is not
// at all, so that it is beside the writer when a dump has ended.
func wantedLog(dumping, scarce, loading bool) int32 {
	switch {
	case dumping:
		return 0
	case scarce:
		return shortLog
	case loading:
		return loadCheckpoint
	}
	return autocheckpoint
}

// setLogLength tells SQLite. It is done with each transaction, by the only one
// who commits, because what wants another length may begin and end at any time.
func (s *Store) setLogLength() {
	if want := wantedLog(s.dumps.n.Load() > 0, s.scarce.Load(), s.loading.Load()); want != s.logLength {
		lib.Xsqlite3_wal_autocheckpoint(s.writer.tls, s.writer.db, want) // it cannot fail
		s.logLength = want
	}
}

// openWriter opens a connection that writes.
func (s *Store) openWriter(ctx context.Context) (*conn, error) {
	return openConn(ctx, s.path, append(slices.Clip(writerPragmas), cachePragma(s.cache)))
}
