package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"

	"github.com/sallyport/sallyport/internal/store/sqlite"
)

// indexWeights is what the indexes take, by table, that a store is loaded
// without: those that are no keys.
func (s *scale) indexWeights(ctx context.Context, one *sized) (by map[string]int64, err error) {
	driver, where, query := "pgx", one.dsn, `SELECT x.indrelid::regclass::text, sum(pg_relation_size(x.indexrelid))::bigint
		FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid WHERE NOT x.indisunique AND c.relnamespace = current_schema()::regnamespace GROUP BY 1`
	if one.dsn == "" {
		driver, query = "sqlite", `SELECT i.tbl_name, sum(d.pgsize) FROM sqlite_schema i JOIN pragma_index_list(i.tbl_name) l ON l.name = i.name
			JOIN dbstat d ON d.name = i.name AND d.aggregate = 1 WHERE i.type = 'index' AND NOT l."unique" GROUP BY 1`
		where = (&url.URL{Scheme: "file", Path: filepath.Join(one.dir, "data", sqlite.FileName)}).String()
	}
	db, err := sql.Open(driver, where)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("weighing the indexes: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	by = map[string]int64{}
	for rows.Next() {
		var table string
		var bytes int64
		if err := rows.Scan(&table, &bytes); err != nil {
			return nil, err
		}
		by[table] += bytes
	}
	return by, rows.Err()
}
