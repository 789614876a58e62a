package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/sallyport/sallyport/internal/core"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrate brings the file to this binary's schema. One that a newer binary
// has migrated is left alone and opens if it says that this binary's schema
// can still work on it. Killed at any moment, a migration has happened or not:
// each is one transaction, and SQLite's locks die with the process.
func migrate(ctx context.Context, db *sql.DB, all fs.FS) error {
	have, err := schemaOf(ctx, db)
	if err != nil {
		return fmt.Errorf("reading the schema number: %w", err)
	}
	mine, _, err := core.PendingMigrations(all, have)
	if err != nil {
		return err
	}
	switch {
	case have == mine:
		return nil
	case have > mine:
		return checkNewer(ctx, db, have, mine)
	}
	files, err := fs.Sub(all, "migrations")
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

// usableSince gives the oldest schema whose binaries can use a store that has
// the given one.
func usableSince(ctx context.Context, db *sql.DB, have int64) (int64, error) {
	since := have
	err := db.QueryRowContext(ctx, `SELECT CAST(value AS INTEGER) FROM meta WHERE name='schema_usable_since'`).Scan(&since)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("reading the schema numbers: %w", err)
	}
	return since, nil
}

func checkNewer(ctx context.Context, db *sql.DB, have, mine int64) error {
	since, err := usableSince(ctx, db, have)
	if err != nil {
		return err
	}
	if mine < since {
		return fmt.Errorf("the store has schema %d and needs a binary that knows schema %d or later; this one knows %d: start a newer sallyport, or restore a backup made before the upgrade", have, since, mine)
	}
	return nil
}
