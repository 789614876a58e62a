package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/sallyport/sallyport/internal/core"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrate brings the database to this binary's schema. One that a newer binary
// has migrated is left alone and opens if it says that this binary's schema
// can still work on it. Killed at any moment, a migration has happened or not:
// each is one transaction, which begins by taking a lock that ends with it.
//
// Of several nodes that start together one does the work. The others wait for
// it and then fail, since what they would make is there; they look again.
func (s *Store) migrate(ctx context.Context, all fs.FS) error {
	mine, _, err := core.PendingMigrations(all, 0)
	if err != nil {
		return err
	}
	for tries := 0; ; tries++ {
		have, err := s.schema(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("reading the schema number: %w", err)
		case have == mine:
			return nil
		case have > mine:
			return s.checkNewer(ctx, have, mine)
		}
		err = s.migrateUp(ctx, all)
		if err == nil {
			continue
		}
		if tries == 10 || !transient(err) && !raced(err) {
			return fmt.Errorf("migrating the store from schema %d to %d: %w", have, mine, err)
		}
		if !pause(ctx, min(tries, 6)) {
			return gone(ctx)
		}
	}
}

// raced reports that another node has made meanwhile what we were to make.
func raced(err error) bool {
	switch sqlState(err) {
	case "42P07", "42701", "42710", "23505", "XX000": // table, column, object, row; "tuple concurrently updated"
		return true
	}
	return false
}

func (s *Store) migrateUp(ctx context.Context, all fs.FS) error {
	files, err := fs.Sub(all, "migrations")
	if err != nil {
		return err
	}
	conf, err := s.connConfig()
	if err != nil {
		return err
	}
	// Nothing is prepared, so that it works through any pooler.
	conf.DefaultQueryExecMode = pgx.QueryExecModeExec
	db := stdlib.OpenDB(*conf)
	defer func() { _ = db.Close() }() // its work is committed or not
	p, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("preparing the migrations: %w", err)
	}
	_, err = p.Up(ctx)
	return err
}

// schema gives the number of the last migration, 0 for an empty database.
func (s *Store) schema(ctx context.Context) (n int64, err error) {
	err = s.view(ctx, func(c *conn) error {
		n = 0
		var there bool
		if err := c.row(`SELECT to_regclass('goose_db_version') IS NOT NULL`).Scan(&there); err != nil || !there {
			return err
		}
		return c.row(`SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&n)
	})
	return n, err
}

// usableSince gives the oldest schema whose binaries can use a store that has
// the given one.
func (s *Store) usableSince(ctx context.Context, have int64) (int64, error) {
	since := have
	err := s.view(ctx, func(c *conn) error {
		return c.row(`SELECT value::bigint FROM meta WHERE name = 'schema_usable_since'`).Scan(&since)
	})
	if err != nil && !errors.Is(err, core.ErrNoRow) {
		return 0, fmt.Errorf("reading the schema numbers: %w", err)
	}
	return since, nil
}

func (s *Store) checkNewer(ctx context.Context, have, mine int64) error {
	since, err := s.usableSince(ctx, have)
	if err != nil {
		return err
	}
	if mine < since {
		return fmt.Errorf("the store has schema %d and needs a binary that knows schema %d or later; this one knows %d: start a newer sallyport, or restore a backup made before the upgrade", have, since, mine)
	}
	return nil
}
