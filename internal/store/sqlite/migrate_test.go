package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	goflag "flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/sallyport/sallyport/internal/core"
)

// next is a migration that does not exist yet, with the kinds of statements
// that migrations have.
const next = `-- +goose Up
CREATE TABLE later (id INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT;
ALTER TABLE sessions ADD COLUMN later INTEGER NOT NULL DEFAULT 0;
CREATE INDEX sessions_later ON sessions (later) WHERE later > 0;
INSERT INTO later (note) SELECT name FROM meta;
UPDATE meta SET value = '2' WHERE name = 'schema_usable_since';
`

// withNext is the migrations and one more.
func withNext(t testing.TB) (all fs.FS, number int64) {
	t.Helper()
	files := fstest.MapFS{}
	err := fs.WalkDir(migrationFiles, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(migrationFiles, name)
		files[name] = &fstest.MapFile{Data: text}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	known, _, err := core.PendingMigrations(files, 0)
	if err != nil {
		t.Fatal(err)
	}
	files[fmt.Sprintf("migrations/%05d_next.sql", known+1)] = &fstest.MapFile{Data: []byte(next)}
	return files, known + 1
}

// migrateEnv makes this binary a process that migrates a file and dies before
// a statement: "FILE NUMBER".
const migrateEnv = "SALLYPORT_TEST_MIGRATE"

func migrateAndDie(order string) error {
	file, number, _ := strings.Cut(order, " ")
	at, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	plain, err := sql.Open("sqlite", "")
	if err != nil {
		return err
	}
	sql.Register("dying", &dyingDriver{plain.Driver(), &dying{left: at}})
	db, err := sql.Open("dying", dsn(file))
	if err != nil {
		return err
	}
	all, _ := withNext(&testing.T{})
	return errors.Join(migrate(context.Background(), db, all), db.Close())
}

// dying counts statements and ends the process before one of them.
type dying struct{ left int }

func (d *dying) count() {
	if d.left--; d.left < 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

type dyingDriver struct {
	driver.Driver
	d *dying
}

func (d *dyingDriver) Open(name string) (driver.Conn, error) {
	c, err := d.Driver.Open(name)
	if err != nil {
		return nil, err
	}
	return &dyingConn{c, d.d}, nil
}

// dyingConn has the ways in which database/sql hands over a statement.
type dyingConn struct {
	driver.Conn
	d *dying
}

func (c *dyingConn) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	c.d.count()
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, q, args)
}

func (c *dyingConn) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	c.d.count()
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, q, args)
}

func (c *dyingConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	c.d.count()
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
	return &dyingTx{tx, c.d}, err
}

type dyingTx struct {
	driver.Tx
	d *dying
}

func (t *dyingTx) Commit() error {
	t.d.count()
	err := t.Tx.Commit()
	t.d.count() // after it, before anything else
	return err
}

// laidOut is what a schema looks like: every table and index, and the meta
// values about it.
func laidOut(t *testing.T, file string) string {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(file))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	var b strings.Builder
	for _, q := range []string{
		`SELECT coalesce(sql, name) FROM sqlite_schema ORDER BY type, name`,
		`SELECT version_id || ' ' || is_applied FROM goose_db_version ORDER BY version_id`,
		`SELECT name || '=' || value FROM meta ORDER BY name`,
		`PRAGMA integrity_check`,
	} {
		rows, err := db.Query(q)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&b, line)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

var eachStatement = goflag.Bool("each-statement", false, "kill migrations before each statement, not only each of the newest migration and some of the others")

// TestMigrateKilled kills a process that migrates before each of its
// statements (without -each-statement: before some, until the newest
// migration), from nothing up to a schema that does not exist yet. Whatever it
// left behind is some schema, whole, and the next start brings it to the end.
func TestMigrateKilled(t *testing.T) {
	all, last := withNext(t)
	want := ""
	kills, left, step := 0, map[int64]int{}, 6
	if *eachStatement {
		step = 1
	}
	for at := 0; ; at += step {
		file := filepath.Join(t.TempDir(), FileName)
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), migrateEnv+"="+file+" "+strconv.Itoa(at))
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && (!errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL) {
			t.Fatalf("%v: %s", err, out)
		}
		if err == nil {
			want = laidOut(t, file)
			break
		}
		kills++
		db, oerr := sql.Open("sqlite", dsn(file))
		if oerr != nil {
			t.Fatal(oerr)
		}
		have, err := schemaOf(t.Context(), db)
		if err != nil {
			t.Fatalf("killed before statement %d: %v", at, err)
		}
		if left[have]++; have == last-1 && step > 1 {
			at, step = at-step, 1 // the newest one has begun since the last kill
		}
		if err := errors.Join(migrate(t.Context(), db, all), db.Close()); err != nil {
			t.Fatalf("killed before statement %d, which left schema %d, and started again: %v", at, have, err)
		}
		if got := laidOut(t, file); want == "" {
			want = got
		} else if got != want {
			t.Fatalf("killed before statement %d and started again, the store is another:\n%s\nwant:\n%s", at, got, want)
		}
	}
	if !strings.Contains(want, "sessions_later") || kills < 20 || left[last-1] < 5 {
		t.Errorf("%d kills left the schemas %v; want some of each up to %d", kills, left, last)
	}
	t.Logf("%d kills; how many left which schema: %v", kills, left)
}

// TestSchema: what is told of a store's schema.
func TestSchema(t *testing.T) {
	dir := t.TempDir()
	if _, err := Schema(t.Context(), dir); err == nil {
		t.Error("there is a schema where no store is")
	}
	s := openAt(t, dir)
	for range 2 { // while it is open, and afterwards
		got, err := Schema(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if got.Have != got.Known || len(got.Pending) != 0 || got.UsableSince < 1 || !got.Usable() {
			t.Errorf("a store of now: %+v", got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// A newer binary has migrated it, and says that this one can still use it.
	all, last := withNext(t)
	db, err := sql.Open("sqlite", dsn(filepath.Join(dir, FileName)))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(migrate(t.Context(), db, all), db.Close()); err != nil {
		t.Fatal(err)
	}
	got, err := Schema(t.Context(), dir)
	if err != nil || got.Have != last || got.UsableSince != 2 || !got.Usable() {
		t.Errorf("a store of tomorrow: %+v, %v", got, err)
	}
	_, pending, err := core.PendingMigrations(all, last-1)
	if err != nil || len(pending) != 1 || pending[0] != (core.Migration{Number: last, Name: "next", UsableSince: 2}) {
		t.Errorf("pending: %+v, %v", pending, err)
	}
}

// TestUsableSince: what is read from the text of the migrations is what they
// write.
func TestUsableSince(t *testing.T) {
	all, last := withNext(t)
	_, list, err := core.PendingMigrations(all, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), FileName)
	said := int64(0)
	for _, m := range list {
		part := fstest.MapFS{}
		for _, before := range list {
			if before.Number > m.Number {
				break
			}
			name := fmt.Sprintf("migrations/%05d_%s.sql", before.Number, before.Name)
			text, err := fs.ReadFile(all, name)
			if err != nil {
				t.Fatal(err)
			}
			part[name] = &fstest.MapFile{Data: text}
		}
		db, err := sql.Open("sqlite", dsn(file))
		if err != nil {
			t.Fatal(err)
		}
		if err := migrate(t.Context(), db, part); err != nil {
			t.Fatal(err)
		}
		if m.UsableSince > 0 {
			said = m.UsableSince
		}
		if got, err := usableSince(t.Context(), db, m.Number); err != nil || got != said {
			t.Errorf("after migration %d the store says %d, its text %d: %v", m.Number, got, said, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if list[len(list)-1].Number != last {
		t.Error("not all migrations were looked at")
	}
}
