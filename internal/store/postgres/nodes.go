package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
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
	Config     string            // hash of the settings that must be the same on all nodes
	Contracts  map[string]string // hash of the compiled contract by mount
	StartedAt  int64             // by its own clock
	ClockAhead int64             // how far its clock stood before the database's at its last beat, in milliseconds
}

// proof remembers the last confirmed write.
type proof struct {
	mu sync.Mutex
	at int64 // steady milliseconds; 0 = never
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
	s.proof.mu.Lock()
	defer s.proof.mu.Unlock()
	if s.proof.at > 0 && steadyMS()-s.proof.at < proveEvery.Milliseconds() {
		return nil
	}
	began := steadyMS()
	err := s.beat(ctx)
	if err != nil && !strings.HasPrefix(sqlState(err), "53") {
		return fmt.Errorf("%w: the server does not confirm this node's writes: %w", core.ErrStoreUnavailable, err)
	}
	s.proof.at = began
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
	ctx, cancel := context.WithTimeout(ctx, s.cfg.StatementTimeout)
	defer cancel()
	s.peers.mu.Lock()
	self := s.peers.self
	s.peers.mu.Unlock()
	contracts, err := json.Marshal(self.Contracts)
	if err != nil {
		return err
	}
	var all []Node
	err = s.again(ctx, s.aside, func(c *pgxpool.Conn) (err error) {
		all, err = collect(&conn{ctx, c}, scanNode, `WITH own AS (INSERT INTO nodes (id, name, version, config, contracts, started_at, clock, seen_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7, `+nowMS+`)
				ON CONFLICT (id) DO UPDATE SET name = excluded.name, version = excluded.version, config = excluded.config, contracts = excluded.contracts,
					started_at = excluded.started_at, clock = excluded.clock, seen_at = excluded.seen_at
				RETURNING *),
			said AS MATERIALIZED (SELECT pg_notify('`+channel+`', $8))
			SELECT n.id, n.name, n.version, n.config, n.contracts, n.started_at, n.clock - n.seen_at
			FROM (SELECT * FROM own UNION ALL SELECT * FROM nodes WHERE id <> $1 AND seen_at > `+nowMS+` - $9) n, (SELECT count(*) FROM said) x ORDER BY n.id`,
			s.node, self.Name, self.Version, self.Config, string(contracts), self.StartedAt, s.now(), s.instance+" "+newsBeat, int64(aliveMS))
		return s.outcome(c, err)
	})
	if err != nil {
		return err
	}
	s.peers.mu.Lock()
	s.peers.list = all
	s.peers.mu.Unlock()
	return nil
}

func scanNode(row scanner) (n Node, err error) {
	var contracts string
	if err := row.Scan(&n.ID, &n.Name, &n.Version, &n.Config, &contracts, &n.StartedAt, &n.ClockAhead); err != nil {
		return n, err
	}
	return n, json.Unmarshal([]byte(contracts), &n.Contracts)
}

// sayGoodbye takes this node off the list, so that nobody wonders about it.
func (s *Store) sayGoodbye() {
	if !s.cfg.Serve {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	err := s.again(ctx, s.aside, func(c *pgxpool.Conn) error {
		_, err := c.Exec(ctx, `DELETE FROM nodes WHERE id = $1`, s.node)
		return err
	})
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		s.log.Debug("store: this node could not be taken off the list", "err", err)
	}
}
