package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
)

func user(name string) *core.CreateUserParams {
	return &core.CreateUserParams{Now: testNow, User: core.User{
		ID: core.NewUUID(), Account: "ac_default", Type: core.TypeUser, State: core.Active, Username: name, UsernameCanon: name, Version: 1,
	}}
}

func closing(tb testing.TB, s *Store) {
	tb.Helper()
	if err := s.Close(); err != nil {
		tb.Errorf("closing: %v", err)
	}
}

func TestOpenCreatesPrivately(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a?b#c d%20", "data")
	s := openAt(t, dir)
	defer closing(t, s)
	if !s.Created() {
		t.Error("a new store says it was there before")
	}
	if _, err := s.CreateUser(t.Context(), user("ada")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{".": 0o700, FileName: 0o600, FileName + "-wal": 0o600, FileName + "-shm": 0o600, "lock": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := openAt(t, dir)
	defer closing(t, again)
	if again.Created() {
		t.Error("an existing store says it is new")
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(t.Context(), Config{Dir: dir, Now: testClock}); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("an empty directory without Create: %v", err)
	}
	if _, err := Open(t.Context(), Config{Dir: dir, Create: true}); err == nil {
		t.Error("opened without a clock")
	}
	if err := os.WriteFile(filepath.Join(dir, FileName), []byte(strings.Repeat("this is no database. ", 300)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Dir: dir, Now: testClock}); err == nil {
		t.Error("opened a file that is no database")
	}
}

func TestSecondProcessIsTurnedAway(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir)
	defer closing(t, s)
	// flock is held by the open file, so a second Open meets it in one process too.
	_, err := Open(t.Context(), Config{Dir: dir, Create: true, Now: testClock})
	var used *InUseError
	if !errors.As(err, &used) || used.Dir != dir || used.PID != os.Getpid() {
		t.Fatalf("second Open: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	closing(t, openAt(t, dir))
}

// TestPragmas: every connection is as promised, and one that is not is refused.
func TestPragmas(t *testing.T) {
	s := openAt(t, t.TempDir())
	defer closing(t, s)
	check := func(c *conn, pragmas []pragma) error {
		for _, p := range pragmas {
			var got string
			if err := c.row("PRAGMA " + p.name).Scan(&got); err != nil {
				return err
			}
			if got != p.want {
				t.Errorf("PRAGMA %s is %s, want %s", p.name, got, p.want)
			}
		}
		return nil
	}
	if err := s.single(t.Context(), func(tx *tx) error { return check(tx.conn, writerPragmas) }); err != nil {
		t.Fatal(err)
	}
	err := s.view(t.Context(), func(c *conn) error {
		if err := check(c, readerPragmas); err != nil {
			return err
		}
		if _, err := c.exec(`DELETE FROM meta`); err == nil {
			t.Error("a reader can write")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = openConn(t.Context(), s.path, []pragma{{"synchronous", "full", "3"}})
	if err == nil || !strings.Contains(err.Error(), "synchronous") {
		t.Errorf("a connection that is not as asked for: %v", err)
	}
}

// TestNewerSchema: N-1 beside N.
func TestNewerSchema(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir)
	err := s.multi(t.Context(), func(tx *tx) error {
		_, err := tx.exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	closing(t, s)
	s = openAt(t, dir) // usable since schema 1, says the store
	if err := s.MetaSet(t.Context(), &core.MetaSetParams{Name: "schema_usable_since", Value: "9000", Now: testNow}); err != nil {
		t.Fatal(err)
	}
	closing(t, s)
	_, err = Open(t.Context(), Config{Dir: dir, Now: testClock})
	if err == nil || !strings.Contains(err.Error(), "9000") || !strings.Contains(err.Error(), "9999") {
		t.Fatalf("a store that needs a newer binary: %v", err)
	}
}

// TestDiskFull: a full disk refuses what it cannot keep, keeps what it
// acknowledged, goes on reading, and works again once there is room.
func TestDiskFull(t *testing.T) {
	s := openAt(t, t.TempDir())
	defer closing(t, s)
	ctx := t.Context()
	kept := user("kept")
	if _, err := s.CreateUser(ctx, kept); err != nil {
		t.Fatal(err)
	}
	limitPages(t, s, 1) // SQLite lowers it no further than the file's size
	var full error
	for i := 0; full == nil && i < 1000; i++ {
		p := user(core.NewID(""))
		p.User.Attributes = []byte(`"` + strings.Repeat("x", 8000) + `"`)
		_, full = s.CreateUser(ctx, p)
		if full == nil {
			kept = p
		}
	}
	if !errors.Is(full, core.ErrStoreUnavailable) {
		t.Fatalf("on a full disk: %v", full)
	}
	if _, err := s.UserByID(ctx, kept.User.ID); err != nil {
		t.Fatalf("reading on a full disk: %v", err)
	}
	limitPages(t, s, 1<<30)
	p := user("later")
	p.User.Attributes = []byte(`"` + strings.Repeat("x", 8000) + `"`)
	if _, err := s.CreateUser(ctx, p); err != nil {
		t.Fatalf("once there is room: %v", err)
	}
	records, err := s.ListAudit(ctx, core.AuditQuery{Limit: 1000})
	if err == nil {
		err = core.VerifyChain(records)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func limitPages(t *testing.T, s *Store, n int) {
	t.Helper()
	err := s.single(t.Context(), func(tx *tx) error {
		var got int
		return tx.row("PRAGMA max_page_count=" + strconv.Itoa(n)).Scan(&got)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestPanicAndDoubt: what leaves a transaction in doubt is undone, and the
// store goes on.
func TestPanicAndDoubt(t *testing.T) {
	s := openAt(t, t.TempDir())
	defer closing(t, s)
	ctx := t.Context()
	err := s.single(ctx, func(tx *tx) error {
		if _, err := tx.exec(`DELETE FROM meta`); err != nil {
			return err
		}
		panic("half-way")
	})
	if !errors.Is(err, core.ErrStoreUnavailable) {
		t.Fatalf("a panic in a step: %v", err)
	}
	if _, err := s.MetaGet(ctx, core.MetaNode); err != nil {
		t.Fatalf("half a step was kept: %v", err)
	}
	// Nor is a statement left under way, which nobody could run again.
	const query = `SELECT name FROM meta`
	begin := func(c *conn) *stmt {
		st, err := c.stmt(query)
		if err == nil {
			err = st.start(nil)
		}
		if err == nil {
			_, err = st.step()
		}
		if err != nil {
			t.Errorf("a statement after a panic: %v", err)
		}
		return st
	}
	for range 2 {
		if err := s.single(ctx, func(tx *tx) error { begin(tx.conn); panic("half-way") }); !errors.Is(err, core.ErrStoreUnavailable) {
			t.Fatalf("a panic in a step: %v", err)
		}
	}
	for range 2 * cap(s.readers) {
		func() {
			defer func() { _ = recover() }()
			_ = s.snapshot(ctx, func(c *conn) error { begin(c); panic("half-way") })
		}()
	}
	eve := user("eve")
	if _, err := s.CreateUser(ctx, eve); err != nil {
		t.Fatal(err)
	}
	for range cap(s.readers) {
		if _, err := s.UserByID(ctx, eve.User.ID); err != nil {
			t.Fatalf("a reader stayed behind after a panic: %v", err)
		}
	}
	// A connection that cannot begin a transaction is replaced. The writer is
	// idle between two steps, so its connection may be touched here.
	if _, err := s.writer.exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.writer.exec("DELETE FROM meta"); err != nil {
		t.Fatal(err)
	}
	broken := s.writer
	if _, err := s.CreateUser(ctx, user("ada")); err != nil {
		t.Fatalf("after the connection was replaced: %v", err)
	}
	if s.writer == broken {
		t.Error("the connection was not replaced")
	}
	if _, err := s.MetaGet(ctx, core.MetaNode); err != nil {
		t.Errorf("what the broken connection had open was kept: %v", err)
	}
}

// TestBatch: steps that wait together are committed together, a failing one
// undoes itself alone, and one that puts the transaction in doubt fails all.
func TestBatch(t *testing.T) {
	s := openAt(t, t.TempDir())
	defer closing(t, s)
	insert := func(name string, after error) *step {
		return &step{many: true, done: make(chan error, 1), run: func(tx *tx) error {
			tx.audit(testNow, core.Event{Kind: name})
			for _, part := range []string{name, name + "2"} {
				if _, err := tx.exec(`INSERT INTO meta (name, value) VALUES (?, '')`, part); err != nil {
					return err
				}
			}
			return after
		}}
	}
	there := func(name string) bool {
		_, err := s.MetaGet(t.Context(), name)
		return err == nil
	}
	run := func(batch ...*step) []error {
		// The writer is kept busy while the steps line up behind it.
		var errs []error
		began, hold, held := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		go func() {
			held <- s.single(context.Background(), func(*tx) error { close(began); <-hold; return nil })
		}()
		<-began
		for _, st := range batch {
			s.queue <- st
		}
		close(hold)
		if err := <-held; err != nil {
			t.Fatal(err)
		}
		for _, st := range batch {
			errs = append(errs, <-st.done)
		}
		return errs
	}
	errs := run(insert("a", nil), insert("b", core.ErrStale), insert("c", nil))
	if errs[0] != nil || !errors.Is(errs[1], core.ErrStale) || errs[2] != nil || !there("a2") || there("b") || there("b2") || !there("c") {
		t.Fatalf("one of three fails: %v", errs)
	}
	errs = run(insert("d", nil), insert("a", nil), insert("e", nil))
	if errs[0] != nil || !errors.Is(errs[1], core.ErrStoreUnavailable) || errs[2] != nil || !there("d") || !there("e") {
		t.Fatalf("one of three breaks a constraint: %v", errs)
	}
	errs = run(insert("f", nil), insert("g", errDoubt), insert("h", nil))
	for _, err := range errs {
		if !errors.Is(err, core.ErrStoreUnavailable) {
			t.Fatalf("doubt: %v", errs)
		}
	}
	if there("f") || there("g") || there("h") {
		t.Fatal("something of a failed transaction remains")
	}
	records, err := s.ListAudit(t.Context(), core.AuditQuery{})
	if err != nil || core.VerifyChain(records) != nil {
		t.Fatal(err, core.VerifyChain(records))
	}
	var kinds []string
	for _, r := range records {
		kinds = append(kinds, r.Event.Kind)
	}
	if got := strings.Join(kinds, " "); got != "a c d e" {
		t.Fatalf("audited %q", got)
	}
}

// BenchmarkOpen is the store's part of the start-up time, with data.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s := openAt(b, dir)
	fill(b, s, 1000)
	closing(b, s)
	for b.Loop() {
		closing(b, openAt(b, dir))
	}
}
