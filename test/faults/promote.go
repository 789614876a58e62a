package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/store/pgtest"
	"github.com/sallyport/sallyport/test/clients"
	"github.com/sallyport/sallyport/test/faults/cluster"
	"github.com/sallyport/sallyport/test/faults/links"
	"github.com/sallyport/sallyport/test/faults/world"
	"github.com/sallyport/sallyport/test/figures"
)

// promote is the scenario: a primary with one synchronous standby, which is
// promoted by hand when the primary was killed. It needs nothing but
// PostgreSQL, so it runs with the tests.
type promote struct {
	*trial
	rounds, workers int
	stall           time.Duration
	cancel          bool

	primary, standby *pgtest.Server
	between          *links.Link // from the standby to the primary
	way              *world.Switch
	world            *world.World
	crew             *clients.Crew
	rng              *rand.Rand
	done             []promoteFigure
}

// promoteFigure is one failover in figures.
type promoteFigure struct {
	Stalled   bool    `json:"standby_stalled_before"`
	PromotedS float64 `json:"promoted_after_s"`
	StillS    float64 `json:"longest_without_a_write_s"`
	WaitS     float64 `json:"longest_wait_of_a_client_s"`
	Rotations int     `json:"rotations"`
	Again     int64   `json:"requests_sent_again"`
}

func promoteFlags(fs *flag.FlagSet) func(context.Context, *trial) error {
	p := &promote{}
	fs.IntVar(&p.rounds, "rounds", 6, "how many times the primary is killed")
	fs.IntVar(&p.workers, "workers", 12, "clients at work")
	fs.DurationVar(&p.stall, "stall", 13*time.Second, "in every other round, how long before that the standby is cut off, so that commits wait for it in vain until they are given up; 0 = never")
	fs.BoolVar(&p.cancel, "cancel", false, "meanwhile, cancel on the server what waits for the standby, twice a second")
	return func(ctx context.Context, t *trial) error {
		p.trial = t
		if p.rounds < 1 || p.workers < 1 {
			return errors.New("-rounds and -workers are above zero")
		}
		return p.run(ctx)
	}
}

func (p *promote) run(ctx context.Context) (err error) {
	if err := p.build(ctx); err != nil {
		return err
	}
	p.rng = rand.New(rand.NewPCG(p.seed, 1))
	if p.primary, err = p.postgres(ctx, pgtest.Config{}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.closeServers()) }()
	if err := p.attach(ctx); err != nil {
		return err
	}
	if p.way, err = world.NewSwitch(address(p.primary)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.way.Close()) }()
	dsn, err := through(p.primary.DSN("sallyport"), p.way.Address)
	if err != nil {
		return err
	}
	p.say("starting two nodes")
	if p.world, err = world.New(world.Options{Dir: p.dir, Binary: p.binary, Stores: []string{dsn, dsn}}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.world.Close()) }()
	if err := p.world.Start(ctx); err != nil {
		return err
	}
	if p.crew, err = clients.NewCrew(ctx, p.workers, p.seed, p.progress); err != nil {
		return err
	}
	if err := p.crew.HireAll(p.api()); err != nil {
		return err
	}
	defer p.conclude()
	for n := 1; n <= p.rounds && ctx.Err() == nil; n++ {
		p.crew.Round = n
		if err := p.once(ctx, p.stall > 0 && n%2 == 0); err != nil {
			return fmt.Errorf("round %d: %w", n, err)
		}
	}
	p.say("trying everything that was ever ended once more")
	p.crew.CheckEnded(p.api())
	return errors.Join(p.crew.CheckAudit(p.api()), ctx.Err())
}

func (p *promote) api() *clients.API {
	a := p.world.API(requestTimeout)
	a.Patience, a.Lag, a.Pause = patience, lag, 10*time.Millisecond
	return a
}

// attach gives the primary a synchronous standby.
func (p *promote) attach(ctx context.Context) (err error) {
	ctx, stop := context.WithTimeout(ctx, 2*time.Minute)
	defer stop()
	if p.standby, err = p.primary.Standby(ctx, p.dir, "standby"); err != nil {
		return err
	}
	if p.between, err = links.New("standby", address(p.primary)); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(p.between.Address)
	if err != nil {
		return err
	}
	err = p.standby.Configure(map[string]string{"primary_conninfo": fmt.Sprintf("'host=%s port=%s user=%s password=%s application_name=standby sslmode=disable'",
		host, port, p.primary.User, p.primary.Password)})
	if err == nil {
		err = p.standby.Signal(syscall.SIGHUP)
	}
	if err != nil {
		return err
	}
	if err := p.primary.Configure(map[string]string{"synchronous_standby_names": "'standby'"}); err != nil {
		return err
	}
	if err := p.primary.Signal(syscall.SIGHUP); err != nil {
		return err
	}
	return p.primary.AwaitSync(ctx)
}

// once is one failover. Where the standby hangs first, commits wait for its
// word until the nodes give up; what they then told their clients must not
// have been a success, for the standby that is promoted never heard of it.
func (p *promote) once(ctx context.Context, stalled bool) error {
	a := p.api()
	p.crew.Writes() // forget the last round's
	loading, stop := context.WithCancel(ctx)
	defer stop()
	var load sync.WaitGroup
	load.Go(func() { p.crew.Load(loading, a) })
	time.Sleep(time.Second + time.Duration(p.rng.Int64N(int64(time.Second))))
	var err error
	if stalled {
		// Nothing arrives any more, and nothing lies in a buffer for later.
		silence := toxic("timeout", map[string]any{"timeout": 0}, "upstream", "downstream")
		if err = silence(p.between); err == nil {
			p.hang(ctx)
		}
	}
	killed := time.Now()
	cluster.KillAll(processes(p.primary))
	if err == nil {
		err = p.failOver(ctx)
	}
	promoted := time.Since(killed)
	if err == nil {
		time.Sleep(2 * time.Second) // of load on the new primary
	}
	stop()
	load.Wait()
	if err != nil {
		return err
	}
	writes, wait := p.crew.Writes()
	still, _ := pause(writes, killed)
	p.crew.Check(p.api())
	p.crew.CheckLogin(p.api(), p.rng)
	p.done = append(p.done, promoteFigure{
		Stalled: stalled, PromotedS: promoted.Seconds(), StillS: still.Seconds(), WaitS: wait.Seconds(), Rotations: len(writes), Again: a.Again(),
	})
	p.say("failover %d/%d: promoted after %ss, no write for %ss, longest wait of a client %ss, %d violations",
		p.crew.Round, p.rounds, seconds(promoted), seconds(still), seconds(wait), len(p.crew.Violations()))
	if p.crew.Round == p.rounds {
		return nil
	}
	return p.attach(ctx)
}

// hang lets commits wait for the standby in vain; where asked to, it cancels
// the waits again and again, as an impatient operator would.
func (p *promote) hang(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, p.stall)
	defer stop()
	if !p.cancel {
		<-ctx.Done()
	}
	for ctx.Err() == nil {
		sleep(ctx, 500*time.Millisecond)
		// At the end of the time it is cut off itself.
		_ = p.primary.Exec(ctx, "postgres", `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`)
	}
}

// failOver promotes the standby and points the nodes to it.
func (p *promote) failOver(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	if err := p.standby.Exec(ctx, "postgres", `SELECT pg_promote()`); err != nil {
		return fmt.Errorf("promoting the standby: %w", err)
	}
	p.between.Close()
	p.way.Point(address(p.standby))
	old := p.primary
	p.primary, p.standby = p.standby, nil
	return old.Close()
}

func (p *promote) closeServers() error {
	err := p.primary.Close()
	if p.standby != nil {
		err = errors.Join(err, p.standby.Close())
	}
	return err
}

func (p *promote) conclude() {
	p.report.take(p.crew)
	p.report.Head = []string{"", "standby hung before", "promoted after s", "no write for s", "client waited s", "rotations", "sent again"}
	var recovery []time.Duration
	for i, one := range p.done {
		p.report.Rows = append(p.report.Rows, []string{
			fmt.Sprint(i + 1), fmt.Sprint(one.Stalled), fmt.Sprintf("%.1f", one.PromotedS), fmt.Sprintf("%.1f", one.StillS),
			fmt.Sprintf("%.1f", one.WaitS), fmt.Sprint(one.Rotations), fmt.Sprint(one.Again),
		})
		recovery = append(recovery, time.Duration(one.StillS*float64(time.Second)))
	}
	s := figures.SpreadOf(recovery)
	p.report.Figures = map[string]any{"failovers": p.done, "no_write_ms": s}
	p.report.note("%d failovers; time without a write after the kill: min %.1f s, median %.1f s, max %.1f s", len(p.done), s.Min/1000, s.Median/1000, s.Max/1000)
}

// address of a server, as host:port.
func address(s *pgtest.Server) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// processes of a server.
func processes(s *pgtest.Server) []int { return cluster.Server(filepath.Join(s.Dir, "data")) }

// through is a DSN by way of another address.
func through(dsn, address string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return "", fmt.Errorf("reading a DSN: %w", err)
	}
	u.Host = address
	return u.String(), nil
}
