package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/dump"
)

var _ dump.Target = (*Store)(nil)

// ownMeta are meta values about this kind of store, which no dump has: the
// schema's number, and the marks of a loading under way.
const ownMeta = `('schema_usable_since', '` + metaLoading + `', '` + metaIndexes + `')`

// metaLoading marks a store that BeginLoad began to fill.
const metaLoading = core.MetaLoading

// dumpFrom is where the rows of a table are read, and in which order: that of
// their rowids where there are some, which is that of the file.
func dumpFrom(t *dump.Table) string {
	switch t.Name {
	case "meta":
		return `meta WHERE name NOT IN ` + ownMeta + ` ORDER BY name`
	case dump.Counters:
		return `(SELECT 'facts' AS name, ` + lastFact + ` AS value) ORDER BY name`
	case "sessions":
		return `sessions ORDER BY rowid`
	}
	return t.Name + ` ORDER BY ` + quoted(t.Key)
}

func quoted(names []string) string { return `"` + strings.Join(names, `", "`) + `"` }

func columnNames(t *dump.Table) []string {
	var names []string
	for _, c := range t.Columns {
		names = append(names, c.Name)
	}
	return names
}

// snapshot is a view for a dump: a read transaction on a connection of its own.
type dumpView struct {
	s *Store
	c *conn
}

// Snapshot implements dump.Source. While it is open the write-ahead log
// cannot begin anew, so it grows by what is written meanwhile. The writer does
// not carry it over into the file then, and not at once afterwards: that could
// take seconds in which nobody is answered. Close does most of it beside.
func (s *Store) Snapshot(ctx context.Context) (dump.Snapshot, error) {
	s.gate.RLock()
	closed := s.closed
	if !closed {
		s.dumps.Add()
	}
	s.gate.RUnlock()
	if closed {
		return nil, errClosed
	}
	c, err := openConn(ctx, s.path, readerPragmas)
	if err != nil {
		s.dumps.Done()
		return nil, outward(err)
	}
	v := &dumpView{s, c}
	if _, err = c.exec("BEGIN"); err == nil {
		// A read transaction begins with its first reading.
		var n int
		err = c.row(`SELECT count(*) FROM meta`).Scan(&n)
	}
	if err != nil {
		return nil, outward(errors.Join(err, v.Close()))
	}
	return v, nil
}

const (
	// autocheckpoint is after how many pages of log the writer carries it over: 64
	// MiB. What is written again meanwhile goes over once, and the disk syncs much
	// at once more cheaply than little often (docs/decisions/sqlite-log.md).
	autocheckpoint = 16_000
	// shortLog is the same where little is free.
	shortLog = 4000
)

// openDumps are the views open for a dump.
type openDumps struct {
	wg sync.WaitGroup
	n  atomic.Int64
}

// Add counts one more.
func (d *openDumps) Add() { d.wg.Add(1); d.n.Add(1) }

// Done counts one less.
func (d *openDumps) Done() { d.n.Add(-1); d.wg.Done() }

// Wait waits until there is none.
func (d *openDumps) Wait() { d.wg.Wait() }

// Count implements dump.Snapshot.
func (v *dumpView) Count(_ context.Context, t *dump.Table) (n int64, err error) {
	return n, outward(v.c.row(`SELECT count(*) FROM (SELECT 1 FROM ` + dumpFrom(t) + `)`).Scan(&n))
}

// Rows implements dump.Snapshot.
func (v *dumpView) Rows(ctx context.Context, t *dump.Table, skip int64, f func(row []any) error) error {
	row, into := make([]any, len(t.Columns)), make([]any, len(t.Columns))
	for i, c := range t.Columns {
		into[i] = valueOf(c)
	}
	query := fmt.Sprintf(`SELECT %s FROM %s LIMIT -1 OFFSET ?`, quoted(columnNames(t)), dumpFrom(t))
	var failed error // of f: not the store's
	err := v.c.each(func(r scanner) error {
		if failed = context.Cause(ctx); failed != nil {
			return failed
		}
		if err := r.Scan(into...); err != nil {
			return err
		}
		for i := range into {
			row[i] = plainValue(into[i])
		}
		failed = f(row)
		return failed
	}, query, skip)
	if failed != nil {
		return failed
	}
	return outward(err)
}

// valueOf is what a column is scanned into.
func valueOf(c dump.Column) any {
	switch c.Type {
	case dump.Int:
		return new(sql.NullInt64)
	case dump.Bool:
		return new(sql.NullBool)
	case dump.Text:
		return new(sql.NullString)
	}
	return new([]byte)
}

func plainValue(v any) any {
	switch v := v.(type) {
	case *sql.NullInt64:
		if v.Valid {
			return v.Int64
		}
	case *sql.NullBool:
		if v.Valid {
			return v.Bool
		}
	case *sql.NullString:
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
	if v.c == nil {
		return nil
	}
	defer v.s.dumps.Done()
	_, err := v.c.exec("ROLLBACK") // it only read
	err = errors.Join(err, v.c.close())
	v.c = nil
	if cerr := v.s.carryOver(); cerr != nil { // the dump is whole, and the writer will carry the log over
		v.s.log.Warn("store: carrying the log over after a dump", "err", cerr)
	}
	return err
}

// carryOver brings the log into the file on a connection of its own, while the
// writer goes on, until little is left for the writer to do at a stroke.
func (s *Store) carryOver() error {
	ctx := context.Background()
	c, err := openConn(ctx, s.path, readerPragmas[:2])
	if err != nil {
		return err
	}
	for range 100 {
		var busy, log, done int
		if err = c.row("PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &log, &done); err != nil || log-done <= shortLog/4 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.Join(err, c.close())
}
