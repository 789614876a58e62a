package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sallyport/sallyport/internal/core"
)

// Pooler says what stands between us and the server.
type Pooler string

// The kinds. Session pooling of pgbouncer is like no pooler at all.
const (
	NoPooler          Pooler = "none"
	TransactionPooler Pooler = "transaction" // a connection is ours for one transaction: nothing is prepared, set or listened to
)

// Config says where the store is and what it may cost. URL and Now are needed.
type Config struct {
	URL string // postgres://user@host:port/database?…, or the keyword form of libpq
	Now func() int64
	// Node is the id of this process, for its audit chain and the table of
	// nodes; "" = a new one.
	Node string
	// Serve makes this process a node: it listens for news, and must have had a
	// write confirmed lately to hear facts. Commands that come and go leave it.
	Serve  bool
	Logger *slog.Logger // nil = say nothing

	Pooler           Pooler        // "" = NoPooler
	MaxConns         int           // of the pool for steps; 0 = 10. Serving takes 4 more.
	StatementTimeout time.Duration // 0 = 10 s; no step takes longer
	LockTimeout      time.Duration // 0 = 3 s; how long a step waits for a row that another changes
	// Ballast is how many bytes of the database's disk are kept back for what
	// ends something; 0 = none. Serving nodes look after it.
	Ballast int64

	// OneAtATime sends every refresh as a statement of its own. It is there to
	// measure what coalescing gains.
	OneAtATime bool
}

// Store is a database opened by this process.
type Store struct {
	cfg  Config
	log  *slog.Logger
	now  func() int64
	node string
	// instance tells our own notifications from those of others.
	instance string
	created  bool
	tracer   pgx.QueryTracer // nil but in tests
	timeline string          // SQL expression: the timeline that the server writes now

	pool  *pgxpool.Pool // steps
	aside *pgxpool.Pool // hearing facts, proving that we can write: never behind a queue of steps

	gate    sync.RWMutex // closed, and adding to steps
	closed  bool
	running sync.WaitGroup // steps handed over
	stop    context.CancelFunc
	chores  sync.WaitGroup

	changes chan struct{}
	keyNews chan struct{}
	loose   chan struct{} // audit events wait for their place in the chain
	group   *group        // nil with OneAtATime
	proof   proof
	peers   peers
	ears    ears
	fault   fault
	link    link
	ballast ballast

	steps, batches atomic.Uint64
	lastCommit     atomic.Int64
	size           atomic.Int64
}

var _ core.Store = (*Store)(nil)

var errClosed = fmt.Errorf("%w: it was closed", core.ErrStoreUnavailable)

func (c *Config) fill() error {
	if c.Now == nil {
		return errors.New("postgres.Config.Now is missing: give the clock")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Node == "" {
		c.Node = core.NewID("nd_")
	}
	if c.Pooler == "" {
		c.Pooler = NoPooler
	}
	if c.Pooler != NoPooler && c.Pooler != TransactionPooler {
		return fmt.Errorf("unknown pooler %q: it is none or transaction", c.Pooler)
	}
	if c.MaxConns <= 0 {
		c.MaxConns = 10
	}
	if c.StatementTimeout <= 0 {
		c.StatementTimeout = 10 * time.Second
	}
	if c.LockTimeout <= 0 {
		c.LockTimeout = 3 * time.Second
	}
	return nil
}

// Open connects, migrates the schema and prepares the store. Its errors say
// what to do and never hold the password.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	s := &Store{
		cfg: cfg, log: cfg.Logger, now: cfg.Now, node: cfg.Node, instance: core.NewID(""),
		changes: make(chan struct{}, 1), keyNews: make(chan struct{}, 1), loose: make(chan struct{}, 1),
		proof: proof{turn: make(chan struct{}, 1)},
	}
	s.link.start()
	if err := s.open(ctx); err != nil {
		s.closePools()
		return nil, err
	}
	work, stop := context.WithCancel(context.Background())
	s.stop = stop
	if !cfg.OneAtATime {
		s.group = s.startGroup(work)
	}
	s.chores.Go(func() { s.chainLoose(work) })
	s.chores.Go(func() { s.weigh(work) })
	if !cfg.Serve && cfg.Ballast > 0 {
		s.heedBallast(ctx)
	}
	if cfg.Serve {
		s.chores.Go(func() { s.watchLink(work) })
		if cfg.Ballast > 0 {
			s.chores.Go(func() { s.tendBallast(work) })
		}
	}
	if cfg.Serve && cfg.Pooler == NoPooler {
		s.chores.Go(func() { s.listen(work) })
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	conf, err := s.connConfig()
	if err != nil {
		return err
	}
	if s.pool, err = s.newPool(ctx, conf, s.cfg.MaxConns); err != nil {
		return err
	}
	if s.aside, err = s.newPool(ctx, conf, 2); err != nil {
		return err
	}
	if err := s.inspect(ctx); err != nil {
		return notLetIn(err, conf)
	}
	if err := s.migrate(ctx, migrationFiles); err != nil {
		return err
	}
	return s.establish(ctx)
}

// establish writes what every store has from its first moment.
func (s *Store) establish(ctx context.Context) error {
	now := s.now()
	err := s.ending(ctx, true, func(t *tx) error {
		incarnation := core.NewID("in_")
		n, err := t.exec(`INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING`, core.MetaIncarnation, incarnation)
		if err != nil {
			return err
		}
		s.created = n == 1
		// Nodes that ended without a goodbye, long ago.
		if _, err := t.exec(`DELETE FROM nodes WHERE seen_at < ` + nowMS + ` - 7 * 86400000::bigint`); err != nil {
			return err
		}
		_, err = t.exec(`INSERT INTO accounts (id, shortname, state, version, created_at) VALUES ('ac_default', $1, 'active', 1, $2) ON CONFLICT DO NOTHING`,
			core.DefaultAccount, now)
		return err
	})
	if err != nil {
		return fmt.Errorf("preparing the store: %w", err)
	}
	return s.weighOnce(ctx)
}

// Created reports whether Open made a new store.
func (s *Store) Created() bool { return s.created }

// Node is the id of this process.
func (s *Store) Node() string { return s.node }

// Changes implements core.Store.
func (s *Store) Changes() <-chan struct{} { return s.changes }

// KeyChanges delivers a value, never blocking, when another node has changed
// signing keys or the master key.
func (s *Store) KeyChanges() <-chan struct{} { return s.keyNews }

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default: // the reader has not yet seen the last one, which tells the same
	}
}

// Ping implements core.Store.
func (s *Store) Ping(ctx context.Context) error {
	return s.viewOn(ctx, s.aside, func(c *conn) error {
		var n int
		return c.row(`SELECT count(*) FROM meta WHERE name = $1`, core.MetaIncarnation).Scan(&n)
	})
}

// Stats implements core.Store. The size is some seconds old.
func (s *Store) Stats() core.StoreStats {
	return core.StoreStats{
		Steps: s.steps.Load(), Batches: s.batches.Load(), Queue: s.group.waiting(),
		SizeBytes: s.size.Load(), LastCommit: s.lastCommit.Load(), Ballast: s.ballast.held.Load(),
	}
}

// weigh asks for the size of the database now and then.
func (s *Store) weigh(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := s.weighOnce(ctx); err != nil && ctx.Err() == nil {
				s.log.Debug("store: the size of the database is unknown", "err", err)
			}
		}
	}
}

func (s *Store) weighOnce(ctx context.Context) error {
	return s.view(ctx, func(c *conn) error {
		var n int64
		err := c.row(`SELECT pg_database_size(current_database())`).Scan(&n)
		s.size.Store(n)
		return err
	})
}

// Close waits for the steps handed over, then disconnects. Calls that come
// later get ErrStoreUnavailable.
func (s *Store) Close() error {
	s.gate.Lock()
	if s.closed {
		s.gate.Unlock()
		return nil
	}
	s.closed = true
	s.gate.Unlock()
	s.running.Wait()
	s.stop()
	s.chores.Wait()
	s.sayGoodbye()
	s.closePools()
	return nil
}

func (s *Store) closePools() {
	for _, p := range []*pgxpool.Pool{s.pool, s.aside} {
		if p != nil {
			p.Close()
		}
	}
}

// enter counts a step in; it must be followed by s.running.Done.
func (s *Store) enter() error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.closed {
		return errClosed
	}
	if err := s.link.err(); err != nil {
		return err
	}
	s.running.Add(1)
	return nil
}
