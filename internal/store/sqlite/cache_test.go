package sqlite

import (
	"testing"

	"github.com/sallyport/sallyport/internal/core"
)

func TestCacheSize(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	for memory, want := range map[uint64]int{
		0:         16 << 10, // not known
		512 * mib: 16 << 10,
		2 * gib:   32 << 10,
		4 * gib:   64 << 10,
		24 * gib:  256 << 10,
		1 << 62:   256 << 10,
	} {
		if got := cacheSize(memory); got != want {
			t.Errorf("with %d bytes of memory the cache is %d KiB, want %d", memory, got, want)
		}
	}
}

// TestCacheOfEveryWriter: the connection that replaces one given up has it too,
// and so has that of a store that was loaded.
func TestCacheOfEveryWriter(t *testing.T) {
	s, err := Open(t.Context(), Config{Dir: t.TempDir(), Create: true, Now: func() int64 { return 1 }, Cache: 20_000})
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, s)
	check := func(when string) {
		var got int
		err := s.single(t.Context(), func(tx *tx) error { return tx.row("PRAGMA cache_size").Scan(&got) })
		if err != nil || got != -20_000 {
			t.Errorf("%s the cache is %d, %v", when, got, err)
		}
	}
	check("after opening")
	_ = s.single(t.Context(), func(*tx) error { panic("this connection is in doubt") })
	check("after reopening")
	if err := s.BeginLoad(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	if err := s.EndLoad(t.Context(), map[string]string{core.MetaNode: "n"}); err != nil {
		t.Fatal(err)
	}
	check("after loading")
}
