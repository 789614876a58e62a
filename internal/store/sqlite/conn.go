package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	_ "modernc.org/sqlite" // registers the driver "sqlite"
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
	{"wal_autocheckpoint", "4000", "4000"},
	{"foreign_keys", "on", "1"},
	{"trusted_schema", "off", "0"},
	{"cache_size", "-16384", "-16384"},
}

var readerPragmas = []pragma{
	{"busy_timeout", "10000", "10000"},
	{"synchronous", "full", "2"},
	{"foreign_keys", "on", "1"},
	{"trusted_schema", "off", "0"},
	{"query_only", "on", "1"},
}

// conn is one connection with its prepared statements. It is used by one
// goroutine at a time. Statements run without a context: a write is never
// cancelled half-way, and reads are bounded by their limits.
type conn struct {
	c     *sql.Conn
	stmts map[string]*sql.Stmt
}

// openConn opens a connection of db and insists on the pragmas.
func openConn(ctx context.Context, db *sql.DB, pragmas []pragma) (*conn, error) {
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range pragmas {
		var got string
		_, err := c.ExecContext(ctx, "PRAGMA "+p.name+"="+p.set)
		if err == nil {
			err = c.QueryRowContext(ctx, "PRAGMA "+p.name).Scan(&got)
		}
		if err == nil && got != p.want {
			err = fmt.Errorf("it is %s, and the store needs %s; is the file system one that SQLite can use (no network share)?", got, p.want)
		}
		if err != nil {
			_ = c.Close() // the first error tells more
			return nil, fmt.Errorf("setting PRAGMA %s=%s: %w", p.name, p.set, err)
		}
	}
	return &conn{c: c, stmts: make(map[string]*sql.Stmt)}, nil
}

// dsn names a file so that no character of its path is taken for a parameter.
func dsn(path string) string {
	return (&url.URL{Scheme: "file", Path: path}).String()
}

// close frees the statements and the connection. database/sql closes no
// statement that was prepared on one sql.Conn, and SQLite keeps a connection
// with open statements alive, its transaction and its locks included.
func (c *conn) close() error {
	if err := c.c.PingContext(context.Background()); errors.Is(err, sql.ErrConnDone) {
		return err // freed by database/sql: its statements must not be touched
	}
	for _, st := range c.stmts {
		_ = st.Close() // repeats the error of the last execution
	}
	return c.c.Close()
}

func (c *conn) stmt(query string) (*sql.Stmt, error) {
	if st, ok := c.stmts[query]; ok {
		return st, nil
	}
	st, err := c.c.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, fmt.Errorf("preparing %.60q: %w", query, err)
	}
	c.stmts[query] = st
	return st, nil
}

// exec runs a statement and says how many rows it changed.
func (c *conn) exec(query string, args ...any) (int64, error) {
	st, err := c.stmt(query)
	if err != nil {
		return 0, err
	}
	res, err := st.Exec(args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// scanner is *sql.Row, *sql.Rows, or an error in their place.
type scanner interface{ Scan(dest ...any) error }

type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return r.err }

// row runs a query for its first row; Scan gives sql.ErrNoRows without one.
func (c *conn) row(query string, args ...any) scanner {
	st, err := c.stmt(query)
	if err != nil {
		return failedRow{err}
	}
	return st.QueryRow(args...)
}

// each calls f for every row of a query.
func (c *conn) each(f func(scanner) error, query string, args ...any) (err error) {
	st, err := c.stmt(query)
	if err != nil {
		return err
	}
	rows, err := st.Query(args...)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := rows.Close(); err == nil {
			err = cerr
		}
	}()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
