package postgres

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/pgtest"
)

// next is a migration that does not exist yet, with the kinds of statements
// that migrations have.
const next = `-- +goose Up
LOCK TABLE meta IN ACCESS EXCLUSIVE MODE;
CREATE TABLE later (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text NOT NULL);
ALTER TABLE sessions ADD COLUMN later bigint NOT NULL DEFAULT 0;
CREATE INDEX sessions_later ON sessions (later) WHERE later > 0;
INSERT INTO later (note) SELECT name FROM meta;
UPDATE meta SET value = '1' WHERE name = 'schema_usable_since';
`

// withNext is the migrations and one more.
func withNext() (all fs.FS, number int64, err error) {
	files := fstest.MapFS{}
	err = fs.WalkDir(migrationFiles, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(migrationFiles, name)
		files[name] = &fstest.MapFile{Data: text}
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	known, _, err := core.PendingMigrations(files, 0)
	files[fmt.Sprintf("migrations/%05d_next.sql", known+1)] = &fstest.MapFile{Data: []byte(next)}
	return files, known + 1, err
}

// migrateEnv makes this binary a process that migrates a database and dies
// before a statement: "NUMBER URL".
const migrateEnv = "SALLYPORT_TEST_MIGRATE"

func migrateAndDie(order string) error {
	number, url, _ := strings.Cut(order, " ")
	at, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	all, _, err := withNext()
	if err != nil {
		return err
	}
	return migrateBare(context.Background(), url, &dying{left: at}, all)
}

// migrateBare is the part of Open that migrates.
func migrateBare(ctx context.Context, url string, tracer pgx.QueryTracer, all fs.FS) error {
	cfg := Config{URL: url, Now: func() int64 { return 1 }}
	if err := cfg.fill(); err != nil {
		return err
	}
	s := &Store{cfg: cfg, log: cfg.Logger, now: cfg.Now, tracer: tracer}
	s.link.start()
	conf, err := s.connConfig()
	if err != nil {
		return err
	}
	if s.pool, err = s.newPool(ctx, conf, 1); err != nil {
		return err
	}
	defer s.closePools()
	return s.migrate(ctx, all)
}

// dying counts statements and ends the process before one of them.
type dying struct{ left int }

func (d *dying) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	if d.left--; d.left < 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return ctx
}

func (d *dying) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// laidOut is what a schema looks like: columns, indexes, meta values, and
// which locks are held by others.
func laidOut(t *testing.T, pool *pgxpool.Pool) string {
	t.Helper()
	var b strings.Builder
	for _, q := range []string{
		`SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || coalesce(column_default, '') FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1`,
		`SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1`,
		`SELECT version_id || ' ' || is_applied FROM goose_db_version ORDER BY version_id`,
		`SELECT name || '=' || value FROM meta ORDER BY name`,
	} {
		rows, err := pool.Query(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(strings.Join(lines, "\n") + "\n")
	}
	return b.String()
}

var eachStatement = flag.Bool("each-statement", false, "kill migrations before each statement, not only each of the newest migration and some of the others")

// TestMigrateKilled kills a process that migrates before each of its
// statements (without -each-statement: before some, until the newest
// migration), from nothing up to a schema that does not exist yet. Whatever it
// left behind is some schema, whole and unlocked, and the next start brings it
// to the end.
func TestMigrateKilled(t *testing.T) {
	url := pgtest.Start(t).NewDatabase(t)
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	all, last, err := withNext()
	if err != nil {
		t.Fatal(err)
	}
	want := ""
	kills, left, step := 0, map[int64]int{}, 6
	if *eachStatement {
		step = 1
	}
	for at := 0; ; at += step {
		if _, err := pool.Exec(t.Context(), `DROP SCHEMA public CASCADE; CREATE SCHEMA public`); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), migrateEnv+"="+strconv.Itoa(at)+" "+url)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && (!errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL) {
			t.Fatalf("%v: %s", err, out)
		}
		if err == nil {
			if got := laidOut(t, pool); got != want {
				t.Errorf("never killed, the store is another:\n%s\nwant:\n%s", got, want)
			}
			break
		}
		kills++
		var have int64
		err = pool.QueryRow(t.Context(), `SELECT CASE WHEN to_regclass('goose_db_version') IS NULL THEN 0 ELSE 1 END`).Scan(&have)
		if err == nil && have > 0 {
			err = pool.QueryRow(t.Context(), `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&have)
		}
		if err != nil {
			t.Fatalf("killed before statement %d: %v", at, err)
		}
		if left[have]++; have == last-1 && step > 1 {
			at, step = at-step, 1 // the newest one has begun since the last kill
		}
		if err := migrateBare(t.Context(), url, nil, all); err != nil {
			t.Fatalf("killed before statement %d, which left schema %d, and started again: %v", at, have, err)
		}
		if got := laidOut(t, pool); want == "" {
			want = got
		} else if got != want {
			t.Fatalf("killed before statement %d and started again, the store is another:\n%s\nwant:\n%s", at, got, want)
		}
	}
	if !strings.Contains(want, "sessions_later") || kills < 20 || left[last-1] < 5 {
		t.Errorf("%d kills left the schemas %v; want some of each below %d", kills, left, last)
	}
	t.Logf("%d kills; how many left which schema: %v", kills, left)
}

// TestSchema: what is told of a store's schema.
func TestSchema(t *testing.T) {
	url := pgtest.Start(t).NewDatabase(t)
	cfg := Config{URL: url, Now: func() int64 { return 1 }}
	got, err := Schema(t.Context(), cfg)
	if err != nil || got.Have != 0 || len(got.Pending) == 0 || !got.Usable() {
		t.Errorf("an empty database: %+v, %v", got, err)
	}
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	got, err = Schema(t.Context(), cfg)
	if err != nil || got.Have != got.Known || len(got.Pending) != 0 || got.UsableSince < 1 {
		t.Errorf("a store of now: %+v, %v", got, err)
	}
	all, last, err := withNext()
	if err != nil {
		t.Fatal(err)
	}
	if err := migrateBare(t.Context(), url, nil, all); err != nil {
		t.Fatal(err)
	}
	got, err = Schema(t.Context(), cfg)
	if err != nil || got.Have != last || got.UsableSince != 1 || !got.Usable() {
		t.Errorf("a store of tomorrow: %+v, %v", got, err)
	}
	// The previous binary, which is this one, still opens it.
	before, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatalf("the binary before: %v", err)
	}
	if err := before.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.pool.Exec(t.Context(), `UPDATE meta SET value = $1 WHERE name = 'schema_usable_since'`, strconv.FormatInt(last, 10)); err != nil {
		t.Fatal(err)
	}
	if got, err = Schema(t.Context(), cfg); err != nil || got.Usable() {
		t.Errorf("a store that only newer binaries can use: %+v, %v", got, err)
	}
	if _, err := Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "start a newer sallyport") {
		t.Errorf("it is opened: %v", err)
	}
}
