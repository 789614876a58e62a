package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/test/sut"
)

// private is the private listener of a process if it is a server of ours.
func (b *bench) private(p *sut.Process) string {
	for _, s := range append([]*sut.Server{b.server, b.quiet}, b.nodes...) {
		if s != nil && p == &s.Process {
			return s.Private()
		}
	}
	return ""
}

// takeProfile records a CPU profile of the server while a load runs; the
// function it returns waits for it.
func (b *bench) takeProfile(ctx context.Context, private string, number int) func() {
	done := make(chan error, 1)
	file := filepath.Join(b.profile, fmt.Sprintf("cpu-%02d.pprof", number))
	seconds := max(1, int(b.length.Seconds()))
	go func() {
		done <- fetchProfile(ctx, fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", private, seconds), file)
	}()
	return func() {
		if err := <-done; err != nil {
			b.say("no profile: %v\n", err)
			return
		}
		b.say("profile: %s\n", file)
	}
}

func fetchProfile(ctx context.Context, url, file string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // read to its end
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(file, raw, 0o600)
}
