package app

import (
	"context"
	"fmt"
	"os"
	"slices"
	"syscall"

	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/dump"
)

// StoreOf is the store of a server.
func StoreOf(a *App) core.Store { return a.engine.store }

// MoveDying makes a move whose process kills itself before the first step that
// is not among those passed, after it has written the step's name.
func MoveDying(from, to string, passed []string) MoveOptions {
	return MoveOptions{From: from, To: to, step: func(name string) {
		if !slices.Contains(passed, name) {
			fmt.Println(name)
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}}
}

// TryOpen opens the configured store as a server does.
func TryOpen(ctx context.Context, cfg *config.Config, o Options) error {
	e := &engine{dir: absolute(cfg.Data), log: o.Logger, now: o.Now}
	if err := o.fill(cfg); err != nil {
		return err
	}
	e.log = o.Logger
	err := e.openStore(ctx, cfg, o, true)
	if e.store != nil {
		_ = e.store.Close()
	}
	return err
}

// StoreEmpty says whether the configured store has no users.
func StoreEmpty(ctx context.Context, cfg *config.Config, o Options) bool {
	if err := o.fill(cfg); err != nil {
		return false
	}
	s, err := configured(cfg).open(ctx, cfg, o, false)
	if err != nil {
		return false
	}
	defer func() { _ = s.Close() }()
	view, err := s.Snapshot(ctx)
	if err != nil {
		return false
	}
	defer func() { _ = view.Close() }()
	n, err := view.Count(ctx, dump.Named("users"))
	return err == nil && n == 0
}
