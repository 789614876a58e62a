package password

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func network(s string) Lane { return Lane{Network: netip.MustParsePrefix(s)} }

func knownFrom(s string) Lane { return Lane{Known: true, Network: netip.MustParsePrefix(s)} }

// line starts callers one after the other, each of which holds a slot for
// hold, and records in which order they were served.
type line struct {
	t      *testing.T
	s      *slots
	hold   time.Duration
	mu     sync.Mutex
	served []string
	failed map[string]error
}

func (l *line) join(ctx context.Context, name string, lane Lane) {
	go func() {
		err := l.s.acquire(ctx, lane)
		l.mu.Lock()
		if err != nil {
			l.failed[name] = err
		} else {
			l.served = append(l.served, name)
		}
		l.mu.Unlock()
		if err == nil {
			time.Sleep(l.hold)
			l.s.release(lane.Known, l.hold)
		}
	}()
	synctest.Wait()
}

func inBubble(t *testing.T, capacity, queue int, f func(l *line)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(&line{t: t, s: newSlots(capacity, queue), hold: time.Second, failed: map[string]error{}})
	})
}

func (l *line) order() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.served)
}

func (l *line) finish(want ...string) {
	l.t.Helper()
	time.Sleep(1000 * l.hold)
	synctest.Wait()
	if got := l.order(); !slices.Equal(got, want) {
		l.t.Errorf("served %v, want %v", got, want)
	}
	if st := l.s.stats(); st.InUse != 0 || st.QueuedKnown != 0 || st.QueuedShared != 0 || l.s.waiting[shared].root.turns.Len() != 0 {
		l.t.Errorf("left over: %+v", st)
	}
}

func TestSecurity50_NetworksTakeTurns(t *testing.T) {
	inBubble(t, 1, 100, func(l *line) {
		for i := range 5 {
			l.join(l.t.Context(), fmt.Sprint("flood", i), network("192.0.2.0/24"))
		}
		l.join(l.t.Context(), "a", network("198.51.100.0/24"))
		l.join(l.t.Context(), "b", network("203.0.113.0/24"))
		l.finish("flood0", "flood1", "a", "b", "flood2", "flood3", "flood4")
	})
}

func TestSecurity50_PrefixesOfOneCustomerCountOnce(t *testing.T) {
	inBubble(t, 1, 100, func(l *line) {
		l.join(l.t.Context(), "first", network("192.0.2.0/24"))
		for i := range 4 { // four /64 of one /48
			l.join(l.t.Context(), fmt.Sprint("x", i), network(fmt.Sprintf("2001:db8:1:%d::/64", i)))
		}
		l.join(l.t.Context(), "y", network("2001:db8:2:1::/64")) // another /48 of the same /32
		l.join(l.t.Context(), "z", network("2001:db9:1:1::/64")) // another /32
		l.finish("first", "x0", "z", "y", "x1", "x2", "x3")
	})
}

func TestSecurity50_HalfTheSlotsAreKept(t *testing.T) {
	inBubble(t, 4, 100, func(l *line) {
		for i := range 10 {
			l.join(l.t.Context(), fmt.Sprint("s", i), network(fmt.Sprintf("10.0.%d.0/24", i)))
		}
		if st := l.s.stats(); st.InUse != 2 || st.QueuedShared != 8 {
			l.t.Errorf("%+v", st)
		}
		for i := range 2 {
			l.join(l.t.Context(), fmt.Sprint("k", i), knownFrom("192.0.2.0/24"))
		}
		if st := l.s.stats(); st.InUse != 4 || st.QueuedKnown != 0 {
			l.t.Errorf("known pairs had to wait: %+v", st)
		}
		time.Sleep(1000 * l.hold)
		synctest.Wait()
		// Two are served in one moment, so only who was served is certain.
		if got := l.order(); len(got) != 12 || l.s.stats().InUse != 0 {
			l.t.Errorf("served %v", got)
		}
	})
}

func TestSharedHalfIsNotTakenByKnownPairs(t *testing.T) {
	inBubble(t, 2, 100, func(l *line) {
		for i := range 4 {
			l.join(l.t.Context(), fmt.Sprint("k", i), knownFrom("192.0.2.0/24"))
		}
		l.join(l.t.Context(), "s0", network("198.51.100.0/24"))
		l.join(l.t.Context(), "s1", network("198.51.100.0/24"))
		time.Sleep(l.hold) // both slots come free: one for each lane
		synctest.Wait()
		if got := l.order(); len(got) != 4 || !slices.Contains(got, "s0") || !slices.Contains(got, "k2") {
			l.t.Errorf("served %v", got)
		}
		time.Sleep(1000 * l.hold)
	})
}

func TestOneSlotAlternates(t *testing.T) {
	inBubble(t, 1, 100, func(l *line) {
		for i := range 4 {
			l.join(l.t.Context(), fmt.Sprint("s", i), network("192.0.2.0/24"))
		}
		for i := range 4 {
			l.join(l.t.Context(), fmt.Sprint("k", i), knownFrom("198.51.100.0/24"))
		}
		l.finish("s0", "k0", "s1", "k1", "s2", "k2", "s3", "k3")
	})
}

func TestFullQueueTurnsTheHeaviestAway(t *testing.T) {
	inBubble(t, 1, 8, func(l *line) { // four places in each lane
		for i := range 6 {
			l.join(l.t.Context(), fmt.Sprint("flood", i), network("192.0.2.0/24"))
		}
		l.join(l.t.Context(), "a", network("198.51.100.0/24"))
		l.join(l.t.Context(), "b", network("203.0.113.0/24"))
		l.join(l.t.Context(), "k", knownFrom("192.0.2.0/24"))
		for name, err := range l.failed {
			var busy *BusyError
			if !errors.Is(err, ErrBusy) || !errors.As(err, &busy) || busy.RetryAfter < time.Second {
				l.t.Errorf("%s: %v", name, err)
			}
		}
		for _, name := range []string{"flood5", "flood4", "flood3"} {
			if l.failed[name] == nil {
				l.t.Errorf("%s kept its place: %v", name, l.failed)
			}
		}
		if st := l.s.stats(); st.Refused != 3 || st.QueuedShared != 4 || st.QueuedKnown != 1 {
			l.t.Errorf("%+v", st)
		}
		l.finish("flood0", "k", "flood1", "a", "b", "flood2")
	})
}

func TestWhoGivesUpLeavesTheQueue(t *testing.T) {
	inBubble(t, 1, 100, func(l *line) {
		ctx, cancel := context.WithCancel(l.t.Context())
		l.join(l.t.Context(), "a", network("192.0.2.0/24"))
		l.join(ctx, "b", network("192.0.2.0/24"))
		l.join(l.t.Context(), "c", network("192.0.2.0/24"))
		cancel()
		synctest.Wait()
		if st := l.s.stats(); st.QueuedShared != 1 || !errors.Is(l.failed["b"], context.Canceled) {
			l.t.Errorf("%+v %v", st, l.failed)
		}
		l.finish("a", "c")
	})
}

// A turn that comes in the same moment as the end of the context is passed on.
func TestLateVerdictIsPassedOn(t *testing.T) {
	s := newSlots(1, 10)
	if err := s.acquire(t.Context(), Lane{}); err != nil {
		t.Fatal(err)
	}
	w := &waiter{verdict: make(chan error, 1)}
	s.waiting[shared].push(w, groupsOf(netip.Prefix{}))
	s.release(false, time.Millisecond) // grants w
	if err := s.leave(shared, w, context.Canceled); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if st := s.stats(); st.InUse != 0 || st.Served != 1 || st.LastDuration != time.Millisecond {
		t.Fatalf("%+v", st)
	}
}

func TestSlotsUnderLoad(t *testing.T) {
	s := newSlots(3, 50)
	var mu sync.Mutex
	inUse, most := 0, 0
	var wg sync.WaitGroup
	for i := range 400 {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%5 == 0 {
				go cancel()
			}
			lane := network(fmt.Sprintf("10.%d.0.0/24", i%7))
			lane.Known = i%3 == 0
			if s.acquire(ctx, lane) != nil {
				return
			}
			mu.Lock()
			inUse++
			most = max(most, inUse)
			mu.Unlock()
			mu.Lock()
			inUse--
			mu.Unlock()
			s.release(lane.Known, time.Microsecond)
		})
	}
	wg.Wait()
	if st := s.stats(); most > 3 || st.InUse != 0 || st.QueuedKnown+st.QueuedShared != 0 {
		t.Fatalf("most %d, %+v", most, st)
	}
}

// TestSecurity50_HalfTheQueueIsKept: the question tells what asking for a slot would.
func TestSecurity50_HalfTheQueueIsKept(t *testing.T) {
	lane := func(n int) Lane {
		return Lane{Network: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(n), 0}), 24)}
	}
	s := newSlots(1, 8) // four places for strangers
	if err := s.acquire(t.Context(), Lane{}); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		if err := s.turnedAway(lane(i % 2)); err != nil {
			t.Fatalf("waiter %d: %v with room in the queue", i, err)
		}
		s.mu.Lock()
		s.waiting[shared].push(&waiter{verdict: make(chan error, 1)}, groupsOf(lane(i%2).Network))
		s.mu.Unlock()
	}
	if s.turnedAway(lane(0)) == nil || s.turnedAway(lane(1)) == nil {
		t.Error("a network that has its share of a full queue is let in")
	}
	if err := s.turnedAway(lane(7)); err != nil {
		t.Errorf("a network with nobody waiting takes the place of one with two: %v", err)
	}
	if err := s.turnedAway(Lane{Known: true, Network: lane(0).Network}); err != nil {
		t.Errorf("strangers fill the queue of known pairs: %v", err)
	}
	if got := s.stats().Refused; got != 2 {
		t.Errorf("%d counted as refused", got)
	}
}
