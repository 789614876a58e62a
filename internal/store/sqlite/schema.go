package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/internal/core"
)

// Schema looks at the schema of the store in a data directory, changing
// nothing, also while another process has it open.
func Schema(ctx context.Context, dir string) (s *core.Schema, err error) {
	s = &core.Schema{Kind: "sqlite"}
	file := filepath.Join(dir, FileName)
	fi, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("there is no store in %s: %w", dir, err)
	}
	if fi.Size() > 0 {
		if err := readSchema(ctx, file, s); err != nil {
			return nil, fmt.Errorf("%s: reading its schema: %w", file, err)
		}
	}
	s.Known, s.Pending, err = core.PendingMigrations(migrationFiles, s.Have)
	return s, err
}

func readSchema(ctx context.Context, file string, s *core.Schema) (err error) {
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: file, RawQuery: "mode=ro&_pragma=busy_timeout(10000)"}).String())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if s.Have, err = schemaOf(ctx, db); err != nil || s.Have == 0 {
		return err
	}
	if s.UsableSince, err = usableSince(ctx, db, s.Have); err != nil {
		return err
	}
	s.Move, err = core.ReadMove(ctx, &metaOf{db: db})
	return err
}

// metaOf reads one thing and offers nothing else.
type metaOf struct {
	core.Meta
	db *sql.DB
}

// MetaGet implements core.Meta.
func (m *metaOf) MetaGet(ctx context.Context, name string) (value string, err error) {
	return value, noRow(m.db.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = ?`, name).Scan(&value))
}
