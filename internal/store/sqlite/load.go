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
	return s.multi(ctx, func(t *tx) error {
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
		_, err = t.exec(`INSERT INTO meta (name, value) VALUES (?, ?)`, metaLoading, mark)
		return err
	})
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

// LoadRows implements dump.Target.
func (s *Store) LoadRows(ctx context.Context, table *dump.Table, rows [][]any) error {
	if table.Name == dump.Counters {
		return s.loadCounters(ctx, rows)
	}
	one, many := loadQuery(table, 1), loadQuery(table, loadAtOnce)
	return s.multi(ctx, func(t *tx) error {
		for _, part := range chunks(rows, loadAtOnce) {
			query, step := many, len(part)
			if len(part) < loadAtOnce {
				query, step = one, 1
			}
			for _, some := range chunks(part, step) {
				if _, err := t.exec(query, stored(some)...); err != nil {
					return fmt.Errorf("loading %s: %w", table.Name, taken(err))
				}
			}
		}
		return nil
	})
}

// loadAtOnce is how many rows go into one statement.
const loadAtOnce = 50

// stored is the values of rows as the driver takes them.
func stored(rows [][]any) []any {
	var all []any
	for _, row := range rows {
		for _, v := range row {
			if b, ok := v.(bool); ok {
				v = flag(b)
			}
			all = append(all, v)
		}
	}
	return all
}

func loadQuery(t *dump.Table, rows int) string {
	names := columnNames(t)
	var sets []string
	for _, n := range names {
		sets = append(sets, fmt.Sprintf(`"%s" = excluded."%s"`, n, n))
	}
	values := "(?" + strings.Repeat(", ?", len(names)-1) + ")"
	return fmt.Sprintf(`INSERT INTO %s (%s) VALUES %s ON CONFLICT (%s) DO UPDATE SET %s`,
		t.Name, quoted(names), values+strings.Repeat(", "+values, rows-1), quoted(t.Key), strings.Join(sets, ", "))
}

func (s *Store) loadCounters(ctx context.Context, rows [][]any) error {
	for _, row := range rows {
		name, _ := row[0].(string)
		value, _ := row[1].(int64)
		if name != "facts" {
			return fmt.Errorf("loading %s: there is no counter %q here", dump.Counters, name)
		}
		if err := s.SkipFacts(ctx, &core.SkipFactsParams{Above: value}); err != nil {
			return err
		}
	}
	return nil
}

// EndLoad implements dump.Target. Facts loaded with their numbers have brought
// the counter to the highest of them, and the counter was loaded itself.
func (s *Store) EndLoad(ctx context.Context, meta map[string]string) error {
	return s.multi(ctx, func(t *tx) error {
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
		t.news = true
		return err
	})
}
