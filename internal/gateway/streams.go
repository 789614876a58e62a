package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/core"
)

const (
	// deafAfter is how long a stream outlives a core that cannot tell whether
	// its token still stands, in milliseconds.
	deafAfter = 5_000
	// aliveTimeout bounds one question, so that a slow store cannot keep the
	// other streams from being looked at.
	aliveTimeout = time.Second
	askAtOnce    = 8
)

// errEnded is why the request of a revoked or expired token was cut.
type errEnded struct{ err error }

func (e *errEnded) Error() string { return "the token ended during the request: " + e.err.Error() }
func (e *errEnded) Unwrap() error { return e.err }

// streams are the requests under way that a token let in. What is short is
// gone before anybody looks.
type streams struct {
	auth Authenticator
	now  func() int64
	mu   sync.Mutex
	live map[*stream]struct{}
}

type stream struct {
	p      *core.Principal
	cancel context.CancelCauseFunc
	good   int64 // when the principal was last known to stand
}

func newStreams(auth Authenticator, now func() int64) *streams {
	return &streams{auth: auth, now: now, live: map[*stream]struct{}{}}
}

// add registers a request; call done when it has ended.
func (s *streams) add(p *core.Principal, cancel context.CancelCauseFunc) (done func()) {
	st := &stream{p: p, cancel: cancel, good: s.now()}
	s.mu.Lock()
	s.live[st] = struct{}{}
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		delete(s.live, st)
		s.mu.Unlock()
	}
}

func (s *streams) watch(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.look(ctx)
		}
	}
}

// look asks about every principal once and cuts what has ended.
func (s *streams) look(ctx context.Context) {
	byPrincipal := map[*core.Principal][]*stream{}
	s.mu.Lock()
	for st := range s.live {
		byPrincipal[st.p] = append(byPrincipal[st.p], st)
	}
	s.mu.Unlock()

	slots := make(chan struct{}, askAtOnce)
	var wg sync.WaitGroup
	for p, all := range byPrincipal {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			s.judge(ctx, p, all)
		})
	}
	wg.Wait()
}

func (s *streams) judge(ctx context.Context, p *core.Principal, all []*stream) {
	now := s.now()
	err := s.alive(ctx, p, now)
	for _, st := range all {
		switch {
		case err == nil:
			st.good = now
		case core.CodeOf(err) == core.Unavailable && now-st.good < deafAfter:
			// Nothing is known against it yet.
		default:
			st.cancel(&errEnded{err})
		}
	}
}

func (s *streams) alive(ctx context.Context, p *core.Principal, now int64) error {
	if p.ExpiresAt != 0 && now >= p.ExpiresAt {
		return &core.Error{Code: core.TokenExpired, Principal: p}
	}
	ctx, cancel := context.WithTimeout(ctx, aliveTimeout)
	defer cancel()
	err := s.auth.Alive(ctx, p)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		err = &core.Error{Code: core.Unavailable, Reason: "no answer in time", Err: err}
	}
	return err
}
