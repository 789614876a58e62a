package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/test/sut"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// scenario is one way to do harm. flags declares its own and returns what runs
// it after they were read.
type scenario struct {
	name, about string
	flags       func(*flag.FlagSet) func(context.Context, *trial) error
}

func scenarios() []scenario {
	return []scenario{
		{"failover", "kill the primary of a Patroni cluster under load, again and again", failoverFlags},
		{"promote", "kill a primary and promote its synchronous standby, without any manager", promoteFlags},
		{"network", "harm the network between nodes and database", networkFlags},
		{"disk-full", "fill the disk below the store", diskFullFlags},
		{"kill-nodes", "kill nodes under load, again and again", killNodesFlags},
		{"history", "check what clients see of sessions for linearizability while nodes are killed", historiesFlags},
		{"upgrade", "one version follows the other and back, under load", upgradeFlags},
	}
}

// errMissing is what a trial that cannot be made on this machine ends with.
var errMissing = errors.New("not on this machine")

// trial is one run of a scenario: its surroundings and what it found.
type trial struct {
	seed     uint64
	dir      string
	binary   string
	plant    string
	progress io.Writer
	report   report
}

// say tells of progress.
func (t *trial) say(format string, args ...any) {
	fmt.Fprintf(t.progress, "%6.1fs  %s\n", time.Since(t.report.began).Seconds(), fmt.Sprintf(format, args...))
}

// command is main with its surroundings given.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 || args[0] == "-h" || args[0] == "-help" || args[0] == "--help" || args[0] == "help" {
		usage(stderr)
		return 2
	}
	for _, s := range scenarios() {
		if s.name == args[0] {
			return s.command(ctx, args[1:], stdout, stderr)
		}
	}
	fmt.Fprintf(stderr, "faults: there is no scenario %q\n", args[0])
	usage(stderr)
	return 2
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: faults SCENARIO [flags]; -h after it lists the flags")
	for _, s := range scenarios() {
		fmt.Fprintf(w, "  %-11s %s\n", s.name, s.about)
	}
}

func (s *scenario) command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	t := &trial{progress: stderr}
	fs := flag.NewFlagSet(s.name, flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Uint64Var(&t.seed, "seed", rand.Uint64N(1_000_000), "seed of what is done and when")
	asJSON := fs.Bool("json", false, "write the figures as JSON")
	keep := fs.Bool("keep", false, "keep data and logs, and say where")
	fs.StringVar(&t.binary, "binary", "", "a sallyport to try instead of building one")
	fs.StringVar(&t.plant, "plant", "", "build the server with a bug, which has to be caught:"+plantNames())
	run := s.flags(fs)
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if s.name == "disk-full" {
		status, done, err := ownMounts(ctx, append([]string{s.name}, args...), stdout, stderr)
		if err != nil {
			fmt.Fprintln(stderr, "faults:", err)
			return 2
		}
		if done {
			return status
		}
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(stderr, "faults: %s takes flags only\n", s.name)
		return 2
	}
	err := t.run(ctx, s, run)
	t.report.fold()
	t.harvest()
	if t.report.Rows != nil || len(t.report.Violations) > 0 {
		err = errors.Join(err, t.report.write(stdout, *asJSON))
	}
	failed := err != nil || len(t.report.Violations) > 0
	switch {
	case t.dir == "" || os.Remove(t.dir) == nil: // it never came so far as to leave anything there
	case *keep || failed && !errors.Is(err, errMissing):
		fmt.Fprintf(stderr, "faults: data and logs are kept in %s\n", t.dir)
	default:
		err = errors.Join(err, os.RemoveAll(t.dir))
	}
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "faults:", err)
		return 2
	case failed:
		return 1
	}
	return 0
}

// run makes the surroundings and runs the scenario in them.
func (t *trial) run(ctx context.Context, s *scenario, run func(context.Context, *trial) error) error {
	dir, err := os.MkdirTemp("", "sallyport-faults-")
	if err != nil {
		return fmt.Errorf("making the folder of a trial: %w", err)
	}
	// What a process works in is compared with it, and /proc knows no symlinks.
	if t.dir, err = filepath.EvalSymlinks(dir); err != nil {
		return fmt.Errorf("making the folder of a trial: %w", err)
	}
	// PostgreSQL's user must be able to pass through to its own folder.
	if err := os.Chmod(t.dir, 0o755); err != nil {
		return fmt.Errorf("making the folder of a trial: %w", err)
	}
	t.report = report{Scenario: s.name, Seed: t.seed, began: time.Now(), Violations: []string{}}
	defer func() { t.report.Seconds = time.Since(t.report.began).Round(100 * time.Millisecond).Seconds() }()
	return run(ctx, t)
}

// build gives the binary to try.
func (t *trial) build(ctx context.Context) (err error) {
	switch {
	case t.plant != "":
		t.say("building a binary with the bug %q", t.plant)
		t.binary, err = buildPlanted(ctx, t.dir, t.plant)
	case t.binary == "":
		t.say("building the static binary")
		t.binary, err = sut.Build(ctx, t.dir, "cmd/sallyport")
	}
	return err
}

// harvest turns the verdict round when a bug was planted: then it has to be
// caught.
func (t *trial) harvest() {
	if t.plant == "" || t.report.Rows == nil {
		return
	}
	if len(t.report.Violations) == 0 {
		t.report.violate("the planted bug %q was not caught", t.plant)
		return
	}
	t.report.note("the planted bug %q was caught, %d stories; the first:\n%s", t.plant, len(t.report.Violations), t.report.Violations[0])
	t.report.Violations = []string{}
}

// folder makes one below the trial's.
func (t *trial) folder(name string) (string, error) {
	path := filepath.Join(t.dir, name)
	if err := os.Mkdir(path, 0o755); err != nil {
		return "", fmt.Errorf("making a folder of the trial: %w", err)
	}
	return path, nil
}

// report is what a scenario found.
type report struct {
	Scenario   string         `json:"scenario"`
	Seed       uint64         `json:"seed"`
	Seconds    float64        `json:"seconds"`
	Head       []string       `json:"-"`
	Rows       [][]string     `json:"-"`
	Figures    any            `json:"figures"` // what the rows show, in numbers
	Counts     map[string]int `json:"acknowledged_and_checked,omitempty"`
	Wrongs     map[string]int `json:"violations_by_kind,omitempty"`
	Notes      []string       `json:"notes,omitempty"`
	Violations []string       `json:"violations"`

	began time.Time
}

func (r *report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

func (r *report) violate(format string, args ...any) {
	r.Violations = append(r.Violations, fmt.Sprintf(format, args...))
}

// fold tells a story once that happened many times.
func (r *report) fold() {
	times := map[string]int{}
	folded := []string{}
	for _, v := range r.Violations {
		if times[v]++; times[v] == 1 {
			folded = append(folded, v)
		}
	}
	for i, v := range folded {
		if times[v] > 1 {
			folded[i] = fmt.Sprintf("%s (%d times)", v, times[v])
		}
	}
	r.Violations = folded
}

func (r *report) write(w io.Writer, asJSON bool) error {
	if !asJSON {
		return r.table(w)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}
