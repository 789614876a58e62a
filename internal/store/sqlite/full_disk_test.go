package sqlite

import (
	"bytes"
	"errors"
	cmdline "flag"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/storetest"
	lib "modernc.org/sqlite/lib"
)

var (
	fullSessions = cmdline.Int("full-sessions", 3000, "sessions that are ended on a full disk")
	fullBallast  = cmdline.Int64("full-ballast", 1<<20, "bytes of ballast on that disk")
)

func revokeOne(t *testing.T, s *Store, sess *core.Session) error {
	t.Helper()
	n, err := s.RevokeSessions(t.Context(), &core.RevokeSessionsParams{
		ID: &sess.ID, Reason: "logout", Now: testNow, FactPurgeAt: testNow + 1<<40,
		Event: core.Event{Kind: "logout", Subject: sess.Subject, Session: sess.ID.String()},
	})
	if err == nil && n != 1 {
		t.Errorf("a revocation ended %d sessions", n)
	}
	return err
}

// onSmallDisk opens a store with sessions on a small disk.
func onSmallDisk(t *testing.T, ballast int64, sessions int) (dir string, s *Store, live []*core.Session) {
	t.Helper()
	dir = t.TempDir()
	if err := storetest.MountSmallDisk(t, dir, "size=128m,mode=700"); err != nil {
		t.Skip("a small disk needs the right to mount:", err)
	}
	s, err := Open(t.Context(), Config{Dir: dir + "/data", Create: true, Now: testClock, Ballast: ballast})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closing(t, s) })
	return dir, s, fill(t, s, sessions)
}

// TestRevokingOnFullDisk: a small ballast is enough for thousands of
// revocations, whenever the log is carried over of itself, and nothing else
// gets the room that is made for them.
func TestRevokingOnFullDisk(t *testing.T) {
	t.Run("early", func(t *testing.T) { revokingOnFullDisk(t, 4000, *fullSessions/4) })
	t.Run("as usual", func(t *testing.T) { revokingOnFullDisk(t, autocheckpoint, *fullSessions) })
}

func revokingOnFullDisk(t *testing.T, pages, sessions int) {
	dir, s, live := onSmallDisk(t, *fullBallast, sessions)
	if err := s.checkpointEvery(t.Context(), pages); err != nil {
		t.Fatal(err)
	}
	free := storetest.FillDisk(t, dir)
	big := func() error {
		p := user(core.NewUUID())
		p.User.Attributes = []byte(`"` + strings.Repeat("x", 20_000) + `"`)
		_, err := s.CreateUser(t.Context(), p)
		return err
	}
	var err error
	for n := 0; err == nil && n < 20_000; n++ { // the log has room still
		err = big()
	}
	if !errors.Is(err, core.ErrStoreUnavailable) {
		t.Fatalf("on a full disk: %v", err)
	}
	began, size := time.Now(), s.Stats()
	many := len(live) * 3 / 4
	var wg sync.WaitGroup
	for w := range 250 { // in groups as large as they come
		wg.Go(func() {
			for i := w; i < many; i += 250 {
				if err := revokeOne(t, s, live[i]); err != nil {
					t.Errorf("one of many revocations on a full disk: %v", err)
				}
			}
		})
	}
	wg.Wait()
	for i, sess := range live[many:] {
		if err := revokeOne(t, s, sess); err != nil {
			t.Fatalf("revocation %d of %d on a full disk: %v", i+1, len(live)-many, err)
		}
		if i%100 == 0 {
			if err := big(); !errors.Is(err, core.ErrStoreUnavailable) {
				t.Fatalf("after revocation %d: an ordinary step on a full disk: %v", i+1, err)
			}
			if s.WriteFault() == nil {
				t.Errorf("after revocation %d: the store says that it can write", i+1)
			}
			if got, _, err := s.SessionByID(t.Context(), sess.ID); err != nil || got.RevokedAt == 0 {
				t.Fatalf("after revocation %d: reading: %+v, %v", i+1, got, err)
			}
		}
	}
	now := s.Stats()
	t.Logf("%d revocations in %v; the file grew by %d KiB, the log by %d of %d KiB; %d KiB are free", len(live), time.Since(began).Round(time.Millisecond),
		(now.SizeBytes-size.SizeBytes)>>10, (now.WALBytes-size.WALBytes)>>10, now.WALBytes>>10, freeBytes(s.path)>>10)
	free()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if err = big(); err == nil {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("once there is room: %v", err)
		}
	}
	if err := s.WriteFault(); err != nil {
		t.Errorf("once there is room: %v", err)
	}
	if s.Stats().Ballast != *fullBallast {
		t.Error("the ballast is not back")
	}
	facts, _, err := s.FactsSince(t.Context(), 0, 1_000_000)
	if err != nil || len(facts) != len(live) {
		t.Errorf("%d facts of %d revocations, %v", len(facts), len(live), err)
	}
}

// TestFullDiskDuringDump: the log is left alone then, and the ballast is what
// there is.
func TestFullDiskDuringDump(t *testing.T) {
	dir, s, live := onSmallDisk(t, 4<<20, 40)
	view, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	storetest.FillDisk(t, dir)
	_, before := logPages(t, s)
	for i, sess := range live {
		if err := revokeOne(t, s, sess); err != nil {
			t.Fatalf("revocation %d during a dump: %v", i+1, err)
		}
	}
	if pages, done := logPages(t, s); done != before || pages-done < len(live) {
		t.Errorf("of %d pages of log %d were carried over during a dump, and %d before", pages, done, before)
	}
	if err := view.Close(); err != nil && !errors.Is(err, core.ErrStoreUnavailable) {
		t.Fatal(err)
	}
	for _, sess := range live {
		if got, _, err := s.SessionByID(t.Context(), sess.ID); err != nil || got.RevokedAt == 0 {
			t.Fatalf("an ended session: %+v, %v", got, err)
		}
	}
}

func logPages(t *testing.T, s *Store) (pages, done int) {
	t.Helper()
	c, err := openConn(t.Context(), s.path, readerPragmas)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.close() }() // it only read
	if _, err := c.exec("SELECT count(*) FROM meta"); err != nil {
		t.Fatal(err)
	}
	if pages, done, err = c.checkpoint(lib.SQLITE_CHECKPOINT_NOOP); err != nil {
		t.Fatal(err)
	}
	return pages, done
}

// TestRefusalsAreCounted: failures make a line when they begin, one a second
// while they last, and one when they end.
func TestRefusalsAreCounted(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	var r refusals
	for i := range int64(2500) {
		r.note(log, testNow+i, 2, errClosed)
	}
	r.end(log)
	r.note(log, testNow+2501, 7, errClosed)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	want := []string{
		"steps=2 unsaid_transactions=0 unsaid_steps=0", "steps=2 unsaid_transactions=999 unsaid_steps=1998", "steps=2 unsaid_transactions=999 unsaid_steps=1998",
		`msg="store: writes work again" unsaid_transactions=499 unsaid_steps=998`, "steps=7 unsaid_transactions=0 unsaid_steps=0",
	}
	if len(lines) != len(want) {
		t.Fatalf("%d lines:\n%s", len(lines), out.String())
	}
	for i, line := range lines {
		if !strings.Contains(line, want[i]) {
			t.Errorf("line %d is %s, want %s", i+1, line, want[i])
		}
	}
}
