package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/store/postgres"
	"github.com/sallyport/sallyport/internal/store/sqlite"
)

// place is where a store is, as a command line names it.
type place struct {
	dir string          // absolute, for a store in a data directory
	url config.StoreURL // for one in PostgreSQL
}

// parsePlace reads "sqlite:PATH", a data directory or its file, or a URL of
// PostgreSQL. It never repeats what may hold a password.
func parsePlace(text string) (p place, err error) {
	switch scheme, _, is := strings.Cut(text, "://"); {
	case text == "":
		return p, errors.New("a store has no empty name: give sqlite:DIR or postgres://USER@HOST/DATABASE")
	case is && (scheme == "postgres" || scheme == "postgresql"):
		return place{url: config.StoreURL(text)}, config.CheckStoreURL(text)
	case is && scheme != "sqlite":
		return p, fmt.Errorf("there are no stores in %q: give sqlite:DIR or postgres://USER@HOST/DATABASE", scheme)
	}
	path := strings.TrimPrefix(strings.TrimPrefix(text, "sqlite:"), "//")
	if path == "" {
		return p, errors.New("sqlite: names no directory: give sqlite:DIR")
	}
	if filepath.Base(path) == sqlite.FileName {
		path = filepath.Dir(path)
	} else if fi, err := os.Stat(path); err == nil && !fi.IsDir() {
		return p, fmt.Errorf("%s is no data directory: the store in one is called %s", path, sqlite.FileName)
	}
	if p.dir, err = filepath.Abs(path); err != nil {
		return p, fmt.Errorf("the data directory %q: %w", path, err)
	}
	return p, nil
}

// String names the place, without a password.
func (p place) String() string {
	if p.url != "" {
		return p.url.String()
	}
	return "sqlite:" + p.dir
}

func (p place) kind() string {
	if p.url != "" {
		return "postgres"
	}
	return "sqlite"
}

// configured is the place that a configuration names.
func configured(cfg *config.Config) place {
	if cfg.Store != "" {
		return place{url: cfg.Store}
	}
	return place{dir: absolute(cfg.Data)}
}

// errNoStore says that nothing is there to be read.
func (p place) check() error {
	if p.url != "" {
		return nil
	}
	_, err := os.Stat(filepath.Join(p.dir, sqlite.FileName))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no store in %s", p.dir)
	}
	if err != nil {
		return fmt.Errorf("looking for the store: %w", err)
	}
	return nil
}

// longStep bounds a statement of who moves a store: looking for the highest of
// a hundred million numbers may take a while.
const longStep = 10 * time.Minute

// open opens the store there, with none of the checks of who wants to use it.
func (p place) open(ctx context.Context, cfg *config.Config, o Options, create bool) (anyStore, error) {
	if p.url == "" {
		if !create {
			if err := p.check(); err != nil {
				return nil, err
			}
		}
		s, err := sqlite.Open(ctx, sqlite.Config{Dir: p.dir, Create: create, Now: o.Now, Logger: o.Logger})
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	s, err := postgres.Open(ctx, postgres.Config{
		URL: p.url.Reveal(), Now: o.Now, Logger: o.Logger, Pooler: postgres.Pooler(cfg.Postgres.Pooler),
		MaxConns: 4, StatementTimeout: longStep, LockTimeout: cfg.Postgres.LockTimeout,
	})
	if err != nil {
		return nil, fmt.Errorf("the store %s: %w", p, err)
	}
	return s, nil
}
