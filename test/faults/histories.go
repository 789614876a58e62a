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
	"github.com/sallyport/sallyport/test/faults/history"
	"github.com/sallyport/sallyport/test/faults/world"
)

// histories is the scenario: what clients see of sessions over two nodes while
// these are killed, checked for linearizability.
type histories struct {
	*trial
	length           time.Duration
	sessions, actors int
	store            string
	calm             bool

	world *world.World
	calls []*history.Call
	kills int
}

func historiesFlags(fs *flag.FlagSet) func(context.Context, *trial) error {
	h := &histories{}
	fs.DurationVar(&h.length, "length", time.Minute, "how long the actors act")
	fs.IntVar(&h.sessions, "sessions", 8, "sessions of each contract at a time")
	fs.IntVar(&h.actors, "actors", 3, "actors that share each session")
	fs.StringVar(&h.store, "store", "postgres", "postgres (two nodes) or sqlite (one)")
	fs.BoolVar(&h.calm, "calm", false, "do no harm")
	return func(ctx context.Context, t *trial) error {
		h.trial = t
		return h.run(ctx)
	}
}

func (h *histories) run(ctx context.Context) (err error) {
	if err := h.build(ctx); err != nil {
		return err
	}
	stores := []string{""}
	if h.store == "postgres" {
		pg, err := h.postgres(ctx, pgtest.Config{})
		if err != nil {
			return err
		}
		defer func() { _ = pg.Close() }() // a trial that went well is worth more
		stores = []string{pg.DSN("sallyport"), pg.DSN("sallyport")}
	}
	mounts, err := writeChains(h.dir)
	if err != nil {
		return err
	}
	h.world, err = world.New(world.Options{Dir: h.dir, Binary: h.binary, Stores: stores, Args: []string{"--mounts", mounts}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.world.Close()) }()
	h.say("starting %d nodes", len(stores))
	if err := h.world.Start(ctx); err != nil {
		return err
	}
	targets, err := h.targets(ctx)
	if err != nil {
		return err
	}
	h.say("acting for %s", h.length)
	if err := h.act(ctx, targets); err != nil {
		return err
	}
	h.say("checking %d calls", len(h.calls))
	h.conclude(targets)
	return nil
}

func (h *histories) targets(ctx context.Context) (list []*target, err error) {
	crew, err := clients.NewCrew(ctx, 0, h.seed, h.progress) // for the hash
	if err != nil {
		return nil, err
	}
	users, err := addUsers(ctx, h.world.Nodes[0].Admin(), crew.Hash, 2*h.sessions)
	if err != nil {
		return nil, err
	}
	id, secret, err := h.world.OAuthClient(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range chains {
		list = append(list, newTarget(c, h.world, users, [2]string{id, secret}, requestTimeout))
	}
	return list, nil
}

// act lets the actors act and does harm meanwhile.
func (h *histories) act(ctx context.Context, targets []*target) error {
	ctx, stop := context.WithTimeout(ctx, h.length)
	defer stop()
	var all sync.WaitGroup
	var mu sync.Mutex
	for i, t := range targets {
		all.Go(func() {
			calls := history.Run(ctx, t, history.Options{
				Sessions: h.sessions, Actors: h.actors, Calls: 40, Pause: 80 * time.Millisecond,
				Grace: t.chain.grace, Bound: history.Bound, Seed: h.seed + uint64(i),
			})
			mu.Lock()
			h.calls = append(h.calls, calls...)
			mu.Unlock()
		})
	}
	err := h.harm(ctx)
	all.Wait()
	return err
}

// harm kills nodes until ctx ends.
func (h *histories) harm(ctx context.Context) error {
	rng := rand.New(rand.NewPCG(h.seed, 2))
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(500*time.Millisecond + time.Duration(rng.Int64N(int64(2*time.Second)))):
		}
		if h.calm {
			continue
		}
		node := h.world.Nodes[rng.IntN(len(h.world.Nodes))]
		node.Kill()
		h.kills++
		if _, err := node.Start(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
}

func (h *histories) conclude(targets []*target) {
	res := history.Check(h.calls, history.Bound, time.Minute)
	h.report.Violations = append(h.report.Violations, res.Illegal...)
	for _, t := range targets {
		for what, n := range t.strange {
			h.report.violate("%s: %s, %d times", t.chain.name, what, n)
		}
	}
	if res.GaveUp > 0 {
		h.report.note("%d sessions were too entangled to decide; they count as neither", res.GaveUp)
	}
	counts := map[string]int{}
	for _, c := range h.calls {
		counts[string(c.Act)+" "+string(c.Verdict)]++
	}
	h.report.Counts = counts
	h.report.Figures = map[string]any{"nodes": len(h.world.Nodes), "kills": h.kills, "checked": res}
	h.report.Head = []string{"nodes", "kills", "sessions", "calls", "unknown outcome", "not linearizable", "undecided"}
	h.report.Rows = [][]string{{
		fmt.Sprint(len(h.world.Nodes)), fmt.Sprint(h.kills), fmt.Sprint(res.Sessions), fmt.Sprint(res.Calls), fmt.Sprint(res.Unknown),
		fmt.Sprint(len(res.Illegal)), fmt.Sprint(res.GaveUp),
	}}
	h.report.note("a node may call an ended session's access token active for %s; of refreshes nothing stale is allowed", history.Bound)
}
