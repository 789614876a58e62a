package sqlite

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"os"
	"testing"
)

// write makes one commit of so many pages.
func write(tb testing.TB, s *Store, pages int) {
	tb.Helper()
	value := make([]byte, pages*4096)
	rand.Read(value) // what stands there already is not written again
	err := s.multi(tb.Context(), func(t *tx) error {
		_, err := t.exec(`INSERT INTO meta (name, value) VALUES ('test', CAST(? AS TEXT)) ON CONFLICT DO UPDATE SET value = excluded.value`, value)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// logOf is how often the log began anew, and how many pages its file has.
func logOf(tb testing.TB, s *Store) (turns uint32, pages int64) {
	tb.Helper()
	f, err := os.Open(s.path + "-wal")
	if err != nil {
		tb.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		tb.Fatal(err)
	}
	head := make([]byte, 16) // the last number in it is the one wanted
	if _, err := f.ReadAt(head, 0); err != nil {
		tb.Fatal(err)
	}
	if err := f.Close(); err != nil {
		tb.Fatal(err)
	}
	return binary.BigEndian.Uint32(head[12:]), info.Size() / 4096
}

// TestLogIsCarriedOver: beside the writer, again and again, so that the log
// begins anew before the writer would have to do all of it.
func TestLogIsCarriedOver(t *testing.T) {
	s := openAt(t, t.TempDir())
	defer closing(t, s)
	write(t, s, 1)
	for range 3 {
		before, _ := logOf(t, s)
		for range 9 {
			write(t, s, carryEvery/8)
		}
		for {
			write(t, s, 1) // the goroutine's time passes with the writer's commits
			turns, pages := logOf(t, s)
			if turns > before {
				break
			}
			if pages >= autocheckpoint-carryEvery {
				t.Fatalf("the log has %d pages, and nobody carries it over but the writer", pages)
			}
		}
	}
}

// TestDumpKeepsTheLog: what a dump reads stays in the log, and is not left to
// the writer to carry over at a stroke when the dump ends.
func TestDumpKeepsTheLog(t *testing.T) {
	s := openAt(t, t.TempDir())
	defer closing(t, s)
	view, err := s.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	write(t, s, 1)
	all, err := s.carryTwice()
	if err != nil || all {
		t.Errorf("beside a dump: all %v, error %v", all, err)
	}
	if err := view.Close(); err != nil {
		t.Fatal(err)
	}
	if all, err := s.carryTwice(); err != nil || !all {
		t.Errorf("after the dump: all %v, error %v", all, err)
	}
}
