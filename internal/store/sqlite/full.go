package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	lib "modernc.org/sqlite/lib"
)

// A disk that fills. Steps fail one by one then, and each failure leaves the
// store as it was; when there is room again the next step finds it. What ends
// something must not wait for that: for such a step the ballast is given up, a
// file that does nothing but take room. What it took is for such steps alone,
// so the others are turned away until the ballast is back.

// margin is how much must be free beside the ballast before it is made again,
// and below which an idle store looks whether it can still write.
const margin = 1 << 20

// roominess is what is known of the room on the disk.
type roominess struct {
	mu      sync.Mutex
	ballast *ballast
	fault   error // of the last write, nil when it worked
	probed  time.Time

	refusals refusals // the writer's own
}

// errGivenUp is what ordinary steps get while the ballast is gone.
var errGivenUp = fmt.Errorf("%w: the disk is full: nothing is written but what ends sessions, tokens, users and keys, until there is room for the ballast again", core.ErrStoreUnavailable)

// WriteFault implements core.Store.
func (s *Store) WriteFault() error {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	if s.room.ballast.gone() {
		return errGivenUp
	}
	return s.room.fault
}

// turnedAway says why an ordinary step is not even tried.
func (s *Store) turnedAway() error {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	if s.room.ballast.gone() {
		return errGivenUp
	}
	return nil
}

// noteWrite takes the outcome of a transaction.
func (s *Store) noteWrite(err error) {
	s.room.mu.Lock()
	was := s.room.fault
	s.room.fault = err
	s.room.mu.Unlock()
	if was != nil && err == nil {
		s.room.refusals.end(s.log)
	}
}

// refusals sees to it that transactions that fail one after the other, or every
// other one, make two lines a second at most and not thousands.
type refusals struct {
	last          int64 // when the last one was said, Unix milliseconds
	said          bool  // and not yet that it is over
	groups, steps int   // unsaid since then
}

func (r *refusals) note(log *slog.Logger, now int64, steps int, err error) {
	if since := now - r.last; r.last != 0 && since >= 0 && since < 1000 {
		r.groups++
		r.steps += steps
		return
	}
	log.Error("store: a transaction failed; its steps were refused", "steps", steps, "unsaid_transactions", r.groups, "unsaid_steps", r.steps, "err", err)
	*r = refusals{last: now, said: true}
}

func (r *refusals) end(log *slog.Logger) {
	if !r.said {
		return
	}
	log.Info("store: writes work again", "unsaid_transactions", r.groups, "unsaid_steps", r.steps)
	*r = refusals{last: r.last}
}

// GiveUpBallast makes room on the disk for what ends something. It says
// whether there is more room now.
func (s *Store) GiveUpBallast() bool {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	if s.room.ballast == nil || s.room.ballast.gone() {
		return false
	}
	if err := s.room.ballast.drop(); err != nil {
		s.log.Error("store: the disk is full, and the ballast cannot be given up", "err", err)
		return false
	}
	s.log.Error("store: the disk is full; the ballast is given up, and only what ends something is written until it is back", "dir", s.room.ballast.dir())
	return true
}

// salvage takes the steps that end something out of a batch that failed for
// want of room, after making some; the others are refused. ok is false when
// there is nothing to be done.
func (s *Store) salvage(err error, batch []*step) (rest []*step, ok bool) {
	if !roomError(err) {
		return nil, false
	}
	rest, others := vital(batch)
	if len(rest) == 0 {
		return nil, false
	}
	// Without the others they may fit, though there is no ballast.
	if !s.GiveUpBallast() && len(others) == 0 {
		return nil, false
	}
	s.refuse(err, others)
	return rest, true
}

// vital parts the steps that end something from the others.
func vital(batch []*step) (rest, others []*step) {
	for _, st := range batch {
		if st.vital {
			rest = append(rest, st)
		} else {
			others = append(others, st)
		}
	}
	return rest, others
}

// roomError says whether more room might help. What a file system says when it
// is full is not always that: a quota, or syncing, may be an I/O error.
func roomError(err error) bool {
	code := primary(err)
	return code == lib.SQLITE_FULL || code == lib.SQLITE_IOERR
}

// tend looks after the room until the store is closed.
func (s *Store) tend() {
	defer close(s.tended)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-s.closing:
			return
		case now := <-tick.C:
			s.lookAtRoom(now)
		}
	}
}

// scarceRoom is how many free bytes are few: then the log stays short, so that
// it is not what fills the disk.
const scarceRoom = 1 << 30

// lookAtRoom brings the ballast back when there is room, and finds out by a
// small write whether a store that failed, or stands on a disk that is nearly
// full, can write: an idle one would not notice.
func (s *Store) lookAtRoom(now time.Time) {
	s.scarce.Store(freeBytes(s.path) < scarceRoom)
	s.room.mu.Lock()
	b, fault := s.room.ballast, s.room.fault
	back := b.gone() && b.make() == nil
	gone := b.gone()
	due := fault != nil || now.Sub(s.room.probed) > 10*time.Second && freeBytes(s.path) < margin
	if due {
		s.room.probed = now
	}
	s.room.mu.Unlock()
	if back {
		s.log.Info("store: there is room on the disk again, and the ballast is back")
	}
	if !gone && (due || back) {
		s.probe()
	}
}

// probe writes a page that says nothing new.
func (s *Store) probe() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := s.single(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE meta SET value = value WHERE name = ?`, core.MetaNode)
		return err
	})
	if err != nil && !errors.Is(err, core.ErrStoreUnavailable) {
		s.log.Warn("store: looking whether it can write", "err", err)
	}
}
