package app

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
	"github.com/sallyport/sallyport/internal/httpd"
	"github.com/sallyport/sallyport/internal/keyring"
	"github.com/sallyport/sallyport/internal/oauth"
	"github.com/sallyport/sallyport/internal/token"
)

// The revocation feed. A reader asks for what is above the last number it has
// and is answered at once when there is some, else when there is some or the
// wait is over; see docs/keys.md. The answer is a signed document: a proxy in
// between can delay it for half a minute and no longer.
const (
	pathFeed     = "/_sallyport/revocations"
	feedType     = "revocations+jwt"
	feedLife     = 30   // seconds from iat to exp
	feedPage     = 5000 // facts in one answer, about 700 KB
	feedMostWait = 25   // seconds
	feedSlack    = 15 * time.Second
)

// Bounds on what a reader costs. Several processes may share a reader's
// credentials.
const (
	feedWaitsEach = 64   // polls of one reader that wait; more are answered at once
	feedWaitsAll  = 4096 // of all readers
	feedBurst     = 200  // polls of one reader
	feedRate      = 20   // a second, after the burst
	feedReaders   = 1000 // that are remembered
)

// feedNews is core.Service, as far as waiting goes.
type feedNews interface {
	RevocationNews() (last int64, changed <-chan struct{})
	HearRevocations(ctx context.Context) error
}

// feed serves the revocation feed.
type feed struct {
	news    feedNews
	service *core.Service
	clients *authserver.Server
	keys    *keyring.Keyring
	now     func() int64
	steady  func() int64  // milliseconds of a clock that nobody sets
	ended   chan struct{} // closed at shutdown: whoever waits is answered
	end     sync.Once

	mu      sync.Mutex
	readers map[string]*feedReader
	waiting int
}

// feedReader is what is remembered of a reader.
type feedReader struct {
	waiting int
	budget  float64
	at      int64 // when budget was reckoned
}

func newFeed(e *engine) *feed {
	return &feed{news: e.service, service: e.service, clients: e.auth, keys: e.keys, now: e.now, steady: steadyClock(), ended: make(chan struct{}), readers: map[string]*feedReader{}}
}

// stop answers whoever waits; later polls do not wait.
func (f *feed) stop() { f.end.Do(func() { close(f.ended) }) }

// handler bounds a poll by its own longest wait: the limit of other requests
// may be shorter.
func (f *feed) handler() http.Handler {
	return httpd.Deadline(feedMostWait*time.Second+feedSlack, httpd.LimitBody(0, httpd.Wrap(f.serve, f.refuse)))
}

// refuse answers as a protected resource does (RFC 6750 section 3).
func (f *feed) refuse(w http.ResponseWriter, _ *http.Request, err error) {
	status, header, body := oauth.BearerRefusal(err)
	for name, values := range header {
		w.Header()[name] = values
	}
	if core.CodeOf(err) == core.TooMany {
		status = http.StatusTooManyRequests
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that went away has nobody to tell
}

func (f *feed) serve(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return core.Errorf(core.MethodNotAllowed, "this path answers GET")
	}
	reader, err := f.reader(r)
	if err != nil {
		return err
	}
	since, wait, err := feedQuery(r)
	if err != nil {
		return err
	}
	switch log := r.URL.Query().Get("log"); {
	case len(log) > 64:
		return core.Errorf(core.BadRequest, "log is not the id of a log")
	case log != "" && log != f.service.Incarnation():
		// The reader followed the log of another life of the store: its number
		// says nothing here.
		since = 0
	}
	mayWait, pause, done, err := f.admit(reader)
	if err != nil {
		return err
	}
	defer done()
	f.sleep(r.Context(), pause)
	if mayWait && r.Method == http.MethodGet {
		f.await(r.Context(), since, wait)
	}
	return f.answer(w, r, since)
}

// reader authenticates.
func (f *feed) reader(r *http.Request) (string, error) {
	cred, err := oauth.BasicCredential(r)
	if err != nil {
		return "", err
	}
	if cred != nil {
		return f.clients.FeedClient(r.Context(), cred)
	}
	raw, err := oauth.BearerToken(r)
	if err != nil {
		return "", err
	}
	info := httpd.Info(r)
	return f.service.FeedReader(r.Context(), raw, &core.Client{Address: info.ClientAddr, RequestID: info.ID})
}

// feedQuery reads the question: ?since=N&wait=SECONDS, both 0 when left out.
func feedQuery(r *http.Request) (since int64, wait time.Duration, err error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || q.Has("access_token") {
		// Good or not: URLs stand in logs (SECURITY 30).
		return 0, 0, core.Errorf(core.BadRequest, "the query is malformed, or holds a token; send it in the Authorization header")
	}
	read := func(name string) (int64, error) {
		switch values := q[name]; {
		case len(values) == 0:
			return 0, nil
		case len(values) > 1:
			return 0, core.Errorf(core.BadRequest, "%s stands twice", name)
		}
		n, err := strconv.ParseUint(q.Get(name), 10, 62)
		if err != nil {
			return 0, core.Errorf(core.BadRequest, "%s must be a number that is not negative", name)
		}
		return int64(n), nil // #nosec G115 -- 62 bits
	}
	if since, err = read("since"); err != nil {
		return 0, 0, err
	}
	seconds, err := read("wait")
	return since, time.Duration(min(seconds, feedMostWait)) * time.Second, err
}

// admit counts a poll. One that comes too soon after others is answered later,
// with what was revoked meanwhile: when many sessions end, a reader hears of
// them in fewer answers, and not after the pause that a refusal would cost him.
// One that would wait beside too many others may not wait, nor come too soon.
func (f *feed) admit(reader string) (mayWait bool, pause time.Duration, done func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.steady()
	e := f.readers[reader]
	if e == nil {
		f.forget(now)
		e = &feedReader{budget: feedBurst, at: now}
		f.readers[reader] = e
	}
	e.refill(now)
	crowded := e.waiting >= feedWaitsEach || f.waiting >= feedWaitsAll
	if e.budget < 1 && crowded {
		return false, 0, nil, &core.Error{Code: core.TooMany, Reason: "polls of one reader", RetryAfter: 1000}
	}
	e.budget--
	if crowded {
		return false, 0, func() {}, nil
	}
	if e.budget < 0 {
		pause = time.Duration(-e.budget * float64(time.Second) / feedRate)
	}
	e.waiting++
	f.waiting++
	return true, pause, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		e.waiting--
		f.waiting--
	}, nil
}

// refill gives back what the time since the last poll earned.
func (e *feedReader) refill(now int64) {
	e.budget = min(feedBurst, e.budget+float64(now-e.at)*feedRate/1000)
	e.at = now
}

// forget makes room: readers with a full budget lose nothing by it.
func (f *feed) forget(now int64) {
	if len(f.readers) < feedReaders {
		return
	}
	for id, e := range f.readers {
		if e.refill(now); e.waiting == 0 && e.budget >= feedBurst {
			delete(f.readers, id)
		}
	}
}

// sleep returns after a pause, or sooner when nobody waits for it any more.
func (f *feed) sleep(ctx context.Context, pause time.Duration) {
	if pause <= 0 {
		return
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.ended:
	case <-ctx.Done():
	}
}

// await returns when there may be news above since: facts, or a log that is
// shorter than the reader believes; when the wait is over; or at shutdown.
func (f *feed) await(ctx context.Context, since int64, wait time.Duration) {
	last, changed := f.news.RevocationNews()
	if last < since && wait > 0 {
		// The reader was answered from the log, which may be ahead of what this
		// node has taken into memory. Answered at once with nothing, he would
		// pause, and hear of the next revocation late.
		if f.news.HearRevocations(ctx) != nil {
			return
		}
		last, changed = f.news.RevocationNews()
	}
	if last != since || wait == 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-f.ended:
	case <-ctx.Done():
	}
}

// feedFact is a fact as readers get it.
type feedFact struct {
	Number  int64  `json:"n"`
	Kind    string `json:"k"`
	Subject string `json:"s,omitempty"`
	Spare   string `json:"x,omitempty"`
	Purge   int64  `json:"p"` // Unix seconds
}

// feedAnswer is the payload.
type feedAnswer struct {
	Issuer   string     `json:"iss"`
	IssuedAt int64      `json:"iat"`
	Expires  int64      `json:"exp"`
	Log      string     `json:"log"` // numbers of different logs cannot be compared
	Since    int64      `json:"since"`
	Last     int64      `json:"last"`
	Full     bool       `json:"full"`
	More     bool       `json:"more"`
	Facts    []feedFact `json:"facts"`
}

func (f *feed) answer(w http.ResponseWriter, r *http.Request, since int64) error {
	facts, last, err := f.service.RevocationsSince(r.Context(), since, feedPage+1)
	if err != nil {
		return err
	}
	now := f.now() / 1000
	a := feedAnswer{
		Issuer: f.service.Issuer(), IssuedAt: now, Expires: now + feedLife, Log: f.service.Incarnation(), Since: since, Last: last, Full: since == 0, Facts: []feedFact{},
	}
	if len(facts) > feedPage {
		facts, a.More = facts[:feedPage], true
		a.Last = facts[feedPage-1].Number
	}
	for i := range facts {
		x := &facts[i]
		a.Facts = append(a.Facts, feedFact{x.Number, string(x.Kind), x.Subject, x.Spare, (x.PurgeAt + 999) / 1000})
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	// Weak: iat and exp differ from answer to answer, what is told does not.
	tag := `W/"` + f.service.Incarnation() + "-" + strconv.FormatInt(since, 10) + "-" + strconv.FormatInt(a.Last, 10) + `"`
	h.Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	payload, err := json.Marshal(a)
	if err != nil {
		return &core.Error{Code: core.Internal, Reason: "revocation feed", Err: err}
	}
	doc, err := f.keys.SignDocument(core.FeedKeys(), feedType, payload)
	if err != nil {
		return err
	}
	h.Set("Content-Type", "application/"+feedType)
	_, _ = w.Write([]byte(doc)) // a client that went away has nobody to tell
	return nil
}

// ensureFeedKey makes the key that signs the feed.
func (e *engine) ensureFeedKey(ctx context.Context) error {
	return e.keys.Ensure(ctx, []keyring.Need{{Set: core.FeedKeys(), Algorithm: token.ES256}})
}
