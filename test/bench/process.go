package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/test/sut"
)

var startGroup = group{
	name: "start", title: "From exec to the first good answer: milliseconds", unit: "ms", less: true,
	probes: func(ctx context.Context, b *bench) ([]probe, error) {
		dir := filepath.Join(b.dir, "start")
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
		known, err := sut.NewServer(b.binaries["sallyport"], dir)
		if err != nil {
			return nil, err
		}
		if _, err := known.Start(ctx); err != nil {
			return nil, err
		}
		known.Stop()
		empty, err := b.emptyProcess()
		if err != nil {
			return nil, err
		}
		const bare = "floor: empty net/http server"
		return []probe{
			{bare, "", func(ctx context.Context) (figure, error) { return startUp(ctx, empty) }},
			{"serve, data directory there", bare, func(ctx context.Context) (figure, error) { return startUp(ctx, &known.Process) }},
			{"serve, new data directory", bare, func(ctx context.Context) (figure, error) {
				fresh, err := sut.NewServer(b.binaries["sallyport"], b.freshDir())
				if err != nil {
					return figure{}, err
				}
				return startUp(ctx, &fresh.Process)
			}},
		}, nil
	},
}

func (b *bench) freshDir() string {
	dir, err := os.MkdirTemp(b.dir, "fresh-")
	if err != nil {
		return filepath.Join(b.dir, "fresh") // starting there fails and says why
	}
	return dir
}

func (b *bench) emptyProcess() (*sut.Process, error) {
	ports, err := sut.FreePorts(1)
	if err != nil {
		return nil, err
	}
	return b.process("empty", ports[0], ports[0]), nil
}

// startUp is one start, ended again.
func startUp(ctx context.Context, p *sut.Process) (figure, error) {
	took, err := p.Start(ctx)
	p.Stop()
	return figure{Value: ms(took)}, err
}

var memoryGroup = group{
	name: "memory", title: "Resident memory: MB", unit: "MB", less: true,
	probes: func(ctx context.Context, b *bench) ([]probe, error) {
		empty, err := b.emptyProcess()
		if err != nil {
			return nil, err
		}
		const bare = "floor: empty net/http server, idle"
		fresh := func(ctx context.Context, p *sut.Process) (figure, error) {
			_, err := p.Start(ctx)
			defer p.Stop()
			if err != nil {
				return figure{}, err
			}
			return b.settled(ctx, p)
		}
		// The server is started anew for its idle figure; what follows loads it.
		chains, err := b.chains(ctx, b.server, "/bench/token", "/bench/refresh")
		if err != nil {
			return nil, err
		}
		server := &b.server.Process
		return []probe{
			{bare, "", func(ctx context.Context) (figure, error) { return fresh(ctx, empty) }},
			{"serve, idle", bare, func(ctx context.Context) (figure, error) {
				server.Stop()
				if _, err := server.Start(ctx); err != nil {
					return figure{}, err
				}
				return b.settled(ctx, server)
			}},
			{fmt.Sprintf("serve, %d clients refreshing", b.n), bare, func(ctx context.Context) (figure, error) {
				return b.memoryUnder(ctx, server, chains)
			}},
			{fmt.Sprintf("serve, %d clients logging in", b.n), bare, func(ctx context.Context) (figure, error) {
				return b.memoryUnder(ctx, server, b.logins())
			}},
		}, nil
	},
}

// settled is the memory of a process left alone for a while.
func (b *bench) settled(ctx context.Context, p *sut.Process) (figure, error) {
	select {
	case <-ctx.Done():
		return figure{}, ctx.Err()
	case <-time.After(b.settle):
	}
	m, err := p.Memory()
	return figure{Value: megabytes(m.RSS)}, err
}

// memoryUnder is the most memory of a process in samples taken while clients
// load it.
func (b *bench) memoryUnder(ctx context.Context, p *sut.Process, clients []client) (figure, error) {
	stop, most := make(chan struct{}), make(chan int64)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		var high int64
		for {
			if m, err := p.Memory(); err == nil { // a process that is gone fails the load
				high = max(high, m.RSS)
			}
			select {
			case <-stop:
				most <- high
				return
			case <-tick.C:
			}
		}
	}()
	_, err := b.under(ctx, p, clients)
	close(stop)
	high := <-most
	if err == nil && high == 0 {
		err = errors.New("the kernel did not tell the memory of the process")
	}
	return figure{Value: megabytes(high)}, err
}

func megabytes(kib int64) float64 { return float64(kib) / 1024 }
