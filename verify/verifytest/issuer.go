// Package verifytest is an issuer for tests of programs that verify tokens with package verify.
//
//	func TestStations(t *testing.T) {
//		issuer := verifytest.Start(t, verifytest.Options{Audience: "api"})
//		v := issuer.Verifier(t)
//		token := issuer.Mint(verifytest.Token{Scope: "stations:read"})
//		… // call the handler with it
//		issuer.RevokeToken("…")
//	}
//
// An Issuer publishes keys, serves the revocation feed and status lists, mints tokens with the claims that a test wants, wrong ones
// included, rotates its keys and revokes. Its clock stands still until Advance moves it; Issuer.Config gives a
// configuration that uses the same clock.
//
// Start serves on a port of this machine. New makes an Issuer without one, whose Client calls it in process: it works in
// a bubble of testing/synctest, where hours pass in no time.
//
// It is no server: it checks no passwords, keeps nothing, and signs whatever it is told to.
package verifytest

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/token"
	"github.com/sallyport/sallyport/verify"
)

// Options say what an Issuer issues. The zero value works.
type Options struct {
	// Audience is the aud of the tokens; "" leaves it out.
	Audience string
	// Algorithm signs the tokens: ES256 (the default), EdDSA or RS256.
	Algorithm string
	// Secret makes it an issuer of HS256 tokens under a shared secret, at least 32 bytes. The feed, the status lists and
	// OAuth access tokens are signed with a published key all the same.
	Secret []byte
	// MaxAge is for how long keys may be cached; the default is five minutes.
	MaxAge time.Duration
	// PageSize is how many revocations one answer of the feed holds; the default is 1000.
	PageSize int
	// StatusLists makes every token name its place in a status list: sessions in one, application tokens in another.
	StatusLists bool
	// Now is where the clock begins; the default is the present.
	Now time.Time
}

// Issuer is a fake issuer. Its methods may be called from several goroutines. They panic where they cannot do what they
// are told, since only a mistake in the test can be the reason.
type Issuer struct {
	url           string
	opts          Options
	client        *http.Client
	authorization string
	macKey        []byte
	secret        *token.Key

	mu      sync.Mutex
	now     time.Time
	keys    []*key
	facts   []fact
	last    int64
	log     string // whose numbers those are
	minted  []minted
	lists   map[string]*statusList
	down    bool
	changed chan struct{} // closed at each change that a waiting poll should see
	fetches int
	polls   int
	reads   int
}

// New makes an Issuer without a server. It is an http.Handler, and Client reaches it.
func New(url string, opts Options) *Issuer {
	i := &Issuer{
		url: url, opts: opts, now: opts.Now, authorization: "Bearer " + rand.Text(), changed: make(chan struct{}),
		log: newLog(), lists: newLists(url),
	}
	if i.opts.Algorithm == "" {
		i.opts.Algorithm = string(token.ES256)
	}
	if i.opts.MaxAge == 0 {
		i.opts.MaxAge = 5 * time.Minute
	}
	if i.opts.PageSize == 0 {
		i.opts.PageSize = 1000
	}
	if i.now.IsZero() {
		i.now = time.Now()
	}
	if opts.Secret != nil {
		i.SetSecret(opts.Secret)
		i.macKey = []byte(rand.Text() + rand.Text())
	}
	i.client = &http.Client{Transport: inProcess{i}}
	i.keys = []*key{i.newKey(active)}
	return i
}

// Start makes an Issuer that serves on a port of this machine until the test ends.
func Start(t testing.TB, opts Options) *Issuer {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	i := New("http://"+server.Listener.Addr().String(), opts)
	server.Config.Handler = i
	server.Start()
	i.client = server.Client()
	t.Cleanup(func() {
		i.SetDown(true) // polls that wait would hold Close up
		server.CloseClientConnections()
		server.Close()
	})
	return i
}

// URL is the issuer: iss of its tokens, and where it answers.
func (i *Issuer) URL() string { return i.url }

// Client reaches the issuer.
func (i *Issuer) Client() *http.Client { return i.client }

// Authorization is what readers of the feed must send.
func (i *Issuer) Authorization(context.Context) (string, error) { return i.authorization, nil }

// Now is the time by the issuer's clock.
func (i *Issuer) Now() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.now
}

// Advance moves the clock.
func (i *Issuer) Advance(d time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.now = i.now.Add(d)
}

// Config returns a configuration for verifiers of this issuer's tokens, following its feed and, with
// Options.StatusLists, its lists, by its clock.
func (i *Issuer) Config() verify.Config {
	c := verify.Config{
		Issuer: i.url, Audience: i.opts.Audience, Secret: i.opts.Secret, HTTPClient: i.client, AllowPlainHTTP: true, Clock: i.Now,
		Revocations: &verify.Revocations{Authorization: i.Authorization},
	}
	if i.opts.StatusLists {
		c.StatusLists = &verify.StatusLists{}
	}
	return c
}

// Verifier starts a verifier with Config, changed as the caller wishes, waits until it is ready and closes it when the
// test ends.
func (i *Issuer) Verifier(t testing.TB, change ...func(*verify.Config)) *verify.Verifier {
	t.Helper()
	c := i.Config()
	for _, f := range change {
		f(&c)
	}
	v, err := verify.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := v.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return v
}

// SetDown makes the issuer answer 503 to everything, or lets it answer again.
func (i *Issuer) SetDown(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
	i.wake()
}

// Fetches is how often the keys were asked for, Polls how often the feed was.
func (i *Issuer) Fetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

// Polls is how often the feed was asked.
func (i *Issuer) Polls() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.polls
}

// ListReads is how often a status list was asked for.
func (i *Issuer) ListReads() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.reads
}

// wake lets polls that wait look again. mu is held.
func (i *Issuer) wake() {
	close(i.changed)
	i.changed = make(chan struct{})
}

// inProcess calls the issuer without a network.
type inProcess struct{ i *Issuer }

// RoundTrip implements http.RoundTripper.
func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.i.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Host != "" && r.Host != r.URL.Host {
		return nil, errors.New("verifytest: request for another host")
	}
	return w.Result(), nil
}
