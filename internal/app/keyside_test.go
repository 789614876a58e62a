package app_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/verify"
)

// keysOf lists the keys of a set by state.
func (s *server) keysOf(mount, kind string) map[string]admin.SigningKey {
	s.t.Helper()
	var page admin.Page[admin.SigningKey]
	if err := s.admin.Get(s.t.Context(), "/keys", nil, &page); err != nil {
		s.t.Fatal(err)
	}
	out := map[string]admin.SigningKey{}
	for _, k := range page.Items {
		if k.Mount == mount && k.Kind == kind {
			out[k.State] = k
		}
	}
	return out
}

// TestJWKSHeaders: caches may keep the keys for a time that differs, and ask
// whether they have changed.
func TestJWKSHeaders(t *testing.T) {
	s := serve(t, "")
	ages := map[string]bool{}
	var tag string
	for range 30 {
		a := s.do("GET", "/.well-known/jwks.json", "", nil).want(200, "")
		m := regexp.MustCompile(`^public, max-age=(\d+)$`).FindStringSubmatch(a.header.Get("Cache-Control"))
		if m == nil {
			t.Fatal(a.header)
		}
		if n, _ := strconv.Atoi(m[1]); n < 240 || n > 300 {
			t.Errorf("max-age %d", n)
		}
		ages[m[1]] = true
		if tag == "" {
			tag = a.header.Get("ETag")
		}
	}
	if len(ages) < 3 {
		t.Errorf("max-age has only the values %v", ages)
	}
	for header, want := range map[string]int{tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200, "": 200} {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", s.url+"/.well-known/jwks.json", nil)
		req.Header.Set("If-None-Match", header)
		if a := s.send(req); a.status != want {
			t.Errorf("If-None-Match %s: %d", header, a.status)
		}
	}
	var done admin.Rotated
	if err := s.admin.Post(t.Context(), "/keys/rotate", admin.KeyRotation{KeySet: admin.KeySet{Mount: core.FeedMount, Kind: "revocations"}}, &done); err != nil {
		t.Fatal(err)
	}
	if a := s.do("GET", "/.well-known/jwks.json", "", nil); a.header.Get("ETag") == tag || !strings.Contains(a.raw, done.Published) {
		t.Error("the next key is not published: ", a.raw)
	}
}

// TestRotationByTheClock takes a key through its life in a running server, and
// stands still while the clock is in doubt.
func TestRotationByTheClock(t *testing.T) {
	s := serve(t, "keys:\n  rotate_every: 240h\n")
	s.user("", "ann", "user")
	const mount = "netography"
	tick := func() {
		t.Helper()
		if err := app.TickKeys(t.Context(), s.app); err != nil {
			t.Fatal(err)
		}
	}
	first := s.keysOf(mount, "access")["active"].ID
	s.pass(216*time.Hour - time.Minute)
	tick()
	if k := s.keysOf(mount, "access"); len(k) != 1 {
		t.Fatal(k)
	}
	s.pass(time.Minute)
	tick()
	next := s.keysOf(mount, "access")["next"]
	if next.ID == "" || time.Duration(next.SignsFrom-next.CreatedAt)*time.Millisecond != 24*time.Hour {
		t.Fatalf("%+v", next)
	}
	s.pass(24 * time.Hour)
	tok, _ := s.bearerLogin("ann")
	tick()
	k := s.keysOf(mount, "access")
	if k["active"].ID != next.ID || k["verify-only"].ID != first {
		t.Fatal(k)
	}
	a := s.do("GET", "/x", tok, nil)
	if a.status != 200 {
		t.Error("a token of the retired key: ", a.raw)
	}
	at := s.clock.Swap(start - 2*60*1000)
	for end := time.Now().Add(time.Minute); !s.app.Service().ClockInDoubt(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nobody noticed that the clock went back")
		}
	}
	s.clock.Store(at + 400*24*3600*1000)
	tick()
	if again := s.keysOf(mount, "access"); fmt.Sprint(again) != fmt.Sprint(k) {
		t.Errorf("while the clock is in doubt: %v, then %v", k, again)
	}
	err := s.admin.Post(t.Context(), "/keys/rotate", admin.KeyRotation{KeySet: admin.KeySet{Mount: mount, Kind: "access"}}, nil)
	if p := (*admin.Problem)(nil); !errors.As(err, &p) || !strings.Contains(err.Error(), "the clock is in doubt") {
		t.Error(err)
	}
	s.act("/clock/confirm", nil)
	tick()
	if k = s.keysOf(mount, "access"); k["verify-only"].ID != "" || k["next"].ID == "" {
		t.Error("after the clock was confirmed: ", k)
	}
	if k := s.keysOf(mount, "refresh"); len(k) != 1 {
		t.Error("the key of refresh tokens was rotated: ", k)
	}
}

// TestEmergencyDrop drops the key that signs: everything opened before is dead,
// here and where tokens are verified offline, and logins go on.
func TestEmergencyDrop(t *testing.T) {
	s := serve(t, "")
	auth := s.feedClient("reader", core.RoleRevocations)
	s.user("", "ann", "user")
	tok, refresh := s.bearerLogin("ann")
	v := follow(t, s.url, s.clock, auth)
	becomes(t, v, "before", tok, nil)
	const mount = "netography"
	id := s.keysOf(mount, "access")["active"].ID
	var ends admin.KeyEnds
	if err := s.admin.Get(t.Context(), "/keys/"+id+"/ends", nil, &ends); err != nil || !ends.Active || !ends.Everything || ends.Sessions != 1 {
		t.Fatal(ends, err)
	}
	if err := s.admin.Post(t.Context(), "/keys/"+id+"/drop", nil, &ends); err != nil || ends.Replaced == "" {
		t.Fatal(ends, err)
	}
	if k := s.keysOf(mount, "access"); len(k) != 1 || k["active"].ID != ends.Replaced {
		t.Error(k)
	}
	becomes(t, v, "after", tok, verify.ErrRevoked)
	if a := s.do("GET", "/x", tok, nil); a.status == 200 || a.status >= 500 {
		t.Error(a.status, a.raw)
	}
	if a := s.do("POST", "/api/auth/bearer/refresh", "", url.Values{"refresh_token": {refresh}}); a.status == 200 || a.status >= 500 {
		t.Error("a session from before can be refreshed")
	}
	fresh, _ := s.bearerLogin("ann")
	becomes(t, v, "a login afterwards", fresh, nil)
}

// TestDropRetiredRefreshKey: who drops a key of refresh tokens that signs no
// more is told how many sessions have nothing but a token under it.
func TestDropRetiredRefreshKey(t *testing.T) {
	s := serve(t, "")
	const mount = "netography"
	s.user("", "ann", "user")
	_, left := s.bearerLogin("ann")
	_, moved := s.bearerLogin("ann")
	set := map[string]any{"mount": mount, "kind": "refresh"}
	if err := s.admin.Post(t.Context(), "/keys/rotate", set, nil); err != nil {
		t.Fatal(err)
	}
	again := func(token string) *answer {
		return s.do("POST", "/api/auth/bearer/refresh", "", url.Values{"refresh_token": {token}})
	}
	moved = again(moved).want(200, "").text("refresh_token")
	old := s.keysOf(mount, "refresh")["verify-only"].ID
	for i, path := range []string{"/ends", "/drop"} {
		var ends admin.KeyEnds
		var err error
		if i == 0 {
			err = s.admin.Get(t.Context(), "/keys/"+old+path, nil, &ends)
		} else {
			err = s.admin.Post(t.Context(), "/keys/"+old+path, nil, &ends)
		}
		if err != nil || ends.Active || ends.Everything || ends.Sessions != 1 {
			t.Errorf("%s: %+v, %v", path, ends, err)
		}
	}
	again(moved).want(200, "")
	if a := again(left); a.status == 200 || a.status >= 500 {
		t.Error(a.status, a.raw)
	}
}

// TestRewrapUnderLoad changes the master key of a running server while clients
// log in and call, and starts another with the new key.
func TestRewrapUnderLoad(t *testing.T) {
	clock := new(atomic.Int64)
	clock.Store(start)
	dir := filepath.Join(t.TempDir(), "data")
	s, stop := serveAt(t, dir, freeAddress(t), clock)
	s.user("", "ann", "user")
	tok, _ := s.bearerLogin("ann")
	var key admin.APIKey
	if err := s.admin.Post(t.Context(), "/api-keys", map[string]any{"account": "default", "appname": "daemon"}, &key); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "new.key")
	if err := os.WriteFile(file, []byte("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var load sync.WaitGroup
	var asked atomic.Int64
	for range 2 {
		load.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := s.app.Service().Authenticate(t.Context(), &core.AuthenticateRequest{Mounts: s.app.Service().Mounts(), Token: tok}); err != nil {
					t.Error(err)
					return
				}
				asked.Add(1)
			}
		})
	}
	load.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			var made admin.APIKey
			if err := s.admin.Post(t.Context(), "/api-keys", map[string]any{"account": "default", "appname": fmt.Sprint("d", i)}, &made); err != nil {
				t.Error(err)
				return
			}
		}
	})
	var out admin.Rewrapped
	if err := s.admin.Post(t.Context(), "/keys/rewrap", admin.Rewrapping{File: file}, &out); err != nil {
		t.Fatal(err)
	}
	close(done)
	load.Wait()
	if out.From == out.To || asked.Load() == 0 {
		t.Error(out, asked.Load())
	}
	if err := app.TickKeys(t.Context(), s.app); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := os.Rename(file, filepath.Join(dir, "master.key")); err != nil {
		t.Fatal(err)
	}
	s, _ = serveAt(t, dir, strings.TrimPrefix(s.url, "http://"), clock)
	if _, err := s.app.Service().Authenticate(t.Context(), &core.AuthenticateRequest{Mounts: s.app.Service().Mounts(), Token: tok}); err != nil {
		t.Error("a token from before: ", err)
	}
	if bad := app.SealedBadly(t.Context(), s.app); len(bad) > 0 {
		t.Error("not under the new key: ", bad)
	}
}
