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
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// command is main with its surroundings given. It returns the exit status: 0
// for no violation, 1 for violations, 2 when the test could not be made.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	r := &run{}
	fs := flag.NewFlagSet("kill", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.IntVar(&r.rounds, "rounds", 200, "how many times the server is killed")
	fs.IntVar(&r.workers, "workers", 16, "clients at work")
	fs.Uint64Var(&r.seed, "seed", rand.Uint64N(1_000_000), "seed of what is done and when")
	fs.DurationVar(&r.ready, "ready", time.Second, "how long a restart may take, from exec to ready")
	asJSON := fs.Bool("json", false, "write the figures as JSON")
	keep := fs.Bool("keep", false, "keep data directory and log, and say where")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if fs.NArg() > 0 || r.rounds < 1 || r.workers < 1 || r.ready <= 0 {
		fmt.Fprintln(stderr, "kill: it takes flags only; -rounds, -workers and -ready are above zero")
		return 2
	}
	dir, err := tempDir()
	if err != nil {
		fmt.Fprintln(stderr, "kill:", err)
		return 2
	}
	r.dir, r.progress = dir, stderr
	err = r.execute(ctx)
	if r.crew == nil { // it never came so far
		fmt.Fprintln(stderr, "kill:", errors.Join(err, os.RemoveAll(dir)))
		return 2
	}
	f := r.figures()
	if *asJSON {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		err = errors.Join(err, enc.Encode(f))
	} else if f.Rounds > 0 {
		f.write(stdout)
	}
	failed := err != nil || len(f.Violations) > 0
	if *keep || failed {
		fmt.Fprintf(stderr, "kill: data and log are kept in %s; -seed %d repeats the run\n", dir, r.seed)
	} else {
		err = os.RemoveAll(dir)
	}
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "kill:", err)
		return 2
	case failed:
		return 1
	}
	return 0
}
