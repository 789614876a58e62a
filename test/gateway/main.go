// Command gateway tries to get past the gateway, in front of real backends.
//
//	go run ./test/gateway mutate [-n 200000] [-seed 1] [-from I] [-only I] [-doors NAME] [-json]
//	go run ./test/gateway slow   [-conns 5000] [-d 10s] [-runs 3] [-json]
//
// mutate sends seeded mutations of paths, hosts, methods, headers and framing
// through every door (the built-in reverse proxy, and nginx and Caddy asking
// the forward-auth endpoints, each started on the files of docs/proxies) to
// three backends (Go, nginx, Node). Each backend says in its answer what it
// served, in its own reading of the path, and which identity headers it found
// in any spelling. The oracle is that reading: the part of the API that the
// backend served must be one that the rules allow to whoever asked, with that
// one's identity and nobody else's. Bodies and broken framing carry hidden
// requests, which must arrive nowhere.
//
// slow holds thousands of connections that send headers, bodies and HTTP/2
// frames a byte at a time, or do not read, from many addresses, and measures
// refreshes beside them; quiet and loaded stretches take turns in one run.
//
// Exit status 1 says that a promise was not kept; a finding has the mutation,
// the answer, and what the server was asked about it. Mutation I of a seed is
// sent alone with -only I; what depends on timing may come again among its
// neighbours, with -from.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// report is what a measurement found.
type report interface {
	print(w io.Writer) error
	// broken says which promises were not kept.
	broken() []string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, out, progress io.Writer) int {
	usage := "usage: gateway mutate|slow [flags]; -h after the name lists them"
	if len(args) == 0 {
		fmt.Fprintln(progress, usage)
		return 2
	}
	fs := flag.NewFlagSet(args[0], flag.ContinueOnError)
	fs.SetOutput(progress)
	asJSON := fs.Bool("json", false, "print figures for machines")
	var do func(context.Context, io.Writer) (report, error)
	switch args[0] {
	case "mutate":
		do = mutateFlags(fs)
	case "slow":
		do = slowFlags(fs)
	default:
		fmt.Fprintln(progress, usage)
		return 2
	}
	if err := fs.Parse(args[1:]); err != nil {
		return 2
	}
	rep, err := do(ctx, progress)
	if err != nil {
		fmt.Fprintln(progress, "gateway:", err)
		return 2
	}
	if *asJSON {
		err = json.NewEncoder(out).Encode(rep)
	} else {
		err = rep.print(out)
	}
	if err != nil {
		fmt.Fprintln(progress, "gateway:", err)
		return 2
	}
	status := 0
	for _, b := range rep.broken() {
		fmt.Fprintln(progress, "broken:", b)
		status = 1
	}
	return status
}
