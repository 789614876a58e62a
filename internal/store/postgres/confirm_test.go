package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/pgtest"
)

// awaitStandby names a synchronous standby, "" for none, and returns when
// commits of the store wait for it. There is none of that name.
func awaitStandby(t *testing.T, pg *pgtest.Server, s *Store, name string) {
	t.Helper()
	if err := pg.Configure(map[string]string{"synchronous_standby_names": "'" + name + "'"}); err != nil {
		t.Fatal(err)
	}
	if err := pg.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	// Commits wait once the checkpointer has read the configuration, whatever
	// a session shows; so a write is asked, not a setting.
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		err := s.MetaSet(t.Context(), &core.MetaSetParams{Name: "standby", Value: name, Now: testNow})
		if name == "" && err == nil || name != "" && errors.Is(err, core.ErrUnknownOutcome) {
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("the server does not read its configuration: %v", err)
		}
	}
}

// TestCancelledWait: somebody cancels, on the server, what waits for a standby.
// All see such commits then, though no standby has them. Whoever finds his work
// done by one must not be told so, by no node: the next failover may undo it.
func TestCancelledWait(t *testing.T) {
	pg, dsn := ownServer(t, nil)
	first, other := openAt(t, Config{URL: dsn}), openAt(t, Config{URL: dsn})
	defer closing(t, first)
	defer closing(t, other)
	u := person(t, first, "ada")
	gone := person(t, first, "bob")
	kept, ended := opened(t, first, u), opened(t, first, u)
	minted := appToken(t, first)

	impatient, stop := context.WithCancel(t.Context())
	var operator sync.WaitGroup
	operator.Go(func() {
		for impatient.Err() == nil {
			_ = pg.Exec(impatient, "postgres", `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`) // again until stop
			time.Sleep(5 * time.Millisecond)
		}
	})
	defer operator.Wait()
	defer stop()
	awaitStandby(t, pg, first, "nobody")
	steps := map[string]func(*Store) error{
		"a refresh": func(s *Store) error {
			_, err := s.RefreshSession(t.Context(), moving1(kept, 0))
			return err
		},
		"a revocation": func(s *Store) error {
			_, err := s.RevokeSessions(t.Context(), &core.RevokeSessionsParams{ID: &ended.ID, Reason: "logout", Now: testNow})
			return err
		},
		"a new user": func(s *Store) error {
			_, err := s.CreateUser(t.Context(), &core.CreateUserParams{Now: testNow, User: core.User{
				ID: "00000000-0000-4000-8000-000000000001", Account: "ac_default", Type: core.TypeUser, State: core.Active, Username: "eve", UsernameCanon: "eve", Version: 1,
			}})
			return err
		},
		"a revoked application token": func(s *Store) error {
			_, err := s.ChangeApplicationToken(t.Context(), &core.ChangeApplicationTokenParams{ID: minted, Action: core.TokenRevoke, Now: testNow})
			return err
		},
		"a deleted user": func(s *Store) error {
			return s.DeleteUser(t.Context(), &core.DeleteUserParams{ID: gone.ID, Now: testNow})
		},
		"a new key": func(s *Store) error {
			return s.InsertKey(t.Context(), &core.InsertKeyParams{Now: testNow, Key: core.KeyRow{
				ID: "k1", Set: core.KeySet{Mount: "m", Kind: "access"}, Class: "own", Algorithm: "HS256", State: core.KeyActive, Sealed: []byte{1},
			}})
		},
	}
	// What has come of them is learned in other ways as well.
	ways := map[string]func(*Store) error{
		"the user that was deleted": func(s *Store) error {
			_, err := s.UserByID(t.Context(), gone.ID)
			return err
		},
		"the keys": func(s *Store) error {
			_, err := s.ListKeys(t.Context())
			return err
		},
	}
	for name, step := range steps {
		if err := step(first); !errors.Is(err, core.ErrUnknownOutcome) {
			t.Errorf("%s, of which the standby does not know: %v", name, err)
		}
		for range 2 {
			if err := step(other); !errors.Is(err, core.ErrUnknownOutcome) {
				t.Errorf("%s, found done at another node: %v", name, err)
			}
		}
	}
	for name, way := range ways {
		if err := way(other); !errors.Is(err, core.ErrUnknownOutcome) {
			t.Errorf("%s: %v", name, err)
		}
	}
	awaitStandby(t, pg, first, "")
	if res, err := other.RefreshSession(t.Context(), moving1(kept, 0)); err != nil || res.Verdict != core.RefreshReplayed {
		t.Errorf("the refresh repeated when the server confirms again: %+v, %v", res, err)
	}
	if err := steps["a new user"](other); !errors.Is(err, core.ErrExists) {
		t.Errorf("the new user, once more: %v", err)
	}
	if rec, err := other.UserByID(t.Context(), gone.ID); err != nil || rec.State != core.Deleted {
		t.Errorf("the deleted user: %+v, %v", rec, err)
	}
}

// appToken mints an application token and gives its id.
func appToken(t *testing.T, s *Store) string {
	t.Helper()
	u, err := s.CreateUser(t.Context(), &core.CreateUserParams{Now: testNow, User: core.User{
		ID: core.NewUUID(), Account: "ac_default", Type: core.TypeApplication, State: core.Active, Username: "robot", UsernameCanon: "robot", Version: 1,
	}})
	if err != nil {
		t.Fatal(err)
	}
	sess := opened(t, s, u)
	verdict, err := s.MintApplicationToken(t.Context(), &core.MintParams{
		Token:   core.ApplicationToken{ID: "at_1", Hash: sha256.Sum256([]byte("x")), User: u.ID, Account: "ac_default", Mount: "m", Session: sess.ID.String(), CreatedAt: testNow},
		Session: sess.ID, Gate: core.Gate{SubjectKind: core.SubjectUser, Subject: u.ID, Version: 1, Account: "ac_default", AccountVersion: 1}, Now: testNow,
	})
	if err != nil || verdict != core.Minted {
		t.Fatalf("minting: %s, %v", verdict, err)
	}
	return "at_1"
}
