package httpd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Serve answers until ctx ends or a listener fails, then shuts down: requests
// in flight finish, streams and WebSockets are cut when the time is nearly
// over, and after ShutdownTimeout at the latest Serve returns. It returns nil
// after an orderly end.
func (s *Server) Serve(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	failed := make(chan error, 8)
	var running sync.WaitGroup
	for _, g := range s.groups() {
		for _, l := range g.listeners {
			running.Go(func() {
				if err := g.serve(l); !errors.Is(err, http.ErrServerClosed) {
					select {
					case failed <- fmt.Errorf("listener %s: %w", l.Addr(), err):
					default: // one failure is reason enough
					}
				}
			})
		}
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	err = errors.Join(err, s.shutdown())
	running.Wait()
	FlushLog(s.log)
	return err
}

func (g *group) serve(l net.Listener) error {
	if g.tls {
		return g.srv.ServeTLS(l, "", "")
	}
	return g.srv.Serve(l)
}

// firstByte is how long a connection may be silent when we shut down: a request
// that was on its way is there by then.
const firstByte = 250 * time.Millisecond

// shutdown runs the ladder: no new connections; hooks; wait for requests; end
// their contexts; close what is left. The private listener goes last, so that
// probes and metrics see the draining.
func (s *Server) shutdown() error {
	s.draining.Store(true)
	s.limit.stop()
	deadline := time.Now().Add(s.cfg.ShutdownTimeout)
	hard, cancelHard := context.WithDeadline(context.Background(), deadline)
	defer cancelHard()
	soft, cancelSoft := context.WithDeadline(hard, deadline.Add(-min(closeTime, s.cfg.ShutdownTimeout/2)))
	defer cancelSoft()

	unused := time.AfterFunc(firstByte, s.limit.closeUnused)
	defer unused.Stop()
	hooks := s.startHooks()
	err := s.public.srv.Shutdown(soft)
	waitFor(soft, hooks)
	s.hijacked.closeAll()
	s.baseCancel()
	if err != nil { // streams and slow requests: their contexts have just ended
		err = s.public.srv.Shutdown(hard)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("requests did not finish in time and were cut off", "after", s.cfg.ShutdownTimeout)
		err = s.public.srv.Close()
	}
	for _, g := range []*group{s.admin, s.private} {
		if g == nil {
			continue
		}
		if e := g.srv.Shutdown(hard); e != nil {
			err = errors.Join(err, g.srv.Close())
		}
	}
	return err
}

// startHooks calls every hook at once and returns a channel that closes when
// all have returned.
func (s *Server) startHooks() <-chan struct{} {
	s.mu.Lock()
	hooks := s.onShutdown
	s.onShutdown = nil
	s.mu.Unlock()
	var wg sync.WaitGroup
	for _, f := range hooks {
		wg.Go(f)
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	return done
}

func waitFor(ctx context.Context, done <-chan struct{}) {
	select {
	case <-done:
	case <-ctx.Done():
	}
}
