package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/pgtest"
)

// TestSilent: what counts is that nothing comes, not that one answer is late,
// and only while somebody was there to hear it.
func TestSilent(t *testing.T) {
	const second = 1000
	for name, c := range map[string]struct {
		asked, heard, now int64
		away              int64 // how long before now the clock was not looked at
		want              bool
	}{
		"asked just now, after a long quiet":   {100 * second, 3 * second, 100*second + 10, 0, false},
		"half a second each way":               {100 * second, 99 * second, 101*second + 100, 0, false},
		"nothing for as long as one can wait":  {100 * second, 99 * second, 101*second + 500, 0, true},
		"one answer late, others come":         {100 * second, 108 * second, 109 * second, 0, false},
		"others came too, and do so no longer": {100 * second, 108 * second, 110 * second, 0, true},
		"this process was paused":              {100 * second, 99 * second, 200 * second, 99 * second, false},
		"paused, and then waited again":        {100 * second, 99 * second, 202 * second, 0, true},
	} {
		var w watch
		for at := c.asked - second; at < c.now-c.away; at += linkTick.Milliseconds() {
			w.silent(at, at, at)
		}
		if got := w.silent(c.asked, c.heard, c.now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// swallower is a way to a server that can be made to swallow everything.
type swallower struct {
	net.Listener
	to string

	mu    sync.Mutex
	mute  bool
	conns []net.Conn
}

func swallow(t *testing.T, to string) *swallower {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &swallower{Listener: l, to: to}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { w.carry(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close() // ends the loop
		w.turn(false)
		all.Wait()
	})
	return w
}

func (w *swallower) carry(c net.Conn) {
	defer c.Close()
	s, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer s.Close()
	w.mu.Lock()
	w.conns = append(w.conns, c, s)
	w.mu.Unlock()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{c, s}, {s, c}} {
		both.Go(func() {
			_, _ = io.Copy(w.onto(way[1]), way[0]) // ends with the connection
			_ = way[1].Close()
		})
	}
	both.Wait()
}

func (w *swallower) onto(c net.Conn) io.Writer {
	return writerFunc(func(b []byte) (int, error) { return w.write(c, b) })
}

func (w *swallower) write(c net.Conn, b []byte) (int, error) {
	w.mu.Lock()
	mute := w.mute
	w.mu.Unlock()
	if mute {
		return len(b), nil
	}
	return c.Write(b)
}

// turn makes it swallow, or ends all connections and carries again.
func (w *swallower) turn(mute bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mute = mute
	if !mute {
		for _, c := range w.conns {
			_ = c.Close() // it is no use any more
		}
		w.conns = nil
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// TestSilentLink: behind a link that swallows everything requests do not wait
// for their own time limits, which are hours here, and go on when it speaks.
func TestSilentLink(t *testing.T) {
	dsn := pgtest.Start(t).NewDatabase(t)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	way := swallow(t, u.Host)
	u.Host = way.Addr().String()
	s := openAt(t, Config{URL: u.String(), Serve: true, StatementTimeout: time.Hour})
	defer closing(t, s)
	user := person(t, s, "ada")
	sess := opened(t, s, user)
	lastOf(t, s)

	way.turn(true)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	requests := map[string]func() error{
		"reading":   func() error { _, _, err := s.SessionByID(ctx, sess.ID); return err },
		"refresh":   func() error { _, err := s.RefreshSession(ctx, moving1(sess, 0)); return err },
		"hearing":   func() error { s.proof.at.Store(0); _, _, err := s.FactsSince(ctx, 0, 1); return err },
		"a step":    func() error { return s.MetaSet(ctx, &core.MetaSetParams{Name: "x", Value: "y", Now: testNow}) },
		"the store": func() error { return s.Ping(ctx) },
	}
	for range 2 { // at once, and when the link counts as dead
		var all sync.WaitGroup
		for name, request := range requests {
			all.Go(func() {
				if err := request(); core.CodeOf(err) != core.Unavailable || ctx.Err() != nil {
					t.Errorf("%s over a silent link: %v", name, err)
				}
			})
		}
		all.Wait()
	}
	if err := s.link.err(); !errors.Is(err, core.ErrStoreUnavailable) {
		t.Errorf("the link is said to be well: %v", err)
	}
	way.turn(false)
	for s.Ping(ctx) != nil && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	if res, err := s.RefreshSession(ctx, moving1(sess, 0)); err != nil || !res.Verdict.Granted() {
		t.Errorf("a refresh when the link speaks again: %+v, %v", res, err)
	}
	if _, _, err := s.FactsSince(ctx, 0, 1); err != nil {
		t.Errorf("hearing when the link speaks again: %v", err)
	}
}
