package keyring

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
	offline "github.com/sallyport/sallyport/verify"
)

const hour = 3600 * 1000

func keepTwoHours(set core.KeySet) (int64, bool) {
	return 2 * hour, set.Kind != token.Refresh && set.Kind != token.Application
}

// states gives the states of a set's keys, oldest first.
func (r *ring) states(set core.KeySet) string {
	var all []string
	for _, k := range r.List() {
		if k.Set == set {
			all = append(all, string(k.State))
		}
	}
	return strings.Join(all, " ")
}

// TestSchedule takes keys through their lives by the clock alone.
func TestSchedule(t *testing.T) {
	r := openRing(t, newRows(), 0)
	app := core.KeySet{Mount: "m1", Kind: token.Application}
	if err := r.Ensure(t.Context(), []Need{{accessSet, token.ES256}, {refreshSet, token.HS256}, {app, token.ES256}}); err != nil {
		t.Fatal(err)
	}
	plan := &Plan{RotateEveryMS: 90 * 24 * hour, KeepMS: keepTwoHours}
	for _, step := range []struct {
		at          int64
		access, app string
		says        string
	}{
		{hour, "active", "active", ""},
		{89*24*hour - 1, "active", "active", ""},
		{89 * 24 * hour, "active next", "active next", "signs_from=1970-04-01T00:00:00Z"},
		{90*24*hour - hour, "active next", "active next", "nobody has fetched"},
		{90*24*hour - 1, "active next", "active next", ""},
		{90 * 24 * hour, "verify-only active", "verify-only active", "was rotated"},
		{90*24*hour + 2*hour - 1, "verify-only active", "verify-only active", ""},
		{90*24*hour + 2*hour, "active", "verify-only active", "was dropped"},
	} {
		r.now = step.at
		r.log.Reset()
		if err := r.Tick(t.Context(), plan); err != nil {
			t.Fatal(step.at, err)
		}
		if a, b := r.states(accessSet), r.states(app); a != step.access || b != step.app || r.states(refreshSet) != "active" {
			t.Errorf("at %d: access %q, application %q, refresh %q; want %q and %q", step.at, a, b, r.states(refreshSet), step.access, step.app)
		}
		if (step.says == "") != (r.log.Len() == 0) || !strings.Contains(r.log.String(), step.says) {
			t.Errorf("at %d the log says %q, want %q", step.at, r.log, step.says)
		}
	}
	r.now += 10 * 365 * 24 * hour
	if err := r.Tick(t.Context(), &Plan{KeepMS: keepTwoHours}); err != nil {
		t.Fatal(err)
	}
	if a, b := r.states(accessSet), r.states(app); a != "active" || b != "verify-only active" {
		t.Errorf("without a schedule: %q, %q", a, b)
	}
}

// TestFetched: whoever fetched the keys knows them, and a restart forgets it not.
func TestFetched(t *testing.T) {
	rows := newRows()
	r := openRing(t, rows, 5)
	if err := r.Ensure(t.Context(), []Need{{accessSet, token.ES256}}); err != nil {
		t.Fatal(err)
	}
	if i, _ := r.Inspect(r.ActiveKey(accessSet)); i.FetchedAt != 0 {
		t.Error("fetched before anybody asked")
	}
	doc, etag := r.Served()
	if string(doc) != string(r.JWKS()) || etag != r.JWKSETag() {
		t.Error("Served serves something else")
	}
	step, err := r.Rotate(t.Context(), accessSet, "operator:0")
	if err != nil || step.SignsFrom != 5+defaultPublishMS {
		t.Fatal(step, err)
	}
	if i, _ := r.Inspect(step.Published); i.FetchedAt != 0 || i.SignsFrom != step.SignsFrom {
		t.Errorf("%+v", i)
	}
	r.now = 6
	r.Served()
	r.now = 7
	r.Served()
	if err := r.Tick(t.Context(), &Plan{}); err != nil {
		t.Fatal(err)
	}
	again := openRing(t, rows, 8)
	if i, _ := again.Inspect(step.Published); i.FetchedAt != 6 {
		t.Errorf("after a restart %+v", i)
	}
	again.now = 5 + defaultPublishMS
	if err := again.Tick(t.Context(), &Plan{}); err != nil {
		t.Fatal(err)
	}
	if again.ActiveKey(accessSet) != step.Published || strings.Contains(again.log.String(), "nobody has fetched") {
		t.Error(again.log)
	}
}

// TestAtOnce forces what should wait, and says what that does.
func TestAtOnce(t *testing.T) {
	r := openRing(t, newRows(), 5)
	if err := r.Ensure(t.Context(), []Need{{accessSet, token.ES256}, {refreshSet, token.HS256}}); err != nil {
		t.Fatal(err)
	}
	now := func(set core.KeySet, warns string) {
		t.Helper()
		was := r.ActiveKey(set)
		done, err := r.RotateNow(t.Context(), set, "operator:0")
		if err != nil || done.Retired != was || r.ActiveKey(set) != done.Activated || (warns == "") != (done.Warning == "") || !strings.Contains(done.Warning, warns) {
			t.Errorf("%+v, %v; want a warning with %q", done, err, warns)
		}
	}
	publish := func() {
		t.Helper()
		if _, err := r.Rotate(t.Context(), accessSet, "operator:0"); err != nil {
			t.Fatal(err)
		}
	}
	now(accessSet, "was never published")
	publish()
	now(accessSet, "nobody has fetched")
	publish()
	r.Served()
	now(accessSet, "was published only at 1970-01-01T00:00:00Z")
	now(refreshSet, "")

	// An emergency: the active key and the next one are both gone.
	publish()
	bad := r.ActiveKey(accessSet)
	tok, _, _ := r.Sign(accessSet, token.Header{}, payload)
	id, err := r.Replace(t.Context(), bad, "operator:0")
	if err != nil || r.ActiveKey(accessSet) != id || id == bad || strings.Contains(r.states(accessSet), "next") {
		t.Fatal(id, err, r.states(accessSet))
	}
	if err := r.Drop(t.Context(), bad, "operator:0"); err != nil {
		t.Fatal(err)
	}
	if verify(r, accessSet, tok) == nil {
		t.Error("a token of the dropped key is good")
	}
	_, err = r.Replace(t.Context(), bad, "operator:0")
	wantCode(t, err, core.NotFound)
	shared := core.KeySet{Mount: "m2", Kind: token.Access}
	kid, err := r.ImportShared(t.Context(), shared, longSecret, ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Replace(t.Context(), kid, "operator:0")
	wantCode(t, err, core.Conflict)
}

// served answers for the keys as the server does, max-age included.
type served struct {
	k      *Keyring
	maxAge int
}

func (s served) RoundTrip(r *http.Request) (*http.Response, error) {
	doc, etag := s.k.Served()
	res := &http.Response{StatusCode: 200, Request: r, Header: http.Header{
		"Content-Type": {"application/jwk-set+json"}, "Etag": {etag}, "Cache-Control": {fmt.Sprintf("public, max-age=%d", s.maxAge)},
	}, Body: io.NopCloser(strings.NewReader(string(doc)))}
	return res, nil
}

// patient is a verifier that honours max-age to the second and asks for nothing
// in between, as the least clever library does.
type patient struct {
	s       served
	expires time.Time
	keys    []*token.Key
}

func (p *patient) verify(t *testing.T, raw string, now int64) error {
	if !time.Now().Before(p.expires) {
		doc, _ := p.s.k.Served()
		keys, err := token.ParseForeignJWKS(doc)
		if err != nil {
			t.Fatal(err)
		}
		p.keys, p.expires = keys, time.Now().Add(time.Duration(p.s.maxAge)*time.Second)
	}
	_, err := token.Verify(raw, p.keys, &token.Rules{Kind: token.Access, Issuers: []string{"https://x"}, MaxLifetime: 900}, now)
	return err
}

// TestHundredRotations rotates a hundred times by the schedule, with the
// shortest time between publication and use that the configuration allows, and
// never does a verifier that honours max-age refuse a token.
func TestHundredRotations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const maxAge = 300 * time.Second
		k, err := Open(t.Context(), Config{
			Rows: newRows(), Meta: newRows(), Master: testMaster(t, hexKey), PublishMS: 2 * maxAge.Milliseconds(),
			Now: func() int64 { return time.Now().UnixMilli() }, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Ensure(t.Context(), []Need{{accessSet, token.EdDSA}}); err != nil {
			t.Fatal(err)
		}
		s := served{k, int(maxAge / time.Second)}
		v, err := offline.New(offline.Config{Issuer: "https://x", HTTPClient: &http.Client{Transport: s}, CacheSize: -1, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		var patients []*patient
		plan := &Plan{RotateEveryMS: 20 * 60 * 1000, KeepMS: func(core.KeySet) (int64, bool) { return 15 * 60 * 1000, true }}
		var old []string // tokens of the last quarter of an hour, one each step
		seen := map[string]bool{}
		const step = 20 * time.Second
		for n := 0; len(seen) <= 100; n++ {
			if n%3 == 0 {
				if err := k.Tick(t.Context(), plan); err != nil {
					t.Fatal(err)
				}
			}
			if n < 15 && n%3 == 0 { // each fetches at another moment
				patients = append(patients, &patient{s: s})
			}
			seen[k.ActiveKey(accessSet)] = true
			now := time.Now().Unix()
			body, _ := json.Marshal(map[string]any{"iss": "https://x", "sub": "u", "jti": fmt.Sprint(n), "iat": now, "exp": now + 900, "token_use": "access"})
			raw, _, err := k.Sign(accessSet, token.Header{Typ: "JWT"}, body)
			if err != nil {
				t.Fatal(err)
			}
			if old = append(old, raw); len(old) > int(15*time.Minute/step) {
				old = old[1:]
			}
			for i, p := range patients {
				for _, tok := range []string{raw, old[(n+i)%len(old)]} {
					if err := p.verify(t, tok, now*1000); err != nil {
						t.Fatalf("after %d rotations, verifier %d: %v", len(seen)-1, i, err)
					}
				}
			}
			for _, tok := range []string{raw, old[0]} {
				if _, err := v.Verify(t.Context(), tok); err != nil {
					t.Fatalf("after %d rotations: %v", len(seen)-1, err)
				}
			}
			time.Sleep(step)
		}
		if n := len(k.List()); n > 3 {
			t.Errorf("%d keys are left", n)
		}
	})
}

// TestRotationsUnderLoad rotates while tokens are signed and verified at the
// same time.
func TestRotationsUnderLoad(t *testing.T) {
	r := openRing(t, newRows(), 10)
	if err := r.Ensure(t.Context(), []Need{{accessSet, token.EdDSA}}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var signed atomic.Int64
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for ctx.Err() == nil {
				tok, _, err := r.Sign(accessSet, token.Header{}, payload)
				if err == nil {
					err = verify(r, accessSet, tok)
				}
				if err != nil {
					t.Error(err)
					return
				}
				signed.Add(1)
			}
		})
	}
	for range 100 {
		was := signed.Load()
		if _, err := r.RotateNow(t.Context(), accessSet, "operator:0"); err != nil {
			t.Fatal(err)
		}
		for signed.Load() < was+4 && !t.Failed() {
			time.Sleep(50 * time.Microsecond)
		}
	}
	stop()
	load.Wait()
	if len(r.List()) != 101 {
		t.Errorf("%d keys", len(r.List()))
	}
}
