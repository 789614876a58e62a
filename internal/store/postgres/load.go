package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/dump"
)

// BeginLoad implements dump.Target.
func (s *Store) BeginLoad(ctx context.Context, mark string) error {
	return s.multi(ctx, func(t *tx) error {
		var was string
		err := t.row(`SELECT value FROM meta WHERE name = $1 FOR UPDATE`, metaLoading).Scan(&was)
		if err == nil && was == mark {
			return nil
		}
		if err == nil {
			return fmt.Errorf("%w: something else was being loaded into it (%s)", dump.ErrNotEmpty, was)
		}
		if !isNoRow(err) {
			return err
		}
		for _, one := range dump.Tables() {
			have, err := t.holds(one)
			if err != nil {
				return err
			}
			if have {
				return fmt.Errorf("%w: it has %s", dump.ErrNotEmpty, one.Name)
			}
		}
		if err := t.putIndexesAside(); err != nil {
			return err
		}
		_, err = t.exec(`INSERT INTO meta (name, value) VALUES ($1, $2)`, metaLoading, mark)
		return taken(err)
	})
}

// holds says whether a table has more than every store has from the first.
func (t *tx) holds(one *dump.Table) (have bool, err error) {
	but := ""
	switch one.Name {
	case "meta", dump.Counters:
		return false, nil // told by what goes with it
	case "accounts":
		but = ` WHERE id <> 'ac_default'`
	case "status_counters":
		but = ` WHERE next > 1`
	}
	err = t.row(`SELECT EXISTS (SELECT 1 FROM ` + one.Name + but + `)`).Scan(&have)
	return have, err
}

// LoadRows implements dump.Target. Rows that are new are copied. Through a
// pooler that is the same: a transaction has its connection to itself, and
// nothing is prepared.
func (s *Store) LoadRows(ctx context.Context, table *dump.Table, rows [][]any) error {
	if table.Name == dump.Counters {
		return dump.LoadCounters(rows, func(above int64) error {
			return s.SkipFacts(ctx, &core.SkipFactsParams{Above: above})
		})
	}
	if len(rows) >= loadMany {
		err := s.unhurried(ctx, func(t *tx) error { return t.loadNew(table, rows) })
		if !errors.Is(err, errNotNew) {
			return err
		}
	}
	err := s.unhurried(ctx, func(t *tx) error { return t.loadOver(table, rows) })
	if sqlState(err) != "21000" || len(rows) == 1 {
		return err
	}
	// Two of these rows have the same key, and one statement takes it but once.
	half := len(rows) / 2
	if err := s.LoadRows(ctx, table, rows[:half]); err != nil {
		return err
	}
	return s.LoadRows(ctx, table, rows[half:])
}

// loadMany is from how many rows on it is worth trying whether all are new.
const loadMany = 200

// errNotNew says that rows are there already.
var errNotNew = fmt.Errorf("%w: rows that are loaded", core.ErrExists)

// loadNew copies rows of which none is there yet; errNotNew otherwise.
func (t *tx) loadNew(table *dump.Table, rows [][]any) error {
	// Loaded again are the same rows in the same order: the first tells.
	var conds []string
	var key []any
	for n, name := range table.Key {
		i := table.Column(name)
		conds = append(conds, columnName(name)+" = "+param(table, i, n+1))
		key = append(key, rows[0][i])
	}
	var there bool
	err := t.row(`SELECT EXISTS (SELECT 1 FROM `+table.Name+` WHERE `+strings.Join(conds, " AND ")+`)`, key...).Scan(&there)
	if err != nil {
		return err
	}
	if there {
		return errNotNew
	}
	dbtx, ok := t.q.(pgx.Tx)
	if !ok {
		return fmt.Errorf("%w: rows are copied in a transaction alone", core.ErrStoreUnavailable)
	}
	names, _ := loadNames(table)
	_, err = dbtx.Conn().PgConn().CopyFrom(t.ctx, &copying{table: table, rows: rows},
		`COPY `+table.Name+` (`+strings.Join(names, ", ")+`) FROM STDIN (FORMAT binary)`)
	if sqlState(err) == "23505" {
		return fmt.Errorf("%w: %w", errNotNew, err)
	}
	if err != nil {
		return fmt.Errorf("loading %s: %w", table.Name, taken(err))
	}
	t.wrote = true
	return nil
}

// param is the SQL of a parameter that is a value of a column.
func param(t *dump.Table, column, number int) string {
	v := fmt.Sprintf("$%d", number)
	switch c := t.Columns[column]; {
	case isUUID(t.Name, c.Name):
		return "encode(" + v + "::bytea, 'hex')::uuid"
	case isWords(t, column):
		return "convert_from(" + v + "::bytea, 'UTF8')"
	}
	return v
}

// isWords says which columns of bytes are kept as text.
func isWords(t *dump.Table, column int) bool {
	return t.Columns[column].Type == dump.Bytes && t.Name == "users"
}

// loadNames gives the names of a table's columns, and SQL of their values in a
// row named by them.
func loadNames(t *dump.Table) (names, values []string) {
	for i, c := range t.Columns {
		n := columnName(c.Name)
		names = append(names, n)
		switch {
		case isUUID(t.Name, c.Name):
			n = "encode(" + n + ", 'hex')::uuid"
		case isWords(t, i):
			n = "convert_from(" + n + ", 'UTF8')"
		}
		values = append(values, n)
	}
	return names, values
}

// loadOver writes rows in the place of those with the same key.
func (t *tx) loadOver(table *dump.Table, rows [][]any) error {
	names, values := loadNames(table)
	var arrays, sets []string
	var args []any
	for i, c := range table.Columns {
		arrays = append(arrays, fmt.Sprintf("$%d::%s[]", i+1, map[dump.Type]string{
			dump.Int: "bigint", dump.Bool: "boolean", dump.Text: "text", dump.Bytes: "bytea",
		}[c.Type]))
		sets = append(sets, names[i]+" = excluded."+names[i])
		args = append(args, columnOf(rows, i, c.Type))
	}
	key := columnNames(table.Key)
	if table.Name == "audit" {
		key += `) WHERE (sequence IS NOT NULL`
	}
	_, err := t.exec(fmt.Sprintf(`INSERT INTO %s (%s) SELECT %s FROM unnest(%s) AS r (%s) ON CONFLICT (%s) DO UPDATE SET %s`, table.Name,
		strings.Join(names, ", "), strings.Join(values, ", "), strings.Join(arrays, ", "), strings.Join(names, ", "), key, strings.Join(sets, ", ")), args...)
	if err != nil {
		return fmt.Errorf("loading %s: %w", table.Name, taken(err))
	}
	t.wrote = true
	return nil
}

// columnOf is one column of rows as an array.
func columnOf(rows [][]any, i int, typ dump.Type) any {
	switch typ {
	case dump.Int:
		return arrayOf[int64](rows, i)
	case dump.Bool:
		return arrayOf[bool](rows, i)
	case dump.Text:
		all := arrayOf[string](rows, i)
		for _, s := range all {
			if s != nil {
				*s = cleanText(*s)
			}
		}
		return all
	}
	all := make([][]byte, len(rows))
	for n, row := range rows {
		all[n], _ = row[i].([]byte) // nil is NULL
	}
	return all
}

func arrayOf[T any](rows [][]any, i int) []*T {
	all := make([]*T, len(rows))
	for n, row := range rows {
		if v, ok := row[i].(T); ok {
			all[n] = &v
		}
	}
	return all
}

// EndLoad implements dump.Target.
func (s *Store) EndLoad(ctx context.Context, meta map[string]string) error {
	if err := s.BuildIndexes(ctx, nil); err != nil {
		return err
	}
	return s.multi(ctx, func(t *tx) error {
		if left, err := t.indexesAside(); err != nil || len(left) > 0 {
			return errors.Join(err, when(len(left) > 0, errIndexesLeft))
		}
		// Facts and events go on from the highest numbers that were loaded.
		for _, query := range []string{
			`UPDATE fact_counter SET last = greatest(last, (SELECT coalesce(max(number), 0) FROM facts))`,
			`INSERT INTO audit_heads (node, sequence, hash) SELECT DISTINCT ON (node) node, sequence, hash FROM audit WHERE sequence IS NOT NULL
				ORDER BY node, sequence DESC ON CONFLICT (node) DO UPDATE SET sequence = excluded.sequence, hash = excluded.hash`,
		} {
			if _, err := t.exec(query); err != nil {
				return err
			}
		}
		for name, value := range meta {
			if value != "" {
				if err := t.setMeta(name, value); err != nil {
					return err
				}
			} else if _, err := t.exec(`DELETE FROM meta WHERE name = $1`, name); err != nil {
				return err
			}
		}
		n, err := t.exec(`DELETE FROM meta WHERE name = $1`, metaLoading)
		if err == nil && n == 0 {
			err = fmt.Errorf("%w: this store is not being loaded", core.ErrStoreUnavailable)
		}
		if err == nil {
			_, err = t.exec(`DELETE FROM meta WHERE name = $1`, metaIndexes)
		}
		t.news = newsRows
		return err
	})
}
