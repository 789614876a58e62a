package sqlite

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/store/dump"
)

// TestDumpHasEverything: a column or table that a migration adds and a dump
// forgets would be gone after a restore.
func TestDumpHasEverything(t *testing.T) {
	s := openAt(t, t.TempDir())
	defer closing(t, s)
	have := map[string][]string{}
	err := s.view(t.Context(), func(c *conn) error {
		return c.each(func(row scanner) error {
			var table, column, typ string
			var notNull int
			if err := row.Scan(&table, &column, &typ, &notNull); err != nil {
				return err
			}
			have[table] = append(have[table], column)
			known := dump.Named(table)
			if known == nil || known.Column(column) < 0 {
				t.Errorf("the column %s.%s is in no dump; add it to internal/store/dump/schema.go, with a default for older dumps", table, column)
				return nil
			}
			col := known.Columns[known.Column(column)]
			want := map[dump.Type]string{dump.Int: "INTEGER", dump.Bool: "INTEGER", dump.Text: "TEXT", dump.Bytes: "BLOB"}[col.Type]
			if typ != want || col.Null == (notNull == 1) && !slices.Contains(known.Key, column) {
				t.Errorf("%s.%s is %s, not null %d; a dump takes it for %s, null %t", table, column, typ, notNull, col.Type, col.Null)
			}
			return nil
		}, `SELECT m.name, c.name, c.type, c."notnull" FROM sqlite_schema m JOIN pragma_table_info(m.name) c
			WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name <> 'goose_db_version'`)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range dump.Tables() {
		if table.Name != dump.Counters && len(have[table.Name]) != len(table.Columns) {
			t.Errorf("%s has the columns %s, and a dump %d", table.Name, strings.Join(have[table.Name], " "), len(table.Columns))
		}
	}
}
