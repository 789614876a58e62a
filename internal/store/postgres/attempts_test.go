package postgres

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/pgtest"
)

// TestSecurity54_ReservationsOverTwoNodes: 500 attempts on a name come at once
// over two nodes; as many are let through as the budget has, not one more.
func TestSecurity54_ReservationsOverTwoNodes(t *testing.T) {
	dsn := pgtest.Start(t).NewDatabase(t)
	one, two := openAt(t, Config{URL: dsn, Serve: true}), openAt(t, Config{URL: dsn, Serve: true})
	defer closing(t, one)
	defer closing(t, two)
	strangers := core.BudgetLimit{Burst: 100, Interval: 600_000}
	for round := range 3 {
		var allowed atomic.Int64
		var all sync.WaitGroup
		for i := range 500 {
			node := []*Store{one, two}[i%2]
			all.Go(func() {
				r, err := node.ReserveAttempt(t.Context(), &core.ReserveParams{
					Key: core.AttemptKey{byte(round), 54}, Stranger: strangers, Known: strangers, Now: 1_800_000_000_000,
				})
				if err != nil {
					t.Error(err)
				} else if r.Allowed {
					allowed.Add(1)
				}
			})
		}
		all.Wait()
		if allowed.Load() != 100 {
			t.Fatalf("round %d: %d of 500 were let through, the budget is 100", round, allowed.Load())
		}
	}
}
