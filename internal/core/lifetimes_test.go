package core_test

import (
	"testing"

	"github.com/sallyport/sallyport/internal/core"
)

// TestSessionFactsAreBrief: the row of an ended session refuses its refresh
// token, so the fact only has to outlast access tokens. Logouts must not fill
// memory for as long as refresh tokens live.
func TestSessionFactsAreBrief(t *testing.T) {
	m := itempath("itempath", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("ann")
	g := w.in(m, "ann")
	w.must(w.svc.RevokeSession(t.Context(), core.Actor{Name: "test"}, g.Session.ID.String()))
	facts, _, err := w.disk.FactsSince(t.Context(), 0, 10)
	w.must(err)
	if len(facts) != 1 || facts[0].Kind != core.FactSession {
		t.Fatalf("facts %+v", facts)
	}
	if kept := facts[0].PurgeAt - w.clock.Load(); kept != 15*minute+hour {
		t.Errorf("the fact is kept for %d ms, want the access token's lifetime and an hour", kept)
	}
	// Neither with the fact gone, nor with fact and row gone.
	for _, later := range []int64{0, 2 * hour, 2 * day} {
		w.sleep(later)
		w.svc.Purge(w.ctx)
		w.reopen(nil)
		_, err := w.refresh(m, g.RefreshToken)
		wantCode(t, err, core.TokenRevoked)
	}
}
