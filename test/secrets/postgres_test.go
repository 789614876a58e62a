package secrets_test

import (
	"bytes"
	"context"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport/sallyport/internal/store/pgtest"
)

// TestSecurity58_NoSecretInPostgreSQL is the same with a store in PostgreSQL
// that writes down whatever it is asked, with all parameters: its tables, its
// files, its write-ahead log and its own log hold no secret. By default it
// writes down much less.
//
// One thing it is told that may be a secret: what somebody typed as a login
// name, since it is looked up. That is what docs/hardening.md warns of, and it
// shows here that the log is read rightly.
func TestSecurity58_NoSecretInPostgreSQL(t *testing.T) {
	w, dsn := beginPostgres(t, map[string]string{
		"log_statement": "all", "log_parameter_max_length": "-1", "log_parameter_max_length_on_error": "-1",
		"log_error_verbosity": "verbose", "log_min_error_statement": "debug1", "log_connections": "on", "full_page_writes": "on",
	})
	w.plant()
	w.strangers()
	w.search()
	w.tables(dsn)
	w.s.Stop()
	w.disk()

	if err := w.pg.Stop(pgtest.Fast); err != nil {
		t.Fatal(err)
	}
	w.cluster(filepath.Join(w.pg.Dir, "data", "base"))
	w.cluster(filepath.Join(w.pg.Dir, "data", "pg_wal"))
	log := w.serverLog()
	others := maps.Clone(w.found)
	maps.DeleteFunc(others, func(_, secret string) bool { return w.typed[secret] })
	others.absentFrom(t, "PostgreSQL's log", log)
	if len(w.typed) == 0 {
		t.Error("no secret was typed as a name")
	}
	for typed := range w.typed {
		if !bytes.Contains(log, []byte(typed)) {
			t.Error("PostgreSQL's log does not show parameters: it proves nothing")
		}
	}
}

// TestSecurity58_PostgreSQLAsItComes: what PostgreSQL writes down by default,
// which is statements that failed, holds nothing of a request at all.
func TestSecurity58_PostgreSQLAsItComes(t *testing.T) {
	w, _ := beginPostgres(t, nil)
	w.plant()
	w.strangers()
	w.s.Stop()
	log := w.serverLog()
	w.found.absentFrom(t, "PostgreSQL's log", log)
	for _, part := range []string{"$argon2id$", "rosalind"} {
		for line := range bytes.Lines(log) {
			if bytes.Contains(line, []byte(part)) {
				t.Errorf("PostgreSQL's log holds %s: %s", part, line)
			}
		}
	}
	t.Logf("%d lines, %d of them errors", bytes.Count(log, []byte("\n")), bytes.Count(log, []byte("ERROR:")))
}

// beginPostgres starts a server whose store is in a PostgreSQL of its own, and
// gives the address of the database.
func beginPostgres(t *testing.T, settings map[string]string) (*world, string) {
	t.Helper()
	if testing.Short() {
		t.Skip("it builds and runs a server")
	}
	pg, err := pgtest.Run(t.Context(), pgtest.Config{Settings: settings})
	pgtest.Need(t, err)
	t.Cleanup(func() {
		if err := pg.Close(); err != nil {
			t.Error(err)
		}
	})
	name, err := pg.CreateDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := begin(t)
	w.pg = pg
	w.s.Env = append(w.s.Env, "SALLYPORT_STORE="+pg.DSN(name))
	w.s.Args = append(w.s.Args, "--issuer", w.s.URL)
	w.found.add("password of the store", pg.Password)
	w.start()
	return w, pg.DSN(name)
}

// tables reads every table as text and as bytes.
func (w *world) tables(dsn string) {
	w.Helper()
	conn, err := pgx.Connect(w.ctx, dsn)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(w.ctx)) }() // nothing was written
	rows, err := conn.Query(w.ctx, `SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`)
	if err != nil {
		w.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		w.Fatal(err)
	}
	var all bytes.Buffer
	for _, name := range names {
		for _, format := range []string{"text", "binary"} {
			if _, err := conn.PgConn().CopyTo(w.ctx, &all, "COPY "+name+" TO STDOUT (FORMAT "+format+")"); err != nil {
				w.Error(name, err)
			}
		}
	}
	if len(names) < 20 || !bytes.Contains(all.Bytes(), []byte("rosalind")) {
		w.Errorf("%d tables were read, and not as they are", len(names))
	}
	w.found.absentFrom(w.T, "the tables of PostgreSQL", all.Bytes())
}

// cluster reads files of PostgreSQL, without the pages that hold nothing.
func (w *world) cluster(dir string) {
	w.Helper()
	const page = 8192
	var all []byte
	var none [page]byte
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		for ; len(raw) > 0; raw = raw[min(page, len(raw)):] {
			if part := raw[:min(page, len(raw))]; !bytes.Equal(part, none[:len(part)]) {
				all = append(all, part...)
			}
		}
		return err
	})
	if err != nil || !bytes.Contains(all, []byte("rosalind")) {
		w.Errorf("%s was not read as it is: %v", dir, err)
	}
	w.found.absentFrom(w.T, "PostgreSQL's "+filepath.Base(dir), all)
}

// serverLog is what PostgreSQL wrote down.
func (w *world) serverLog() []byte {
	w.Helper()
	log, err := os.ReadFile(w.pg.LogFile())
	if err != nil {
		w.Fatal(err)
	}
	return log
}
