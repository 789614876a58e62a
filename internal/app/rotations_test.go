package app_test

import (
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/verify"
)

// patient is a verifier that fetches the keys when their max-age is over and never in between, as the least clever
// library does. Its time is the server's.
type patient struct {
	s       *server
	expires int64
	v       *verify.Verifier
}

func (p *patient) fetch() {
	p.s.t.Helper()
	now := p.s.clock.Load()
	if p.v != nil && now < p.expires {
		return
	}
	a := p.s.do("GET", "/.well-known/jwks.json", "", nil).want(200, "")
	_, age, _ := strings.Cut(a.header.Get("Cache-Control"), "max-age=")
	seconds, err := strconv.ParseInt(age, 10, 64)
	if err != nil {
		p.s.t.Fatal(err)
	}
	if p.v != nil {
		p.v.Close()
	}
	p.expires = now + seconds*1000
	p.v, err = verify.New(verify.Config{
		Issuer: p.s.url, JWKS: []byte(a.raw), Accept: verify.ContractTokens | verify.OAuthTokens, OAuthAudience: p.s.url,
		Clock: func() time.Time { return time.UnixMilli(p.s.clock.Load()) }, CacheSize: -1,
	})
	if err != nil {
		p.s.t.Fatal(err)
	}
}

// TestHundredRotations rotates the keys of a contract and of OAuth a hundred times by the schedule of a running server,
// with the shortest time between publication and use that the configuration allows, while clients get tokens all the
// time. No verifier that honours max-age refuses one.
func TestHundredRotations(t *testing.T) {
	const rotations = 100
	s := serve(t, "log: {level: error}\nkeys:\n  rotate_every: 20m\n  publish_ahead: 10m\n")
	s.user("", "ann", "user")
	machine := s.machine("read")
	_, refresh := s.bearerLogin("ann")
	type held struct {
		raw   string
		until int64
	}
	var mu sync.Mutex
	var tokens []held
	keep := func(raw string, asked int64, life time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		tokens = append(tokens, held{raw, asked + life.Milliseconds()})
	}
	mint := func() {
		asked := s.clock.Load()
		a := s.token(machine, "grant_type", core.GrantCredentials)
		keep(a.want(200, "").text("access_token"), asked, 14*time.Minute)
	}
	var verified, failed atomic.Int64
	patients := make([]*patient, 5)
	look := func() {
		t.Helper()
		mu.Lock()
		now := s.clock.Load()
		alive := tokens[:0:0]
		for _, h := range tokens {
			if now < h.until {
				alive = append(alive, h)
			}
		}
		if len(alive) > 40 {
			alive = alive[len(alive)-40:]
		}
		tokens = alive
		mu.Unlock()
		for i, p := range patients {
			if p == nil {
				continue
			}
			p.fetch()
			for n := i; n < len(alive); n += len(patients) {
				verified.Add(1)
				if _, err := p.v.Verify(t.Context(), alive[n].raw); err != nil {
					failed.Add(1)
					t.Errorf("verifier %d, token %d of %d: %v", i, n, len(alive), err)
				}
			}
			// The newest is the one that a new key signed.
			verified.Add(1)
			if _, err := p.v.Verify(t.Context(), alive[len(alive)-1].raw); err != nil {
				failed.Add(1)
				t.Errorf("verifier %d, the newest token: %v", i, err)
			}
		}
	}
	done := make(chan struct{})
	var load sync.WaitGroup
	load.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond): // beside what the steps below ask for
				mint()
			}
		}
	})
	seen := map[string]map[string]bool{"netography": {}, "oauth": {}}
	for n := 0; min(len(seen["netography"]), len(seen["oauth"])) <= rotations; n++ {
		if t.Failed() {
			break
		}
		if n < len(patients) {
			patients[n] = &patient{s: s}
		}
		if err := app.TickKeys(t.Context(), s.app); err != nil {
			t.Fatal(err)
		}
		a := s.do("POST", "/api/auth/bearer/refresh", "", url.Values{"refresh_token": {refresh}}).want(200, "")
		refresh = a.text("refresh_token")
		keep(a.text("access_token"), s.clock.Load(), 23*time.Hour)
		mint()
		look()
		for _, mount := range []string{"netography", "oauth"} {
			seen[mount][s.keysOf(mount, "access")["active"].ID] = true
		}
		s.pass(200 * time.Second)
	}
	close(done)
	load.Wait()
	t.Logf("%d rotations of each key, %d verifications, %d failed", rotations, verified.Load(), failed.Load())
}
