package postgres

import (
	"errors"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/pgtest"
)

// awaitBallast lets the store bring its ballast back.
func awaitBallast(t *testing.T, s *Store) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		err := s.lookAtBallast(t.Context())
		if s.turnedAway() == nil && s.Stats().Ballast > 0 {
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("the ballast does not come: %v", err)
		}
	}
}

func revoke(t *testing.T, s *Store, sess *core.Session) error {
	t.Helper()
	_, err := s.RevokeSessions(t.Context(), &core.RevokeSessionsParams{
		ID: &sess.ID, Reason: "logout", Now: testNow, FactPurgeAt: testNow + 1, Event: core.Event{Kind: "logout", Subject: sess.Subject, Session: sess.ID.String()},
	})
	return err
}

// TestBallast: on a full disk everything is refused but what ends something,
// however much that is, and all goes on when there is room.
func TestBallast(t *testing.T) {
	pg, fill := smallDisk(t)
	if pg == pgtest.Start(t) {
		t.Skip("no small disk can be mounted here")
	}
	name, err := pg.CreateDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := openAt(t, Config{URL: pg.DSN(name), Serve: true, Ballast: 16 << 20})
	defer closing(t, s)
	u := person(t, s, "ada")
	awaitBallast(t, s)
	kept := opened(t, s, u)
	doomed := make([]*core.Session, 300)
	for i := range doomed {
		doomed[i] = opened(t, s, u)
	}
	free := fill(s)
	for n := 0; ; n++ { // until no page has room for one more
		_, err := s.OpenSession(t.Context(), &core.OpenSessionParams{
			Session: core.Session{ID: core.SessionID{Key: core.NewSessionKey()}, Mount: "m", RefreshExpires: testNow + 1<<40, CreatedAt: testNow, UserAgent: "somebody"},
			Gate:    core.Gate{SubjectKind: core.SubjectUser, Subject: u.ID, Version: 1, Account: "ac_default", AccountVersion: 1}, Now: testNow,
		})
		if err != nil {
			if core.CodeOf(err) != core.Unavailable {
				t.Fatalf("a login on a full disk: %v", err)
			}
			break
		}
		if n == 100_000 {
			t.Fatal("logins go on although the disk is full")
		}
	}
	for i, sess := range doomed {
		if err := revoke(t, s, sess); err != nil {
			t.Fatalf("revocation %d of %d on a full disk: %v", i+1, len(doomed), err)
		}
	}
	if sess, _, err := s.SessionByID(t.Context(), kept.ID); err != nil || sess.RevokedAt != 0 {
		t.Errorf("reading on a full disk: %+v, %v", sess, err)
	}
	if last := lastOf(t, s); last != int64(len(doomed)) {
		t.Errorf("%d revocations are heard of", last)
	}
	if s.turnedAway() == nil || s.WriteFault() == nil {
		t.Error("nobody is turned away")
	}
	if _, err := s.RefreshSession(t.Context(), moving1(kept, 0)); !errors.Is(err, errGivenUp) {
		t.Errorf("a refresh that would take room from revocations: %v", err)
	}
	command := openAt(t, Config{URL: pg.DSN(name), Ballast: 16 << 20})
	if err := command.MetaSet(t.Context(), &core.MetaSetParams{Name: "x", Value: "y", Now: testNow}); !errors.Is(err, errGivenUp) {
		t.Errorf("a command that would take room from revocations: %v", err)
	}
	closing(t, command)
	free()
	awaitBallast(t, s)
	if res, err := s.RefreshSession(t.Context(), moving1(kept, 0)); err != nil || !res.Verdict.Granted() {
		t.Errorf("a refresh when there is room again: %+v, %v", res, err)
	}
}

// TestNoRoomAtAll: a revocation that finds no room, not even where the ballast
// was, is refused. It is never acknowledged, and nothing of it is there.
func TestNoRoomAtAll(t *testing.T) {
	dsn := pgtest.Start(t).NewDatabase(t)
	cfg := Config{URL: dsn, Ballast: 1 << 20}
	s, other := openAt(t, cfg), openAt(t, cfg)
	defer closing(t, s)
	defer closing(t, other)
	awaitBallast(t, s)
	sess := opened(t, s, person(t, s, "ada"))
	run := func(sql string) {
		t.Helper()
		if _, err := s.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	run(`CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$`)
	run(`CREATE TRIGGER no_room BEFORE INSERT ON facts EXECUTE FUNCTION no_room()`)
	for range 2 {
		if err := revoke(t, s, sess); !errors.Is(err, core.ErrStoreUnavailable) || core.CodeOf(err) != core.Unavailable {
			t.Errorf("a revocation that cannot be written: %v", err)
		}
	}
	if row, _, err := s.SessionByID(t.Context(), sess.ID); err != nil || row.RevokedAt != 0 {
		t.Errorf("the session: %+v, %v", row, err)
	}
	if last := lastOf(t, s); last != 0 {
		t.Errorf("%d facts", last)
	}
	// Other nodes learn that the room is not theirs.
	var given int64
	err := other.view(t.Context(), func(c *conn) error { return c.row(`SELECT at FROM ballast_given_up`).Scan(&given) })
	if err != nil || given == 0 || s.Stats().Ballast != 0 {
		t.Errorf("the ballast was not given up: %d, %v", given, err)
	}
	if _, err := s.RefreshSession(t.Context(), moving1(sess, 0)); !errors.Is(err, errGivenUp) {
		t.Errorf("a refresh meanwhile: %v", err)
	}
	run(`DROP TRIGGER no_room ON facts`)
	if err := revoke(t, s, sess); err != nil {
		t.Errorf("with room: %v", err)
	}
	awaitBallast(t, other)
	if err := other.MetaSet(t.Context(), &core.MetaSetParams{Name: "x", Value: "y", Now: testNow}); err != nil {
		t.Errorf("with the ballast back: %v", err)
	}
}
