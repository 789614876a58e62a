package postgres

import (
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/pgtest"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

const testNow int64 = 1_800_000_000_000

func testClock() int64 { return testNow }

func openAt(tb testing.TB, cfg Config) *Store {
	tb.Helper()
	cfg.Now = testClock
	s, err := Open(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// place is an empty database and the node that opens it.
func place(tb testing.TB, cfg Config) func(*testing.T) core.Store {
	cfg.URL, cfg.Node = pgtest.Start(tb).NewDatabase(tb), core.NewID("nd_")
	return func(t *testing.T) core.Store {
		t.Helper()
		return openAt(t, cfg)
	}
}

func TestStore(t *testing.T) {
	pgtest.Start(t)
	storetest.Run(t, func(t *testing.T) storetest.Open { return place(t, Config{Serve: true}) })
}

func TestStoreOneAtATime(t *testing.T) {
	pgtest.Start(t)
	storetest.Run(t, func(t *testing.T) storetest.Open { return place(t, Config{OneAtATime: true}) })
}
