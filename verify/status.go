package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/token"
)

// StatusLists says how status lists (draft-ietf-oauth-status-list-21, "Token Status List") are followed. A token names a
// list and its place in it; each list in use is fetched again and again in the background, so that a revoked token is
// refused within Every and the time of one fetch. It costs the server less than the feed and needs no credentials, and
// it tells of those tokens alone that name a list.
type StatusLists struct {
	// Every is how often a list in use is fetched; the default is two seconds, or the list's ttl where that is shorter.
	Every time.Duration
	// StaleAfter is for how long a list is used that cannot be fetched any more; the default is 30 s. It is never used
	// after its exp.
	StaleAfter time.Duration
	// StaleOK accepts tokens, with a line in the log, when their list cannot be had. The default is to refuse them with
	// ErrStale.
	StaleOK bool
	// Require refuses tokens that name no list. The default is to take those that have an exp.
	Require bool
	// Authorization gives the value of the Authorization header of each fetch; nil sends none.
	Authorization func(ctx context.Context) (string, error)
	// MaxLists bounds how many lists are kept; the default is 256. One that no token named for ten minutes goes. The server
	// puts 65,536 sessions, or application tokens, into each, which takes 8 KiB.
	MaxLists int
	// MaxBytes bounds one list, unpacked; the default is 1 MiB.
	MaxBytes int
}

// Bounds on following status lists.
const (
	statusType        = "statuslist+jwt"
	defaultListEvery  = 2 * time.Second
	leastListEvery    = 500 * time.Millisecond
	defaultMaxLists   = 256
	defaultMaxBytes   = 1 << 20
	listTimeout       = 10 * time.Second
	listIdle          = 10 * time.Minute
	maxListURI        = 1024
	listDemand        = time.Second // between fetches that tokens cause
	mostListLifetime  = 1 << 53
	statusValid       = 0
	statusSuspended   = 2
	listDocumentSlack = 4096
)

// statusRef is what a token says of its status.
type statusRef struct {
	uri string
	idx int64
}

// statusLists keeps the lists that tokens name.
type statusLists struct {
	cfg     *StatusLists
	issuers []string // below whose URLs lists may be
	client  *http.Client
	log     *slog.Logger
	clock   func() time.Time
	leeway  time.Duration
	plain   bool // Config.AllowPlainHTTP
	docs    documents
	ctx     context.Context // of the goroutines; ends with the verifier
	start   func(func())

	mu     sync.RWMutex
	lists  map[string]*statusList
	closed bool
	full   bool // it has been said that there is no room
}

func newStatusLists(ctx context.Context, c *Config, v *Verifier) *statusLists {
	return &statusLists{
		cfg: c.StatusLists, issuers: slices.Clone(c.Issuers), client: c.HTTPClient, log: c.Logger, clock: c.Clock, leeway: c.Leeway,
		plain: c.AllowPlainHTTP, docs: documents{v.public, v.refetch}, ctx: ctx, start: v.done.Go, lists: map[string]*statusList{},
	}
}

// close lets no goroutine start any more.
func (l *statusLists) close() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

// reference reads the claim status of a token; nil when it names no list. Members of other mechanisms are left alone.
func (l *statusLists) reference(c *token.Claims) (*statusRef, error) {
	text := c.JSON("status")
	if text == "" {
		return nil, nil
	}
	var status map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &status); err != nil {
		return nil, fmt.Errorf("%w: status is no object", ErrClaims)
	}
	raw, ok := status["status_list"]
	if !ok {
		return nil, nil
	}
	var ref struct {
		Index *int64 `json:"idx"`
		URI   string `json:"uri"`
	}
	if err := json.Unmarshal(raw, &ref); err != nil || ref.Index == nil || *ref.Index < 0 {
		return nil, fmt.Errorf("%w: status.status_list has no idx from 0 up, or no uri", ErrClaims)
	}
	if err := l.below(ref.URI); err != nil {
		return nil, fmt.Errorf("%w: status.status_list.uri: %w", ErrClaims, err)
	}
	return &statusRef{ref.URI, *ref.Index}, nil
}

// below refuses a URI that does not lie below an issuer's. What tokens say would otherwise make this machine send
// requests wherever they like (SSRF); the issuer signs them, but a contract may put what users chose into claims.
func (l *statusLists) below(uri string) error {
	if len(uri) > maxListURI {
		return errors.New("it is too long")
	}
	u, err := url.Parse(uri)
	if err != nil {
		return errors.New("it is no URL")
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.RawPath != "" || u.Opaque != "" ||
		strings.ContainsAny(u.Path, `\%;`) || path.Clean(u.Path) != u.Path || u.String() != uri {
		return errors.New("it has more than scheme, host and a plain path")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !l.plain && !loopback(u)) {
		return errors.New("it is not https")
	}
	for _, issuer := range l.issuers {
		if strings.HasPrefix(uri, strings.TrimSuffix(issuer, "/")+"/") {
			return nil
		}
	}
	return errors.New("it does not lie below the issuer")
}

// check says whether a token may still be accepted: nil, ErrRevoked, ErrStale, or ErrClaims for a place that the list
// does not have.
func (l *statusLists) check(ctx context.Context, c *Claims) error {
	if l == nil || c.status == nil {
		return nil
	}
	list, err := l.get(c.status.uri)
	if err != nil {
		return err
	}
	if !list.used.Load() {
		list.used.Store(true)
	}
	select {
	case <-list.first:
	default:
		select { // the first fetch is on its way
		case <-list.first:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrStale, ctx.Err())
		}
	}
	return list.check(ctx, c.status.idx)
}

// get finds a list, and begins to follow one that is new.
func (l *statusLists) get(uri string) (*statusList, error) {
	l.mu.RLock()
	list := l.lists[uri]
	l.mu.RUnlock()
	if list != nil {
		return list, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if list = l.lists[uri]; list != nil {
		return list, nil
	}
	if l.closed {
		return nil, ErrClosed
	}
	if len(l.lists) >= l.cfg.MaxLists {
		if !l.full {
			l.full = true
			l.log.Error("verify: more status lists are named than MaxLists; tokens that name further ones are refused", "max", l.cfg.MaxLists)
		}
		return nil, fmt.Errorf("%w: %d status lists are followed, no more than MaxLists allows", ErrStale, len(l.lists))
	}
	list = &statusList{statusLists: l, uri: uri, first: make(chan struct{}), kick: make(chan struct{}, 1)}
	list.since.start = time.Now()
	l.lists[uri] = list
	l.start(list.run)
	return list, nil
}

// drop forgets a list unless a token asked for it a moment ago.
func (l *statusLists) drop(list *statusList) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if list.used.Load() {
		return false
	}
	delete(l.lists, list.uri)
	return true
}

// statusList is one list. Its goroutine, run, does all fetching.
type statusList struct {
	*statusLists
	uri   string
	data  atomic.Pointer[statusData]
	since heardAt
	used  atomic.Bool   // since the goroutine looked last
	first chan struct{} // closed when the first fetch has ended, well or not
	kick  chan struct{}

	mu     sync.Mutex
	err    error // of the last fetch
	asked  time.Time
	flight chan struct{} // closed when the fetch that demand waits for ends

	// Of run alone.
	etag     string
	failures int
	silent   bool
}

// check judges the place that a token has.
func (s *statusList) check(ctx context.Context, idx int64) error {
	d := s.data.Load()
	if d != nil && idx >= d.size() && s.demand(ctx) {
		d = s.data.Load() // the list may have grown since, for this very token
	}
	switch {
	case d == nil:
		if s.cfg.StaleOK {
			return nil
		}
		return s.stale()
	case idx >= d.size():
		return fmt.Errorf("%w: status.status_list.idx is %d, and the list ends before", ErrClaims, idx)
	}
	switch value := d.at(idx); value {
	case statusValid:
	case statusSuspended:
		return fmt.Errorf("%w: it is suspended", ErrRevoked)
	default: // 1, and what is unknown: nothing but 0 says that it is valid
		return ErrRevoked
	}
	if !s.cfg.StaleOK && (s.since.silence() > s.cfg.StaleAfter || d.over(s.clock(), s.leeway)) {
		return s.stale()
	}
	return nil
}

func (s *statusList) stale() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		return fmt.Errorf("%w: status list", ErrStale)
	}
	return fmt.Errorf("%w: status list: %v", ErrStale, s.err) // the cause says nothing about the token
}

// demand waits for a fetch because a token needs it, at most one in a second.
func (s *statusList) demand(ctx context.Context) bool {
	s.mu.Lock()
	if s.flight == nil {
		if !s.asked.IsZero() && time.Since(s.asked) < listDemand {
			s.mu.Unlock()
			return false
		}
		s.asked = time.Now()
		s.flight = make(chan struct{})
		select {
		case s.kick <- struct{}{}:
		default:
		}
	}
	flight := s.flight
	s.mu.Unlock()
	select {
	case <-flight:
		return true
	case <-ctx.Done():
	case <-s.ctx.Done():
	}
	return false
}

// run fetches until the verifier is closed or nobody names the list any more.
func (s *statusList) run() {
	var once sync.Once
	begun := func() { close(s.first) }
	defer once.Do(begun)
	lastUse := time.Now()
	for s.ctx.Err() == nil {
		err := s.poll()
		once.Do(begun)
		next := s.report(err)
		if s.used.Swap(false) {
			lastUse = time.Now()
		} else if time.Since(lastUse) > listIdle && s.drop(s) {
			return
		}
		t := time.NewTimer(next)
		select {
		case <-t.C:
		case <-s.kick:
		case <-s.ctx.Done():
		}
		t.Stop()
	}
}

// report notes how a fetch ended, wakes those who waited for it, tells the operator when a list falls silent and when
// it is back, once each, and returns when to fetch again.
func (s *statusList) report(err error) time.Duration {
	s.mu.Lock()
	s.err = err
	if s.flight != nil {
		close(s.flight)
		s.flight = nil
	}
	s.mu.Unlock()
	if s.ctx.Err() != nil {
		return 0
	}
	if err == nil {
		s.failures = 0
		if s.silent {
			s.silent = false
			s.log.Info("verify: a status list is heard again", "url", s.uri)
		}
		return jitter(s.every(), 0.8)
	}
	s.failures++
	s.log.Warn("verify: status list not fetched", "url", s.uri, "error", err, "failures", s.failures)
	if !s.silent && (s.data.Load() == nil || s.since.silence() > s.cfg.StaleAfter) {
		s.silent = true
		s.log.Error("verify: a status list is not heard for too long", "url", s.uri, "silence_allowed", s.cfg.StaleAfter, "tokens_accepted", s.cfg.StaleOK)
	}
	return max(backoff(s.failures, firstRepoll, mostRepoll), retryAfter(err))
}

// every is the time between two fetches.
func (s *statusList) every() time.Duration {
	d := s.data.Load()
	if d == nil || d.ttl <= 0 {
		return s.cfg.Every
	}
	return max(min(s.cfg.Every, d.ttl), leastListEvery)
}

// poll fetches once.
func (s *statusList) poll() error {
	ctx, cancel := context.WithTimeout(s.ctx, listTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.uri, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/"+statusType)
	if s.cfg.Authorization != nil {
		authorization, err := s.cfg.Authorization(ctx)
		if err != nil {
			return fmt.Errorf("authorization for the status list: %w", err)
		}
		req.Header.Set("Authorization", authorization)
	}
	now, held := s.clock(), s.data.Load()
	if held != nil && s.etag != "" && trusted(req.URL) && !held.over(now.Add(listTimeout+2*s.cfg.Every), 0) { // one that ends soon is wanted anew
		req.Header.Set("If-None-Match", s.etag)
	}
	res, body, err := get(s.client, req, min(2*int64(s.cfg.MaxBytes)+listDocumentSlack, token.MaxDocument))
	if err != nil {
		return err
	}
	switch {
	case res.StatusCode == http.StatusNotModified && req.Header.Get("If-None-Match") != "":
		s.since.now()
		return nil
	case res.StatusCode != http.StatusOK:
		return answerError(res)
	}
	if err := mediaType(res, statusType); err != nil {
		return err
	}
	payload, err := s.docs.open(ctx, string(body), statusType)
	if err != nil {
		return err
	}
	d, err := parseStatusList(payload, s.cfg.MaxBytes)
	if err != nil {
		return err
	}
	if err := d.check(s, now); err != nil {
		return err
	}
	s.etag = res.Header.Get("ETag")
	s.data.Store(d)
	s.since.now()
	return nil
}

// check refuses a list of another place, issuer or time.
func (d *statusData) check(s *statusList, now time.Time) error {
	held := s.data.Load()
	switch {
	case d.subject != s.uri:
		return fmt.Errorf("sub is %q: another list", d.subject)
	case d.issuer != "" && !slices.Contains(s.issuers, d.issuer):
		return fmt.Errorf("%w: the list is of %q", ErrIssuer, d.issuer)
	case d.issuedAt > now.Unix()+feedSkew:
		return fmt.Errorf("%w: the list was made %d s ahead of our clock", ErrNotYetValid, d.issuedAt-now.Unix())
	case d.over(now, s.leeway):
		return fmt.Errorf("%w: the list ended %d s ago; compare the clocks", ErrExpired, now.Unix()-d.expires)
	case held != nil && d.issuedAt < held.issuedAt && s.since.silence() <= s.cfg.StaleAfter:
		// A proxy or a node that lags: what was revoked must not come back to life for the time of one answer. After
		// StaleAfter it is the server's clock that was set back.
		return errors.New("the list is older than the one before")
	}
	return nil
}
