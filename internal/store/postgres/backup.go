package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sallyport/sallyport/internal/store/dump"
)

var _ dump.Target = (*Store)(nil)

const (
	// ownMeta are meta values about this kind of store, which no dump has: the
	// schema's number, and the marks of a loading under way.
	ownMeta = `('schema_usable_since', '` + metaLoading + `', '` + metaIndexes + `')`
	// metaLoading marks a store that BeginLoad began to fill.
	metaLoading = "loading"
)

// dumpFrom is where the rows of a table are read.
func dumpFrom(t *dump.Table) string {
	switch t.Name {
	case "meta":
		return `meta WHERE name NOT IN ` + ownMeta
	case dump.Counters:
		return `(SELECT 'facts' AS name, last AS value FROM fact_counter) c`
	case "audit":
		return `audit WHERE sequence IS NOT NULL`
	}
	return t.Name
}

// columnName is our name of a dump's column: user is a word of SQL.
func columnName(name string) string {
	if name == "user" {
		return "user_id"
	}
	return name
}

func columnNames(columns []string) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = columnName(c)
	}
	return strings.Join(names, ", ")
}

// isUUID says which columns of bytes are kept as UUIDs, which is 16 bytes with
// the shortest index.
func isUUID(table, column string) bool {
	switch table + "." + column {
	case "attempts.key", "sessions.key", "request_tokens.session", "oauth_codes.session", "oauth_sessions.key":
		return true
	}
	return false
}

// dumpView is a view for a dump: a read transaction on a connection of its own.
type dumpView struct {
	s  *Store
	c  *pgxpool.Conn
	tx pgx.Tx
}

// Snapshot implements dump.Source. The server keeps what is overwritten while
// it is open.
func (s *Store) Snapshot(ctx context.Context) (dump.Snapshot, error) {
	if err := s.chainAll(ctx); err != nil { // events without a place are not in it
		return nil, err
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	v := &dumpView{s: s}
	var err error
	if v.c, err = s.pool.Acquire(ctx); err == nil {
		v.tx, err = v.c.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	}
	if err == nil {
		// The caller may think between two tables; a table may take its time.
		_, err = v.tx.Exec(ctx, `SELECT set_config('idle_in_transaction_session_timeout', '0', true), set_config('statement_timeout', '0', true)`)
	}
	if err != nil {
		return nil, outward(errors.Join(err, v.Close()))
	}
	return v, nil
}

// Count implements dump.Snapshot.
func (v *dumpView) Count(ctx context.Context, t *dump.Table) (n int64, err error) {
	err = v.tx.QueryRow(ctx, `SELECT count(*) FROM (SELECT 1 FROM `+dumpFrom(t)+`) x`).Scan(&n)
	return n, outward(err)
}

// Rows implements dump.Snapshot.
func (v *dumpView) Rows(ctx context.Context, t *dump.Table, skip int64, f func(row []any) error) error {
	row, into, names := make([]any, len(t.Columns)), make([]any, len(t.Columns)), make([]string, len(t.Columns))
	for i, c := range t.Columns {
		into[i], names[i] = valueOf(c), columnName(c.Name)
		switch {
		case isUUID(t.Name, c.Name):
			names[i] = "uuid_send(" + names[i] + ")"
		case c.Type == dump.Bytes && t.Name == "users":
			names[i] = "convert_to(" + names[i] + ", 'UTF8')"
		}
	}
	rows, err := v.tx.Query(ctx, fmt.Sprintf(`SELECT %s FROM %s ORDER BY %s OFFSET $1`, strings.Join(names, ", "), dumpFrom(t), columnNames(t.Key)), skip)
	if err != nil {
		return outward(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return outward(err)
		}
		for i := range into {
			row[i] = plainValue(into[i])
		}
		if err := f(row); err != nil {
			return err
		}
	}
	return outward(rows.Err())
}

// valueOf is what a column is scanned into.
func valueOf(c dump.Column) any {
	switch c.Type {
	case dump.Int:
		return new(pgtype.Int8)
	case dump.Bool:
		return new(pgtype.Bool)
	case dump.Text:
		return new(pgtype.Text)
	}
	return new([]byte)
}

func plainValue(v any) any {
	switch v := v.(type) {
	case *pgtype.Int8:
		if v.Valid {
			return v.Int64
		}
	case *pgtype.Bool:
		if v.Valid {
			return v.Bool
		}
	case *pgtype.Text:
		if v.Valid {
			return v.String
		}
	case *[]byte:
		if *v != nil {
			return *v
		}
	}
	return nil
}

// Close implements dump.Snapshot.
func (v *dumpView) Close() error {
	if v.s == nil {
		return nil
	}
	defer v.s.running.Done()
	v.s = nil
	var err error
	if v.tx != nil {
		ctx, cancel := context.WithTimeout(context.Background(), goodOrder)
		defer cancel()
		err = v.tx.Rollback(ctx) // it only read
	}
	if v.c != nil {
		v.c.Release()
	}
	return err
}
