package dump

import (
	"context"
	"errors"
	"fmt"
)

// ErrNotEmpty is what BeginLoad refuses a store with that holds something.
var ErrNotEmpty = errors.New("the store is not empty")

// Source is a store that can be read as a whole.
type Source interface {
	// Snapshot opens a view of one moment. Others may write meanwhile; the view
	// costs them space until it is closed, and no standstill.
	Snapshot(ctx context.Context) (Snapshot, error)
}

// Snapshot is a view of a whole store at one moment. It is used by one
// goroutine.
type Snapshot interface {
	// Count tells how many rows a table has.
	Count(ctx context.Context, t *Table) (int64, error)
	// Rows calls f for each row of a table but the first skip, in an order that
	// is the same as long as nobody writes. The row, and the bytes in it, are
	// the next call's: f copies what it keeps.
	Rows(ctx context.Context, t *Table, skip int64, f func(row []any) error) error
	Close() error
}

// Target is a store that can be filled.
type Target interface {
	Source
	// BeginLoad takes an empty store, which it then marks, so that it is served
	// by nobody before EndLoad. A store that bears the same mark is one whose
	// loading was cut off, and goes on. Until BuildIndexes the store may lack
	// indexes: it is good for nothing but loading, and reading it whole.
	// ErrNotEmpty.
	BeginLoad(ctx context.Context, mark string) error
	// LoadRows writes rows, durably, in the place of those with the same key.
	LoadRows(ctx context.Context, t *Table, rows [][]any) error
	// BuildIndexes makes the indexes that BeginLoad put aside to be faster, those
	// that are not there again; progress, which may be nil, is told the one that
	// is begun, how many are done, and of how many. Cut off, it goes on.
	BuildIndexes(ctx context.Context, progress Progress) error
	// EndLoad builds the indexes that are missing still. Then, in one step, it
	// sees to it that the store goes on from the highest numbers that were
	// loaded, sets meta values ("" removes one) and takes the mark away.
	EndLoad(ctx context.Context, meta map[string]string) error
}

// Progress is told every now and then how far it has come.
type Progress func(table string, done, total int64)

// Tell is a call of p, which may be nil.
func (p Progress) Tell(table string, done, total int64) {
	if p != nil {
		p(table, done, total)
	}
}

// batchRows is how many rows travel together. Keys come in no order, and each
// changes a page of their index: of many rows some share one.
const batchRows = 20_000

// tellRows is after how many rows that are only read progress is told.
const tellRows = 1000

// counted reads how many rows each table has.
func counted(ctx context.Context, s Snapshot) (counts map[string]int64, total int64, err error) {
	counts = map[string]int64{}
	for _, t := range tables {
		n, err := s.Count(ctx, t)
		if err != nil {
			return nil, 0, fmt.Errorf("counting %s: %w", t.Name, err)
		}
		counts[t.Name] = n
		total += n
	}
	return counts, total, nil
}

// Copy carries all rows from a view into a store between BeginLoad and EndLoad.
// Called again after it was cut off, with a view of the same unchanged store,
// it goes on where it was: what the store has of a table are its first rows.
func Copy(ctx context.Context, from Snapshot, to Target, progress Progress) error {
	_, total, err := counted(ctx, from)
	if err != nil {
		return err
	}
	var done int64
	for _, t := range tables {
		have, err := loaded(ctx, to, t)
		if err != nil {
			return err
		}
		done += have
		b := batch{table: t, flush: func(rows [][]any) error {
			done += int64(len(rows))
			progress.Tell(t.Name, done, total)
			return to.LoadRows(ctx, t, rows)
		}}
		if err := from.Rows(ctx, t, have, b.add); err != nil {
			return fmt.Errorf("reading %s: %w", t.Name, err)
		}
		if err := b.end(); err != nil {
			return err
		}
	}
	return nil
}

// always are tables whose rows a new store has from its first moment, which
// says nothing of how far loading came. They are short.
var always = map[string]bool{"meta": true, Counters: true, "accounts": true, "status_counters": true, "status_lists": true}

func loaded(ctx context.Context, to Target, t *Table) (int64, error) {
	if always[t.Name] {
		return 0, nil
	}
	view, err := to.Snapshot(ctx)
	if err != nil {
		return 0, err
	}
	n, err := view.Count(ctx, t)
	return n, errors.Join(err, view.Close())
}

// Sums reads a whole view and gives the sum of each table.
func Sums(ctx context.Context, s Snapshot, progress Progress) (map[string]Sum, error) {
	_, total, err := counted(ctx, s)
	if err != nil {
		return nil, err
	}
	var done int64
	sums := map[string]Sum{}
	var buf []byte
	for _, t := range tables {
		var sum Sum
		err := s.Rows(ctx, t, 0, func(row []any) error {
			if err := t.check(row); err != nil {
				return err
			}
			buf = appendRow(buf[:0], row)
			sum.add(buf)
			if done++; done%tellRows == 0 {
				progress.Tell(t.Name, done, total)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", t.Name, err)
		}
		sums[t.Name] = sum
	}
	progress.Tell("", done, total)
	return sums, nil
}

// Loading gives rows that come in small parts to a Target in larger ones.
type Loading struct {
	To    Target
	table *Table
	rows  [][]any
}

// LoadRows takes rows, which are then its own. They may wait until Flush.
func (l *Loading) LoadRows(ctx context.Context, t *Table, rows [][]any) error {
	if t != l.table {
		if err := l.Flush(ctx); err != nil {
			return err
		}
		l.table = t
	}
	if l.rows = append(l.rows, rows...); len(l.rows) < batchRows {
		return nil
	}
	return l.Flush(ctx)
}

// Flush loads what waits.
func (l *Loading) Flush(ctx context.Context) error {
	if len(l.rows) == 0 {
		return nil
	}
	err := l.To.LoadRows(ctx, l.table, l.rows)
	l.rows = nil
	return err
}

// batch gathers copies of rows.
type batch struct {
	table *Table
	rows  [][]any
	bytes int
	flush func([][]any) error
}

// batchBytes bounds a batch of long rows.
const batchBytes = 16 << 20

func (b *batch) add(row []any) error {
	if err := b.table.check(row); err != nil {
		return err
	}
	own := make([]any, len(row))
	for i, v := range row {
		switch v := v.(type) {
		case []byte:
			own[i] = append(make([]byte, 0, len(v)), v...)
			b.bytes += len(v)
		case string:
			own[i] = v
			b.bytes += len(v)
		default:
			own[i] = v
		}
	}
	b.rows = append(b.rows, own)
	if len(b.rows) >= batchRows || b.bytes >= batchBytes {
		return b.end()
	}
	return nil
}

func (b *batch) end() error {
	if len(b.rows) == 0 {
		return nil
	}
	err := b.flush(b.rows)
	b.rows, b.bytes = nil, 0
	return err
}
