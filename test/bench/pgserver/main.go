// Command pgserver serves as `sallyport serve` does, with a switch that the
// product does not have: -one sends refreshes to PostgreSQL one by one.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pgserver:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, args []string) error {
	args = slices.DeleteFunc(args, func(a string) bool { return a == "serve" })
	one := slices.Contains(args, "-one")
	flags, rest, err := config.ParseFlags(slices.DeleteFunc(args, func(a string) bool { return a == "-one" }))
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("unknown arguments %q", rest)
	}
	cfg, err := config.Load(config.Options{Flags: flags})
	if err != nil {
		return err
	}
	a, err := app.New(ctx, cfg, app.Options{Version: "bench", Stdout: os.Stdout, Stderr: os.Stderr, OneAtATime: one})
	if err != nil {
		return err
	}
	return errors.Join(a.Run(ctx), a.Close())
}
