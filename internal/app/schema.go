package app

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/postgres"
	"github.com/sallyport/sallyport/internal/store/sqlite"
)

// SchemaReport says how the configured store and this binary stand to each
// other.
type SchemaReport struct {
	Store string `json:"store"` // where it is, without a password
	core.Schema
	Usable bool     `json:"usable"`          // by this binary
	Beside bool     `json:"previous_beside"` // whether the binary before can run beside this one
	Words  []string `json:"words"`
}

// ReadSchema looks at the configured store and changes nothing.
func ReadSchema(ctx context.Context, cfg *config.Config, o Options) (*SchemaReport, error) {
	if err := o.fill(cfg); err != nil {
		return nil, err
	}
	at := configured(cfg)
	var found *core.Schema
	err := at.check()
	switch {
	case err != nil:
	case at.url != "":
		found, err = postgres.Schema(ctx, postgres.Config{
			URL: at.url.Reveal(), Now: o.Now, Logger: o.Logger, Pooler: postgres.Pooler(cfg.Postgres.Pooler),
			StatementTimeout: cfg.Postgres.StatementTimeout, LockTimeout: cfg.Postgres.LockTimeout,
		})
	default:
		found, err = sqlite.Schema(ctx, at.dir)
	}
	if err != nil {
		return nil, err
	}
	return &SchemaReport{Store: at.String(), Schema: *found, Usable: found.Usable(), Beside: found.Beside(), Words: found.Words()}, nil
}

// UsedSince says whether err, of UndoMove, asks for a decision.
func UsedSince(err error) bool { return errors.Is(err, ErrUsedSince) }
