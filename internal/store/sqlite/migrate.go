package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// latestSchema is the number of the newest embedded migration.
func latestSchema() (int64, error) {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		return 0, err
	}
	var latest int64
	for _, name := range names {
		number, _, _ := strings.Cut(path.Base(name), "_")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("migration %s: its name must begin with a number: %w", name, err)
		}
		latest = max(latest, n)
	}
	return latest, nil
}

// migrate brings the file to this binary's schema. One that a newer binary
// has migrated is left alone and opens if it says that this binary's schema
// can still work on it. Killed at any moment, a migration has happened or not:
// each is one transaction, and SQLite's locks die with the process.
func migrate(ctx context.Context, db *sql.DB) error {
	mine, err := latestSchema()
	if err != nil {
		return err
	}
	have, err := schemaOf(ctx, db)
	if err != nil {
		return fmt.Errorf("reading the schema number: %w", err)
	}
	switch {
	case have == mine:
		return nil
	case have > mine:
		return checkNewer(ctx, db, have, mine)
	}
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files,
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("preparing the migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrating the store from schema %d to %d: %w", have, mine, err)
	}
	return nil
}

// schemaOf gives the number of the last migration, 0 for an empty file. It
// asks the table itself, because goose takes milliseconds for the question.
func schemaOf(ctx context.Context, db *sql.DB) (int64, error) {
	var there int
	err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE type='table' AND name='goose_db_version'`).Scan(&there)
	if err != nil || there == 0 {
		return 0, err
	}
	var n int64
	err = db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&n)
	return n, err
}

func checkNewer(ctx context.Context, db *sql.DB, have, mine int64) error {
	since := have
	err := db.QueryRowContext(ctx, `SELECT CAST(value AS INTEGER) FROM meta WHERE name='schema_usable_since'`).Scan(&since)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("reading the schema numbers: %w", err)
	}
	if mine < since {
		return fmt.Errorf("the store has schema %d and needs a binary that knows schema %d or later; this one knows %d: start a newer sallyport, or restore a backup made before the upgrade", have, since, mine)
	}
	return nil
}
