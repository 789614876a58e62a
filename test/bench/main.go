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
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// groups in the order of measuring.
var groups = []group{refreshGroup, loginGroup, floodGroup, verifyGroup, gatewayGroup, startGroup, memoryGroup}

// asked are groups that run when they are named.
var asked = []group{postgresGroup, newsGroup}

// command is main with its surroundings given; it returns the exit status.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "scale" {
		return scaleCommand(ctx, args[1:], stdout, stderr)
	}
	b := &bench{progress: stderr}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.DurationVar(&b.length, "d", 3*time.Second, "how long each measurement counts")
	fs.IntVar(&b.n, "n", 16, "clients at once")
	fs.IntVar(&b.runs, "runs", 3, "runs of each measurement; the median counts")
	only := fs.String("only", "", "groups to measure, separated by commas: "+names())
	quick := fs.Bool("quick", false, "one short run of each: under a minute, for a look")
	asJSON := fs.Bool("json", false, "write the figures as JSON")
	fs.StringVar(&b.profile, "profile", "", "write CPU profiles of the server to this folder, one for each load")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if *quick {
		if !given["d"] {
			b.length = 500 * time.Millisecond
		}
		if !given["runs"] {
			b.runs = 1
		}
	}
	want, err := wanted(*only)
	if err == nil && (fs.NArg() > 0 || b.n < 1 || b.runs < 1 || b.length <= 0) {
		err = errors.New("it takes flags only; -d, -n and -runs are above zero")
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 2
	}
	b.warm, b.settle = b.length/6, min(2*time.Second, b.length)
	rep, err := b.execute(ctx, want)
	if err != nil {
		fmt.Fprintln(stderr, "\nbench:", err)
		return 1
	}
	if *asJSON {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(rep)
	} else {
		err = rep.write(stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}

func names() string {
	var list []string
	for _, g := range slices.Concat(groups, asked) {
		list = append(list, g.name)
	}
	return strings.Join(list, ", ")
}

// wanted gives the groups that -only names, all without it.
func wanted(only string) ([]group, error) {
	if only == "" {
		return groups, nil
	}
	var list []group
	all := slices.Concat(groups, asked)
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(all, func(g group) bool { return g.name == strings.TrimSpace(name) })
		if i < 0 {
			return nil, fmt.Errorf("there is no group %q; there are %s", name, names())
		}
		list = append(list, all[i])
	}
	return list, nil
}
