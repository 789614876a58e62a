package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	if kind := os.Getenv(generatorEnv); kind != "" {
		if err := generate(kind, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "guess: generator:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// report is what a measurement found: a table for people, JSON for machines,
// and the promises that were not kept.
type report interface {
	table(w io.Writer)
	broken() []string
}

const usage = "guess: say what to measure: flood or enumerate (-h after either tells its flags)"

// command is main with its surroundings given; it returns the exit status.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprintln(stderr, usage)
		return 2
	}
	fs := flag.NewFlagSet("guess "+args[0], flag.ContinueOnError)
	fs.SetOutput(stderr)
	asJSON := fs.Bool("json", false, "write the figures as JSON")
	quick := fs.Bool("quick", false, "a short form, for a look")
	st := &stand{progress: stderr, began: time.Now()}
	fs.IntVar(&st.slots, "slots", 0, "hashing slots of the server; 0 is its default")
	fs.StringVar(&st.gomaxprocs, "gomaxprocs", "", "GOMAXPROCS of the server")
	var run func(context.Context) (report, error)
	switch args[0] {
	case "flood":
		run = floodFlags(fs, st, quick)
	case "enumerate":
		run = enumerateFlags(fs, st, quick)
	default:
		fmt.Fprintln(stderr, usage)
		return 2
	}
	if err := fs.Parse(args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if fs.NArg() > 0 {
		fmt.Fprintln(stderr, "guess: it takes flags only")
		return 2
	}
	rep, err := st.measure(ctx, run)
	if err != nil {
		fmt.Fprintln(stderr, "\nguess:", err)
		return 1
	}
	if *asJSON {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(rep); err != nil {
			fmt.Fprintln(stderr, "guess:", err)
			return 1
		}
	} else {
		rep.table(stdout)
	}
	for _, b := range rep.broken() {
		fmt.Fprintln(stderr, "guess: not kept:", b)
	}
	if len(rep.broken()) > 0 {
		return 1
	}
	return 0
}
