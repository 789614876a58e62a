package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/store/pgtest"
	"github.com/sallyport/sallyport/test/clients"
	"github.com/sallyport/sallyport/test/faults/world"
	"github.com/sallyport/sallyport/test/figures"
)

// killNodes is the scenario: two nodes over one PostgreSQL, or one with
// SQLite, get SIGKILL while clients go on.
type killNodes struct {
	*trial
	rounds, kills, workers int
	store                  string

	world  *world.World
	crew   *clients.Crew
	rng    *rand.Rand
	ready  []time.Duration
	waits  []time.Duration
	killed int
	again  int64
}

func killNodesFlags(fs *flag.FlagSet) func(context.Context, *trial) error {
	k := &killNodes{}
	fs.IntVar(&k.rounds, "rounds", 20, "how many times everything is compared")
	fs.IntVar(&k.kills, "kills", 5, "kills in each round")
	fs.IntVar(&k.workers, "workers", 12, "clients at work")
	fs.StringVar(&k.store, "store", "postgres", "postgres (two nodes) or sqlite (one)")
	return func(ctx context.Context, t *trial) error {
		k.trial = t
		if k.rounds < 1 || k.kills < 1 || k.workers < 1 {
			return errors.New("-rounds, -kills and -workers are above zero")
		}
		return k.run(ctx)
	}
}

func (k *killNodes) run(ctx context.Context) (err error) {
	k.rng = rand.New(rand.NewPCG(k.seed, 1))
	if err := k.build(ctx); err != nil {
		return err
	}
	stores := []string{""}
	if k.store == "postgres" {
		pg, err := k.postgres(ctx, pgtest.Config{})
		if err != nil {
			return err
		}
		defer func() { _ = pg.Close() }() // a trial that went well is worth more
		stores = []string{pg.DSN("sallyport"), pg.DSN("sallyport")}
	}
	if k.world, err = world.New(world.Options{Dir: k.dir, Binary: k.binary, Stores: stores}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.world.Close()) }()
	k.say("starting %d nodes", len(stores))
	if err := k.world.Start(ctx); err != nil {
		return err
	}
	if k.crew, err = clients.NewCrew(ctx, k.workers, k.seed, k.progress); err != nil {
		return err
	}
	if err := k.crew.HireAll(k.api()); err != nil {
		return err
	}
	defer k.conclude()
	for n := 1; n <= k.rounds && ctx.Err() == nil; n++ {
		k.crew.Round = n
		if err := k.once(ctx); err != nil {
			return fmt.Errorf("round %d: %w", n, err)
		}
	}
	k.say("trying everything that was ever ended once more")
	k.crew.CheckEnded(k.api())
	return errors.Join(k.crew.CheckAudit(k.api()), ctx.Err())
}

// postgres runs a server with the database that nodes share.
func (t *trial) postgres(ctx context.Context, cfg pgtest.Config) (*pgtest.Server, error) {
	if cfg.Parent == "" {
		cfg.Parent = t.dir
	}
	t.say("starting PostgreSQL")
	pg, err := pgtest.Run(ctx, cfg)
	if errors.Is(err, pgtest.ErrMissing) {
		return nil, errors.Join(errMissing, err)
	}
	if err != nil {
		return nil, err
	}
	if err := createDatabase(ctx, pg.DSN("postgres")); err != nil {
		return nil, errors.Join(err, pg.Close())
	}
	return pg, nil
}

func (k *killNodes) api() *clients.API {
	a := k.world.API(requestTimeout)
	a.Patience, a.Lag, a.Pause = patience, lag, 5*time.Millisecond
	return a
}

// once is one round of kills, then the comparison. Now and then a node is
// killed while another one starts.
func (k *killNodes) once(ctx context.Context) error {
	a := k.api()
	loading, stop := context.WithCancel(ctx)
	defer stop()
	var load sync.WaitGroup
	load.Go(func() { k.crew.Load(loading, a) })
	err := func() error {
		for range k.kills {
			time.Sleep(time.Duration(k.rng.Int64N(int64(600 * time.Millisecond))))
			node := k.world.Nodes[k.rng.IntN(len(k.world.Nodes))]
			if !node.Alive() {
				return fmt.Errorf("a node ended by itself; its output ends:\n%s", node.LogTail(4000))
			}
			node.Kill()
			k.killed++
			took, err := node.Start(ctx)
			if err != nil {
				return err
			}
			k.ready = append(k.ready, took)
		}
		return nil
	}()
	stop()
	load.Wait()
	if err != nil {
		return err
	}
	_, wait := k.crew.Writes()
	k.waits = append(k.waits, wait)
	k.again += a.Again()
	k.crew.Check(k.api())
	k.crew.CheckLogin(k.api(), k.rng)
	k.say("round %d/%d: %d kills, longest wait of a client %ss, %d violations", k.crew.Round, k.rounds, k.killed, seconds(wait), len(k.crew.Violations()))
	return nil
}

func (k *killNodes) conclude() {
	k.report.take(k.crew)
	ready, waits := figures.SpreadOf(k.ready), figures.SpreadOf(k.waits)
	k.report.Figures = map[string]any{
		"nodes": len(k.world.Nodes), "kills": k.killed, "ready_ms": ready, "longest_wait_ms": waits, "requests_sent_again": k.again,
	}
	k.report.Head = []string{"ms", "min", "median", "p99", "max"}
	for _, row := range []struct {
		name string
		s    figures.Spread
	}{{"exec to ready", ready}, {"longest wait of a client, each round", waits}} {
		k.report.Rows = append(k.report.Rows, []string{
			row.name, fmt.Sprintf("%.0f", row.s.Min), fmt.Sprintf("%.0f", row.s.Median), fmt.Sprintf("%.0f", row.s.P99), fmt.Sprintf("%.0f", row.s.Max),
		})
	}
	k.report.note("%d kills of %d nodes; %d requests were sent again", k.killed, len(k.world.Nodes), k.again)
}
