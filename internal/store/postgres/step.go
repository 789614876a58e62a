package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// goodOrder bounds what is done for good order when something ends.
const goodOrder = 2 * time.Second

// retriesMax is how often a step that did nothing is tried again.
const retriesMax = 5

// view runs f, which only reads, on a connection. f runs again when the
// connection turns out to be dead, so it must begin afresh each time.
func (s *Store) view(ctx context.Context, f func(*conn) error) error {
	return s.viewOn(ctx, s.pool, f)
}

func (s *Store) viewOn(ctx context.Context, pool *pgxpool.Pool, f func(*conn) error) error {
	return s.lend(ctx, pool, func(ctx context.Context, c *pgxpool.Conn) error { return f(&conn{ctx: ctx, q: c}) })
}

// snapshot is view for several statements that must see one state.
func (s *Store) snapshot(ctx context.Context, f func(*conn) error) error {
	return s.lend(ctx, s.pool, func(ctx context.Context, c *pgxpool.Conn) error {
		return pgx.BeginTxFunc(ctx, c, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
			return f(&conn{ctx: ctx, q: tx})
		})
	})
}

// lend runs f, which only reads, on a connection of a pool, within the limits of
// a statement, again as again does.
func (s *Store) lend(ctx context.Context, pool *pgxpool.Pool, f func(context.Context, *pgxpool.Conn) error) error {
	if ctx.Err() != nil {
		return gone(ctx)
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.running.Done()
	ctx, cancel := s.bounded(ctx, s.cfg.StatementTimeout)
	defer cancel()
	return outward(s.again(ctx, pool, func(c *pgxpool.Conn) error { return f(ctx, c) }))
}

// again runs f on a connection, and on another one while f fails for reasons
// that may pass and nothing was done.
func (s *Store) again(ctx context.Context, pool *pgxpool.Pool, f func(*pgxpool.Conn) error) error {
	for n := 0; ; n++ {
		c, err := pool.Acquire(ctx)
		if err == nil {
			delete(c.Conn().PgConn().CustomData(), unsynced)
			err = f(c)
			c.Release()
			if err == nil || isDocumented(err) {
				return err
			}
		}
		if moved(err) {
			pool.Reset() // the others lead to the same place
		}
		if !transient(err) || n == retriesMax || !pause(ctx, n) {
			return err
		}
	}
}

// pause waits a little longer each time; false when ctx ended meanwhile.
func pause(ctx context.Context, n int) bool {
	d := time.Duration(5<<n) * time.Millisecond
	t := time.NewTimer(d/2 + rand.N(d))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// submit hands a step over: from then on it runs to its end, whether or not
// its caller waits. Results travel in variables of run's closure; they count
// only when submit returned nil or the step's own error.
func (s *Store) submit(ctx context.Context, run func(context.Context) error) error {
	if ctx.Err() != nil {
		return gone(ctx)
	}
	if err := s.enter(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		defer s.running.Done()
		// Twice the limit of a statement: a step has several, and retries.
		work, cancel := s.bounded(context.WithoutCancel(ctx), 2*s.cfg.StatementTimeout)
		defer cancel()
		done <- outward(guarded(work, run))
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done: // both were ready: the outcome is known after all
		return err
	default:
		return unknown(context.Cause(ctx))
	}
}

// guarded keeps a panic in a step from ending the process.
func guarded(ctx context.Context, run func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a step panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return run(ctx)
}

// single hands over a step of one statement, which commits by itself. A step
// that is idempotent runs again when its outcome is unknown.
func (s *Store) single(ctx context.Context, idempotent bool, run func(*conn) error) error {
	if err := s.turnedAway(); err != nil {
		return err
	}
	return s.always(ctx, idempotent, run)
}

// always is single also while the disk is full: for what keeps nodes in order
// and overwrites in place.
func (s *Store) always(ctx context.Context, idempotent bool, run func(*conn) error) error {
	return s.submit(ctx, func(ctx context.Context) error {
		for n := 0; ; n++ {
			err := s.attemptSingle(ctx, run)
			if !idempotent || !inDoubt(err) || n == retriesMax || !pause(ctx, n) {
				return err
			}
		}
	})
}

func (s *Store) attemptSingle(ctx context.Context, run func(*conn) error) error {
	err := s.again(ctx, s.pool, func(c *pgxpool.Conn) error {
		return s.outcome(c, run(&conn{ctx: ctx, q: c}))
	})
	s.noteWrite(err)
	if err == nil {
		s.committed(1)
	}
	return err
}

// outcome says what became of a statement that commits by itself.
func (s *Store) outcome(c *pgxpool.Conn, err error) error {
	switch {
	case err == nil && c.Conn().PgConn().CustomData()[unsynced] != nil:
		return errUnsynced
	case err == nil || isDocumented(err):
		return err
	case answered(err), pgconn.SafeToRetry(err):
		return err // nothing was done, or sent
	}
	// The statement was sent, so it may have been committed.
	s.forget(c)
	return unknown(err)
}

// forget makes sure that a connection in doubt, and those beside it if the
// server has gone, are not used again.
func (s *Store) forget(c *pgxpool.Conn) {
	if c.Conn().IsClosed() {
		s.pool.Reset()
	}
}

// committed counts steps that one commit carried.
func (s *Store) committed(steps int) {
	s.steps.Add(uint64(steps))
	s.batches.Add(1)
	s.lastCommit.Store(s.now())
}

// multi hands over a step that is a transaction. run may run several times,
// each time on what the last one left: nothing.
func (s *Store) multi(ctx context.Context, run func(*tx) error) error {
	if err := s.turnedAway(); err != nil {
		return err
	}
	return s.submit(ctx, func(ctx context.Context) error { return s.transact(ctx, run) })
}

// transact is multi within a step that was handed over.
func (s *Store) transact(ctx context.Context, run func(*tx) error) error {
	var t *tx
	err := s.again(ctx, s.pool, func(c *pgxpool.Conn) error {
		t = &tx{s: s}
		err := t.whole(ctx, c, run)
		if foundOnly(err) {
			if cerr := s.confirm(ctx, c); cerr != nil {
				return cerr
			}
		}
		return err
	})
	s.noteWrite(err)
	if err == nil {
		if !t.chore {
			s.committed(1)
		}
		t.tell()
	}
	return err
}

// whole runs a transaction from BEGIN to COMMIT. Before COMMIT is sent any
// failure means that nothing was done; after it, only the server's plain
// refusal does.
func (t *tx) whole(ctx context.Context, c *pgxpool.Conn, run func(*tx) error) (err error) {
	dbtx, err := c.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodOrder)
			defer cancel()
			_ = dbtx.Rollback(last) // it is over already, or its connection is closed
		}
	}()
	t.conn = &conn{ctx: ctx, q: dbtx}
	if t.s.cfg.Pooler == TransactionPooler {
		if _, err := t.exec(t.s.limits(true)); err != nil {
			return err
		}
	}
	if err := run(t); err != nil {
		return err
	}
	if err := t.flush(); err != nil {
		return err
	}
	if err := dbtx.Commit(ctx); err != nil {
		if answered(err) || errors.Is(err, pgx.ErrTxCommitRollback) {
			return err
		}
		t.s.forget(c)
		return unknown(err)
	}
	if c.Conn().PgConn().CustomData()[unsynced] != nil {
		return errUnsynced
	}
	return nil
}
