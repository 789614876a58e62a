package postgres

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/pgtest"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

const testNow int64 = 1_800_000_000_000

func testClock() int64 { return testNow }

// loadEnv makes the test binary a process that works on the store it names.
const loadEnv = "SALLYPORT_TEST_LOAD"

func TestMain(m *testing.M) {
	if order := os.Getenv(migrateEnv); order != "" {
		if err := migrateAndDie(order); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if dsn := os.Getenv(loadEnv); dsn != "" {
		s, err := Open(context.Background(), Config{URL: dsn, Node: "nd_load", Now: testClock})
		if err == nil {
			err = storetest.Load(context.Background(), s, core.NewID(""), 16, os.Stdout)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func openAt(tb testing.TB, cfg Config) *Store {
	tb.Helper()
	cfg.Now = testClock
	s, err := Open(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// place is an empty database and the node that opens it.
func place(tb testing.TB, cfg Config) storetest.Open {
	if cfg.URL == "" {
		cfg.URL = pgtest.Start(tb).NewDatabase(tb)
	}
	if cfg.Node == "" {
		cfg.Node = core.NewID("nd_")
	}
	return func(t *testing.T) core.Store {
		t.Helper()
		s := openAt(t, cfg)
		if cfg.Serve && cfg.Pooler == "" {
			// From its first moment the channel has news, of what was said before.
			for began := time.Now(); s.ears.heard.Load() == 0; time.Sleep(time.Millisecond) {
				if time.Since(began) > time.Minute {
					t.Fatal("the store does not listen")
				}
			}
			<-s.Changes()
		}
		return s
	}
}

// harm kills processes that use the database, and fills the disk below it.
var harm = storetest.Harm{
	Kill: func(t *testing.T) (storetest.Open, func() *exec.Cmd) {
		dsn := pgtest.Start(t).NewDatabase(t)
		return place(t, Config{URL: dsn, Node: "nd_load"}), func() *exec.Cmd {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), loadEnv+"="+dsn)
			return cmd
		}
	},
	Full: func(t *testing.T) (storetest.Open, func(core.Store) func()) {
		pg, fill := smallDisk(t)
		name, err := pg.CreateDatabase(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		open := place(t, Config{URL: pg.DSN(name), Serve: true, Ballast: 16 << 20})
		return func(t *testing.T) core.Store {
			s := open(t)
			awaitBallast(t, s.(*Store))
			return s
		}, fill
	},
}

// smallDisk runs a server whose tables stand on a disk of their own, 160 MB of
// memory, and gives a function that fills it. Where none may be mounted, a
// trigger refuses what the server would refuse, in its words.
func smallDisk(t *testing.T) (*pgtest.Server, func(core.Store) func()) {
	t.Helper()
	dir, err := os.MkdirTemp("", "sallyport-small-disk-") // not t.TempDir, which the server's user cannot enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(dir) }) // empty by then
	if err := storetest.MountSmallDisk(t, dir, "size=160m,mode=1777"); err != nil {
		t.Logf("no disk can be mounted (%v); triggers stand in for a full one", err)
		return pgtest.Start(t), func(s core.Store) func() { return refuseRows(t, s.(*Store)) }
	}
	// The log has room elsewhere: without, the server stops, which is another case.
	pg, err := pgtest.Run(t.Context(), pgtest.Config{Parent: dir, LogParent: os.TempDir(), Settings: map[string]string{"shared_buffers": "'16MB'"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pg.Close(); err != nil {
			t.Error(err)
		}
	})
	return pg, func(core.Store) func() { return storetest.FillDisk(t, dir) }
}

func refuseRows(t *testing.T, s *Store) (free func()) {
	t.Helper()
	run := func(sql string) {
		if _, err := s.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	run(`CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$`)
	run(`CREATE TRIGGER no_room BEFORE INSERT ON users EXECUTE FUNCTION no_room()`)
	return func() { run(`DROP TRIGGER no_room ON users`) }
}

func TestStore(t *testing.T) {
	pgtest.Start(t)
	storetest.Run(t, func(t *testing.T) storetest.Open { return place(t, Config{Serve: true}) }, harm)
}

// TestStoreOneAtATime: refreshes that are not coalesced are the same.
func TestStoreOneAtATime(t *testing.T) {
	pgtest.Start(t)
	storetest.Only(t, func(t *testing.T) storetest.Open { return place(t, Config{OneAtATime: true}) },
		"refresh", "refresh against the rule", "race: one refresh token", "race: refresh and revoke", "race: refresh and everything", "clock jumps")
}
