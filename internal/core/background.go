package core

import (
	"context"
	"errors"
	"sync"
	"time"
)

// catchUp takes in what is new and writes it to the facts journal. Every act
// that adds a fact calls it before it answers, so that this node refuses what
// it has just ended, and that a store restored from a backup can be told.
func (s *Service) catchUp(ctx context.Context) error {
	if err := s.follow(ctx); err != nil {
		return err
	}
	return s.settle(ctx)
}

// follow reads the facts that are new and takes them into memory. Run calls it
// when the store has news, and each half second.
func (s *Service) follow(ctx context.Context) error {
	// One reads at a time. Who waits leaves with its own context: behind a
	// store that hangs, callers must not queue for one time limit after another.
	select {
	case s.follower <- struct{}{}:
		defer func() { <-s.follower }()
	case <-ctx.Done():
		return &Error{Code: Unavailable, Reason: "store", RetryAfter: 1000, Err: context.Cause(ctx)}
	}
	for {
		last, _ := s.revoked.state()
		now := s.now()
		facts, highest, err := s.store.FactsSince(ctx, max(last-1, 0), 1000)
		if err != nil {
			return StoreError(err)
		}
		news, same := s.recent.sameLog(facts, last, now)
		if highest < last || !same {
			if err := s.lapsed(ctx, highest, last, now); err != nil {
				return err
			}
			continue
		}
		s.heardFacts(news)
		s.recent.add(news, now)
		if len(facts) < 1000 {
			s.revoked.add(news, highest, now)
			return nil
		}
		s.revoked.add(news, facts[len(facts)-1].Number, now)
	}
}

// Run follows the store and does the chores until ctx ends: revocations, last
// uses, the minute's audit summary, purging. It returns when the last buffered
// uses are written.
func (s *Service) Run(ctx context.Context) {
	var chores sync.WaitGroup
	chores.Go(func() { s.doChores(ctx) })
	s.followStore(ctx)
	chores.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	s.Flush(last)
	s.markJournal(last)
}

// doChores does what may take its time: a purge that is long, or waits for
// another node, holds up no revocation.
func (s *Service) doChores(ctx context.Context) {
	flush := time.NewTicker(5 * time.Second)
	minute := time.NewTicker(time.Minute)
	defer flush.Stop()
	defer minute.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-flush.C:
			s.flushTouches(ctx)
		case <-minute.C:
			s.Flush(ctx)
			s.Purge(ctx)
			s.rememberClock(ctx)
			s.markJournal(ctx)
		}
	}
}

// followEvery is how often revocations are read when the store says nothing:
// half a second after one, the time to read it included, it counts.
const followEvery = 400 * time.Millisecond

// followStore takes revocations in when the store has news, and regularly.
func (s *Service) followStore(ctx context.Context) {
	follow := time.NewTicker(followEvery)
	defer follow.Stop()
	var deaf bool
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.store.Changes():
		case <-follow.C:
			s.watchClock(ctx)
		}
		err := s.follow(ctx)
		if err == nil {
			_ = s.settle(ctx) // it tells of its troubles, and is tried again
			if lerr := s.addLost(ctx); lerr != nil && ctx.Err() == nil {
				s.log.Warn("revocations that the store has lost could not be added again; it is tried again", "err", lerr)
			}
		}
		if err != nil && ctx.Err() == nil {
			if !deaf {
				s.log.Error("revocations cannot be read; refusing tokens until they can", "err", err)
			}
			deaf = true
		} else if deaf && err == nil {
			s.log.Info("revocations are heard again")
			deaf = false
		}
	}
}

// Flush writes what is buffered: last uses and the summaries of the minute.
func (s *Service) Flush(ctx context.Context) {
	s.flushTouches(ctx)
	events := append(s.refusals.take(), s.grants.take()...)
	if len(events) == 0 {
		return
	}
	if err := s.store.AppendAudit(ctx, s.now(), events); err != nil {
		s.log.Warn("the summaries of refusals and grants could not be written; they are tried again", "err", err)
		s.refusals.keep(events)
	}
}

// Purge removes expired rows in bounded steps, unless the clock is in doubt.
func (s *Service) Purge(ctx context.Context) {
	now := s.now()
	if s.clock.inDoubt() {
		return
	}
	s.revoked.purge(now)
	s.purgeAudit(ctx, now)
	if s.cfg.Journal != nil {
		if err := s.cfg.Journal.Purge(now); err != nil {
			s.log.Warn("the facts journal could not be shortened; it is tried again in a minute", "err", err)
		}
	}
	for range 100 {
		rep, err := s.store.Purge(ctx, now, 500)
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				s.log.Warn("purging failed; it is tried again in a minute", "err", err)
			}
			return
		}
		if !rep.More {
			return
		}
	}
}

// touches buffers last uses: one a minute for each session or token.
type touches struct {
	mu       sync.Mutex
	sessions map[SessionID]Touch
	tokens   map[string]TokenTouch
	recent   map[string]int64 // id -> minute already written
}

// touchBuffer bounds the buffer; beyond it a last use goes unrecorded, which
// fails nothing.
const touchBuffer = 20_000

func (t *touches) session(u Touch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sessions == nil {
		t.sessions = map[SessionID]Touch{}
	}
	if len(t.sessions) < touchBuffer && t.due(string(u.ID.Key[:]), u.At) {
		t.sessions[u.ID] = u
	}
}

func (t *touches) token(u TokenTouch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tokens == nil {
		t.tokens = map[string]TokenTouch{}
	}
	if len(t.tokens) < touchBuffer && t.due(u.ID+"@"+u.Address, u.At) {
		t.tokens[u.ID] = u
	}
}

// due reports whether the minute of this use has not been noted yet.
func (t *touches) due(id string, at int64) bool {
	if t.recent == nil || len(t.recent) >= 2*touchBuffer {
		t.recent = map[string]int64{}
	}
	minute := at / 60_000
	if t.recent[id] == minute {
		return false
	}
	t.recent[id] = minute
	return true
}

func (t *touches) take() (ss []Touch, ts []TokenTouch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, u := range t.sessions {
		ss = append(ss, u)
	}
	for _, u := range t.tokens {
		ts = append(ts, u)
	}
	t.sessions, t.tokens = nil, nil
	return ss, ts
}

func (s *Service) flushTouches(ctx context.Context) {
	ss, ts := s.touches.take()
	if len(ss) > 0 {
		if err := s.store.TouchSessions(ctx, s.now(), ss); err != nil {
			s.log.Warn("last uses of sessions could not be written", "err", err)
		}
	}
	if len(ts) > 0 {
		if err := s.store.TouchApplicationTokens(ctx, ts); err != nil {
			s.log.Warn("last uses of application tokens could not be written", "err", err)
		}
	}
}

// outcome counts what became of a request, and remembers refusals for the
// minute's summary.
func (s *Service) outcome(grant string, m *Mount, c *Client, err error) {
	mount := ""
	if m != nil {
		mount = m.ID
	}
	if err == nil {
		s.observer.Outcome(grant, mount, "")
		return
	}
	code := CodeOf(err)
	s.observer.Outcome(grant, mount, code)
	if code.Is(Unauthorized) || code.Is(Forbidden) || code.Is(TooMany) {
		reason := string(code)
		var e *Error
		if errors.As(err, &e) && e.Reason != "" && len(e.Reason) < 60 {
			reason = e.Reason
		}
		s.refusals.add(tallied{kind: "refusals", grant: grant, mount: mount, reason: reason}, addressText(c.Address))
	}
}

// granted remembers for the minute's record a token that has no session, whose
// opening would be one: a machine fetches them as often as it likes.
func (s *Service) granted(grant string, m *Mount, actor string, c *Client) {
	s.grants.add(tallied{kind: "token.grants", grant: grant, mount: m.ID, actor: actor}, addressText(c.Address))
}
