package sqlite

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

// TestLogFitsSmallDisk: where little is free the log is carried over before it
// has filled the disk by itself.
func TestLogFitsSmallDisk(t *testing.T) {
	dir := t.TempDir()
	if err := storetest.MountSmallDisk(t, dir, "mode=700,size=40m"); err != nil {
		t.Skip("a small disk needs the right to mount:", err)
	}
	s, err := Open(t.Context(), Config{Dir: dir + "/data", Create: true, Now: testClock, Ballast: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, s)
	for i := range 1500 { // 66 MB of log
		if err := write(t, s, i); err != nil {
			t.Fatalf("write %d, with %d KiB free: %v", i+1, freeBytes(s.path)>>10, err)
		}
	}
	if free := freeBytes(s.path); free < 8<<20 {
		t.Errorf("only %d KiB are free", free>>10)
	}
}

// write writes some pages, always the same ones.
func write(t *testing.T, s *Store, i int) error {
	t.Helper()
	return s.MetaSet(t.Context(), &core.MetaSetParams{Name: "test", Value: strings.Repeat(string(rune('a'+i%26)), 40_000)})
}

// TestLogLength: what it is by is looked at with each commit, on a full disk
// too, so a dump that ends there leaves nothing behind.
func TestLogLength(t *testing.T) {
	s := openAt(t, t.TempDir())
	defer closing(t, s)
	check := func(when string, want int32) {
		t.Helper()
		if err := write(t, s, 0); err != nil {
			t.Fatal(err)
		}
		var got int64
		err := s.single(t.Context(), func(tx *tx) error { return tx.row("PRAGMA wal_autocheckpoint").Scan(&got) })
		if err != nil || got != int64(want) {
			t.Errorf("%s the log is carried over after %d pages, want %d: %v", when, got, want, err)
		}
	}
	if wantedLog(true, true, true) != 0 || wantedLog(false, true, true) != shortLog || wantedLog(false, false, true) != loadCheckpoint {
		t.Error("a dump comes before little room, and that before loading")
	}
	usual := wantedLog(false, freeBytes(s.path) < scarceRoom, false) // on this machine
	check("usually", usual)
	one, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	two, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	check("beside two dumps", 0)
	if err := one.Close(); err != nil {
		t.Error(err)
	}
	check("beside one dump", 0)
	_ = s.single(t.Context(), func(*tx) error { panic("this connection is in doubt") })
	check("on a new connection beside a dump", 0)
	ballastIs(s, &ballast{}) // gone: ordinary steps are turned away
	if err := two.Close(); err != nil {
		t.Errorf("a dump that ends on a full disk: %v", err)
	}
	ballastIs(s, nil)
	check("after the dumps", usual)
	if err := s.BeginLoad(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	if usual == autocheckpoint {
		check("while loading", loadCheckpoint)
	}
	if err := s.EndLoad(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	check("after loading", usual)
}

// ballastIs puts a ballast in the place of the store's.
func ballastIs(s *Store, b *ballast) {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	s.room.ballast = b
}

// TestBallastIsForEndings: ordinary steps that were handed over before the
// ballast was given up do not get the room it made, and one ending among others
// is tried alone when there is no ballast.
func TestBallastIsForEndings(t *testing.T) {
	s := openAt(t, t.TempDir())
	defer closing(t, s)
	ballastIs(s, &ballast{path: t.TempDir() + "/ballast", size: 1 << 60, held: true}) // there is never room for it again
	ordinary, vital := make(chan error, 1), make(chan error, 1)
	run := func(*tx) error { return nil }
	if !s.GiveUpBallast() {
		t.Fatal("the ballast was not given up")
	}
	s.queue <- &step{run: run, done: ordinary} // past submit, as one that waits
	s.queue <- &step{run: run, done: vital, vital: true}
	if err := <-ordinary; !errors.Is(err, core.ErrStoreUnavailable) {
		t.Errorf("an ordinary step that waited: %v", err)
	}
	if err := <-vital; err != nil {
		t.Errorf("one that ends something: %v", err)
	}
	batch := []*step{{vital: true}, {done: make(chan error, 1)}}
	rest, ok := s.salvage(&sqliteError{code: 13, text: "full"}, batch)
	if !ok || len(rest) != 1 || !rest[0].vital {
		t.Errorf("an ending among others, without ballast: %v, %v", rest, ok)
	}
	if _, ok := s.salvage(&sqliteError{code: 13, text: "full"}, rest); ok {
		t.Error("the same step would be tried for ever")
	}
}

// TestRefusalsSaidOnceASecond: thousands of refused transactions are few lines,
// and none of them is left out of the count.
func TestRefusalsSaidOnceASecond(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	var r refusals
	failed := errors.New("no room")
	for _, at := range []int64{5000, 5001, 5999, 6000, 6500, 100, 200} { // the clock is set back, too
		r.note(log, at, 2, failed)
	}
	r.end(log)
	for at := range int64(700) { // a disk on the brink
		r.note(log, 300+at, 2, failed) // the last line of these was at 100
		r.end(log)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines:\n%s", len(lines), out.String())
	}
	for i, want := range []string{
		"unsaid_transactions=0 unsaid_steps=0", "unsaid_transactions=2 unsaid_steps=4", "unsaid_transactions=1 unsaid_steps=2", "unsaid_transactions=1 unsaid_steps=2",
	} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %d is %q, want %s", i+1, lines[i], want)
		}
	}
}
