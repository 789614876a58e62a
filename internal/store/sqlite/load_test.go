package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/store/dump"
)

// schemaIn lists what a store has of tables, indexes and triggers.
func schemaIn(t *testing.T, s *Store) (all []string) {
	t.Helper()
	err := s.view(t.Context(), func(c *conn) error {
		return c.each(func(row scanner) error {
			var one string
			err := row.Scan(&one)
			all = append(all, one)
			return err
		}, `SELECT type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, '') FROM sqlite_schema ORDER BY 1`)
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestLoadIndexes: a loading that ends, cut off at each index and gone on with
// by another process or not, leaves the schema of a new store.
func TestLoadIndexes(t *testing.T) {
	fresh := openAt(t, t.TempDir())
	want := schemaIn(t, fresh)
	closing(t, fresh)
	table, loose := dump.Named("sessions"), 0
	for _, at := range []func() int{func() int { return 0 }, func() int { return 1 }, func() int { return loose / 2 }, func() int { return loose - 1 }, func() int { return loose }} {
		cut := at()
		dir := t.TempDir() + "/it's a store"
		s := openAt(t, dir)
		again := func() {
			closing(t, s)
			s = openAt(t, dir)
			if err := s.BeginLoad(t.Context(), "m"); err != nil {
				t.Fatal(err)
			}
		}
		again()
		if have := schemaIn(t, s); len(have) > len(want)-10 {
			t.Fatalf("%d of %d are there while loading", len(have), len(want))
		}
		if err := s.LoadRows(t.Context(), table, sessionRows(table, 0, 300)); err != nil {
			t.Fatal(err)
		}
		again()
		ctx, cancel := context.WithCancel(t.Context())
		err := s.BuildIndexes(ctx, func(_ string, done, total int64) {
			if loose = int(total); int(done) == cut {
				cancel()
			}
		})
		if cut < loose && err == nil {
			t.Fatalf("cut off at index %d: no error", cut)
		}
		cancel()
		again()
		if err := s.EndLoad(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if got := schemaIn(t, s); !reflect.DeepEqual(got, want) {
			t.Fatalf("cut off at index %d, the store has\n%s\nand a new one\n%s", cut, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		var note int
		if err := s.view(t.Context(), func(c *conn) error {
			return c.row(`SELECT count(*) FROM meta WHERE name LIKE 'loading%'`).Scan(&note)
		}); err != nil || note != 0 {
			t.Fatalf("%d notes of a loading are left, %v", note, err)
		}
		closing(t, s)
	}
}

// TestLoadSorts: what does not fit into memory is sorted in the data directory,
// and nothing of it is left there.
func TestLoadSorts(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir)
	defer closing(t, s)
	table := dump.Named("sessions")
	err := s.BeginLoad(t.Context(), "m")
	if err == nil {
		err = s.LoadRows(t.Context(), table, sessionRows(table, 0, 20_000))
	}
	if err == nil {
		err = s.setCache(t.Context(), 64)
	}
	if err != nil {
		t.Fatal(err)
	}
	err = s.BuildIndexes(t.Context(), func(string, int64, int64) {
		var where string
		if err := s.view(t.Context(), func(c *conn) error { return c.row(`PRAGMA temp_store_directory`).Scan(&where) }); err != nil || where != dir {
			t.Errorf("sorted in %q, %v", where, err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.EndLoad(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	for _, f := range left {
		if !strings.HasPrefix(f.Name(), FileName) && f.Name() != "lock" {
			err = errors.Join(err, fmt.Errorf("%s is left", f.Name()))
		}
	}
	if err != nil {
		t.Error(err)
	}
}
