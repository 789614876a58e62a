package postgres

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport/sallyport/internal/core"
)

// A link that swallows what is sent (a cable pulled, a firewall that drops) is
// only silent, and every request would wait for its own time limit; where
// connections are reset or refused, it would try again some times. So one asks the server for all, twice a
// second, and when nothing has come from it for some time, over any connection,
// the link counts as dead: what waits is given up, what comes is refused at
// once, until that one gets an answer. A slow link is not silent, and neither
// is a server on which commits wait.

const (
	// linkPatience is how long the server may be silent when it was asked.
	// More than the round trip of the slowest link worth having.
	linkPatience = 1500 * time.Millisecond
	linkEvery    = 500 * time.Millisecond // between questions
	linkTick     = 100 * time.Millisecond // between looks at the clock
)

var errSilent = fmt.Errorf("%w: the server does not answer", core.ErrStoreUnavailable)

// link is what is known of the way to the server.
type link struct {
	heard atomic.Int64 // when something came last, in steady milliseconds

	mu   sync.Mutex
	dead bool
	life context.Context // ends when the link dies
	end  context.CancelFunc

	watch watch // of the one that asks
}

func (l *link) start() { l.life, l.end = context.WithCancel(context.Background()) }

// watch judges silence. Times are steady milliseconds.
type watch struct {
	looked int64 // at the clock, last
	awake  int64 // since when it was looked at without a break
}

// silent reports that a server that was asked at a moment should have said
// something by now. Time in which this process did not run, because the machine
// was paused or busy, does not count: an answer may have come and lie unread.
func (w *watch) silent(asked, heard, now int64) bool {
	if now-w.looked > linkPatience.Milliseconds()/2 {
		w.awake = now
	}
	w.looked = now
	return now-max(asked, heard, w.awake) >= linkPatience.Milliseconds()
}

// err refuses while the link is dead.
func (l *link) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return errSilent
	}
	return nil
}

// die ends what waits for the server; it reports whether this is news.
func (l *link) die() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.dead
	l.dead = true
	l.end()
	return !was
}

// revive reports whether the link had been dead.
func (l *link) revive() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.dead
	if was {
		l.dead = false
		l.start()
	}
	return was
}

// bounded gives a step its time: until the limit, or until the link dies.
func (s *Store) bounded(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	s.link.mu.Lock()
	life := s.link.life
	s.link.mu.Unlock()
	stop := context.AfterFunc(life, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// noting wraps a dialler so that what comes from the server is noticed.
func (l *link) noting(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &notedConn{c, l}, nil
	}
}

type notedConn struct {
	net.Conn
	link *link
}

func (c *notedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.link.heard.Store(steadyMS())
	}
	return n, err
}

// watchLink asks the server, on a connection of its own, whether it is there.
func (s *Store) watchLink(ctx context.Context) {
	var c *pgx.Conn
	defer func() { hangUp(c) }()
	for asked := steadyMS(); ; {
		err := s.askedOnce(ctx, asked, func(ctx context.Context) (err error) {
			c, err = s.ask(ctx, c)
			return err
		})
		switch {
		case ctx.Err() != nil:
			return
		case err == nil || sqlState(err) != "": // no is an answer, too
			if s.link.revive() {
				s.log.Info("store: the server answers again")
			}
		}
		wait := linkEvery
		if s.link.err() != nil {
			wait = linkTick
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		s.judgeLink(ctx, asked)
		if err == nil || sqlState(err) != "" {
			asked = steadyMS() // a new question; one that failed goes on
		}
	}
}

// askedOnce waits for the answer to a question, and declares the link dead when
// nothing at all has come for too long.
func (s *Store) askedOnce(ctx context.Context, asked int64, ask func(context.Context) error) error {
	done := make(chan error, 1)
	go func() { done <- ask(ctx) }()
	tick := time.NewTicker(linkTick)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			s.judgeLink(ctx, asked)
			return err
		case <-tick.C:
			s.judgeLink(ctx, asked)
		}
	}
}

func (s *Store) judgeLink(ctx context.Context, asked int64) {
	if ctx.Err() == nil && s.link.watch.silent(asked, s.link.heard.Load(), steadyMS()) && s.link.die() {
		s.log.Warn("store: nothing comes from the server; requests are refused until something does", "silent_for", linkPatience)
		// Those connections may stay silent when the others speak again.
		s.pool.Reset()
		s.aside.Reset()
	}
}

// ask puts one question on a connection, nil for a new one, and gives the
// connection for the next, nil when it is of no use any more.
func (s *Store) ask(ctx context.Context, c *pgx.Conn) (*pgx.Conn, error) {
	conf, err := s.connConfig()
	if err != nil {
		return c, err
	}
	if c == nil {
		conf.DialFunc = s.link.noting(conf.DialFunc)
		ctx, cancel := context.WithTimeout(ctx, time.Duration(1+len(conf.Fallbacks))*conf.ConnectTimeout) // each host in turn
		defer cancel()
		c, err = pgx.ConnectConfig(ctx, conf)
		return c, err
	}
	ctx, cancel := s.bounded(ctx, conf.ConnectTimeout) // a link that died is tried anew
	defer cancel()
	if _, err = c.Exec(ctx, `SELECT 1`); err != nil {
		hangUp(c)
		return nil, err
	}
	return c, nil
}

func hangUp(c *pgx.Conn) {
	if c == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), linkTick)
	defer cancel()
	_ = c.Close(ctx) // the server notices in any case
}
