package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"strconv"

	"modernc.org/libc"
	_ "modernc.org/sqlite" // registers the driver "sqlite", and prepares the library
	lib "modernc.org/sqlite/lib"
)

// pragma is a setting of a connection that is read back: SQLite ignores what
// it does not understand, and a store that silently ran with another
// synchronous would lose acknowledged rotations at a power cut.
type pragma struct{ name, set, want string }

var writerPragmas = []pragma{
	{"journal_mode", "wal", "wal"},
	{"synchronous", "full", "2"},
	{"journal_size_limit", "67108864", "67108864"},
	{"busy_timeout", "10000", "10000"},
	{"wal_autocheckpoint", strconv.Itoa(autocheckpoint), strconv.Itoa(autocheckpoint)},
	{"foreign_keys", "on", "1"},
	{"trusted_schema", "off", "0"},
}

var readerPragmas = []pragma{
	{"busy_timeout", "10000", "10000"},
	{"synchronous", "full", "2"},
	{"foreign_keys", "on", "1"},
	{"trusted_schema", "off", "0"},
	{"query_only", "on", "1"},
}

// conn is one connection with its prepared statements. It is used by one
// goroutine at a time, which is why SQLite needs no mutex for it. Statements
// run without a context: a write is never cancelled half-way, and reads are
// bounded by their limits.
//
// It calls SQLite itself, and not through database/sql: a refresh spent more
// there than in SQLite (docs/decisions/sqlite-interface.md).
type conn struct {
	tls   *libc.TLS
	db    uintptr // a sqlite3*
	stmts map[string]*stmt
	// running is how many of them are under way.
	running int
}

// openConn opens a connection to a file that exists and insists on the pragmas.
func openConn(ctx context.Context, path string, pragmas []pragma) (*conn, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	c := &conn{tls: libc.NewTLS(), stmts: make(map[string]*stmt)}
	if err := c.dial(path); err != nil {
		_ = c.close() // the first error tells more
		return nil, err
	}
	for _, p := range pragmas {
		var got string
		_, err := c.exec("PRAGMA " + p.name + "=" + p.set)
		if err == nil {
			err = c.row("PRAGMA " + p.name).Scan(&got)
		}
		if err == nil && got != p.want {
			err = fmt.Errorf("it is %s, and the store needs %s; is the file system one that SQLite can use (no network share)?", got, p.want)
		}
		if err != nil {
			_ = c.close() // the first error tells more
			return nil, fmt.Errorf("setting PRAGMA %s=%s: %w", p.name, p.set, err)
		}
	}
	c.forget()
	return c, nil
}

func (c *conn) dial(path string) error {
	name, err := c.copied(path + "\x00")
	if err != nil {
		return err
	}
	defer lib.Xsqlite3_free(c.tls, name)
	out := c.tls.Alloc(pointer)
	defer c.tls.Free(pointer)
	rc := lib.Xsqlite3_open_v2(c.tls, name, out, lib.SQLITE_OPEN_READWRITE|lib.SQLITE_OPEN_NOMUTEX|lib.SQLITE_OPEN_EXRESCODE, 0)
	c.db = pointerAt(out) // there is one to be closed even after most failures
	return c.fault(rc)
}

// dsn names a file for database/sql, so that no character of its path is taken
// for a parameter.
func dsn(path string) string {
	return (&url.URL{Scheme: "file", Path: path}).String()
}

// forget frees the statements. SQLite keeps a connection with statements
// alive, its transaction and its locks included.
func (c *conn) forget() {
	for _, st := range c.stmts {
		st.free()
	}
	clear(c.stmts)
}

// close frees the statements and the connection.
func (c *conn) close() error {
	c.forget()
	err := c.fault(lib.Xsqlite3_close_v2(c.tls, c.db))
	c.tls.Close()
	return err
}

// idle reports that no transaction is open and no statement under way.
func (c *conn) idle() bool {
	return c.running == 0 && lib.Xsqlite3_get_autocommit(c.tls, c.db) != 0
}

func (c *conn) stmt(query string) (*stmt, error) {
	if st, ok := c.stmts[query]; ok {
		return st, nil
	}
	st, err := c.prepare(query)
	if err != nil {
		return nil, fmt.Errorf("preparing %.60q: %w", query, err)
	}
	c.stmts[query] = st
	return st, nil
}

// exec runs a statement and says how many rows it changed.
func (c *conn) exec(query string, args ...any) (changed int64, err error) {
	err = c.each(func(scanner) error { return nil }, query, args...)
	return lib.Xsqlite3_changes64(c.tls, c.db), err
}

// scanner is a row, or an error in its place.
type scanner interface{ Scan(dest ...any) error }

type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return r.err }

// oneRow is the first row of a statement, which Scan ends.
type oneRow struct{ *stmt }

func (r oneRow) Scan(dest ...any) (err error) {
	defer r.reset(&err)
	return r.stmt.Scan(dest...)
}

// row runs a query for its first row, and must be followed by Scan, which
// gives sql.ErrNoRows without one.
func (c *conn) row(query string, args ...any) scanner {
	st, err := c.stmt(query)
	if err != nil {
		return failedRow{err}
	}
	if err := st.start(args); err != nil {
		return failedRow{err}
	}
	there, err := st.step()
	if err == nil && there {
		return oneRow{st}
	}
	if err == nil {
		err = sql.ErrNoRows
	}
	st.reset(&err)
	return failedRow{err}
}

// each calls f for every row of a query.
func (c *conn) each(f func(scanner) error, query string, args ...any) (err error) {
	st, err := c.stmt(query)
	if err != nil {
		return err
	}
	if err := st.start(args); err != nil {
		return err
	}
	defer st.reset(&err)
	for {
		there, err := st.step()
		if err != nil || !there {
			return err
		}
		if err := f(st); err != nil {
			return err
		}
	}
}
