package verify

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sallyport/sallyport/internal/token"
)

// Verifier checks tokens. It is safe for concurrent use. Close it when it is not needed any more.
type Verifier struct {
	cfg      Config
	secrets  *keySet      // nil where public keys verify everything
	given    *keySet      // public keys that were given, else nil
	remote   *remoteKeys  // nil where nothing is fetched
	follower *follower    // nil without a feed
	lists    *statusLists // nil where none are looked up
	cache    *cache

	cancel context.CancelFunc
	done   sync.WaitGroup
	closed atomic.Bool

	mu   sync.Mutex
	news chan struct{} // closed at each event that Ready may wait for
}

// New makes a Verifier and starts to fetch keys and follow the feed in the background. It does not wait for them (Ready
// does) and does not need them: an issuer that is down is met by Verify. The error is ErrConfig.
func New(c Config) (*Verifier, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	given, err := c.staticKeys()
	if err != nil {
		return nil, err
	}
	secrets, err := c.secretKeys()
	if err != nil {
		return nil, err
	}
	c.Scopes = slices.Clone(c.Scopes)
	v := &Verifier{cfg: c, cache: newCache(c.CacheSize), news: make(chan struct{})}
	contract, public := c.rules()
	if secrets != nil {
		v.secrets = newKeySet(secrets, contract)
	} else {
		public = append(contract, public...)
	}
	if given != nil {
		v.given = newKeySet(given, public)
	}
	ctx, cancel := context.WithCancel(context.Background())
	v.cancel = cancel
	if c.fetches() {
		v.remote = newRemoteKeys(&c, public)
		v.done.Go(func() { v.remote.run(ctx, v.changed) })
	}
	if c.StatusLists != nil {
		v.lists = newStatusLists(ctx, &c, v)
	}
	if c.Revocations != nil {
		v.follower = newFollower(&c, v)
		v.done.Go(func() { v.follower.run(ctx, v.changed) })
	}
	return v, nil
}

// public returns the issuer's public keys, those that sign documents among them. It waits for the first ones.
func (v *Verifier) public(ctx context.Context) (*keySet, error) {
	if v.remote == nil {
		return v.given, nil
	}
	return v.remote.current(ctx)
}

// refetch asks for newer public keys. It answers false where there is no use in trying again.
func (v *Verifier) refetch(ctx context.Context) bool {
	return v.remote != nil && v.remote.demand(ctx)
}

// Close stops what runs in the background and waits for its end. Verify then gives ErrClosed. It may be called again.
func (v *Verifier) Close() {
	v.closed.Store(true)
	v.lists.close()
	v.cancel()
	v.done.Wait()
	v.changed()
}

// Verify checks a token and returns its claims. On any error they are nil; the errors are those of this package, for
// errors.Is. ErrKeys, ErrStale and ErrClosed say nothing about the token: answer 503. ErrScope means that the token is
// good and not enough: 403. All others: 401.
//
// It waits for the network in two cases only: until the first answer after New, and when a token names a key that is
// not known, at most once in ten seconds. ctx bounds the wait.
func (v *Verifier) Verify(ctx context.Context, raw string) (*Claims, error) {
	if v.closed.Load() {
		return nil, ErrClosed
	}
	now := v.cfg.Clock().UnixMilli()
	if e := v.cache.get(raw); e != nil && e.keys.inUse(v) && e.from <= now && now < e.until {
		if err := v.alive(ctx, e); err != nil {
			return nil, err
		}
		return e.claims, nil
	}
	return v.verifyNew(ctx, raw, now)
}

// inUse reports whether tokens that verified under the keys may count as verified still.
func (s *keySet) inUse(v *Verifier) bool { return s == v.secrets || s == v.held() }

// held returns the public keys at hand, nil when there are none.
func (v *Verifier) held() *keySet {
	if v.remote != nil {
		return v.remote.set.Load()
	}
	return v.given
}

// alive looks for revocations: nil, ErrRevoked, ErrStale, or ErrClaims for a token whose status cannot be looked up.
func (v *Verifier) alive(ctx context.Context, e *entry) error {
	if err := v.follower.check(ctx, e.claims, &e.checked); err != nil {
		return err
	}
	return v.lists.check(ctx, e.claims)
}

// verifyNew checks a token that is not remembered, or not as it was.
func (v *Verifier) verifyNew(ctx context.Context, raw string, now int64) (*Claims, error) {
	set, c, err := v.identify(ctx, raw, now)
	if err != nil {
		return nil, err
	}
	claims, err := v.claimsOf(c)
	if err != nil {
		return nil, err
	}
	if err := needScopes(claims, v.cfg.Scopes); err != nil {
		return nil, err
	}
	e := &entry{claims: claims, keys: set, from: validFrom(c), until: v.validUntil(c)}
	if err := v.alive(ctx, e); err != nil {
		return nil, err
	}
	v.cache.put(raw, e)
	return e.claims, nil
}

// claimsOf reads what revocations are told by.
func (v *Verifier) claimsOf(c *token.Claims) (*Claims, error) {
	out := newClaims(c, v.follower != nil)
	if v.follower != nil && c.SessionID != "" && out.epoch == noEpoch {
		return nil, fmt.Errorf("%w: sid does not start with an epoch, so revocations cannot be told", ErrClaims)
	}
	if v.lists == nil {
		return out, nil
	}
	var err error
	if out.status, err = v.lists.reference(c); err != nil {
		return nil, err
	}
	if out.status != nil {
		return out, nil
	}
	if c.ExpiresAt == token.Absent && v.follower == nil {
		return nil, fmt.Errorf("%w: a token without exp must name a status list", ErrClaims)
	}
	if v.cfg.StatusLists.Require {
		return nil, fmt.Errorf("%w: the token names no status list", ErrClaims)
	}
	return out, nil
}

// identify checks everything but scope and revocation.
func (v *Verifier) identify(ctx context.Context, raw string, now int64) (*keySet, *token.Claims, error) {
	if v.secrets != nil {
		_, c, err := token.Identify(raw, v.secrets.candidates, now)
		if !errors.Is(err, ErrSignature) || !v.cfg.takes(OAuthTokens) || symmetric(raw) {
			return v.secrets, c, err
		}
	}
	if v.remote != nil {
		return v.identifyRemote(ctx, raw, now)
	}
	_, c, err := token.Identify(raw, v.given.candidates, now)
	return v.given, c, err
}

// symmetric reports that a token says it was made with a secret, so that no public key can have made it.
func symmetric(raw string) bool {
	u, err := token.Inspect(raw)
	return err == nil && u.Algorithm.Symmetric()
}

// identifyRemote checks with the keys that are fetched. A token that none of them made may be of one that is new.
func (v *Verifier) identifyRemote(ctx context.Context, raw string, now int64) (*keySet, *token.Claims, error) {
	set, err := v.remote.current(ctx)
	if err != nil {
		return nil, nil, err
	}
	_, c, err := token.Identify(raw, set.candidates, now)
	if !errors.Is(err, ErrSignature) {
		return set, c, err
	}
	u, ierr := token.Inspect(raw)
	if ierr != nil || !u.Algorithm.Known() || u.Algorithm.Symmetric() {
		return nil, nil, err // no key that is published can have made it
	}
	// Twice, since the first time may only wait for a fetch that began before the key was there. A key that is known
	// and did not make the token will not have made it later either. Others may have fetched meanwhile; then what they
	// got is tried, whether or not another fetch is due.
	for range 2 {
		if u.KeyID != "" && set.knows(u.KeyID) {
			break
		}
		if v.held() == set && !v.remote.demand(ctx) && v.held() == set {
			break
		}
		if set, ierr = v.remote.current(ctx); ierr != nil {
			return nil, nil, ierr
		}
		if _, c, err = token.Identify(raw, set.candidates, now); !errors.Is(err, ErrSignature) {
			return set, c, err
		}
	}
	return nil, nil, err
}

func validFrom(c *token.Claims) int64 {
	return max(c.IssuedAt, c.NotBefore)*1000 - token.Skew
}

func (v *Verifier) validUntil(c *token.Claims) int64 {
	if c.ExpiresAt == token.Absent {
		return math.MaxInt64
	}
	return c.ExpiresAt*1000 + v.cfg.Leeway.Milliseconds()/1000*1000
}

func needScopes(c *Claims, scopes []string) error {
	for _, s := range scopes {
		if !c.HasScope(s) {
			return &scopeError{missing: s, needed: scopes}
		}
	}
	return nil
}

// scopeError is an ErrScope that knows what to say in WWW-Authenticate.
type scopeError struct {
	missing string
	needed  []string
}

func (e *scopeError) Error() string   { return fmt.Sprintf("%v: %q is missing", ErrScope, e.missing) }
func (e *scopeError) Is(t error) bool { return t == ErrScope }

// Ready waits until tokens can be verified: keys are there and the feed, if it is followed, has been heard. It is for
// readiness probes and for the start of a service; Verify works without it. The error is ErrKeys or ErrStale, with that
// of ctx, or ErrClosed.
func (v *Verifier) Ready(ctx context.Context) error {
	for {
		v.mu.Lock()
		news := v.news
		v.mu.Unlock()
		err := v.unready()
		if err == nil || errors.Is(err, ErrClosed) {
			return err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", err, ctx.Err())
		}
	}
}

func (v *Verifier) unready() error {
	switch {
	case v.closed.Load():
		return ErrClosed
	case v.cfg.needsKeys() && v.held() == nil:
		return ErrKeys
	case v.follower != nil && v.follower.stale():
		return ErrStale
	}
	return nil
}

// changed wakes whoever waits in Ready.
func (v *Verifier) changed() {
	v.mu.Lock()
	defer v.mu.Unlock()
	close(v.news)
	v.news = make(chan struct{})
}
