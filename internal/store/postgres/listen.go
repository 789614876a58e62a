package postgres

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// News travels by NOTIFY: the instance that tells, what it is about, and for
// facts the highest number.
const channel = "sallyport"

const (
	newsRows = "rows" // accounts, users, API keys, clients, issuers
	newsKeys = "keys" // signing keys, the master key
	newsBeat = "beat" // nothing: we listen for our own, to know that the channel works
)

// Silence is how long a node may not notice that it hears nothing: our own
// beats, one a second, may be missing for so long before the channel is thought
// dead and made anew.
const Silence = 4 * time.Second

const (
	// listenRetry is how long a new try waits, at most.
	listenRetry = 5 * time.Second
)

// ears is what is known of the channel.
type ears struct {
	up    atomic.Bool  // news arrives
	heard atomic.Int64 // when our own beat did last, in milliseconds of a steady clock
}

var started = time.Now()

func steadyMS() int64 { return time.Since(started).Milliseconds() }

// listen waits for news on a connection of its own, which is made anew when it
// breaks or falls silent. Meanwhile, and where there is none, polling does.
func (s *Store) listen(ctx context.Context) {
	for wait := 50 * time.Millisecond; ctx.Err() == nil; wait = min(2*wait, listenRetry) {
		began := time.Now()
		err := s.listenOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if s.ears.up.Swap(false) {
			s.log.Warn("store: notifications do not arrive; news is polled for until they do", "err", err)
		}
		poke(s.changes) // what was said meanwhile was missed
		poke(s.keyNews)
		if time.Since(began) > time.Minute {
			wait = 50 * time.Millisecond
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

func (s *Store) listenOnce(ctx context.Context) error {
	conf, err := s.connConfig()
	if err != nil {
		return err
	}
	connect, cancel := context.WithTimeout(ctx, 2*conf.ConnectTimeout)
	defer cancel()
	c, err := pgx.ConnectConfig(connect, conf)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(context.WithoutCancel(connect)) }() // it only listened
	if _, err := c.Exec(connect, `LISTEN `+channel); err != nil {
		return err
	}
	poke(s.changes) // what was said before
	poke(s.keyNews)
	s.ears.heard.Store(steadyMS() + 1) // above 0 from now on
	for {
		// The beats of this node arrive once a second, unless the channel is dead.
		left := Silence - time.Duration(steadyMS()-s.ears.heard.Load())*time.Millisecond
		wait, cancel := context.WithTimeout(ctx, max(left, 0))
		n, err := c.WaitForNotification(wait)
		cancel()
		if err != nil {
			return err
		}
		s.hear(n.Payload)
	}
}

// hear takes one notification. What we said ourselves has been acted on.
func (s *Store) hear(payload string) {
	from, what, _ := strings.Cut(payload, " ")
	if from == s.instance {
		if what == newsBeat {
			s.ears.heard.Store(steadyMS())
			if !s.ears.up.Swap(true) {
				s.log.Debug("store: notifications arrive")
			}
		}
		return
	}
	switch what {
	case newsBeat:
	case newsKeys:
		poke(s.keyNews)
		poke(s.changes)
	default:
		poke(s.changes)
	}
}
