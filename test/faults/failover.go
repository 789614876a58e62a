package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport/sallyport/test/clients"
	"github.com/sallyport/sallyport/test/faults/cluster"
	"github.com/sallyport/sallyport/test/faults/world"
	"github.com/sallyport/sallyport/test/figures"
)

// patience of the clients, from the promise: whoever tries again for that long
// notices nothing else of a failover.
const patience = 90 * time.Second

// requestTimeout is when a client gives a single request up.
const requestTimeout = 10 * time.Second

// lag is how long a node may go on without having heard of a revocation.
const lag = 5 * time.Second

// failover is the scenario.
type failover struct {
	*trial
	kills, members, workers int
	victim                  string
	strict                  bool
	ttl                     time.Duration

	pg    *cluster.Cluster
	world *world.World
	crew  *clients.Crew
	rng   *rand.Rand
	done  []failoverFigure
}

// failoverFigure is one failover in figures.
type failoverFigure struct {
	Killed    string  `json:"killed"` // member
	What      string  `json:"what"`   // of it
	Next      string  `json:"next_primary"`
	PromotedS float64 `json:"another_leads_after_s"`
	StillS    float64 `json:"longest_without_a_write_s"`
	ServingS  float64 `json:"writing_again_after_s"`
	WaitS     float64 `json:"longest_wait_of_a_client_s"`
	Rotations int     `json:"rotations"`
	Again     int64   `json:"requests_sent_again"`
}

func failoverFlags(fs *flag.FlagSet) func(context.Context, *trial) error {
	f := &failover{}
	fs.IntVar(&f.kills, "kills", 20, "how many times the primary is killed")
	fs.IntVar(&f.members, "members", 3, "PostgreSQL servers")
	fs.IntVar(&f.workers, "workers", 12, "clients at work")
	fs.StringVar(&f.victim, "kill", "mix", "what of the primary is killed: both (PostgreSQL and Patroni, as by a power cut), postgres, patroni, or mix")
	fs.BoolVar(&f.strict, "strict", false, "synchronous_mode_strict: without a standby nothing is written")
	fs.DurationVar(&f.ttl, "ttl", 20*time.Second, "how long a dead leader's lock lasts; Patroni takes no less than 20s")
	return func(ctx context.Context, t *trial) error {
		f.trial = t
		if f.kills < 1 || f.members < 2 || f.workers < 1 {
			return errors.New("-kills and -workers are above zero, -members above one")
		}
		return f.run(ctx)
	}
}

func (f *failover) run(ctx context.Context) (err error) {
	f.rng = rand.New(rand.NewPCG(f.seed, 1))
	if err := f.build(ctx); err != nil {
		return err
	}
	dir, err := f.folder("postgres")
	if err != nil {
		return err
	}
	f.say("starting %d PostgreSQL members under Patroni, etcd and HAProxy", f.members)
	if f.pg, err = cluster.Start(ctx, cluster.Options{Dir: dir, Members: f.members, Strict: f.strict, TTL: f.ttl}); err != nil {
		if errors.Is(err, cluster.ErrMissing) {
			err = errors.Join(errMissing, err)
		}
		return err
	}
	defer func() { err = errors.Join(err, f.pg.Close()) }()
	if err := createDatabase(ctx, f.pg.DSN("postgres")); err != nil {
		return err
	}
	store := f.pg.DSN("sallyport")
	f.say("starting two nodes behind HAProxy")
	if f.world, err = world.New(world.Options{Dir: f.dir, Binary: f.binary, Stores: []string{store, store}, Balance: true}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.world.Close()) }()
	if err := f.world.Start(ctx); err != nil {
		return err
	}
	if f.crew, err = clients.NewCrew(ctx, f.workers, f.seed, f.progress); err != nil {
		return err
	}
	if err := f.crew.HireAll(f.api()); err != nil {
		return err
	}
	for n := 1; n <= f.kills && ctx.Err() == nil; n++ {
		f.crew.Round = n
		if err := f.once(ctx, f.what(n)); err != nil {
			err = fmt.Errorf("failover %d: %w", n, err)
			f.conclude()
			return err
		}
	}
	f.say("trying everything that was ever ended once more")
	a := f.api()
	f.crew.CheckEnded(a)
	err = f.crew.CheckAudit(a)
	f.conclude()
	return errors.Join(err, ctx.Err())
}

// what is killed in a round. Of a mix, half are power cuts.
func (f *failover) what(n int) cluster.Victim {
	if f.victim != "mix" {
		return cluster.Victim(f.victim)
	}
	return []cluster.Victim{cluster.Both, cluster.Postgres, cluster.Both, cluster.Patroni}[(n-1)%4]
}

func (f *failover) api() *clients.API {
	a := f.world.API(requestTimeout)
	a.Patience, a.Lag, a.Pause = patience, lag, 20*time.Millisecond
	return a
}

// once is one failover: load, kill, wait for another primary, bring the old
// one back, let the load go on, then compare with the books.
func (f *failover) once(ctx context.Context, v cluster.Victim) error {
	old, err := f.pg.Primary(ctx)
	if err != nil {
		return err
	}
	f.crew.Writes() // forget the last round's
	a := f.api()
	loading, stop := context.WithCancel(ctx)
	defer stop()
	var load sync.WaitGroup
	load.Go(func() { f.crew.Load(loading, a) })
	time.Sleep(time.Second + time.Duration(f.rng.Int64N(int64(2*time.Second))))
	killed := time.Now()
	f.pg.Kill(old, v)
	next, err := f.awaitOther(ctx, old)
	promoted := time.Since(killed)
	if err == nil {
		err = f.pg.Heal(old)
	}
	if err != nil {
		stop()
		load.Wait()
		return err
	}
	time.Sleep(5 * time.Second) // of load on the new primary
	stop()
	load.Wait()
	writes, wait := f.crew.Writes()
	still, serving := pause(writes, killed)
	if err := f.pg.AwaitHealthy(ctx); err != nil {
		return err
	}
	f.crew.Check(f.api())
	f.crew.CheckLogin(f.api(), f.rng)
	f.done = append(f.done, failoverFigure{
		Killed: old.Name, What: string(v), Next: next.Name, PromotedS: promoted.Seconds(), StillS: still.Seconds(),
		ServingS: serving.Seconds(), WaitS: wait.Seconds(), Rotations: len(writes), Again: a.Again(),
	})
	f.say("failover %d/%d (%s of %s): %s leads after %ss, no write for %ss, longest wait of a client %ss, %d violations",
		f.crew.Round, f.kills, v, old.Name, next.Name, seconds(promoted), seconds(still), seconds(wait), len(f.crew.Violations()))
	return nil
}

// awaitOther waits until another member leads.
func (f *failover) awaitOther(ctx context.Context, old *cluster.Member) (*cluster.Member, error) {
	ctx, stop := context.WithTimeout(ctx, 2*time.Minute)
	defer stop()
	for {
		now, err := f.pg.Primary(ctx)
		if err == nil && now != old {
			return now, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("nobody took over from %s: %w", old.Name, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// conclude puts the figures into the report.
func (f *failover) conclude() {
	f.report.take(f.crew)
	f.report.Head = []string{"", "killed", "what", "next", "leads after s", "no write for s", "client waited s", "rotations", "sent again"}
	var recovery []time.Duration
	for i, one := range f.done {
		f.report.Rows = append(f.report.Rows, []string{
			fmt.Sprint(i + 1), one.Killed, one.What, one.Next, fmt.Sprintf("%.1f", one.PromotedS), fmt.Sprintf("%.1f", one.StillS),
			fmt.Sprintf("%.1f", one.WaitS), fmt.Sprint(one.Rotations), fmt.Sprint(one.Again),
		})
		recovery = append(recovery, time.Duration(one.StillS*float64(time.Second)))
	}
	s := figures.SpreadOf(recovery)
	f.report.Figures = map[string]any{"failovers": f.done, "no_write_ms": s, "strict": f.strict, "members": f.members, "ttl_s": f.ttl.Seconds()}
	f.report.note("%d failovers; time without a write: min %.1f s, median %.1f s, max %.1f s (a dead leader's lock lasts %s)",
		len(f.done), s.Min/1000, s.Median/1000, s.Max/1000, f.ttl)
}

// createDatabase makes the database that the nodes share.
func createDatabase(ctx context.Context, dsn string) error {
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connecting to PostgreSQL: %w", err)
	}
	_, err = c.Exec(ctx, "CREATE DATABASE sallyport")
	return errors.Join(err, c.Close(ctx))
}
