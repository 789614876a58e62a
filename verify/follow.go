package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/token"
)

// Bounds on following the feed.
const (
	feedType     = "revocations+jwt"
	maxFeed      = token.MaxDocument
	pollWait     = 10 // seconds; two polls fit into the silence that makes a verifier stale, so one may be lost
	pollTimeout  = 15 * time.Second
	reloadTime   = 20 * time.Second // a full reload may be long
	pollInterval = time.Second      // between polls of a server that does not let us wait
	firstRepoll  = 200 * time.Millisecond
	mostRepoll   = 5 * time.Second
	feedSkew     = 30 // seconds by which the clocks may differ
	mostFeedLife = 60 // seconds from iat to exp
	purgeEvery   = time.Minute
	maxLogID     = 64 // bytes
)

// Revocations says how the revocation feed is followed.
type Revocations struct {
	// URL is the feed; the default is Issuer + "/_sallyport/revocations".
	URL string
	// Authorization gives the value of the Authorization header, asked before each poll. It is needed.
	Authorization func(ctx context.Context) (string, error)
	// Account is the account whose users' tokens come here, for tokens that do not name theirs (claim acct). "" means
	// that revocations of accounts are not seen in such tokens.
	Account string
	// StaleOK accepts tokens, with a line in the log, when the feed has not been heard for StaleAfter. The default is
	// to refuse them with ErrStale.
	StaleOK bool
	// StaleAfter is how long a silence is too long; the default is 30 s, the least 15 s.
	StaleAfter time.Duration
	// MaxFacts bounds the revocations kept in memory; the default is 1,000,000, which take about 200 MB. When there are
	// more the verifier is stale.
	MaxFacts int
}

// follower keeps the facts of an issuer by asking for those above the last number it has.
type follower struct {
	feed       *Revocations
	issuer     string
	client     *http.Client
	log        *slog.Logger
	clock      func() time.Time
	docs       documents
	keepTokens bool

	facts atomic.Pointer[facts]
	since heardAt
	first chan struct{} // closed when the first poll has ended, well or not
	once  sync.Once

	// Of run alone.
	building *facts // a reload in progress, nil when there is none
	purged   time.Time
	silent   bool // it has been said that nothing is heard
}

// heardAt is when the feed last answered, by both clocks of the machine: the monotonic one stands still while a
// virtual machine sleeps, the wall clock may be set back. Whichever says more counts.
type heardAt struct {
	ever  atomic.Bool
	start time.Time
	mono  atomic.Int64 // nanoseconds from start
	wall  atomic.Int64 // Unix nanoseconds
}

func (h *heardAt) now() {
	now := time.Now()
	h.mono.Store(int64(now.Sub(h.start)))
	h.wall.Store(now.UnixNano())
	h.ever.Store(true)
}

func (h *heardAt) silence() time.Duration {
	now := time.Now()
	return max(now.Sub(h.start)-time.Duration(h.mono.Load()), time.Duration(now.UnixNano()-h.wall.Load()))
}

func newFollower(c *Config, v *Verifier) *follower {
	f := &follower{
		feed: c.Revocations, issuer: c.Issuer, client: c.HTTPClient, log: c.Logger, clock: c.Clock,
		docs: documents{v.public, v.refetch}, keepTokens: c.AllowApplicationTokens, first: make(chan struct{}),
	}
	f.since.start = time.Now()
	f.facts.Store(newFacts(1))
	f.building = newFacts(0)
	return f
}

// stale reports whether the feed has been silent for too long.
func (f *follower) stale() bool {
	return !f.since.ever.Load() || f.since.silence() > f.feed.StaleAfter
}

// check says whether a token may still be accepted: nil, ErrRevoked or ErrStale. checked is where the caller keeps the
// version of the facts under which the token was found alive.
func (f *follower) check(ctx context.Context, c *Claims, checked *atomic.Int64) error {
	if f == nil {
		return nil
	}
	if !f.since.ever.Load() {
		select { // the first poll is on its way
		case <-f.first:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrStale, ctx.Err())
		}
	}
	known := f.facts.Load()
	if version := known.version.Load(); checked.Load() != version {
		if known.dead(c, f.feed.Account) {
			return ErrRevoked
		}
		checked.Store(version)
	}
	if !f.feed.StaleOK && f.stale() {
		return ErrStale
	}
	return nil
}

// run follows until ctx ends.
func (f *follower) run(ctx context.Context, changed func()) {
	defer f.once.Do(func() { close(f.first) })
	failures := 0
	for ctx.Err() == nil {
		began := time.Now()
		news, err := f.poll(ctx, failures == 0)
		f.once.Do(func() { close(f.first) })
		changed()
		f.report(ctx, err, failures+1)
		switch {
		case err != nil:
			failures++
			pause(ctx, max(backoff(failures, firstRepoll, mostRepoll), retryAfter(err)))
		case !news && time.Since(began) < pollInterval:
			failures = 0
			pause(ctx, jitter(pollInterval, 0.8))
		default:
			failures = 0
		}
	}
}

// report tells the operator when the feed falls silent and when it is back, once each.
func (f *follower) report(ctx context.Context, err error, failures int) {
	switch {
	case ctx.Err() != nil:
	case err != nil:
		f.log.Warn("verify: revocations not heard", "url", f.feed.URL, "error", err, "failures", failures)
		if f.stale() && !f.silent {
			f.silent = true
			f.log.Error("verify: revocations not heard for too long", "silence_allowed", f.feed.StaleAfter, "tokens_accepted", f.feed.StaleOK)
		}
	case f.silent && !f.stale():
		f.silent = false
		f.log.Info("verify: revocations are heard again")
	}
}

// poll asks once and takes in what it hears. news is true when it should be asked again at once.
func (f *follower) poll(ctx context.Context, mayWait bool) (news bool, err error) {
	known, wait, timeout := f.building, 0, reloadTime
	if known == nil {
		known, timeout = f.facts.Load(), pollTimeout
		if mayWait {
			wait = pollWait
		}
	}
	since := known.last
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	body, err := f.ask(ctx, since, known.log, wait)
	if err != nil {
		return false, err
	}
	if body == nil { // nothing new
		if f.building != nil {
			return false, errors.New("status 304 to a question for everything")
		}
		return false, f.heard(f.facts.Load())
	}
	a, err := f.read(ctx, body, since, known.log)
	if err != nil {
		return false, err
	}
	return f.take(a, since)
}

// ask sends the question. A nil body means that there is nothing new.
func (f *follower) ask(ctx context.Context, since int64, log string, wait int) ([]byte, error) {
	u, err := url.Parse(f.feed.URL)
	if err != nil {
		return nil, err
	}
	q := u.Query()
	q.Set("since", strconv.FormatInt(since, 10))
	q.Set("wait", strconv.Itoa(wait))
	if since > 0 && log != "" {
		q.Set("log", log)
	}
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	authorization, err := f.feed.Authorization(ctx)
	if err != nil {
		return nil, fmt.Errorf("authorization for the feed: %w", err)
	}
	req.Header.Set("Authorization", authorization)
	req.Header.Set("Accept", "application/"+feedType)
	res, body, err := get(f.client, req, maxFeed)
	if err != nil {
		return nil, err
	}
	switch res.StatusCode {
	case http.StatusOK:
		return body, mediaType(res, feedType)
	case http.StatusNotModified:
		if !trusted(u) {
			return nil, errors.New("status 304 over plain HTTP is no proof of anything")
		}
		return nil, nil
	}
	return nil, answerError(res)
}

// answer is the payload of the feed.
type answer struct {
	Issuer    string `json:"iss"`
	IssuedAt  int64  `json:"iat"`
	ExpiresAt int64  `json:"exp"`
	Log       string `json:"log"` // which numbering this is; another one is another store
	Since     int64  `json:"since"`
	Last      int64  `json:"last"`
	Full      bool   `json:"full"`
	More      bool   `json:"more"` // there is more above last: ask again before relying on it
	Facts     []fact `json:"facts"`
}

// read checks signature, issuer, time and order of an answer.
func (f *follower) read(ctx context.Context, body []byte, since int64, log string) (*answer, error) {
	payload, err := f.docs.open(ctx, string(body), feedType)
	if err != nil {
		return nil, err
	}
	var a answer
	if err := json.Unmarshal(payload, &a); err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	return &a, a.check(f.issuer, since, log, f.clock().Unix())
}

// check refuses an answer of another issuer, to another question or from another time, and one that is out of order.
func (a *answer) check(issuer string, since int64, log string, now int64) error {
	switch {
	case a.Issuer != issuer:
		return fmt.Errorf("%w: the feed is of %q", ErrIssuer, a.Issuer)
	case a.ExpiresAt <= a.IssuedAt || a.ExpiresAt-a.IssuedAt > mostFeedLife:
		return fmt.Errorf("%w: the answer is valid from %d to %d", ErrLifetime, a.IssuedAt, a.ExpiresAt)
	case a.IssuedAt > now+feedSkew:
		return fmt.Errorf("%w: the answer was made %d s ahead of our clock", ErrNotYetValid, a.IssuedAt-now)
	case a.ExpiresAt+feedSkew <= now:
		return fmt.Errorf("%w: the answer expired %d s ago; compare the clocks", ErrExpired, now-a.ExpiresAt)
	case len(a.Log) > maxLogID:
		return fmt.Errorf("log has %d bytes, more than %d", len(a.Log), maxLogID)
	case a.Since != since && !a.restarts(since, log):
		return fmt.Errorf("the answer is to since=%d, asked was %d", a.Since, since)
	case a.Last < 0:
		return fmt.Errorf("last is %d", a.Last)
	}
	above := since
	if a.Full || a.Last < since {
		above = 0 // the list starts over; see take
	}
	for i := range a.Facts {
		x := &a.Facts[i]
		if x.Number <= above || x.Number > a.Last {
			return fmt.Errorf("fact %d is out of order (after %d, last is %d)", x.Number, above, a.Last)
		}
		if !x.known() {
			return fmt.Errorf("fact %d is of the unknown kind %q; this verifier is older than the server: update it", x.Number, x.Kind)
		}
		above = x.Number
	}
	return nil
}

// restarts reports that the answer is the beginning of everything though more was known, since the log is another one.
// One of the same log would be an old answer that somebody sends again.
func (a *answer) restarts(since int64, log string) bool {
	return since > 0 && a.Since == 0 && a.Full && a.Log != log
}

// take puts an answer into memory.
func (f *follower) take(a *answer, since int64) (news bool, err error) {
	known := f.building
	if known == nil {
		known = f.facts.Load()
	}
	again := a.restarts(since, known.log)
	switch {
	case again:
		f.startOver(since, a)
		known = f.building
	case since > 0 && (a.Full || a.Last < since || a.Log != known.log):
		// The log is not the one we followed, such as that of a store restored from a backup.
		f.startOver(since, a)
		return false, nil
	}
	if a.Since == 0 {
		known.log = a.Log
	}
	known.add(a.Facts, a.Last)
	// What follows a start over is not hurried, in case the server says so each time.
	if a.More {
		return !again, f.room(known)
	}
	news = len(a.Facts) > 0
	if f.building != nil {
		// The version goes on counting, so that no token counts as checked under the new facts.
		known.version.Store(f.facts.Load().version.Load() + 1)
		f.facts.Store(known)
		f.building = nil
		news = !again
	}
	return news, f.heard(known)
}

// startOver begins to read everything. What was known stays in force until all of the other is here.
func (f *follower) startOver(since int64, a *answer) {
	f.log.Warn("verify: the feed starts over; reading all revocations again", "had", since, "last", a.Last, "log", a.Log)
	f.building = newFacts(0)
}

// heard notes that all facts are here as of now, and sweeps now and then.
func (f *follower) heard(known *facts) error {
	if err := f.room(known); err != nil {
		return err
	}
	f.since.now()
	if time.Since(f.purged) >= purgeEvery {
		f.purged = time.Now()
		known.purge(f.clock().Unix(), f.keepTokens)
	}
	return nil
}

// room refuses to go on with more facts than memory was allowed for. To forget some would be to accept revoked tokens.
func (f *follower) room(known *facts) error {
	if known.size() <= f.feed.MaxFacts {
		return nil
	}
	known.purge(f.clock().Unix(), f.keepTokens)
	if n := known.size(); n > f.feed.MaxFacts {
		return fmt.Errorf("%d revocations, more than MaxFacts (%d): raise it", n, f.feed.MaxFacts)
	}
	return nil
}
