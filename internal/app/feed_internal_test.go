package app

import (
	"testing"

	"github.com/sallyport/sallyport/internal/core"
)

// TestFeedBounds counts what one reader may cost.
func TestFeedBounds(t *testing.T) {
	now := int64(1000)
	f := &feed{steady: func() int64 { return now }, readers: map[string]*feedReader{}}
	var ends []func()
	waits := 0
	for i := range feedBurst {
		mayWait, done, err := f.admit("a")
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
	if _, _, err := f.admit("a"); core.CodeOf(err) != core.TooMany {
		t.Errorf("a poll beyond the burst: %v", err)
	}
	if mayWait, _, err := f.admit("b"); err != nil || !mayWait {
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
		if _, _, err := f.admit("a"); err != nil {
			t.Fatal("a second later", i, err)
		}
	}
	if _, _, err := f.admit("a"); core.CodeOf(err) != core.TooMany {
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
