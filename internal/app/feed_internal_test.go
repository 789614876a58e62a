package app

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/internal/core"
)

// TestFeedBounds counts what one reader may cost.
func TestFeedBounds(t *testing.T) {
	now := int64(1000)
	f := &feed{steady: func() int64 { return now }, readers: map[string]*feedReader{}}
	var ends []func()
	waits := 0
	for i := range feedBurst {
		mayWait, _, done, err := f.admit("a")
		if err != nil {
			t.Fatal(i, err)
		}
		if mayWait {
			waits++
		}
		ends = append(ends, done)
	}
	if waits != feedWaitsEach || f.waiting != feedWaitsEach {
		t.Errorf("%d polls wait (%d counted), want %d", waits, f.waiting, feedWaitsEach)
	}
	if _, _, _, err := f.admit("a"); core.CodeOf(err) != core.TooMany {
		t.Errorf("a poll beyond the burst: %v", err)
	}
	if mayWait, _, _, err := f.admit("b"); err != nil || !mayWait {
		t.Errorf("another reader: %v, %v", mayWait, err)
	}
	for _, done := range ends {
		done()
	}
	if f.waiting != 1 {
		t.Errorf("%d polls wait after all but one have ended", f.waiting)
	}
	now += 1000
	for i := range feedRate {
		if _, _, _, err := f.admit("a"); err != nil {
			t.Fatal("a second later", i, err)
		}
	}
	// Beyond the rate he is answered later, beyond what may wait not at all.
	for i := range feedWaitsEach - feedRate {
		mayWait, pause, _, err := f.admit("a")
		if want := time.Duration(i+1) * time.Second / feedRate; err != nil || !mayWait || pause.Round(time.Microsecond) != want {
			t.Fatalf("poll %d beyond the rate: %v, %s, want %s; %v", i, mayWait, pause, want, err)
		}
	}
	if _, _, _, err := f.admit("a"); core.CodeOf(err) != core.TooMany {
		t.Errorf("a poll beyond the rate: %v", err)
	}
	for i := range feedReaders {
		f.readers[string(rune('α'+i))] = &feedReader{budget: feedBurst, at: now}
	}
	f.forget(now)
	if len(f.readers) != 2 {
		t.Errorf("%d readers are remembered, want the two that spent something", len(f.readers))
	}
}

// lateNews is a node whose memory is behind the log by one number, until it is
// told to look.
type lateNews struct {
	last    int64
	heard   int
	changed chan struct{}
}

func (n *lateNews) RevocationNews() (int64, <-chan struct{}) { return n.last, n.changed }

func (n *lateNews) HearRevocations(context.Context) error {
	n.heard++
	n.last = 6
	return nil
}

// TestFeedWaitsThoughMemoryIsBehind: a reader that was answered from the log
// knows a number that the node's memory has not got yet. He waits like others;
// one who knows more than the log is answered at once.
func TestFeedWaitsThoughMemoryIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for since, wait := range map[int64]time.Duration{5: 0, 6: 20 * time.Second, 7: 0} {
			n := &lateNews{last: 5, changed: make(chan struct{})}
			if since == 5 {
				n.last = 6
			}
			f := &feed{news: n, ended: make(chan struct{})}
			began := time.Now()
			f.await(t.Context(), since, 20*time.Second)
			if d := time.Since(began); d != wait {
				t.Errorf("since %d: answered after %s, want %s", since, d, wait)
			}
		}
	})
}
