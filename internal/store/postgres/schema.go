package postgres

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/internal/core"
)

// Schema looks at the schema of the store in a database, changing nothing.
func Schema(ctx context.Context, cfg Config) (*core.Schema, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, log: cfg.Logger, now: cfg.Now, node: cfg.Node}
	s.link.start()
	defer s.closePools()
	conf, err := s.connConfig()
	if err != nil {
		return nil, err
	}
	if s.pool, err = s.newPool(ctx, conf, 1); err != nil {
		return nil, err
	}
	found := &core.Schema{Kind: "postgres"}
	if found.Have, err = s.schema(ctx); err != nil {
		return nil, fmt.Errorf("reading the schema of the store: %w", err)
	}
	if found.Have > 0 {
		if found.UsableSince, err = s.usableSince(ctx, found.Have); err != nil {
			return nil, err
		}
		if found.Move, err = core.ReadMove(ctx, s); err != nil {
			return nil, err
		}
	}
	found.Known, found.Pending, err = core.PendingMigrations(migrationFiles, found.Have)
	return found, err
}
