package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/pgtest"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

// ownServer runs a server that a test may harm.
func ownServer(t *testing.T, settings map[string]string) (pg *pgtest.Server, dsn string) {
	t.Helper()
	pgtest.Start(t) // skips where there is none
	pg, err := pgtest.Run(t.Context(), pgtest.Config{Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pg.Close(); err != nil {
			t.Error(err)
		}
	})
	name, err := pg.CreateDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return pg, pg.DSN(name)
}

func person(t *testing.T, s *Store, name string) *core.User {
	t.Helper()
	u, err := s.CreateUser(t.Context(), &core.CreateUserParams{Now: testNow, User: core.User{
		ID: core.NewUUID(), Account: "ac_default", Type: core.TypeUser, State: core.Active, Username: name, UsernameCanon: name, Version: 1,
	}})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

var rotation = core.Rotation{Rotates: true, GraceMS: 120_000, IdleMS: 1 << 40}

func opened(tb testing.TB, s *Store, u *core.User) *core.Session {
	tb.Helper()
	res, err := s.OpenSession(tb.Context(), &core.OpenSessionParams{
		Session: core.Session{
			ID: core.SessionID{Key: core.NewSessionKey()}, Mount: "m", Credential: "password", Issuer: 1, RefreshKey: "k",
			RefreshExpires: testNow + 1<<40, CreatedAt: testNow, LastUsedAt: testNow, Moves: [core.MovesKept]int64{testNow}, Rotates: true, GraceMS: 120_000, IdleMS: 1 << 40,
		},
		Gate: core.Gate{SubjectKind: core.SubjectUser, Subject: u.ID, Version: 1, Account: "ac_default", AccountVersion: 1},
		Now:  testNow,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return res.Session
}

func moving1(s *core.Session, generation int64) *core.RefreshParams {
	return &core.RefreshParams{ID: s.ID, Mount: "m", Presented: generation, PresentedAt: testNow, Policy: rotation, RefreshKey: "k2", FactPurgeAt: testNow, Now: testNow + generation}
}

// TestServerKilled kills the server under load, again and again: nothing that
// was acknowledged is missing.
func TestServerKilled(t *testing.T) {
	pg, dsn := ownServer(t, nil)
	s := openAt(t, Config{URL: dsn, Serve: true})
	defer closing(t, s)
	record, err := os.Create(filepath.Join(t.TempDir(), "acknowledged"))
	if err != nil {
		t.Fatal(err)
	}
	defer record.Close()
	for round := range 3 {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- storetest.Load(ctx, s, fmt.Sprint(round), 8, record) }()
		before := written(t, record)
		for began := time.Now(); written(t, record) == before && time.Since(began) < time.Minute; { // on a busy machine it takes a while
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(time.Duration(100+200*round) * time.Millisecond)
		if err := pg.Stop(pgtest.Immediate); err != nil {
			t.Fatal(err)
		}
		if err := <-done; core.CodeOf(err) != core.Unavailable { // of whoever failed first
			t.Errorf("without a server a step says %v", err)
		}
		stop()
		if err := pg.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := record.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		n, err := storetest.Check(t.Context(), s, record) // on the store that lived through it
		if err != nil || n == 0 {
			t.Fatalf("after kill %d: %d lines, %v", round+1, n, err)
		}
	}
}

func written(t *testing.T, f *os.File) int64 {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// TestConnectionsKilled ends connections under refreshes: whoever repeats what
// failed goes on with the same chain.
func TestConnectionsKilled(t *testing.T) {
	pg, dsn := ownServer(t, nil)
	s := openAt(t, Config{URL: dsn})
	defer closing(t, s)
	u := person(t, s, "ada")
	var over atomic.Bool
	var harmed atomic.Int64
	var clients sync.WaitGroup
	for range 8 {
		sess := opened(t, s, u)
		clients.Go(func() {
			for g := int64(0); !over.Load(); g++ {
				for tries := 0; ; tries++ {
					res, err := s.RefreshSession(t.Context(), moving1(sess, g))
					if err == nil {
						if res.Session.Generation != g+1 || !res.Verdict.Granted() {
							t.Errorf("generation %d: %s, %d", g, res.Verdict, res.Session.Generation)
							return
						}
						break
					}
					harmed.Add(1)
					if core.CodeOf(err) != core.Unavailable || tries == 100 {
						t.Errorf("generation %d: %v", g, err)
						return
					}
				}
			}
		})
	}
	for range 30 {
		time.Sleep(20 * time.Millisecond)
		err := pg.Exec(t.Context(), "postgres", `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 't%'`)
		if err != nil {
			t.Fatal(err)
		}
	}
	over.Store(true)
	clients.Wait()
	t.Logf("%d refreshes failed and were repeated", harmed.Load())
}

// TestUnsynced: a server that gives up waiting for its standby says so by a
// warning alone. Nothing is then acknowledged, not even by who finds it done.
func TestUnsynced(t *testing.T) {
	pg, dsn := ownServer(t, nil)
	s := openAt(t, Config{URL: dsn, StatementTimeout: time.Second})
	defer closing(t, s)
	u := person(t, s, "ada")
	kept, ended := opened(t, s, u), opened(t, s, u)
	awaitStandby(t, pg, s, "nobody")
	_, err := s.RefreshSession(t.Context(), moving1(kept, 0))
	if !errors.Is(err, core.ErrUnknownOutcome) {
		t.Errorf("a refresh that is on no standby: %v", err)
	}
	for range 2 { // the second time there is nothing left to end
		n, err := s.RevokeSessions(t.Context(), &core.RevokeSessionsParams{ID: &ended.ID, Reason: "logout", Now: testNow})
		if !errors.Is(err, core.ErrUnknownOutcome) {
			t.Errorf("a revocation that is on no standby: %d, %v", n, err)
		}
	}
	awaitStandby(t, pg, s, "")
	res, err := s.RefreshSession(t.Context(), moving1(kept, 0))
	if err != nil || res.Session.Generation != 1 || !res.Verdict.Granted() {
		t.Errorf("repeated: %+v, %v", res, err)
	}
	if n, err := s.RevokeSessions(t.Context(), &core.RevokeSessionsParams{ID: &ended.ID, Now: testNow}); err != nil || n != 0 {
		t.Errorf("repeated: %d, %v", n, err)
	}
	if last := lastOf(t, s); last != 1 {
		t.Errorf("%d facts", last)
	}
}

// TestCutOff: a node whose writes are not confirmed hears nothing, though it
// could read; it may be on a primary that is none any more.
func TestCutOff(t *testing.T) {
	pg, dsn := ownServer(t, nil)
	s := openAt(t, Config{URL: dsn, Serve: true, StatementTimeout: time.Second})
	defer closing(t, s)
	lastOf(t, s)
	if err := pg.Configure(map[string]string{"synchronous_standby_names": "'nobody'"}); err != nil {
		t.Fatal(err)
	}
	if err := pg.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		_, _, err := s.FactsSince(t.Context(), 0, 1)
		if errors.Is(err, core.ErrStoreUnavailable) || errors.Is(err, core.ErrUnknownOutcome) {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatal("facts are heard from a server that confirms nothing")
		}
	}
}

// TestPromoted: a standby that is promoted may have lost the latest facts.
// Later ones are numbered beyond all that anybody can have heard.
func TestPromoted(t *testing.T) {
	pg, dsn := ownServer(t, nil)
	standby, err := pg.Standby(t.Context(), "", "b")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := standby.Close(); err != nil {
			t.Error(err)
		}
	}()
	s := openAt(t, Config{URL: dsn})
	for range 3 {
		fact(t, s)
	}
	name := dsn[strings.LastIndexByte(dsn, '/')+1 : strings.IndexByte(dsn, '?')]
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if standby.Exec(t.Context(), name, `DO $$ BEGIN IF (SELECT last FROM fact_counter) < 3 THEN RAISE EXCEPTION 'not yet'; END IF; END $$`) == nil {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatal("the standby does not follow")
		}
	}
	closing(t, s)
	if err := pg.Stop(pgtest.Immediate); err != nil {
		t.Fatal(err)
	}
	// A standby is no place to decide anything.
	if other, err := Open(t.Context(), Config{URL: standby.DSN(name), Now: testClock}); err == nil {
		closing(t, other)
		t.Fatal("a store was opened on a standby")
	}
	if err := standby.Exec(t.Context(), "postgres", `SELECT pg_promote(true, 60)`); err != nil {
		t.Fatal(err)
	}
	after := openAt(t, Config{URL: standby.DSN(name), Serve: true})
	defer closing(t, after)
	if last := lastOf(t, after); last < 3 {
		t.Errorf("facts were lost: %d", last)
	}
	after.proof.at.Store(0)
	if last := lastOf(t, after); last != 3+factLeap {
		t.Errorf("the last fact is %d after the promotion, want %d", last, 3+factLeap)
	}
	if n := fact(t, after); n != 4+factLeap {
		t.Errorf("the next fact is %d", n)
	}
}

// TestHostsInTurn: of several servers in the URL the primary is found.
func TestHostsInTurn(t *testing.T) {
	pg, dsn := ownServer(t, nil)
	standby, err := pg.Standby(t.Context(), "", "b")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := standby.Close(); err != nil {
			t.Error(err)
		}
	}()
	both := strings.Replace(dsn, fmt.Sprintf("127.0.0.1:%d", pg.Port), fmt.Sprintf("127.0.0.1:%d,127.0.0.1:%d", standby.Port, pg.Port), 1)
	s := openAt(t, Config{URL: both})
	defer closing(t, s)
	fact(t, s)
}

// TestLockedRow: a refresh does not wait for ever for a row that somebody
// holds, and holds up no neighbour for longer than the limit.
func TestLockedRow(t *testing.T) {
	_, dsn := ownServer(t, nil)
	s := openAt(t, Config{URL: dsn, LockTimeout: 200 * time.Millisecond})
	defer closing(t, s)
	u := person(t, s, "ada")
	held, other := opened(t, s, u), opened(t, s, u)
	locked, release, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- s.multi(t.Context(), func(tx *tx) error {
			_, _, err := tx.lockSession(held.ID.Key, `FOR UPDATE`)
			close(locked)
			<-release
			return err
		})
	}()
	<-locked
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := s.RefreshSession(t.Context(), moving1(held, 0)); core.CodeOf(err) != core.Unavailable {
			t.Errorf("a row that is held: %v", err)
		}
	})
	wg.Go(func() {
		if res, err := s.RefreshSession(t.Context(), moving1(other, 0)); err != nil || res.Verdict != core.RefreshMoved {
			t.Errorf("its neighbour: %+v, %v", res, err)
		}
	})
	wg.Wait()
	close(release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if res, err := s.RefreshSession(t.Context(), moving1(held, 0)); err != nil || res.Verdict != core.RefreshMoved {
		t.Errorf("afterwards: %+v, %v", res, err)
	}
}

// TestUnwanted: servers and databases that cannot keep the promises are
// refused, with words that say what to do and without the password.
func TestUnwanted(t *testing.T) {
	pg, dsn := ownServer(t, nil)
	refused := func(cfg Config, want string) {
		t.Helper()
		cfg.Now = testClock
		s, err := Open(t.Context(), cfg)
		if err == nil {
			closing(t, s)
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), pg.Password) {
			t.Errorf("%s: %v", want, err)
		}
		if sqlState(err) != "" && strings.Contains(err.Error(), core.ErrStoreUnavailable.Error()) {
			t.Errorf("a server that answers is said not to: %v", err)
		}
	}
	for _, c := range [][2]string{{"synchronous_commit = off", "synchronous_commit is off"}, {"default_transaction_isolation = 'serializable'", "read committed"}} {
		name, _, _ := strings.Cut(c[0], " ")
		if err := pg.Exec(t.Context(), "postgres", `ALTER ROLE sallyport SET `+c[0]); err != nil {
			t.Fatal(err)
		}
		refused(Config{URL: dsn}, c[1])
		if err := pg.Exec(t.Context(), "postgres", `ALTER ROLE sallyport RESET `+name); err != nil {
			t.Fatal(err)
		}
	}
	if err := pg.Exec(t.Context(), "postgres", `CREATE DATABASE latin WITH ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0`); err != nil {
		t.Fatal(err)
	}
	refused(Config{URL: pg.DSN("latin")}, "encoding")
	refused(Config{URL: pg.DSN("nowhere")}, `there is no database "nowhere": make it`)
	refused(Config{URL: strings.Replace(dsn, pg.Password, pg.Password+"x", 1)}, `does not let the role "sallyport" in: see that it exists`)
	refused(Config{URL: strings.Replace(dsn, "sallyport:", "nobody_here:", 1)}, `does not let the role "nobody_here" in`)
	for _, sql := range []string{`CREATE ROLE guest LOGIN PASSWORD '` + pg.Password + `'`, `CREATE DATABASE closed`, `REVOKE CONNECT ON DATABASE closed FROM PUBLIC`} {
		if err := pg.Exec(t.Context(), "postgres", sql); err != nil {
			t.Fatal(err)
		}
	}
	refused(Config{URL: strings.Replace(pg.DSN("closed"), "sallyport:", "guest:", 1)}, `the role "guest" may not use the database "closed"`)
	refused(Config{URL: "postgres://a:" + pg.Password + "@127.0.0.1:1/x"}, "connect")
	refused(Config{URL: "postgres://a:" + pg.Password + "%@x/"}, "URL")
	refused(Config{URL: dsn, Pooler: "odd"}, "pooler")
	if _, err := Open(t.Context(), Config{URL: dsn}); err == nil {
		t.Error("opened without a clock")
	}
}

// TestOddTexts: what strangers send is no reason to fail.
func TestOddTexts(t *testing.T) {
	s := openAt(t, Config{URL: pgtest.Start(t).NewDatabase(t)})
	defer closing(t, s)
	u := person(t, s, "ada")
	p := &core.OpenSessionParams{
		Session: core.Session{ID: core.SessionID{Key: core.NewSessionKey()}, Mount: "m", UserAgent: "a\x00b\xff", RefreshExpires: testNow + 1, CreatedAt: testNow},
		Gate:    core.Gate{SubjectKind: core.SubjectUser, Subject: u.ID, Version: 1, Account: "ac_default", AccountVersion: 1}, Now: testNow,
	}
	if _, err := s.OpenSession(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if _, err := s.UserByLogin(t.Context(), "ac_default", "a\x00da\xff"); !errors.Is(err, core.ErrNoRow) {
		t.Errorf("an odd name: %v", err)
	}
}
