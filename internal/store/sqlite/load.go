package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/dump"
)

// BeginLoad implements dump.Target.
func (s *Store) BeginLoad(ctx context.Context, mark string) error {
	err := s.multi(ctx, func(t *tx) error {
		var was string
		err := noRow(t.row(`SELECT value FROM meta WHERE name = ?`, metaLoading).Scan(&was))
		if err == nil && was == mark {
			return nil
		}
		if err == nil {
			return fmt.Errorf("%w: something else was being loaded into it (%s)", dump.ErrNotEmpty, was)
		}
		if !errors.Is(err, core.ErrNoRow) {
			return err
		}
		for _, one := range dump.Tables() {
			if have, err := t.holds(one); err != nil || have {
				if err == nil {
					err = fmt.Errorf("%w: it has %s", dump.ErrNotEmpty, one.Name)
				}
				return err
			}
		}
		if err := t.putIndexesAside(); err != nil {
			return err
		}
		_, err = t.exec(`INSERT INTO meta (name, value) VALUES (?, ?)`, metaLoading, mark)
		return err
	})
	if err != nil {
		return err
	}
	s.loading.Store(true)
	return s.setCache(ctx, max(loadCache, s.cache))
}

// holds says whether a table has more than every store has from the first.
func (t *tx) holds(one *dump.Table) (bool, error) {
	but := ""
	switch one.Name {
	case "meta", dump.Counters:
		return false, nil // told by what goes with it
	case "accounts":
		but = ` WHERE id <> 'ac_default'`
	case "status_counters":
		but = ` WHERE next > 1`
	}
	var n int
	err := t.row(`SELECT EXISTS (SELECT 1 FROM ` + one.Name + but + `)`).Scan(&n)
	return n != 0, err
}

// LoadRows implements dump.Target. Rows that are new are written without what
// replacing others costs: a savepoint, and keeping the pages before them.
func (s *Store) LoadRows(ctx context.Context, table *dump.Table, rows [][]any) error {
	if table.Name == dump.Counters {
		return dump.LoadCounters(rows, func(above int64) error {
			return s.SkipFacts(ctx, &core.SkipFactsParams{Above: above})
		})
	}
	if len(rows) >= loadMany {
		err := s.single(ctx, func(t *tx) error { return t.loadNew(table, rows) })
		if !errors.Is(err, errNotNew) {
			return err
		}
	}
	return s.multi(ctx, func(t *tx) error {
		return t.load(rows, loadQuery(table, true, 1), loadQuery(table, true, loadAtOnce), table.Name)
	})
}

const (
	// loadAtOnce is how many rows go into one statement.
	loadAtOnce = 20
	// loadMany is from how many rows on it is worth trying whether all are new.
	loadMany = 200
)

// errNotNew says that rows are there already.
var errNotNew = errors.New("rows that are loaded are there already")

// loadNew writes rows of which none is there yet; errNotNew otherwise.
func (t *tx) loadNew(table *dump.Table, rows [][]any) error {
	// Loaded again are the same rows in the same order: the first tells.
	var key []any
	for _, name := range table.Key {
		key = append(key, rows[0][table.Column(name)])
	}
	var there bool
	err := t.row(`SELECT EXISTS (SELECT 1 FROM `+table.Name+` WHERE (`+quoted(table.Key)+`) = (`+marks(len(key))+`))`, key...).Scan(&there)
	if err != nil || there {
		return errors.Join(err, when(there, errNotNew))
	}
	err = t.load(rows, loadQuery(table, false, 1), loadQuery(table, false, loadAtOnce), table.Name)
	if errors.Is(err, core.ErrExists) {
		err = errors.Join(errNotNew, err)
	}
	if err != nil && !fatal(err) {
		// Half of it is written, and there is no savepoint.
		err = fmt.Errorf("%w: %w", errDoubt, err)
	}
	return err
}

func when(is bool, err error) error {
	if is {
		return err
	}
	return nil
}

func (t *tx) load(rows [][]any, one, many, name string) error {
	buf := make([]any, 0, loadAtOnce*len(rows[0]))
	for _, part := range chunks(rows, loadAtOnce) {
		query, step := many, len(part)
		if len(part) < loadAtOnce {
			query, step = one, 1
		}
		for _, some := range chunks(part, step) {
			buf = stored(buf[:0], some)
			if _, err := t.exec(query, buf...); err != nil {
				return fmt.Errorf("loading %s: %w", name, taken(err))
			}
		}
	}
	return nil
}

// stored appends the values of rows as the driver takes them.
func stored(to []any, rows [][]any) []any {
	for _, row := range rows {
		for _, v := range row {
			if b, ok := v.(bool); ok {
				v = flag(b)
			}
			to = append(to, v)
		}
	}
	return to
}

func marks(n int) string { return "?" + strings.Repeat(", ?", n-1) }

// loadQuery inserts rows, in the place of those with the same key or not.
func loadQuery(t *dump.Table, replace bool, rows int) string {
	names := columnNames(t)
	values := "(" + marks(len(names)) + ")"
	values += strings.Repeat(", "+values, rows-1)
	if !replace {
		return fmt.Sprintf(`INSERT OR FAIL INTO %s (%s) VALUES %s`, t.Name, quoted(names), values)
	}
	var sets []string
	for _, n := range names {
		sets = append(sets, fmt.Sprintf(`"%s" = excluded."%s"`, n, n))
	}
	return fmt.Sprintf(`INSERT INTO %s (%s) VALUES %s ON CONFLICT (%s) DO UPDATE SET %s`,
		t.Name, quoted(names), values, quoted(t.Key), strings.Join(sets, ", "))
}

// EndLoad implements dump.Target. Facts loaded with their numbers have brought
// the counter to the highest of them, and the counter was loaded itself.
func (s *Store) EndLoad(ctx context.Context, meta map[string]string) error {
	if err := s.BuildIndexes(ctx, nil); err != nil {
		return err
	}
	err := s.multi(ctx, func(t *tx) error {
		if left, err := t.indexesAside(); err != nil || len(left) > 0 {
			return errors.Join(err, errors.New("an index that was put aside is missing still"))
		}
		var bad int
		if err := noRow(t.row(`SELECT count(*) FROM pragma_foreign_key_check`).Scan(&bad)); err != nil {
			return err
		}
		if bad > 0 {
			return fmt.Errorf("what was loaded does not fit together: %d rows refer to others that are missing", bad)
		}
		for name, value := range meta {
			var err error
			if value == "" {
				_, err = t.exec(`DELETE FROM meta WHERE name = ?`, name)
			} else {
				_, err = t.exec(`INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`, name, value)
			}
			if err != nil {
				return err
			}
		}
		n, err := t.exec(`DELETE FROM meta WHERE name = ?`, metaLoading)
		if err == nil && n == 0 {
			err = errors.New("this store is not being loaded")
		}
		if err == nil {
			_, err = t.exec(`DELETE FROM meta WHERE name = ?`, metaIndexes)
		}
		t.news = true
		return err
	})
	if err != nil {
		return err
	}
	s.loading.Store(false)
	return s.setCache(ctx, s.cache)
}
