package core

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
)

// The jumps that put the clock in doubt. Purging and dropping keys by a clock
// that is wrong loses what cannot be had back, so both wait for an operator.
const (
	clockAheadMS = 24 * 3600 * 1000 // ahead of the store's last time, at start
	clockBackMS  = 60 * 1000        // behind it, or backwards while running
	clockDriftMS = 5 * 60 * 1000    // against the monotonic clock
)

const metaClock = "clock_last"

// clockGuard watches for jumps.
type clockGuard struct {
	doubt      atomic.Bool
	lastWall   atomic.Int64
	baseWall   atomic.Int64
	baseSteady atomic.Int64
}

func (c *clockGuard) inDoubt() bool { return c.doubt.Load() }

// startClockGuard compares the clock with the last time the store knew.
func (s *Service) startClockGuard(ctx context.Context, now int64) error {
	s.clock.lastWall.Store(now)
	s.clock.baseWall.Store(now)
	if s.cfg.Monotonic != nil {
		s.clock.baseSteady.Store(s.cfg.Monotonic())
	}
	v, err := s.store.MetaGet(ctx, metaClock)
	if errors.Is(err, ErrNoRow) {
		return s.setClock(ctx, now)
	}
	if err != nil {
		return StoreError(err)
	}
	last, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return nil
	}
	switch {
	case now < last-clockBackMS:
		s.clockDoubt("the clock stands before the last time this store was used", now-last)
	case now > last+clockAheadMS:
		s.clockDoubt("the clock stands more than a day after the last time this store was used", now-last)
	}
	return nil
}

func (s *Service) clockDoubt(what string, byMS int64) {
	if s.clock.doubt.Swap(true) {
		return
	}
	s.observer.Alarm("clock", what)
	s.log.Warn(what+"; expired rows and old keys are kept until `sallyport clock confirm` says that it is right", "by_seconds", byMS/1000)
}

// watchClock notices a jump while running.
func (s *Service) watchClock(_ context.Context) {
	now := s.now()
	last := s.clock.lastWall.Swap(now)
	if now < last-clockBackMS {
		s.clockDoubt("the clock went back", now-last)
	}
	if s.cfg.Monotonic == nil {
		return
	}
	drift := (now - s.clock.baseWall.Load()) - (s.cfg.Monotonic() - s.clock.baseSteady.Load())
	if drift > clockDriftMS || drift < -clockDriftMS {
		s.clockDoubt("the clock jumped", drift)
	}
}

// rememberClock notes the time each minute, while the clock is not in doubt.
func (s *Service) rememberClock(ctx context.Context) {
	if s.clock.inDoubt() {
		return
	}
	if err := s.setClock(ctx, s.now()); err != nil {
		s.log.Warn("the time could not be noted", "err", err)
	}
}

func (s *Service) setClock(ctx context.Context, now int64) error {
	return StoreError(s.store.MetaSet(ctx, &MetaSetParams{Name: metaClock, Value: strconv.FormatInt(now, 10), Now: now}))
}

// ClockInDoubt reports whether purging waits for an operator.
func (s *Service) ClockInDoubt() bool { return s.clock.inDoubt() }

// ConfirmClock says that the clock is right; purging goes on.
func (s *Service) ConfirmClock(ctx context.Context, actor Actor) error {
	now := s.now()
	ev := actor.Event("clock.confirm")
	if err := s.store.MetaSet(ctx, &MetaSetParams{Name: metaClock, Value: strconv.FormatInt(now, 10), Now: now, Event: ev}); err != nil {
		return StoreError(err)
	}
	s.clock.lastWall.Store(now)
	s.clock.baseWall.Store(now)
	if s.cfg.Monotonic != nil {
		s.clock.baseSteady.Store(s.cfg.Monotonic())
	}
	s.clock.doubt.Store(false)
	return nil
}
