package postgres

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/core"
)

// A disk of the database that fills. What is refused for want of room fails
// alone, and the next step finds the room that there is again. What ends
// something must not wait for that: it is little, but it needs a new page now
// and then, most often of the audit log. For such a step the ballast is given
// up, a table that does nothing but take room. What it took is for such steps
// alone, so all nodes turn the others away until it is back.
//
// The server's log needs room as well, and stops the server when it finds none.
// No client can help that: it recycles its files, but how many it keeps is the
// operator's to say.

const (
	pageSize = 8192 // of nearly every server; of others the ballast is a little more or less
	pageRows = 22   // rows of the ballast on a page
	// ballastMargin is how much must be free beside what was given up before it
	// is taken back: else it would be taken from those for whom it was given up.
	ballastMargin = 4 << 20
	ballastEvery  = time.Second
)

// ballast is what is known of it.
type ballast struct {
	gone atomic.Bool  // given up by some node
	held atomic.Int64 // bytes
}

// errGivenUp is what ordinary steps get while the ballast is gone.
var errGivenUp = fmt.Errorf("%w: the disk of the database is full: nothing is written but what ends sessions, tokens, users and keys, until there is room for the ballast again", core.ErrStoreUnavailable)

// turnedAway says why an ordinary step is not even tried.
func (s *Store) turnedAway() error {
	if s.ballast.gone.Load() {
		return errGivenUp
	}
	return nil
}

// noRoom reports that the server found no room on its disk.
func noRoom(err error) bool { return sqlState(err) == "53100" }

// ending is multi for a step that, if ends is true, ends something.
func (s *Store) ending(ctx context.Context, ends bool, run func(*tx) error) error {
	if !ends {
		return s.multi(ctx, run)
	}
	return s.submit(ctx, func(ctx context.Context) error { return s.transactEnding(ctx, run) })
}

// transactEnding is transact for a step that ends something.
func (s *Store) transactEnding(ctx context.Context, run func(*tx) error) error {
	err := s.transact(ctx, run)
	for n := 0; noRoom(err) && n < 3 && s.giveUp(ctx); n++ {
		err = s.transact(ctx, run)
	}
	return err
}

// giveUp makes room on the database's disk; it reports whether it is worth
// trying again. Who takes the ballast back at this moment is waited for: it may
// hold all that there is.
func (s *Store) giveUp(ctx context.Context) bool {
	if s.cfg.Ballast <= 0 {
		return false
	}
	var news int64
	err := s.transact(ctx, func(t *tx) (err error) {
		t.chore = true
		if _, err := t.exec(`TRUNCATE ballast`); err != nil {
			return err
		}
		news, err = t.exec(`UPDATE ballast_given_up SET at = ` + nowMS + ` WHERE at = 0`)
		return err
	})
	if err != nil {
		s.log.Error("store: the disk of the database is full, and the ballast cannot be given up", "err", err)
		return false
	}
	s.ballast.gone.Store(true)
	s.ballast.held.Store(0)
	if news > 0 {
		s.log.Error("store: the disk of the database is full; the ballast is given up, and only what ends something is written until it is back")
	}
	return true
}

// tendBallast looks after it until ctx ends. While there is no room for it, it
// is tried less and less often, down to once in five seconds.
func (s *Store) tendBallast(ctx context.Context) {
	wait := ballastEvery
	for {
		work, cancel := s.bounded(ctx, s.cfg.StatementTimeout)
		err := s.lookAtBallast(work)
		cancel()
		if err != nil && ctx.Err() == nil && !noRoom(err) {
			s.log.Debug("store: looking after the ballast", "err", err)
		}
		if wait = min(2*wait, 5*ballastEvery); !noRoom(err) {
			wait = ballastEvery
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// heedBallast is for a command that comes and goes: it looks once, so that it
// does not take what is meant for others.
func (s *Store) heedBallast(ctx context.Context) {
	var at int64
	err := s.view(ctx, func(c *conn) error { return c.row(`SELECT at FROM ballast_given_up`).Scan(&at) })
	if err == nil && at > 0 {
		err = s.lookAtBallast(ctx)
	}
	if err != nil {
		s.log.Debug("store: looking after the ballast", "err", err)
	}
}

// lookAtBallast learns whether some node has given the ballast up, and brings
// it back if there is room.
func (s *Store) lookAtBallast(ctx context.Context) error {
	var at, size int64
	err := s.view(ctx, func(c *conn) error {
		return c.row(`SELECT at, pg_relation_size('ballast') FROM ballast_given_up`).Scan(&at, &size)
	})
	if err != nil {
		return err
	}
	s.ballast.held.Store(size)
	if was := s.ballast.gone.Swap(at > 0); was && at == 0 {
		poke(s.loose) // another node has brought it back
	}
	if at == 0 && size >= s.cfg.Ballast*3/4 { // pages may be of another size
		return nil
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.running.Done()
	return s.takeBack(ctx, at > 0)
}

// takeBack fills the ballast, as a whole or not at all: pages are taken when
// rows are put on them, whether or not the transaction commits.
func (s *Store) takeBack(ctx context.Context, wasGone bool) error {
	var mine bool
	err := s.transact(ctx, func(t *tx) error {
		t.chore = true
		err := t.row(`SELECT pg_try_advisory_xact_lock($1)`, int64(ballastLock)).Scan(&mine)
		if err != nil || !mine {
			return err
		}
		const fill = `INSERT INTO ballast SELECT n FROM generate_series(1, $1::bigint) AS n`
		rows := s.cfg.Ballast / pageSize * pageRows
		// Of the table that is made by the first statement the second one takes
		// the pages away at once.
		for _, n := range []int64{rows + ballastMargin/pageSize*pageRows, rows} {
			if _, err := t.exec(`TRUNCATE ballast`); err != nil {
				return err
			}
			if _, err := t.exec(fill, n); err != nil {
				return err
			}
		}
		_, err = t.exec(`UPDATE ballast_given_up SET at = 0 WHERE at > 0`)
		return err
	})
	switch {
	case err == nil && mine:
		s.ballast.gone.Store(false)
		s.ballast.held.Store(s.cfg.Ballast)
		poke(s.loose)
		if wasGone {
			s.log.Info("store: there is room on the disk of the database again, and the ballast is back")
		}
	case noRoom(err) && !wasGone:
		s.log.Warn("store: the disk of the database has no room for the ballast", "bytes", s.cfg.Ballast)
		s.giveUp(ctx)
	}
	return err
}

// ballastLock is the advisory lock of the node that fills the ballast.
const ballastLock = 0x73616c6c79626c73
