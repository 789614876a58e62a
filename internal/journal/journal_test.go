package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
)

const day = 24 * 3600 * 1000

func made(t *testing.T) *Journal {
	t.Helper()
	j, err := Create(Config{Path: filepath.Join(t.TempDir(), "facts.journal")}, "ins_a", "in_a")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func fact(n int64) core.JournalEntry {
	return core.JournalEntry{KeepUntil: n * day, Fact: &core.Fact{
		Number: n, Kind: core.FactUser, Subject: fmt.Sprintf("user %d <\n>", n), Spare: "s", Reason: "r", At: n, PurgeAt: n * 2,
	}}
}

func mark(n int64) core.JournalEntry {
	return core.JournalEntry{Mark: &core.JournalMark{Node: "nd_a", Sequence: n, Hash: [32]byte{1, byte(n)}, At: n}}
}

func note(s string, keep int64) core.JournalEntry {
	return core.JournalEntry{KeepUntil: keep, Note: &core.JournalNote{Kind: core.NoteKey, Subject: s, At: 5}}
}

func add(t *testing.T, j *Journal, entries ...core.JournalEntry) {
	t.Helper()
	if err := j.Append(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
}

func entries(t *testing.T, path string) (all []core.JournalEntry, st *core.JournalState) {
	t.Helper()
	st, err := Read(path, func(e *core.JournalEntry) error {
		all = append(all, *e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, st
}

// again closes and opens a journal.
func again(t *testing.T, j *Journal) *Journal {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, err := Open(j.cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func TestAppendAndRead(t *testing.T) {
	j := made(t)
	if got := j.State(); !reflect.DeepEqual(got, &core.JournalState{Installation: "ins_a", Incarnation: "in_a"}) {
		t.Fatalf("a new journal: %+v", got)
	}
	add(t, j, fact(3), fact(4))
	add(t, j, fact(3), fact(4)) // there already
	add(t, j, note("k1", day), mark(7))
	add(t, j, mark(8))
	j = again(t, j)
	add(t, j, mark(1000))
	add(t, j, fact(9))
	add(t, j, mark(2))
	want := []core.JournalEntry{fact(3), fact(4), note("k1", day), mark(7), mark(8), mark(1000), fact(9), mark(2)}
	got, st := entries(t, j.Path())
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v", got)
	}
	if st.Highest != 9 || st.Mark.Sequence != 2 || !reflect.DeepEqual(st, j.State()) || !reflect.DeepEqual(st, again(t, j).State()) {
		t.Fatalf("state %+v", st)
	}
	info, err := os.Stat(j.Path())
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != j.Size() {
		t.Fatalf("mode %v, size %d, said %d: %v", info.Mode(), info.Size(), j.Size(), err)
	}
}

// TestCutOff: wherever a crash cuts the last record, what was acknowledged is
// there, the rest is not, and writing goes on.
func TestCutOff(t *testing.T) {
	j := made(t)
	add(t, j, fact(1), fact(2))
	size := j.Size()
	add(t, j, fact(3))
	whole, err := os.ReadFile(j.Path())
	if err != nil {
		t.Fatal(err)
	}
	for n := size; n < int64(len(whole)); n++ {
		for _, tail := range []string{"", "\x00\x00\x00\x00", "\x00\n\x00\n"} {
			path := filepath.Join(t.TempDir(), "j")
			if err := os.WriteFile(path, append(bytes.Clone(whole[:n]), tail...), 0o600); err != nil {
				t.Fatal(err)
			}
			k, err := Open(Config{Path: path})
			if err != nil {
				t.Fatalf("cut after %d of %d bytes, then %q: %v", n, len(whole), tail, err)
			}
			if k.Highest() != 2 {
				t.Fatalf("cut after %d: highest %d", n, k.Highest())
			}
			add(t, k, fact(3))
			if err := k.Close(); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, whole) {
				t.Fatalf("cut after %d of %d: after mending the file is another", n, len(whole))
			}
		}
	}
}

// TestDamaged: a change, a lost or a moved line before the end is found.
func TestDamaged(t *testing.T) {
	j := made(t)
	for n := range int64(6) {
		add(t, j, fact(n+1))
	}
	whole, err := os.ReadFile(j.Path())
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	refused := func(what string, content []byte) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "j")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		var d *DamagedError
		if _, err := Read(path, nil); !errors.As(err, &d) {
			t.Errorf("%s: %v", what, err)
		}
		if k, err := Open(Config{Path: path}); err == nil {
			t.Errorf("%s: opened", what)
			_ = k.Close()
		}
	}
	for i := range len(whole) - len(lines[6]) - len(lines[5]) - 1 {
		changed := bytes.Clone(whole)
		changed[i] ^= 1
		if i < len(lines[0]) { // may be no journal at all by then
			if k, err := Open(Config{Path: writtenTo(t, changed)}); err == nil {
				t.Fatalf("byte %d of the header changed: opened, highest %d", i, k.Highest())
			}
			continue
		}
		refused(fmt.Sprintf("byte %d changed", i), changed)
	}
	refused("the last lines changed", bytes.ReplaceAll(whole, []byte(`"r":"r"`), []byte(`"r":"s"`)))
	refused("a line is missing", bytes.Join([][]byte{lines[0], lines[1], lines[3], lines[4], lines[5], lines[6]}, nil))
	refused("two lines changed places", bytes.Join([][]byte{lines[0], lines[2], lines[1], lines[3], lines[4], lines[5], lines[6]}, nil))
	for _, c := range []string{"", "SQLite format 3\x00", strings.Repeat("x", 100), "{}\n", "\n\n"} {
		if _, err := Open(Config{Path: writtenTo(t, []byte(c))}); err == nil || !strings.Contains(err.Error(), "no facts journal") {
			t.Errorf("%q: %v", c, err)
		}
	}
}

func writtenTo(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "j")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOneWriter(t *testing.T) {
	j := made(t)
	var used *InUseError
	if _, err := Open(Config{Path: j.Path()}); !errors.As(err, &used) {
		t.Fatalf("a second writer: %v", err)
	}
	// The lock goes with the file that takes the old one's place.
	if err := j.Adopt("in_b", 7); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Path: j.Path()}); !errors.As(err, &used) {
		t.Fatalf("a second writer after rewriting: %v", err)
	}
	if _, err := Create(Config{Path: j.Path()}, "ins_b", "in_b"); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("made over another: %v", err)
	}
	if _, err := Open(Config{Path: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("none: %v", err)
	}
	left, err := os.ReadDir(filepath.Dir(j.Path()))
	if err != nil || len(left) != 1 {
		t.Fatalf("left beside the journal: %v, %v", left, err)
	}
}

// TestPurge: what is over goes once the file has doubled, numbers are not
// forgotten, and the growth is bounded.
func TestPurge(t *testing.T) {
	j := made(t)
	var most int64
	n := int64(0)
	for range 40 {
		var some []core.JournalEntry
		for range 500 {
			n++
			e := fact(n)
			e.KeepUntil = n + 2000 // at any time the last 2000 count
			some = append(some, e)
		}
		add(t, j, append(some, mark(n))...)
		if err := j.Purge(n); err != nil {
			t.Fatal(err)
		}
		most = max(most, j.Size())
	}
	if most > 3<<20 {
		t.Fatalf("grew to %d bytes", most)
	}
	st := j.State()
	if st.Highest != n || st.Mark == nil || st.Mark.Sequence != n {
		t.Fatalf("state %+v", st)
	}
	got, st := entries(t, j.Path())
	if st.Highest != n || len(got) < 2001 || got[0].Fact.Number == 1 {
		t.Fatalf("%d entries from %d, highest %d", len(got), got[0].Fact.Number, st.Highest)
	}
	// All of it over: the header alone remembers the number.
	j.mu.Lock()
	err := j.rewrite(j.scan.header, func(*core.JournalEntry) bool { return false })
	j.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if j = again(t, j); j.Highest() != n {
		t.Fatalf("with all dropped the highest is %d", j.Highest())
	}
	add(t, j, fact(n), fact(n+1))
	if got, _ := entries(t, j.Path()); len(got) != 1 {
		t.Fatalf("%d entries", len(got))
	}
}

func TestAdopt(t *testing.T) {
	j := made(t)
	add(t, j, fact(1), note("k", day), mark(3))
	if err := j.Adopt("in_b", 7); err != nil {
		t.Fatal(err)
	}
	j = again(t, j)
	if got := j.State(); !reflect.DeepEqual(got, &core.JournalState{Installation: "ins_a", Incarnation: "in_b", Highest: 7}) {
		t.Fatalf("state %+v", got)
	}
	if got, _ := entries(t, j.Path()); !reflect.DeepEqual(got, []core.JournalEntry{fact(1), note("k", day)}) {
		t.Fatalf("entries %+v", got)
	}
	add(t, j, core.JournalEntry{Mark: &core.JournalMark{Facts: 20}})
	if j = again(t, j); j.Highest() != 20 {
		t.Fatalf("a mark says that 20 facts are in it, and the highest is %d", j.Highest())
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(t.Context(), []core.JournalEntry{fact(5)}); err == nil {
		t.Fatal("written after Close")
	}
}

// BenchmarkAppend is what a revocation pays for outliving its store.
func BenchmarkAppend(b *testing.B) {
	j, err := Create(Config{Path: filepath.Join(b.TempDir(), "j")}, "a", "b")
	if err != nil {
		b.Fatal(err)
	}
	n := int64(0)
	for b.Loop() {
		n++
		if err := j.Append(b.Context(), []core.JournalEntry{fact(n)}); err != nil {
			b.Fatal(err)
		}
	}
}
