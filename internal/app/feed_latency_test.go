package app_test

import (
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/verify"
)

// TestRevokeToRefused measures how long a verifier elsewhere accepts a token
// after the answer to its revocation, and prints it (-v). What is asserted is
// that each token is refused in the end: how fast, a loaded machine decides.
func TestRevokeToRefused(t *testing.T) {
	clock := new(atomic.Int64)
	clock.Store(start)
	s, _ := serveAt(t, filepath.Join(t.TempDir(), "data"), "127.0.0.1:0", clock)
	auth := s.feedClient("machine", core.RoleRevocations)
	call := func(path string, form url.Values) *answer {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "POST", s.url+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Authorization", auth)
		return s.send(req)
	}
	s.user("", "ann", "user")
	_, refresh := s.bearerLogin("ann")
	v := follow(t, s.url, clock, auth)
	var atOnce, heard []time.Duration
	for range 150 {
		clock.Add(1000)
		pair := s.do("POST", "/api/auth/bearer/refresh", "", url.Values{"refresh_token": {refresh}}).want(200, "")
		tok := pair.text("access_token")
		refresh = pair.text("refresh_token")
		if _, err := v.Verify(t.Context(), tok); err != nil {
			t.Fatal(err)
		}
		call("/oauth2/revoke", url.Values{"token": {tok}}).want(200, "")
		began := time.Now()
		call("/oauth2/introspect", url.Values{"token": {tok}}).want(200, `{"active":false}`)
		atOnce = append(atOnce, time.Since(began))
		for err := error(nil); !errors.Is(err, verify.ErrRevoked); _, err = v.Verify(t.Context(), tok) {
			if time.Since(began) > 30*time.Second {
				t.Fatal("a revoked token is accepted")
			}
			time.Sleep(100 * time.Microsecond)
		}
		heard = append(heard, time.Since(began))
	}
	for name, all := range map[string][]time.Duration{"refused by the node, first answer after": atOnce, "refused by a verifier that follows the feed after": heard} {
		slices.Sort(all)
		t.Logf("%s: p50 %s, p99 %s, longest %s (%d tokens)", name, all[len(all)/2], all[len(all)*99/100], all[len(all)-1], len(all))
	}
}
