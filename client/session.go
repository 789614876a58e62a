package client

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	attempts     = 4                      // per refresh or login
	firstPause   = 200 * time.Millisecond // between attempts, doubled
	longestWait  = 3 * time.Second        // within one call; a longer Retry-After is given back as an error
	firstBackoff = time.Second            // between failed calls, doubled
	maxBackoff   = 5 * time.Minute
	forcedPause  = 10 * time.Second // between two renewals for a 401
	tailPart     = 0.2              // the part of a lifetime that is left when a token is refreshed
	tailJitter   = 0.1
)

// Options are the settings that all Sessions share. The zero value is good.
type Options struct {
	// HTTPClient sends the requests to the token endpoints; nil is a client of our own. Its CheckRedirect is not used:
	// credentials don't follow redirects.
	HTTPClient *http.Client
	// Timeout bounds each attempt; 0 is 10 seconds.
	Timeout time.Duration
	// Store keeps the token over restarts; nil keeps it in memory alone. Processes that share a Store share its token.
	Store Store
	// Initial is a token to begin with, from a login elsewhere. One in the Store that was issued later wins.
	Initial *Token
	// OnError is told of every failure to get, load or save a token, also of those that no caller of Token sees because
	// the old token still works. It may be called by several goroutines, and must not call the Session.
	OnError func(error)
	// AllowPlainHTTP permits http:// URLs of other machines, inside a network that is trusted with the passwords.
	AllowPlainHTTP bool

	env env
}

// env is what tests replace.
type env struct {
	now    func() time.Time
	sleep  func(context.Context, time.Duration) error
	random func() float64
}

func (o *Options) fill() {
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.OnError == nil {
		o.OnError = func(error) {}
	}
	if o.env.now == nil {
		// Without the monotonic reading, which stands still while a laptop sleeps and would keep dead tokens alive.
		o.env.now = func() time.Time { return time.Now().Round(0) }
	}
	if o.env.sleep == nil {
		o.env.sleep = sleep
	}
	if o.env.random == nil {
		o.env.random = rand.Float64 // spreads clients over time; guards nothing
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// grant speaks one contract. Its methods are never called at the same time.
type grant interface {
	canLogin() bool
	login(ctx context.Context) (*Token, error)
	// refresh gives what comes after t. What the answer leaves out stays empty.
	refresh(ctx context.Context, t *Token) (*Token, error)
}

// Session is a Source that logs in, caches and refreshes. It must be made by one of the New functions.
type Session struct {
	opts   Options
	grant  grant
	owner  string
	origin string
	ctx    context.Context // of the flights: callers come and go
	cancel context.CancelFunc

	mu        sync.Mutex
	token     *Token // never changed, only replaced
	refreshAt time.Time
	flight    *flight
	closed    bool
	failures  int       // in a row
	notBefore time.Time // no flight before this, after a failure
	lastErr   error
	forced    string    // the access token that the last renewal for a 401 gave
	forcedAt  time.Time // and when

	dead map[string]bool // refresh tokens that were refused; of the flight
}

var _ Renewer = (*Session)(nil)

func newSession(o Options, g grant, base string, name ...string) *Session {
	s := &Session{opts: o, grant: g, origin: originOf(base), dead: map[string]bool{}}
	sum := sha256.Sum256([]byte(strings.Join(append([]string{base}, name...), "\n")))
	s.owner = base64.RawURLEncoding.EncodeToString(sum[:16])
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if o.Initial != nil {
		s.token = s.own(o.Initial)
		if o.Store == nil { // else the store is seen first: Token
			s.token = s.born(s.token)
			s.refreshAt = s.due(s.token, o.env.random())
		}
	}
	return s
}

// originOf is scheme, host and port, as browsers compare them.
func originOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return ""
	}
	return origin(u)
}

func origin(u *url.URL) string {
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return scheme + "://" + host + ":" + port
}

// Origin is where the token comes from, as "https://auth.example.com:443". A Transport without origins of its own
// sends the token there alone.
func (s *Session) Origin() string { return s.origin }

// String names the server and nothing secret.
func (s *Session) String() string { return "session at " + s.origin }

// GoString is String, so that %#v shows no secret.
func (s *Session) GoString() string { return s.String() }

// Token returns an access token that is good now: the cached one while it lives, else that of a refresh or a login,
// which all callers wait for together. Errors are ctx's, an *Error, or wrap ErrLoginRequired. The Token is the
// caller's own.
func (s *Session) Token(ctx context.Context) (*Token, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	now := s.opts.env.now()
	if s.usable(s.token, now) {
		t := s.token.copied()
		first := s.opts.Store != nil && t.IssuedAt.IsZero() && s.failures == 0 // Initial, and the store not seen yet
		if !first {
			if s.isDue(now) && s.flight == nil && !now.Before(s.notBefore) && !s.closed {
				s.start("")
			}
			s.mu.Unlock()
			return t, nil
		}
	}
	return s.join(ctx, now, "")
}

// Renew returns a token other than refused. It asks the server unless that happened meanwhile. A server that refuses
// each new token too is not a reason to fetch one per request: then Renew returns refused itself for ten seconds.
func (s *Session) Renew(ctx context.Context, refused *Token) (*Token, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	now := s.opts.env.now()
	if t := s.token; t != nil && s.usable(t, now) {
		again := t.AccessToken == s.forced && now.Sub(s.forcedAt) < forcedPause
		if t.AccessToken != refused.AccessToken || again {
			t = t.copied()
			s.mu.Unlock()
			return t, nil
		}
	}
	return s.join(ctx, now, refused.AccessToken)
}

// join waits for the flight, which it starts when there is none. It is called locked and unlocks.
func (s *Session) join(ctx context.Context, now time.Time, refused string) (*Token, error) {
	f := s.flight
	if f == nil {
		switch {
		case s.closed:
			s.mu.Unlock()
			return nil, ErrClosed
		case now.Before(s.notBefore):
			err := s.lastErr
			s.mu.Unlock()
			return nil, err
		}
		f = s.start(refused)
	}
	s.mu.Unlock()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-f.done:
	}
	if f.err != nil {
		return nil, f.err
	}
	return f.token.copied(), nil
}

// Close ends a refresh that is under way and waits for it. Token goes on giving the cached token until it is over.
func (s *Session) Close() error {
	s.mu.Lock()
	s.closed = true
	f := s.flight
	s.mu.Unlock()
	s.cancel()
	if f != nil {
		<-f.done
	}
	return nil
}

// usable tells whether t can be sent at now and arrive alive.
func (s *Session) usable(t *Token, now time.Time) bool {
	if t == nil || t.AccessToken == "" {
		return false
	}
	if t.Expiry.IsZero() {
		return true
	}
	margin := 10 * time.Second
	if !t.IssuedAt.IsZero() {
		margin = min(margin, t.Expiry.Sub(t.IssuedAt)/20)
	}
	return now.Before(t.Expiry.Add(-margin))
}

// due is when t should be refreshed; the zero time is never. spread is in [0,1).
func (s *Session) due(t *Token, spread float64) time.Time {
	if t.Expiry.IsZero() {
		return time.Time{}
	}
	life := t.Expiry.Sub(s.born(t).IssuedAt)
	return t.Expiry.Add(-time.Duration(float64(life) * (tailPart + tailJitter*spread)))
}

func (s *Session) isDue(now time.Time) bool {
	return !s.refreshAt.IsZero() && !now.Before(s.refreshAt)
}

// own marks a token as this Session's.
func (s *Session) own(t *Token) *Token {
	t = t.copied()
	t.Owner = s.owner
	if t.TokenType == "" || strings.EqualFold(t.TokenType, "bearer") {
		t.TokenType = "Bearer"
	}
	return t
}

// born gives a token from elsewhere that does not say its age the youngest one.
func (s *Session) born(t *Token) *Token {
	if t.IssuedAt.IsZero() {
		t = t.copied()
		t.IssuedAt = s.opts.env.now()
	}
	return t
}

// backoff is the pause after a number of failures in a row, between half of it and all.
func (s *Session) backoff(first time.Duration, failures int) time.Duration {
	d := maxBackoff
	if failures < 16 {
		d = min(d, first<<failures)
	}
	return time.Duration(float64(d) * (0.5 + 0.5*s.opts.env.random()))
}

func loginRequired(cause error) error {
	if cause == nil {
		return ErrLoginRequired
	}
	return fmt.Errorf("%w: %w", ErrLoginRequired, cause)
}
