package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/store/pgtest"
	"github.com/sallyport/sallyport/test/sut"
)

// scale measures what the number of sessions changes.
//
// A seed is a small store in which the chains of the measurement were opened,
// each by a request of its own. Stores of several sizes are then loaded by the
// way that backups are restored: the seed's rows, and among them, in the order
// of their keys, sessions that nobody has. So the chains lie evenly in each
// store, every refresh meets a page of its own, and the tokens of the seed are
// good in all of them. Stores and floors are measured in turn in the same run.
type scale struct {
	bench
	store         string
	users         int64
	sizes         []int64 // of the stores, ascending, 0 first
	chains, ended int
	keep          string
	wait          bool

	pg    *pgtest.Server
	seed  *sut.Server
	names []string // refresh tokens of the seed's chains
	sized []*sized
}

// sized is a store of one size and what was found out about it.
type sized struct {
	Sessions     int64   `json:"sessions"`
	FillSeconds  float64 `json:"fill_s"`
	UserBytes    float64 `json:"bytes_per_user,omitempty"`
	SessionBytes float64 `json:"bytes_per_session,omitempty"`
	DiskMB       float64 `json:"disk_mb"`
	StartMS      float64 `json:"start_ms"`
	IdleMB       float64 `json:"idle_mb"`
	LoadedMB     float64 `json:"after_load_mb"`
	Rotation     figure  `json:"rotation"`
	Floor        figure  `json:"floor"`
	OfFloor      float64 `json:"of_the_floor,omitempty"`
	Tuned        figure  `json:"tuned_floor"`
	OfTuned      float64 `json:"of_the_tuned_floor,omitempty"`
	OfEmpty      float64 `json:"of_the_empty_store,omitempty"`
	Store        figure  `json:"store_alone"`
	StoreFloor   figure  `json:"table_alone"`
	StoreOfFloor float64 `json:"store_of_the_table,omitempty"`
	Purge        *purged `json:"purge,omitempty"`

	dir, dsn string
	floorDSN string
	server   *sut.Server
	floors   []*bareServer // as SQLite comes, and tuned as our store is
	rovers   []client
	runs     []figure
}

// bareServer is a floor and its clients.
type bareServer struct {
	*sut.Process
	rovers []client
	runs   []figure
}

// scaleReport is what a run found.
type scaleReport struct {
	Machine string   `json:"machine"`
	Date    string   `json:"date"`
	Store   string   `json:"store"`
	Users   int64    `json:"users"`
	Chains  int      `json:"chains"`
	Clients int      `json:"clients"`
	Runs    int      `json:"runs"`
	Seconds float64  `json:"seconds"`
	Stores  []*sized `json:"stores"`
}

func scaleCommand(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s := &scale{bench: bench{progress: stderr}}
	fs := flag.NewFlagSet("bench scale", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&s.store, "store", "sqlite", "sqlite or postgres")
	sessions := fs.Int64("sessions", 1_000_000, "sessions of the largest store; beside it an empty one and one of 100,000 are measured")
	fs.Int64Var(&s.users, "users", 0, "users of the larger stores; 0 = a tenth of the sessions")
	fs.IntVar(&s.chains, "chains", 2000, "sessions that are refreshed, spread over the store")
	fs.IntVar(&s.ended, "ended", 10, "percent of the sessions that are over and to be purged")
	fs.DurationVar(&s.length, "d", 5*time.Second, "how long each measurement counts")
	fs.IntVar(&s.n, "n", 16, "clients at once")
	fs.IntVar(&s.runs, "runs", 3, "runs of each measurement; the median counts")
	fs.StringVar(&s.keep, "dir", "", "folder for the stores; default: one for temporary files")
	fs.BoolVar(&s.wait, "wait", false, "when the stores are filled, wait for Enter, so that the machine can be made quiet")
	asJSON := fs.Bool("json", false, "write the figures as JSON")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if s.users == 0 {
		s.users = max(1, *sessions/10)
	}
	if fs.NArg() > 0 || *sessions < 1 || s.users < 1 || s.n < 1 || s.chains < s.n || s.runs < 1 || s.length <= 0 || s.ended < 0 || s.ended > 50 || s.store != "sqlite" && s.store != "postgres" {
		fmt.Fprintln(stderr, "bench scale: flags only; -store is sqlite or postgres, -chains at least -n, -ended at most 50")
		return 2
	}
	s.sizes = []int64{0, min(100_000, *sessions)}
	if *sessions > 100_000 {
		s.sizes = append(s.sizes, *sessions)
	}
	s.warm, s.settle = s.length/5, min(2*time.Second, s.length)
	rep, err := s.execute(ctx)
	if err == nil && *asJSON {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(rep)
	} else if err == nil {
		err = rep.write(stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "\nbench scale:", err)
		return 1
	}
	return 0
}

func (s *scale) execute(ctx context.Context) (_ *scaleReport, err error) {
	s.began = time.Now()
	if s.dir, err = os.MkdirTemp(s.keep, "sallyport-scale-"); err != nil {
		return nil, err
	}
	defer func() {
		for _, f := range slices.Backward(s.cleanup) {
			f()
		}
		err = errors.Join(err, os.RemoveAll(s.dir))
	}()
	s.binaries = map[string]string{}
	for _, pkg := range []string{"cmd/sallyport", "test/bench/floor", "test/bench/pgfloor"} {
		s.say("building %s", pkg)
		path, err := sut.Build(ctx, s.dir, pkg)
		if err != nil {
			return nil, err
		}
		s.binaries[filepath.Base(pkg)] = path
	}
	if s.store == "postgres" {
		s.say("starting PostgreSQL")
		if s.pg, err = pgtest.Run(ctx, pgtest.Config{Parent: s.keep, Durable: true, Settings: map[string]string{"shared_buffers": "'512MB'", "max_wal_size": "'4GB'"}}); err != nil {
			return nil, err
		}
		s.cleanup = append(s.cleanup, func() { _ = s.pg.Close() }) // it is thrown away
	}
	if err := s.plant(ctx); err != nil {
		return nil, fmt.Errorf("opening the sessions to refresh: %w", err)
	}
	for _, size := range s.sizes {
		one := &sized{Sessions: size}
		if err := s.raise(ctx, one); err != nil {
			return nil, fmt.Errorf("a store of %d sessions: %w", size, err)
		}
		s.sized = append(s.sized, one)
	}
	if s.wait {
		s.say("the stores are filled; Enter goes on")
		if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
			return nil, fmt.Errorf("waiting for Enter: %w", err)
		}
	}
	if err := s.measureAll(ctx); err != nil {
		return nil, err
	}
	s.say("done\n")
	return &scaleReport{
		Machine: fmt.Sprintf("%d cores, %s, %s/%s, %s", runtime.NumCPU(), processor(), runtime.GOOS, runtime.GOARCH, runtime.Version()),
		Date:    s.began.UTC().Format(time.DateOnly), Store: s.store, Users: s.users, Chains: s.chains, Clients: s.n, Runs: s.runs,
		Seconds: time.Since(s.began).Seconds(), Stores: s.sized,
	}, nil
}

func (r *scaleReport) write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s, %s, %d users, %d chains, %d clients, median of %d runs, %.0f s in all\n\n  %-36s", r.Machine, r.Date, r.Store, r.Users, r.Chains, r.Clients, r.Runs, r.Seconds, "sessions")
	line := func(name, format string, of func(*sized) (float64, bool)) {
		fmt.Fprintf(&b, "\n  %-36s", name)
		for _, s := range r.Stores {
			text := "·"
			if v, ok := of(s); ok {
				text = fmt.Sprintf(format, v)
			}
			fmt.Fprintf(&b, " %12s", text)
		}
	}
	for _, s := range r.Stores {
		fmt.Fprintf(&b, " %12d", s.Sessions)
	}
	some := func(of func(*sized) float64) func(*sized) (float64, bool) {
		return func(s *sized) (float64, bool) { v := of(s); return v, v != 0 }
	}
	ofPurge := func(of func(*purged) float64) func(*sized) (float64, bool) {
		return func(s *sized) (float64, bool) {
			if s.Purge == nil {
				return 0, false
			}
			return of(s.Purge), true
		}
	}
	line("rotations a second", "%.0f", some(func(s *sized) float64 { return s.Rotation.Value }))
	line("  p99 ms", "%.2f", some(func(s *sized) float64 { return s.Rotation.P99MS }))
	line("  CPU µs a rotation, of the server", "%.0f", some(func(s *sized) float64 { return s.Rotation.CPUUS }))
	line("  of the empty store %", "%.0f", some(func(s *sized) float64 { return 100 * s.OfEmpty }))
	line("floor, 16-byte keys, a second", "%.0f", some(func(s *sized) float64 { return s.Floor.Value }))
	line("  rotations, of the floor %", "%.0f", some(func(s *sized) float64 { return 100 * s.OfFloor }))
	line("floor with our cache and log, a second", "%.0f", some(func(s *sized) float64 { return s.Tuned.Value }))
	line("  rotations, of that floor %", "%.0f", some(func(s *sized) float64 { return 100 * s.OfTuned }))
	line("the store alone, rotations a second", "%.0f", some(func(s *sized) float64 { return s.Store.Value }))
	line("  p99 ms", "%.2f", some(func(s *sized) float64 { return s.Store.P99MS }))
	line("a bare table, our cache and log, moves", "%.0f", some(func(s *sized) float64 { return s.StoreFloor.Value }))
	line("  p99 ms", "%.2f", some(func(s *sized) float64 { return s.StoreFloor.P99MS }))
	line("  rotations, of the moves %", "%.0f", some(func(s *sized) float64 { return 100 * s.StoreOfFloor }))
	line("start to the first answer ms", "%.0f", some(func(s *sized) float64 { return s.StartMS }))
	line("memory after the start MB", "%.1f", some(func(s *sized) float64 { return s.IdleMB }))
	line("memory after the load MB", "%.1f", some(func(s *sized) float64 { return s.LoadedMB }))
	line("on disk MB", "%.1f", some(func(s *sized) float64 { return s.DiskMB }))
	line("  bytes a session", "%.0f", some(func(s *sized) float64 { return s.SessionBytes }))
	line("  bytes a user", "%.0f", some(func(s *sized) float64 { return s.UserBytes }))
	line("filling it, seconds", "%.0f", some(func(s *sized) float64 { return s.FillSeconds }))
	line("purged a second, beside refreshes", "%.0f", ofPurge(func(p *purged) float64 { return p.PerSecond }))
	line("  rows looked at a second", "%.0f", ofPurge(func(p *purged) float64 { return p.Looked }))
	line("  longest refresh meanwhile ms", "%.1f", ofPurge(func(p *purged) float64 { return p.LongestMS }))
	line("  longest refresh without ms", "%.1f", ofPurge(func(p *purged) float64 { return p.AloneMS }))
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}
