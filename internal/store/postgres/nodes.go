package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sallyport/sallyport/internal/core"
)

// proveEvery is how old the last confirmed write of this node may be when it
// hears facts. A primary that was cut off from its standbys, and perhaps
// replaced, still answers reads; commits it does not confirm.
const proveEvery = time.Second

// aliveMS is how long after its last beat a node counts as there.
const aliveMS = 15_000

// Node is one process that serves the store, as it told of itself.
type Node struct {
	ID         string
	Name       string // host and process, for people
	Version    string
	Settings   map[string]string // hash by key of the settings that all nodes should have in common
	Contracts  map[string]string // hash by mount of the contract served there
	StartedAt  int64             // by its own clock
	ClockAhead int64             // how far its clock stood before the database's at its last beat, in milliseconds
}

// tale is what a node tells of what it serves.
type tale struct {
	Settings  map[string]string `json:"settings"`
	Contracts map[string]string `json:"contracts"`
}

// proof remembers the last confirmed write.
type proof struct {
	turn chan struct{} // room for the one that writes
	at   atomic.Int64  // steady milliseconds; 0 = never
}

// peers is what was said and heard of nodes.
type peers struct {
	mu   sync.Mutex
	self Node
	list []Node
}

// Introduce says what the other nodes are told of this one from the next beat
// on. ID need not be set.
func (s *Store) Introduce(n Node) {
	s.peers.mu.Lock()
	defer s.peers.mu.Unlock()
	s.peers.self = n
}

// Peers are the nodes that served the store lately, this one included, as of
// the last beat.
func (s *Store) Peers() []Node {
	s.peers.mu.Lock()
	defer s.peers.mu.Unlock()
	return s.peers.list
}

// Listening reports whether notifications of other nodes arrive; polling does
// when they do not.
func (s *Store) Listening() bool { return s.ears.up.Load() }

// prove makes sure that a write of this node was confirmed within the last
// second, by its beat. A full disk is no sign of isolation: a server that
// says so answers, and nobody can add facts there either.
func (s *Store) prove(ctx context.Context) error {
	if !s.cfg.Serve {
		return nil
	}
	if ctx.Err() != nil {
		return gone(ctx)
	}
	select {
	case s.proof.turn <- struct{}{}:
		defer func() { <-s.proof.turn }()
	case <-ctx.Done():
		return gone(ctx)
	}
	if at := s.proof.at.Load(); at > 0 && steadyMS()-at < proveEvery.Milliseconds() {
		return nil
	}
	began := steadyMS()
	err := s.beat(ctx)
	for n := 0; inDoubt(err) && n < retriesMax && pause(ctx, n); n++ {
		err = s.beat(ctx)
	}
	if err != nil && !strings.HasPrefix(sqlState(err), "53") {
		return fmt.Errorf("%w: the server does not confirm this node's writes: %w", core.ErrStoreUnavailable, err)
	}
	s.proof.at.Store(began + 1) // above 0 from now on
	return nil
}

const nowMS = `(extract(epoch FROM clock_timestamp()) * 1000)::bigint`

// beat writes this node's row, tells the channel, and reads the others' rows,
// in one statement.
func (s *Store) beat(ctx context.Context) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.running.Done()
	ctx, cancel := s.bounded(ctx, s.cfg.StatementTimeout)
	defer cancel()
	s.peers.mu.Lock()
	self := s.peers.self
	s.peers.mu.Unlock()
	told, err := json.Marshal(tale{self.Settings, self.Contracts})
	if err != nil {
		return err
	}
	var all []Node
	var promoted bool
	err = s.again(ctx, s.aside, func(c *pgxpool.Conn) (err error) {
		all, err = collect(&conn{ctx: ctx, q: c}, func(row scanner) (Node, error) { return scanNode(row, &promoted) }, `WITH own AS (INSERT INTO nodes (id, name, version, serves, started_at, clock, seen_at)
				VALUES ($1, $2, $3, $4, $5, $6, `+nowMS+`)
				ON CONFLICT (id) DO UPDATE SET name = excluded.name, version = excluded.version, serves = excluded.serves,
					started_at = excluded.started_at, clock = excluded.clock, seen_at = excluded.seen_at
				RETURNING *),
			said AS MATERIALIZED (SELECT pg_notify('`+channel+`', $7))
			SELECT n.id, n.name, n.version, n.serves, n.started_at, n.clock - n.seen_at,
				(SELECT timeline NOT IN (0, `+s.timeline+`) FROM fact_counter)
			FROM (SELECT * FROM own UNION ALL SELECT * FROM nodes WHERE id <> $1 AND seen_at > `+nowMS+` - $8) n, (SELECT count(*) FROM said) x ORDER BY n.id`,
			s.node, self.Name, self.Version, string(told), self.StartedAt, s.now(), s.instance+" "+newsBeat, int64(aliveMS))
		return s.outcome(c, err)
	})
	if err != nil {
		return err
	}
	s.peers.mu.Lock()
	s.peers.list = all
	s.peers.mu.Unlock()
	if promoted {
		return s.heal(ctx)
	}
	return nil
}

func scanNode(row scanner, more ...any) (n Node, err error) {
	var told string
	if err := row.Scan(append([]any{&n.ID, &n.Name, &n.Version, &told, &n.StartedAt, &n.ClockAhead}, more...)...); err != nil {
		return n, err
	}
	var t tale
	if err := json.Unmarshal([]byte(told), &t); err != nil {
		return n, fmt.Errorf("what the node %s tells of itself is damaged: %w", n.ID, err)
	}
	n.Settings, n.Contracts = t.Settings, t.Contracts
	return n, nil
}

// Lease asks for a turn that one node at a time has: true when it is, or now
// becomes, this node's, for as long as asked.
func (s *Store) Lease(ctx context.Context, name string, length time.Duration) (mine bool, err error) {
	var n int64
	err = s.always(ctx, true, func(c *conn) (err error) {
		n, err = c.exec(`INSERT INTO leases AS l (name, node, held_until) VALUES ($1, $2, `+nowMS+` + $3)
			ON CONFLICT (name) DO UPDATE SET node = excluded.node, held_until = excluded.held_until
			WHERE l.node = excluded.node OR l.held_until < `+nowMS, name, s.node, length.Milliseconds())
		return err
	})
	return err == nil && n == 1, err
}

// heal raises the counter of facts after a promotion that may have lost some,
// before anybody finds the log shorter than what was heard.
func (s *Store) heal(ctx context.Context) error {
	s.log.Warn("store: the server was promoted; numbers of revocations leap, in case it had lost some")
	return s.always(ctx, true, func(c *conn) error {
		_, err := c.exec(`UPDATE fact_counter SET last = last + $1, timeline = `+s.timeline+` WHERE timeline NOT IN (0, `+s.timeline+`)`, factLeap)
		return err
	})
}

// sayGoodbye takes this node off the list, so that nobody wonders about it.
func (s *Store) sayGoodbye() {
	if !s.cfg.Serve {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), goodOrder)
	defer cancel()
	err := s.again(ctx, s.aside, func(c *pgxpool.Conn) error {
		_, err := c.Exec(ctx, `DELETE FROM nodes WHERE id = $1`, s.node)
		return err
	})
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		s.log.Debug("store: this node could not be taken off the list", "err", err)
	}
}
