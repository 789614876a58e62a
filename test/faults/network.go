package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/store/pgtest"
	"github.com/sallyport/sallyport/test/clients"
	"github.com/sallyport/sallyport/test/faults/history"
	"github.com/sallyport/sallyport/test/faults/links"
	"github.com/sallyport/sallyport/test/faults/world"
)

// network is the scenario: two nodes, each with a link of its own to the
// database, which are harmed one way after the other.
type network struct {
	*trial
	length, only    string
	calm, undecided time.Duration

	links   []*links.Link
	world   *world.World
	crew    *clients.Crew
	targets []*target
	mu      sync.Mutex
	calls   []*history.Call
	done    []networkFigure
}

// harm is one way to harm the links.
type harm struct {
	name  string
	nodes []int // whose links
	cut   bool  // nothing passes: such a node has to fail closed
	do    func(*links.Link) error
}

func toxic(kind string, attributes map[string]any, streams ...string) func(*links.Link) error {
	return func(l *links.Link) error {
		for _, s := range streams {
			if err := l.Harm(links.Toxic{Type: kind, Stream: s, Attributes: attributes}); err != nil {
				return err
			}
		}
		return nil
	}
}

var harms = []harm{
	{"latency", []int{1}, false, toxic("latency", map[string]any{"latency": 100, "jitter": 80}, "upstream", "downstream")},
	{"slow", []int{1}, false, toxic("latency", map[string]any{"latency": 500}, "upstream", "downstream")},
	{"bandwidth", []int{1}, false, toxic("bandwidth", map[string]any{"rate": 30}, "upstream", "downstream")},
	{"slow_close", []int{1}, false, toxic("slow_close", map[string]any{"delay": 2000}, "upstream", "downstream")},
	{"reset_peer", []int{1}, false, toxic("reset_peer", map[string]any{"timeout": 700}, "upstream", "downstream")},
	{"timeout", []int{1}, true, toxic("timeout", map[string]any{"timeout": 0}, "upstream", "downstream")},
	{"answers lost", []int{1}, true, toxic("timeout", map[string]any{"timeout": 0}, "downstream")},
	{"requests lost", []int{1}, true, toxic("timeout", map[string]any{"timeout": 0}, "upstream")},
	{"partition", []int{1}, true, func(l *links.Link) error { l.Cut(); return nil }},
	{"both cut", []int{0, 1}, true, func(l *links.Link) error { l.Cut(); return nil }},
}

func networkFlags(fs *flag.FlagSet) func(context.Context, *trial) error {
	n := &network{}
	fs.StringVar(&n.length, "length", "12s", "how long each harm lasts; more than max_staleness (5s)")
	fs.StringVar(&n.only, "only", "", "only the harms named, separated by commas")
	fs.DurationVar(&n.undecided, "undecided", 5*time.Second, "how long a node that is cut off may think about a request: it takes about two seconds to be sure that a link is silent, the rest is for a machine that is busy")
	return func(ctx context.Context, t *trial) (err error) {
		n.trial = t
		if n.calm, err = time.ParseDuration(n.length); err != nil || n.calm < lag+2*time.Second {
			return fmt.Errorf("-length must be %s at least", lag+2*time.Second)
		}
		return n.run(ctx)
	}
}

func (n *network) run(ctx context.Context) (err error) {
	if err := n.build(ctx); err != nil {
		return err
	}
	pg, err := n.postgres(ctx, pgtest.Config{})
	if err != nil {
		return err
	}
	defer func() { _ = pg.Close() }() // a trial that went well is worth more
	var stores []string
	for i := range 2 {
		l, err := links.New(fmt.Sprintf("node%d", i+1), address(pg))
		if err != nil {
			return err
		}
		defer l.Close()
		dsn, err := through(pg.DSN("sallyport"), l.Address)
		if err != nil {
			return err
		}
		n.links, stores = append(n.links, l), append(stores, dsn)
	}
	mounts, err := writeChains(n.dir)
	if err != nil {
		return err
	}
	mounts = strings.TrimSuffix(mounts, "]") + `,"itempath","netography"]`
	n.say("starting two nodes")
	if n.world, err = world.New(world.Options{Dir: n.dir, Binary: n.binary, Stores: stores, Args: []string{"--mounts", mounts}}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.world.Close()) }()
	if err := n.world.Start(ctx); err != nil {
		return err
	}
	if err := n.populate(ctx); err != nil {
		return err
	}
	return n.each(ctx)
}

func (n *network) populate(ctx context.Context) (err error) {
	if n.crew, err = clients.NewCrew(ctx, 4, n.seed, n.progress); err != nil {
		return err
	}
	if err := n.crew.HireAll(n.api()); err != nil {
		return err
	}
	users, err := addUsers(ctx, n.world.Nodes[0].Admin(), n.crew.Hash, 16)
	if err != nil {
		return err
	}
	id, secret, err := n.world.OAuthClient(ctx)
	if err != nil {
		return err
	}
	for _, c := range chains {
		n.targets = append(n.targets, newTarget(c, n.world, users, [2]string{id, secret}, requestTimeout))
	}
	return nil
}

func (n *network) api() *clients.API {
	a := n.world.API(requestTimeout)
	a.Patience, a.Lag, a.Pause = patience, lag, 50*time.Millisecond
	return a
}

// each does one harm after the other, with clients and actors at work all the
// time, and compares after each.
func (n *network) each(ctx context.Context) error {
	acting, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	for i, t := range n.targets {
		all.Go(func() {
			calls := history.Run(acting, t, history.Options{
				Sessions: 2, Actors: 3, Calls: 40, Pause: 150 * time.Millisecond,
				Grace: t.chain.grace, Bound: history.Bound, Seed: n.seed + uint64(i),
			})
			n.mu.Lock()
			n.calls = append(n.calls, calls...)
			n.mu.Unlock()
		})
	}
	var err error
	for i := range harms {
		if n.only != "" && !slices.Contains(strings.Split(n.only, ","), harms[i].name) {
			continue
		}
		n.crew.Round++
		if err = n.once(ctx, &harms[i]); err != nil {
			err = fmt.Errorf("%s: %w", harms[i].name, err)
			break
		}
	}
	stop()
	n.say("waiting for the actors")
	all.Wait()
	if err == nil {
		n.crew.CheckEnded(n.api())
		err = n.crew.CheckAudit(n.api())
	}
	n.conclude()
	return errors.Join(err, ctx.Err())
}

// once is one harm: begin, let it last, end, wait until both nodes serve.
func (n *network) once(ctx context.Context, h *harm) error {
	n.say("%s on the link of node %d…", h.name, h.nodes[0]+1)
	loading, stop := context.WithCancel(ctx)
	defer stop()
	a := n.api()
	var load sync.WaitGroup
	load.Go(func() { n.crew.Load(loading, a) })
	w, err := n.watch(ctx, h)
	if err == nil {
		err = w.through(ctx, n)
	}
	stop()
	load.Wait()
	if err != nil {
		return err
	}
	n.crew.Check(n.api())
	return nil
}

func (n *network) conclude() {
	n.report.take(n.crew)
	n.say("checking %d calls", len(n.calls))
	res := history.Check(n.calls, history.Bound, time.Minute)
	n.report.Violations = append(n.report.Violations, res.Illegal...)
	for _, t := range n.targets {
		for what, times := range t.strange {
			n.report.violate("%s: %s, %d times", t.chain.name, what, times)
		}
	}
	n.report.Figures = map[string]any{"harms": n.done, "histories": res, "length": n.length}
	n.report.Head = []string{"harm", "node", "verified", "refreshed", "last verified s", "slowest answer s", "recovered s"}
	for _, f := range n.done {
		for i := range f.Nodes {
			node := &f.Nodes[i]
			name := fmt.Sprint(i + 1)
			if node.Harmed {
				name += " (harmed)"
			}
			last := "-"
			if node.Harmed && f.Cut {
				last = fmt.Sprintf("%.1f", node.LastS)
			}
			n.report.Rows = append(n.report.Rows, []string{
				f.Harm, name, share(node.Verified, node.Asked), share(node.Refreshed, node.Tried), last, fmt.Sprintf("%.1f", node.SlowestS), fmt.Sprintf("%.1f", node.RecoveredS),
			})
		}
	}
	n.report.note("verified and refreshed: requests that the node answered with success while the harm lasted (%s each);", n.length)
	n.report.note("last verified: when a node that was cut off last called a token good, after the cut (bound %s);", lag)
	n.report.note("slowest answer: yes, no, 503 or none at all (clients gave up after %s);", requestTimeout)
	n.report.note("recovered: when it verified and refreshed again, after the harm had ended")
	n.report.note("%d sessions, %d calls checked for linearizability, %d not linearizable, %d undecided", res.Sessions, res.Calls, len(res.Illegal), res.GaveUp)
}

func share(part, whole int) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%d of %d", part, whole)
}
