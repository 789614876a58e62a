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
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/dump"
	"github.com/sallyport/sallyport/internal/store/postgres"
	"github.com/sallyport/sallyport/internal/store/sqlite"
)

// anyStore is a store of either kind, which can be dumped and filled too.
type anyStore interface {
	core.Store
	dump.Target
}

// shared says whether other nodes may serve the store, too.
func (e *engine) shared() bool { return e.postgres() != nil }

// postgres is the store if it is one in PostgreSQL, else nil.
func (e *engine) postgres() *postgres.Store {
	s, _ := e.store.(*postgres.Store)
	return s
}

// kind names the kind of the store for people.
func (e *engine) kind() string {
	if e.shared() {
		return "postgres"
	}
	return "sqlite"
}

// openStore opens the store that the configuration names. serve makes what is
// missing; commands that come and go do not.
func (e *engine) openStore(ctx context.Context, cfg *config.Config, o Options, serve bool) error {
	if cfg.Store != "" {
		return e.openPostgres(ctx, cfg, o, serve)
	}
	if !serve {
		if _, err := os.Stat(filepath.Join(e.dir, sqlite.FileName)); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no Sallyport data in %s; `sallyport serve` makes it, or name another directory with --data", e.dir)
		}
	}
	ballast := int64(cfg.Ballast)
	if cfg.Dev {
		ballast = 0 // a demo keeps no promises
	}
	s, err := sqlite.Open(ctx, sqlite.Config{Dir: e.dir, Create: serve, Now: e.now, Logger: e.log, Ballast: ballast})
	if err != nil {
		return err
	}
	e.store = s
	return core.CheckMoved(ctx, s, e.now())
}

// openPostgres opens a store in PostgreSQL. The data directory then holds what
// is this node's own: its id, its journal, the socket.
func (e *engine) openPostgres(ctx context.Context, cfg *config.Config, o Options, serve bool) error {
	if cfg.Dev {
		return errors.New("`serve --dev` keeps its store in a directory that it throws away; leave --store out, or --dev")
	}
	if serve && cfg.Sessions.Grace < shortGrace {
		e.log.Warn("sessions.grace is shorter than a failover of PostgreSQL usually takes: clients whose refresh it interrupts are then logged out", "grace", cfg.Sessions.Grace)
	}
	if err := os.MkdirAll(e.dir, 0o700); err != nil {
		return fmt.Errorf("making the data directory: %w", err)
	}
	node, err := e.nodeID()
	if err != nil {
		return err
	}
	s, err := postgres.Open(ctx, postgres.Config{
		URL: cfg.Store.Reveal(), Now: e.now, Node: node, Serve: serve, Logger: e.log,
		Pooler: postgres.Pooler(cfg.Postgres.Pooler), MaxConns: cfg.Postgres.Connections,
		StatementTimeout: cfg.Postgres.StatementTimeout, LockTimeout: cfg.Postgres.LockTimeout,
		OneAtATime: o.OneAtATime, Ballast: int64(cfg.Ballast),
	})
	if err != nil {
		return fmt.Errorf("the store %s: %w", cfg.Store, err)
	}
	e.store = s
	return core.CheckMoved(ctx, s, e.now())
}

// shortGrace is less than a managed failover takes to notice, elect and promote.
const shortGrace = time.Minute

// nodeFile holds the id of this node: its chain of audit records goes on after
// a restart.
const nodeFile = "node"

func (e *engine) nodeID() (string, error) {
	path := filepath.Join(e.dir, nodeFile)
	b, err := os.ReadFile(path)
	if id := strings.TrimSpace(string(b)); err == nil && id != "" {
		return id, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading the node's id: %w", err)
	}
	id := core.NewID("nd_")
	// A directory that cannot be written is one that the journal will tell of.
	if err := os.WriteFile(path, []byte(id+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("writing the node's id: %w", err)
	}
	return id, nil
}

// errNoMasterKey says how to bring the key. serve makes none for a store that
// other nodes share: each would have its own.
func errNoMasterKey(path string, newStore bool) error {
	what := "the store is served with a master key that this node does not have: bring the file from another node or from your backup"
	if newStore {
		what = "the store is new and needs a master key, the same on all nodes. Make one with `(umask 077; openssl rand -base64 32 > master.key)`, keep a copy apart from the database"
	}
	return fmt.Errorf("there is no master key: %s, and name it with --master-key-file, or put the key into SALLYPORT_MASTER_KEY (looked for %s)", what, path)
}
