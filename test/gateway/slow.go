package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/test/figures"
	"github.com/sallyport/sallyport/test/sut"
)

// slow is the measurement of refreshes beside connections that do not move.
type slow struct {
	conns, addrs, pace, runs int
	length                   time.Duration

	progress io.Writer
	server   *sut.Server
	addr     string
	chains   []*chain
}

const (
	chainCount = 16
	// allowedKiB is what a slow connection may cost: goroutine, buffers, the
	// upstream's side of a reader that does not read.
	allowedKiB = 96
)

func slowFlags(fs *flag.FlagSet) func(context.Context, io.Writer) (report, error) {
	s := &slow{}
	fs.IntVar(&s.conns, "conns", 5000, "slow connections, at the least")
	fs.IntVar(&s.addrs, "addresses", 100, "loopback addresses that they come from")
	fs.IntVar(&s.pace, "refreshes", 100, "refreshes a second")
	fs.IntVar(&s.runs, "runs", 3, "quiet and loaded stretches, taking turns")
	fs.DurationVar(&s.length, "d", 10*time.Second, "how long each stretch is")
	return func(ctx context.Context, progress io.Writer) (report, error) {
		s.progress = progress
		return s.measure(ctx)
	}
}

// slowReport is what came of it.
type slowReport struct {
	Conns      int            `json:"connections"`
	Addresses  int            `json:"addresses"`
	Held       int            `json:"held_at_least"`  // at every moment of the loaded stretches
	Groups     map[string]int `json:"held_of_a_kind"` // the same, of each kind of slowness
	Opened     int64          `json:"opened"`         // also for those that the server had ended
	Quiet      figures.Spread `json:"refresh_quiet_ms"`
	Loaded     figures.Spread `json:"refresh_loaded_ms"`
	Ratio      float64        `json:"refresh_p99_ratio"`
	Refreshes  int            `json:"refreshes_loaded"`
	BaseMiB    float64        `json:"memory_base_mib"`
	MostMiB    float64        `json:"memory_most_mib"`
	AllowedMiB float64        `json:"memory_allowed_mib"`
	FewFiles   int            `json:"descriptors_least"` // of the server, in the loaded stretches
	Files      int            `json:"descriptors_most"`
}

func (s *slow) measure(ctx context.Context) (_ *slowReport, err error) {
	if s.conns < 1 || s.addrs < 1 || s.addrs > 250 || s.pace < 1 || s.runs < 1 {
		return nil, errors.New("the numbers are above zero, and -addresses at most 250")
	}
	dir, err := os.MkdirTemp("", "sallyport-slow-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // it comes slowly or not at all
		_, _ = w.Write(make([]byte, 256<<10))
	}))
	defer up.CloseClientConnections() // its handlers wait for readers that are gone
	binary, err := sut.Build(ctx, dir, "cmd/sallyport")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "sallyport.yaml")
	if err := os.WriteFile(file, []byte("mounts: [{contract: netography}]\ngateway: {rules: [{prefix: /}, {prefix: /public, access: public}]}\nlog: {access: false}\nh2c: true\n"), 0o600); err != nil {
		return nil, err
	}
	if s.server, err = sut.NewServer(binary, dir, "--config", file, "--upstream", up.URL); err != nil {
		return nil, err
	}
	if _, err := s.server.Start(ctx); err != nil {
		return nil, err
	}
	defer s.server.Kill()
	s.addr = strings.TrimPrefix(s.server.URL, "http://")
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	return s.alternate(ctx)
}

func (s *slow) prepare(ctx context.Context) error {
	for i := range chainCount {
		name := fmt.Sprintf("user-%d", i)
		if err := s.server.Admin().Post(ctx, "/users", admin.NewUser{Username: name, Type: "user", Password: password}, &admin.User{}); err != nil {
			return err
		}
		c := &chain{wire: wire{addr: s.addr}}
		if err := c.logIn(name); err != nil {
			return err
		}
		s.chains = append(s.chains, c)
	}
	return nil
}

// alternate measures quiet and loaded stretches by turns.
func (s *slow) alternate(ctx context.Context) (*slowReport, error) {
	rep := &slowReport{Conns: s.conns, Addresses: s.addrs, Held: math.MaxInt, FewFiles: math.MaxInt, Groups: map[string]int{}}
	var quiet, loaded []time.Duration
	if _, err := s.refresh(ctx, 2*time.Second); err != nil { // caches and pools are warm then
		return nil, err
	}
	for i := range s.runs {
		fmt.Fprintf(s.progress, "run %d of %d: quiet\n", i+1, s.runs)
		times, err := s.refresh(ctx, s.length)
		if err != nil {
			return nil, err
		}
		quiet = append(quiet, times...)
		if rep.BaseMiB == 0 {
			rep.BaseMiB, _ = s.resources()
		}
		fmt.Fprintf(s.progress, "run %d of %d: %d slow connections\n", i+1, s.runs, s.conns)
		if times, err = s.loaded(ctx, rep); err != nil {
			return nil, err
		}
		loaded = append(loaded, times...)
	}
	rep.Quiet, rep.Loaded, rep.Refreshes = figures.SpreadOf(quiet), figures.SpreadOf(loaded), len(loaded)
	rep.Ratio = rep.Loaded.P99 / rep.Quiet.P99
	rep.AllowedMiB = rep.BaseMiB + float64(s.conns)*allowedKiB/1024 + 64
	if !s.server.Alive() {
		return nil, fmt.Errorf("the server ended: %s", s.server.LogTail(2000))
	}
	return rep, ctx.Err()
}

// loaded measures one stretch beside slow connections.
func (s *slow) loaded(ctx context.Context, rep *slowReport) ([]time.Duration, error) {
	load, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	defer settle()
	defer load.end()
	settle()
	note := func() {
		mib, files := s.resources()
		rep.MostMiB, rep.Files, rep.FewFiles = max(rep.MostMiB, mib), max(rep.Files, files), min(rep.FewFiles, files)
	}
	note()
	watched := load.watch()
	times, err := s.refresh(ctx, s.length)
	least, of := watched()
	note()
	rep.Held = min(rep.Held, least)
	for name, n := range of {
		if before, ok := rep.Groups[name]; !ok || n < before {
			rep.Groups[name] = n
		}
	}
	rep.Opened += load.opened.Load()
	return times, err
}

// settle lets opening or closing all connections pass, which is no part of
// holding them. What is opened for those that the server ends is one.
func settle() { time.Sleep(2 * time.Second) }

// resources of the server: its memory in MiB at most so far, and how many
// descriptors are open.
func (s *slow) resources() (mib float64, files int) {
	if m, err := s.server.Memory(); err == nil {
		mib = float64(m.Peak) / 1024
	}
	if fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.server.PID())); err == nil {
		files = len(fds)
	}
	return mib, files
}

// refresh lets every chain refresh at its pace; see test/guess.
func (s *slow) refresh(ctx context.Context, length time.Duration) ([]time.Duration, error) {
	gap := time.Second * chainCount / time.Duration(s.pace)
	end := time.Now().Add(length)
	times, errs := make([][]time.Duration, chainCount), make([]error, chainCount)
	var all sync.WaitGroup
	for i, c := range s.chains {
		all.Go(func() {
			next := time.Now().Add(gap * time.Duration(i) / chainCount)
			for next.Before(end) && ctx.Err() == nil {
				time.Sleep(time.Until(next))
				took, err := c.refresh()
				if err != nil {
					errs[i] = err
					return
				}
				times[i] = append(times[i], took)
				next = next.Add(gap)
			}
		})
	}
	all.Wait()
	var out []time.Duration
	for _, t := range times {
		out = append(out, t...)
	}
	return out, errors.Join(errs...)
}

func (rep *slowReport) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "slow connections\t%d asked for, from %d addresses; %d held at every moment, %d opened in all\n", rep.Conns, rep.Addresses, rep.Held, rep.Opened)
	var groups []string
	for _, name := range slices.Sorted(maps.Keys(rep.Groups)) {
		groups = append(groups, fmt.Sprintf("%d %s", rep.Groups[name], name))
	}
	fmt.Fprintf(t, "of them\t%s, each at least\n", strings.Join(groups, ", "))
	fmt.Fprintf(t, "refresh, quiet\tp50 %.2f ms\tp99 %.2f ms\n", rep.Quiet.Median, rep.Quiet.P99)
	fmt.Fprintf(t, "refresh, loaded\tp50 %.2f ms\tp99 %.2f ms\t%d refreshes, none failed\n", rep.Loaded.Median, rep.Loaded.P99, rep.Refreshes)
	fmt.Fprintf(t, "p99, loaded to quiet\t%.2f\n", rep.Ratio)
	fmt.Fprintf(t, "memory\t%.0f MiB before\t%.0f MiB at most\t%.0f MiB allowed\n", rep.BaseMiB, rep.MostMiB, rep.AllowedMiB)
	fmt.Fprintf(t, "descriptors\t%d to %d beside the load\n", rep.FewFiles, rep.Files)
	return t.Flush()
}

func (rep *slowReport) broken() []string {
	var out []string
	if rep.Ratio > 2 {
		out = append(out, fmt.Sprintf("p99 of refreshes is %.2f times the quiet one", rep.Ratio))
	}
	if rep.MostMiB > rep.AllowedMiB {
		out = append(out, fmt.Sprintf("%.0f MiB of memory, more than %.0f", rep.MostMiB, rep.AllowedMiB))
	}
	if least := min(rep.Held, rep.FewFiles); least < rep.Conns {
		out = append(out, fmt.Sprintf("only %d of %d connections were held at some moment: the load was not what it says", least, rep.Conns))
	}
	return out
}
