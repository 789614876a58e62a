package postgres

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// querier is a connection, inside a transaction or not.
type querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// conn is a connection for the length of one step, with the context that
// bounds it.
type conn struct {
	ctx     context.Context
	q       querier
	changed bool // exec has changed rows, so the commit waits for the standbys
}

// exec runs a statement and says how many rows it changed.
func (c *conn) exec(sql string, args ...any) (int64, error) {
	tag, err := c.q.Exec(c.ctx, sql, clean(args)...)
	if !tag.Select() && tag.RowsAffected() > 0 {
		c.changed = true
	}
	return tag.RowsAffected(), err
}

// scanner is one row of an answer.
type scanner = pgx.Row

// row runs a query for its first row; Scan gives core.ErrNoRow without one.
func (c *conn) row(sql string, args ...any) scanner {
	return firstRow{c.q.QueryRow(c.ctx, sql, clean(args)...)}
}

type firstRow struct{ row pgx.Row }

func (r firstRow) Scan(dest ...any) error { return noRow(r.row.Scan(dest...)) }

// collect runs a query and gives what scan makes of each row; nil for none.
func collect[T any](c *conn, scan func(scanner) (T, error), sql string, args ...any) ([]T, error) {
	rows, err := c.q.Query(c.ctx, sql, clean(args)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// one scans rows of a single column.
func one[T any](row scanner) (v T, err error) {
	err = row.Scan(&v)
	return v, err
}

// clean makes texts ones that the server can hold: no NUL, valid UTF-8. They
// come from headers and bodies of strangers, and a login must not fail for
// the name of a browser. SQLite takes any bytes.
func clean(args []any) []any {
	for i, a := range args {
		switch v := a.(type) {
		case string:
			args[i] = cleanText(v)
		case []string:
			cleaned := make([]string, len(v)) // not in place: it is the caller's; and never nil, which would be NULL
			for k := range v {
				cleaned[k] = cleanText(v[k])
			}
			args[i] = cleaned
		}
	}
	return args
}

func cleanText(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
