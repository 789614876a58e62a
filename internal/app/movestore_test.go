package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/dump"
	"github.com/sallyport/sallyport/internal/store/pgtest"
)

// TestMoveStore moves a store with logged-in clients to PostgreSQL and back.
// None notices; the store left behind is refused.
func TestMoveStore(t *testing.T) {
	pg := pgtest.Start(t)
	h, dsn := newHouse(t), pg.NewDatabase(t)
	s, stop := h.serve(h.dir, "")
	c := s.settle()
	s.carry10s(c)
	if _, err := h.move(h.dir, dsn); !app.InUse(err) {
		t.Fatalf("a store that is served is moved: %v", err)
	}
	facts := lastFact(t, s)
	stop()

	r, err := h.move("sqlite:"+h.dir, dsn)
	if err != nil {
		t.Fatal(err)
	}
	if r.Resumed || r.Rows < 30 || len(r.Tables) != len(dump.Tables()) || r.MasterKey == "" {
		t.Errorf("the report says %+v", r)
	}
	secret, _ := url.Parse(dsn)
	if pw, _ := secret.User.Password(); strings.Contains(fmt.Sprintf("%+v", r), pw) {
		t.Error("the report has the password of the database")
	}
	h.refuses(h.dir, "", "was moved to postgres://", "migrate-store --undo --from sqlite:"+h.dir)
	var moved *core.MovedError
	if _, err := h.move(h.dir, dsn); !errors.As(err, &moved) {
		t.Errorf("a store that was moved is moved again: %v", err)
	}

	// The same directory: its facts journal knows the store.
	s, stop = h.serve(h.dir, dsn)
	s.carry10s(c)
	s.auditWhole()
	// Numbers go on above those that were copied.
	ended := s.itempathLogin("scanner")
	_, claim := claims(t, ended.text("accessToken"))
	s.act("/sessions/revoke", map[string]any{"session": claim["sid"]})
	s.do("GET", "/api/stations", ended.text("accessToken"), nil).want(401, "")
	if now := lastFact(t, s); now <= facts {
		t.Errorf("facts end at %d, and ended at %d before the move", now, facts)
	}
	if _, err := h.move(dsn, "sqlite:"+filepath.Join(t.TempDir(), "back")); err == nil || !strings.Contains(err.Error(), "is being served, by ") {
		t.Fatalf("a database that is served is moved: %v", err)
	}
	// A second node elsewhere, without a journal.
	other, stopOther := h.serve(filepath.Join(t.TempDir(), "other"), dsn)
	other.do("GET", "/api/stations", c.appToken, nil).want(200, "")
	stopOther()
	stop()

	// And back, into another directory.
	back := filepath.Join(t.TempDir(), "back")
	if _, err := h.move(dsn, "sqlite:"+back); err != nil {
		t.Fatal(err)
	}
	h.refuses(h.dir, dsn, "was moved to sqlite:"+back)
	s, stop = h.serve(back, "")
	s.carry10s(c)
	s.do("GET", "/api/stations", ended.text("accessToken"), nil).want(401, "")
	s.do("POST", "/api/users/refresh", ended.text("refreshToken"), nil).want(401, "")
	s.auditWhole()
	stop()
}

// TestMoveTargets: what a store is not moved into.
func TestMoveTargets(t *testing.T) {
	pg := pgtest.Start(t)
	h := newHouse(t)
	s, stop := h.serve(h.dir, "")
	s.user("", "scanner", "application")
	stop()
	full := newHouse(t)
	_, stopFull := full.serve(full.dir, "")
	stopFull()
	for to, words := range map[string]string{
		"sqlite:" + full.dir:                  "the store is not empty",
		h.dir:                                 "into itself",
		"mysql://root@localhost/x":            `no stores in "mysql"`,
		"postgres://secret:pw@localhost":      "names no database",
		"":                                    "empty name",
		filepath.Join(h.dir, "facts.journal"): "is no data directory",
	} {
		_, err := h.move(h.dir, to)
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("moving to %q: %v, want %q", to, err, words)
		}
		if err != nil && strings.Contains(err.Error(), "pw@") {
			t.Errorf("%q has the password", err)
		}
	}
	if _, err := h.move(filepath.Join(t.TempDir(), "none"), pg.NewDatabase(t)); err == nil || !strings.Contains(err.Error(), "there is no store in") {
		t.Errorf("moving what is not there: %v", err)
	}
	// All of these left the source as it was.
	_, stop = h.serve(h.dir, "")
	stop()
}

// TestUndoMove: a move that was not used is undone for nothing; one that was
// must be confirmed, so that no revoked token comes back.
func TestUndoMove(t *testing.T) {
	pg := pgtest.Start(t)
	h, dsn := newHouse(t), pg.NewDatabase(t)
	s, stop := h.serve(h.dir, "")
	s.user("", "scanner", "application")
	a := s.itempathLogin("scanner")
	stop()
	if _, err := h.undo(h.dir, "", false); err == nil || !strings.Contains(err.Error(), "was not moved") {
		t.Fatalf("undoing nothing: %v", err)
	}
	if _, err := h.move(h.dir, dsn); err != nil {
		t.Fatal(err)
	}
	if _, err := h.undo(h.dir, "", false); !errors.Is(err, app.ErrUsedSince) {
		t.Fatalf("undone without asking the target: %v", err)
	}
	r, err := h.undo(h.dir, dsn, false)
	if err != nil || r.Confirm || !r.TargetShut {
		t.Fatalf("undoing a move whose target was not used: %+v, %v", r, err)
	}
	h.refuses(h.dir, dsn, "was moved to sqlite:")
	s, stop = h.serve(h.dir, "")
	s.do("POST", "/api/users/refresh", a.text("refreshToken"), nil).want(200, "")
	stop()

	second := pg.NewDatabase(t)
	if _, err := h.move(h.dir, second); err != nil {
		t.Fatal(err)
	}
	s, stop = h.serve(h.dir, second)
	_, claim := claims(t, a.text("accessToken"))
	s.act("/sessions/revoke", map[string]any{"session": claim["sid"]})
	stop()
	if _, err := h.undo(h.dir, second, false); !errors.Is(err, app.ErrUsedSince) {
		t.Fatalf("undone although the target was used: %v", err)
	}
	if r, err = h.undo(h.dir, second, true); err != nil || !r.Confirm || !r.TargetShut {
		t.Fatalf("undoing with force: %+v, %v", r, err)
	}
	h.refuses(h.dir, second, "was moved to")
	h.refuses(h.dir, "", "restored or copied", "brought back after that was used")
	if _, err := app.ConfirmRestore(t.Context(), h.config(h.dir, ""), h.options(), app.ConfirmOptions{}); err != nil {
		t.Fatal(err)
	}
	s, stop = h.serve(h.dir, "")
	s.do("POST", "/api/users/refresh", a.text("refreshToken"), nil).want(401, "")
	stop()
}

// TestMoveOlderCopy: a copy of the source from before the move is found out
// beside the journal that went on with the target.
func TestMoveOlderCopy(t *testing.T) {
	pg := pgtest.Start(t)
	h, dsn := newHouse(t), pg.NewDatabase(t)
	s, stop := h.serve(h.dir, "")
	s.user("", "scanner", "application")
	stop()
	file := filepath.Join(h.dir, "sallyport.db")
	copied, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.move(h.dir, dsn); err != nil {
		t.Fatal(err)
	}
	s, stop = h.serve(h.dir, dsn)
	a := s.itempathLogin("scanner")
	_, claim := claims(t, a.text("accessToken"))
	s.act("/sessions/revoke", map[string]any{"session": claim["sid"]})
	stop()
	if err := os.WriteFile(file, copied, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, log := range []string{"-wal", "-shm"} {
		_ = os.Remove(file + log) // mostly not there
	}
	h.refuses(h.dir, "", "restored or copied")
}

// moveEnv holds the moveOrder of a process that moves a store and dies.
const moveEnv = "SALLYPORT_TEST_MOVE"

type moveOrder struct {
	Dir, From, To string
	Passed        []string // die before the first step that is none of these
}

// moveAndDie is the process.
func moveAndDie(text string) error {
	var o moveOrder
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	cfg, err := config.Load(config.Options{Environ: []string{}, Flags: config.Flags{"data": {o.Dir}}})
	if err != nil {
		return err
	}
	_, err = app.MoveStore(context.Background(), cfg, app.Options{Version: "test", Stderr: io.Discard, Now: func() int64 { return start }}, app.MoveDying(o.From, o.To, o.Passed))
	return err
}

// TestMoveKilled kills the process before each step of a move, one step further
// each time, until it comes to its end. At no time can both stores be served,
// and at the end nothing is missing.
func TestMoveKilled(t *testing.T) {
	pg := pgtest.Start(t)
	h, dsn := newHouse(t), pg.NewDatabase(t)
	s, stop := h.serve(h.dir, "")
	c := s.settle()
	s.pass(10 * time.Second)
	stop()
	var steps []string
	for {
		killed, step := runAndDie(t, moveEnv, moveOrder{Dir: h.dir, From: h.dir, To: dsn, Passed: steps})
		if !killed {
			break
		}
		if steps = append(steps, step); step == "note" {
			continue // nothing has happened yet
		}
		h.refuses(h.dir, "", "is being moved to postgres://")
		if step != "done" {
			h.refusesLoading(dsn)
		}
	}
	t.Logf("killed before: %s", strings.Join(steps, ", "))
	for _, want := range []string{"note", "shut", "begin", "rows of sessions", "ending", "end", "done"} {
		if !slices.Contains(steps, want) {
			t.Errorf("it was never killed before %q", want)
		}
	}
	h.refuses(h.dir, "", "was moved to postgres://")
	s, stop = h.serve(h.dir, dsn)
	s.carryOn(c, 1)
	s.auditWhole()
	stop()
}
