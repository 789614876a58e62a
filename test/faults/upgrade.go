package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/store/pgtest"
	"github.com/sallyport/sallyport/test/clients"
	"github.com/sallyport/sallyport/test/faults/cluster"
	"github.com/sallyport/sallyport/test/faults/world"
)

// upgrade is the scenario: one version follows the other and back, under load.
type upgrade struct {
	*trial
	store, from, to, tag string
	workers, turns       int
	settle               time.Duration

	world *world.World
	crew  *clients.Crew
	done  []upgradeFigure
}

// upgradeFigure is one change of version in figures.
type upgradeFigure struct {
	From      string  `json:"from"`
	To        string  `json:"to"`
	Requests  int     `json:"rotations"`
	Again     int64   `json:"requests_sent_again"`
	WaitS     float64 `json:"longest_wait_of_a_client_s"`
	Failed    int     `json:"violations"`
	TookS     float64 `json:"took_s"`
	StillS    float64 `json:"longest_without_a_write_s"`
	FirstRunS float64 `json:"first_start_s"` // of the first node of the new version
}

func upgradeFlags(fs *flag.FlagSet) func(context.Context, *trial) error {
	u := &upgrade{}
	fs.StringVar(&u.store, "store", "postgres", "postgres (two nodes, one after the other) or sqlite (one node, stopped and started); HAProxy is before them")
	fs.StringVar(&u.from, "from", "", "old, this or next; default: this with postgres, old with sqlite")
	fs.StringVar(&u.to, "to", "", "this or next (this with one migration more); default: next with postgres, this with sqlite")
	fs.StringVar(&u.tag, "old", "v0.1.0", "the tag that old stands for")
	fs.IntVar(&u.workers, "workers", 8, "clients at work")
	fs.IntVar(&u.turns, "turns", 2, "how many times up and down again")
	fs.DurationVar(&u.settle, "settle", 3*time.Second, "load between two nodes")
	return func(ctx context.Context, t *trial) error {
		u.trial = t
		if u.from == "" {
			u.from = map[string]string{"postgres": "this", "sqlite": "old"}[u.store]
		}
		if u.to == "" {
			u.to = map[string]string{"postgres": "next", "sqlite": "this"}[u.store]
		}
		return u.run(ctx)
	}
}

func (u *upgrade) run(ctx context.Context) (err error) {
	binaries := map[string]string{}
	for _, v := range []string{u.from, u.to} {
		if binaries[v], err = u.version(ctx, v); err != nil {
			return err
		}
	}
	stores := []string{""}
	if _, err := cluster.HAProxy(); err != nil {
		return errors.Join(errMissing, err)
	}
	if u.store == "postgres" {
		pg, err := u.postgres(ctx, pgtest.Config{})
		if err != nil {
			return err
		}
		defer func() { _ = pg.Close() }() // a trial that went well is worth more
		stores = []string{pg.DSN("sallyport"), pg.DSN("sallyport")}
	}
	u.world, err = world.New(world.Options{Dir: u.dir, Binary: binaries[u.from], Stores: stores, Balance: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.world.Close()) }()
	u.say("starting %d nodes of version %q", len(stores), u.from)
	if err := u.world.Start(ctx); err != nil {
		return err
	}
	if u.crew, err = clients.NewCrew(ctx, u.workers, u.seed, u.progress); err != nil {
		return err
	}
	if err := u.crew.HireAll(u.api()); err != nil {
		return err
	}
	defer u.conclude()
	for n := range u.turns {
		u.crew.Round = n + 1
		for _, way := range [][2]string{{u.from, u.to}, {u.to, u.from}} {
			if err := u.change(ctx, way[0], way[1], binaries[way[1]]); err != nil {
				return fmt.Errorf("from %q to %q: %w", way[0], way[1], err)
			}
		}
	}
	u.crew.CheckEnded(u.api())
	return errors.Join(u.crew.CheckAudit(u.api()), ctx.Err())
}

// version builds one.
func (u *upgrade) version(ctx context.Context, name string) (string, error) {
	switch name {
	case "old":
		u.say("building %s", u.tag)
		return buildTag(ctx, u.dir, u.tag)
	case "next":
		u.say("building with one migration more")
		return buildNext(ctx, u.dir, u.store)
	case "this":
		return u.binary, u.build(ctx)
	}
	return "", fmt.Errorf("there is no version %q; there are old, this and next", name)
}

// api: behind a balancer a client tries once more and no oftener.
func (u *upgrade) api() *clients.API {
	a := u.world.API(requestTimeout)
	a.Patience, a.Pause, a.Tries = patience, 20*time.Millisecond, 2
	if len(u.world.Nodes) > 1 {
		a.Lag = lag
	}
	return a
}

// change brings all nodes to another version, one after the other, under load.
func (u *upgrade) change(ctx context.Context, from, to, binary string) error {
	f := upgradeFigure{From: from, To: to}
	before := len(u.crew.Violations())
	u.crew.Writes() // forget the last change's
	a := u.api()
	loading, stop := context.WithCancel(ctx)
	defer stop()
	var load sync.WaitGroup
	load.Go(func() { u.crew.Load(loading, a) })
	sleep(ctx, u.settle)
	began := time.Now()
	err := func() error {
		for i, node := range u.world.Nodes {
			node.Stop()
			node.Path = binary
			took, err := node.Start(ctx)
			if err != nil {
				return err
			}
			if i == 0 {
				f.FirstRunS = took.Seconds()
			}
			sleep(ctx, u.settle) // as who watches what he has done; the balancer finds it meanwhile
		}
		return nil
	}()
	f.TookS = time.Since(began).Seconds()
	stop()
	load.Wait()
	if err != nil {
		return err
	}
	writes, wait := u.crew.Writes()
	still, _ := pause(writes, began)
	u.crew.Check(u.api())
	f.Requests, f.Again, f.WaitS, f.StillS = len(writes), a.Again(), wait.Seconds(), still.Seconds()
	f.Failed = len(u.crew.Violations()) - before
	u.done = append(u.done, f)
	u.say("%s to %s: %d rotations, %d requests sent again, %d violations", from, to, f.Requests, f.Again, f.Failed)
	return nil
}

func (u *upgrade) conclude() {
	u.report.take(u.crew)
	u.report.Figures = map[string]any{"store": u.store, "changes": u.done}
	u.report.Head = []string{"from", "to", "took s", "first start s", "rotations", "sent again", "longest wait s", "no write for s", "violations"}
	for _, f := range u.done {
		u.report.Rows = append(u.report.Rows, []string{
			f.From, f.To, fmt.Sprintf("%.1f", f.TookS), fmt.Sprintf("%.2f", f.FirstRunS), fmt.Sprint(f.Requests), fmt.Sprint(f.Again),
			fmt.Sprintf("%.2f", f.WaitS), fmt.Sprintf("%.2f", f.StillS), fmt.Sprint(f.Failed),
		})
	}
	u.report.note("clients tried a request once more and no oftener; requests to the administration went to the nodes' own sockets")
}
