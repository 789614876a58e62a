package password

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// slots lets a fixed number of callers hash at once. Half of the slots
// (rounded up, but never all) is kept for known pairs: a shared caller never
// takes a kept slot, even an idle one, because a hash cannot be interrupted and
// the owner who comes a moment later would wait it out. With a single slot
// nothing can be kept, so whoever of the two lanes did not have it last is
// next. Known pairs use shared slots only when no shared caller waits.
type slots struct {
	capacity int
	kept     int // slots no shared caller may take

	mu        sync.Mutex
	inUse     [2]int // by lane
	waiting   [2]fairQueue
	lastLane  int
	served    uint64
	refused   uint64
	lastTook  time.Duration
	longTerm  time.Duration // moving average of the time a slot is held
	queueEach [2]int
}

const (
	shared = 0
	known  = 1
)

func laneIndex(isKnown bool) int {
	if isKnown {
		return known
	}
	return shared
}

// waiter is a caller in the queue. Its verdict is sent once, under the lock;
// the channel has room for it, so that the sender never waits.
type waiter struct {
	verdict chan error
	place   *list.Element // in its group; nil when it left the queue
	path    []*group      // from the root to its group
}

func newSlots(capacity, queue int) *slots {
	s := &slots{capacity: capacity}
	if capacity > 1 {
		s.kept = (capacity + 1) / 2
	}
	s.queueEach[known] = max((queue+1)/2, 1)
	s.queueEach[shared] = max(queue-s.queueEach[known], 1)
	return s
}

// acquire returns nil when the caller has a slot, a *BusyError when its lane
// is full of others with as good a claim, or the context's error.
func (s *slots) acquire(ctx context.Context, lane Lane) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	i := laneIndex(lane.Known)
	s.mu.Lock()
	if s.waiting[i].len() == 0 && s.free(i) {
		s.grant(i)
		s.mu.Unlock()
		return nil
	}
	w := &waiter{verdict: make(chan error, 1)}
	s.waiting[i].push(w, groupsOf(lane.Network))
	if s.waiting[i].len() > s.queueEach[i] {
		s.refused++
		s.waiting[i].dropFromHeaviest(w).verdict <- s.busy(i)
	}
	s.mu.Unlock()

	select {
	case err := <-w.verdict:
		return err
	case <-ctx.Done():
		return s.leave(i, w, ctx.Err())
	}
}

// turnedAway says whether acquire would refuse this caller at once.
func (s *slots) turnedAway(lane Lane) error {
	i := laneIndex(lane.Known)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting[i].len() < s.queueEach[i] || !s.waiting[i].losesPlace(groupsOf(lane.Network)) {
		return nil
	}
	s.refused++
	return s.busy(i)
}

// leave takes a caller that gave up out of the queue. If its turn came in the
// same moment, it passes the slot on.
func (s *slots) leave(i int, w *waiter, cause error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.place != nil {
		s.waiting[i].remove(w)
		return cause
	}
	if err := <-w.verdict; err != nil {
		return err
	}
	s.served--
	s.inUse[i]--
	s.dispatch()
	return cause
}

// release gives a slot back after it was held for took.
func (s *slots) release(isKnown bool, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastTook = took
	if s.longTerm == 0 {
		s.longTerm = took
	}
	s.longTerm += (took - s.longTerm) / 8
	s.inUse[laneIndex(isKnown)]--
	s.dispatch()
}

// free says whether a caller of this lane may take a slot now.
func (s *slots) free(i int) bool {
	if s.inUse[known]+s.inUse[shared] >= s.capacity {
		return false
	}
	return i == known || s.inUse[shared] < s.capacity-s.kept
}

func (s *slots) grant(i int) {
	s.inUse[i]++
	s.served++
	s.lastLane = i
}

// dispatch hands free slots to those who wait.
func (s *slots) dispatch() {
	for {
		i := s.next()
		if i < 0 {
			return
		}
		s.grant(i)
		s.waiting[i].pop().verdict <- nil
	}
}

// next says which lane the next free slot goes to, -1 for none.
func (s *slots) next() int {
	k := s.waiting[known].len() > 0 && s.free(known)
	o := s.waiting[shared].len() > 0 && s.free(shared)
	switch {
	case k && o && s.capacity == 1:
		return 1 - s.lastLane
	case k && o && s.inUse[known] >= s.kept:
		return shared // the known have their half; the other half is due
	case k:
		return known
	case o:
		return shared
	}
	return -1
}

// busy estimates when the lane will have room: the time its queue takes over
// the slots it is sure of, in whole seconds.
func (s *slots) busy(i int) *BusyError {
	sure := s.capacity - s.kept
	if i == known {
		sure = max(s.kept, 1)
	}
	wait := s.longTerm * time.Duration(s.waiting[i].len()) / time.Duration(sure)
	seconds := (wait + time.Second - 1) / time.Second
	return &BusyError{RetryAfter: max(seconds, 1) * time.Second}
}

func (s *slots) stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{
		Slots:         s.capacity,
		InUse:         s.inUse[known] + s.inUse[shared],
		QueuedKnown:   s.waiting[known].len(),
		QueuedShared:  s.waiting[shared].len(),
		QueueCapacity: s.queueEach[known] + s.queueEach[shared],
		Served:        s.served,
		Refused:       s.refused,
		LastDuration:  s.lastTook,
	}
}
