package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/token"
)

// Bounds on fetching keys.
const (
	maxJWKS        = 512 << 10
	fetchTimeout   = 10 * time.Second
	demandInterval = 10 * time.Second // between fetches that tokens cause
	defaultMaxAge  = 5 * time.Minute  // where the answer names none
	leastMaxAge    = 10 * time.Second
	mostMaxAge     = 24 * time.Hour
	firstRetry     = time.Second
	mostRetry      = time.Minute
)

// remoteKeys keeps the keys of an issuer. One goroutine, run, does all fetching, so there is never more than one fetch
// at a time; Verify asks it to fetch before its time with demand, and waits for it where it cannot do without.
type remoteKeys struct {
	url    string
	client *http.Client
	file   string
	log    *slog.Logger
	clock  func() time.Time
	maxAge time.Duration // Config.MaxKeyAge
	rules  []*token.Rules

	set  atomic.Pointer[keySet] // nil: none yet, or too old
	kick chan struct{}

	mu     sync.Mutex
	flight chan struct{} // closed when the fetch in progress ends; nil when there is none
	asked  time.Time     // when demand last caused a fetch
	err    error         // of the last fetch
	// stopped: run has ended and no fetch will.
	stopped bool

	// Of run alone.
	body     []byte
	etag     string
	expires  time.Time // when the keys become too old
	failures int
}

func newRemoteKeys(c *Config, rules []*token.Rules) *remoteKeys {
	r := &remoteKeys{
		url: c.JWKSURL, client: c.HTTPClient, file: c.JWKSCacheFile, log: c.Logger, clock: c.Clock,
		maxAge: c.MaxKeyAge, rules: rules, kick: make(chan struct{}, 1),
		// The first fetch counts as begun, so that a token that comes before its answer waits for it.
		flight: make(chan struct{}),
	}
	r.load()
	return r
}

// run fetches until ctx ends.
func (r *remoteKeys) run(ctx context.Context, changed func()) {
	defer r.stop()
	onDemand := false
	for {
		next := r.refresh(ctx, onDemand)
		changed()
		if set := r.set.Load(); set != nil {
			next = min(next, max(time.Until(r.expires), 0))
		}
		t := time.NewTimer(next)
		select {
		case <-t.C:
			onDemand = false
		case <-r.kick:
			onDemand = true
		case <-ctx.Done():
			t.Stop()
			return
		}
		t.Stop()
		if r.set.Load() != nil && !time.Now().Before(r.expires) {
			r.log.Error("verify: the keys are older than MaxKeyAge and are not used any more", "url", r.url)
			r.set.Store(nil)
		}
	}
}

// stop lets nobody wait for a fetch that will not come.
func (r *remoteKeys) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	if r.flight != nil {
		close(r.flight)
		r.flight = nil
	}
}

// refresh fetches once and returns when to do so again.
func (r *remoteKeys) refresh(ctx context.Context, onDemand bool) time.Duration {
	r.mu.Lock()
	if r.flight == nil {
		r.flight = make(chan struct{})
	}
	r.mu.Unlock()
	age, err := r.fetch(ctx, onDemand)
	r.mu.Lock()
	r.err = err
	close(r.flight)
	r.flight = nil
	r.mu.Unlock()
	if err != nil {
		r.failures++
		if ctx.Err() == nil {
			r.log.Warn("verify: keys not fetched", "url", r.url, "error", err, "failures", r.failures, "have_keys", r.set.Load() != nil)
		}
		return backoff(r.failures, firstRetry, mostRetry)
	}
	r.failures = 0
	// Never later than max-age: the server counts on it before it signs with a new key.
	return jitter(age, 0.75)
}

// fetch asks the issuer and takes what it says, and returns for how long that is fresh.
func (r *remoteKeys) fetch(ctx context.Context, onDemand bool) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	if r.etag != "" && r.set.Load() != nil {
		req.Header.Set("If-None-Match", r.etag)
	}
	if onDemand {
		req.Header.Set("Cache-Control", "no-cache") // a cache in between has what we have
	}
	res, body, err := get(r.client, req, maxJWKS)
	if err != nil {
		return 0, err
	}
	switch {
	case res.StatusCode == http.StatusNotModified && req.Header.Get("If-None-Match") != "":
		r.keep()
	case res.StatusCode == http.StatusOK:
		if err := r.take(body); err != nil {
			return 0, err
		}
		r.etag = res.Header.Get("ETag")
	default:
		return 0, fmt.Errorf("status %d", res.StatusCode)
	}
	return freshFor(res.Header), nil
}

// take puts a fetched JWK Set into use. The same one again changes nothing, so what was verified under it stays
// remembered.
func (r *remoteKeys) take(body []byte) error {
	if r.set.Load() != nil && bytes.Equal(body, r.body) {
		r.keep()
		return nil
	}
	keys, err := parseKeys(body)
	if err != nil {
		return err
	}
	r.body, r.expires = body, time.Now().Add(r.maxAge)
	r.set.Store(newKeySet(keys, r.rules))
	r.save()
	return nil
}

// keep notes that the issuer still stands by the keys.
func (r *remoteKeys) keep() {
	r.expires = time.Now().Add(r.maxAge)
	if r.file != "" {
		now := r.clock()
		if err := os.Chtimes(r.file, now, now); err != nil {
			r.save()
		}
	}
}

// freshFor reads Cache-Control and Age (RFC 9111 sections 5.2.2 and 5.1), within bounds.
func freshFor(h http.Header) time.Duration {
	age := int64(defaultMaxAge / time.Second)
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return leastMaxAge
		case "max-age":
			if n, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 32); err == nil {
				age = n
			}
		}
	}
	if n, err := strconv.ParseInt(h.Get("Age"), 10, 32); err == nil && n > 0 {
		age -= n
	}
	return min(max(time.Duration(age)*time.Second, leastMaxAge), mostMaxAge)
}

// demand asks for a fetch because a token needs it and waits for its end. It joins a fetch in progress. It answers
// false at once when tokens have caused one a moment ago: strangers name unknown keys at any rate they like.
func (r *remoteKeys) demand(ctx context.Context) bool {
	r.mu.Lock()
	flight := r.flight
	if r.stopped {
		r.mu.Unlock()
		return false
	}
	if flight == nil {
		if !r.asked.IsZero() && time.Since(r.asked) < demandInterval {
			r.mu.Unlock()
			return false
		}
		r.asked = time.Now()
		flight = make(chan struct{})
		r.flight = flight
		select {
		case r.kick <- struct{}{}:
		default: // one is on its way already
		}
	}
	r.mu.Unlock()
	select {
	case <-flight:
		return true
	case <-ctx.Done():
		return false
	}
}

// current returns the keys, and waits for the first ones.
func (r *remoteKeys) current(ctx context.Context) (*keySet, error) {
	if set := r.set.Load(); set != nil {
		return set, nil
	}
	r.demand(ctx)
	if set := r.set.Load(); set != nil {
		return set, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeys, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		return nil, ErrKeys
	}
	return nil, fmt.Errorf("%w: %w", ErrKeys, r.err)
}

// saved is the file of saved keys. Without a URL it is a plain JWK Set, which an operator put there.
type saved struct {
	URL  string          `json:"url"`
	JWKS json.RawMessage `json:"jwks"`
}

// load reads the keys that an earlier process saved.
func (r *remoteKeys) load() {
	if r.file == "" {
		return
	}
	body, age, err := r.read()
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var keys []*token.Key
	if err == nil {
		keys, err = parseKeys(body)
	}
	if err != nil {
		r.log.Warn("verify: saved keys not used", "file", r.file, "error", err)
		return
	}
	if age >= r.maxAge {
		r.log.Warn("verify: saved keys are older than MaxKeyAge and are not used", "file", r.file, "age", age)
		return
	}
	r.body, r.expires = body, time.Now().Add(r.maxAge-age)
	r.set.Store(newKeySet(keys, r.rules))
}

// read reads the file and says how old it is. Keys of another issuer would let that one mint tokens of this, and so
// would a file that others can write.
func (r *remoteKeys) read() ([]byte, time.Duration, error) {
	data, err := os.ReadFile(r.file)
	if err != nil {
		return nil, 0, err
	}
	info, err := os.Stat(r.file)
	if err != nil {
		return nil, 0, err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0 {
		return nil, 0, fmt.Errorf("others can write it (mode %v); remove it", info.Mode().Perm())
	}
	var s saved
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, 0, err
	}
	age := max(r.clock().Sub(info.ModTime()), 0)
	if s.URL == "" {
		return data, age, nil
	}
	if s.URL != r.url {
		return nil, 0, fmt.Errorf("they are those of %s", s.URL)
	}
	return s.JWKS, age, nil
}

// save writes the keys where load finds them, in one step.
func (r *remoteKeys) save() {
	if r.file == "" {
		return
	}
	data, err := json.Marshal(saved{r.url, r.body})
	if err == nil {
		err = writeFile(r.file, data, r.clock())
	}
	if err != nil {
		r.log.Warn("verify: keys not saved; a start without the issuer will have none", "file", r.file, "error", err)
	}
}

func writeFile(name string, data []byte, at time.Time) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if serr := f.Sync(); err == nil {
		err = serr
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chtimes(f.Name(), at, at)
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
