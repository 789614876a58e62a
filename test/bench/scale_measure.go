package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/dump"
	"github.com/sallyport/sallyport/test/sut"
)

// measureAll measures the stores in turn, so that a machine that drifts does so
// for all of them.
func (s *scale) measureAll(ctx context.Context) error {
	// Before a server purges by itself.
	for _, one := range s.sized[1:] {
		if err := s.purge(ctx, one); err != nil {
			return fmt.Errorf("purging the store of %d: %w", one.Sessions, err)
		}
	}
	if err := s.bareStores(ctx); err != nil {
		return err
	}
	for _, one := range s.sized {
		if err := s.startAll(ctx, one); err != nil {
			return fmt.Errorf("%d sessions: %w", one.Sessions, err)
		}
	}
	for run := range s.runs {
		for _, one := range s.sized {
			s.say("run %d of %d: %d sessions", run+1, s.runs, one.Sessions)
			f, err := s.load1(ctx, &one.server.Process, addressOf(one.server.URL), one.rovers)
			if err != nil {
				return fmt.Errorf("%d sessions: %w", one.Sessions, err)
			}
			one.runs = append(one.runs, f)
			for _, floor := range one.floors {
				s.say("run %d of %d: floor of %d rows", run+1, s.runs, one.Sessions)
				if f, err = s.load1(ctx, floor.Process, addressOf(floor.Probe), floor.rovers); err != nil {
					return fmt.Errorf("floor of %d rows: %w", one.Sessions, err)
				}
				floor.runs = append(floor.runs, f)
			}
		}
	}
	for _, one := range s.sized {
		one.Rotation = byValue(one.runs)
		one.OfEmpty = one.Rotation.Value / byValue(s.sized[0].runs).Value
		if len(one.floors) == 2 {
			one.Floor, one.Tuned = byValue(one.floors[0].runs), byValue(one.floors[1].runs)
			one.OfFloor, one.OfTuned = one.Rotation.Value/one.Floor.Value, one.Rotation.Value/one.Tuned.Value
		}
		m, err := one.server.Memory()
		if err != nil {
			return err
		}
		one.LoadedMB = megabytes(m.RSS)
		one.server.Stop()
		for _, floor := range one.floors {
			floor.Stop()
		}
	}
	return nil
}

func (s *scale) load1(ctx context.Context, p *sut.Process, addr string, clients []client) (figure, error) {
	if err := ctx.Err(); err != nil {
		return figure{}, err
	}
	l := load{addr: addr, clients: clients, warm: s.warm, length: s.length, cpu: p.CPU}
	r, err := l.run()
	return r.figure(), err
}

// tuning is what our store tells SQLite, on a machine with memory enough.
var tuning = []string{"-cache", "262144", "-log", "16000"}

// startAll starts a store's server, and its floors; there are some for SQLite.
func (s *scale) startAll(ctx context.Context, one *sized) error {
	if err := s.dress(one); err != nil {
		return err
	}
	s.cleanup = append(s.cleanup, one.server.Kill)
	took, err := one.server.Start(ctx)
	if err != nil {
		return err
	}
	one.StartMS = ms(took)
	f, err := s.settled(ctx, &one.server.Process)
	if err != nil {
		return err
	}
	one.IdleMB = f.Value
	if s.store != "sqlite" {
		return nil
	}
	for i, more := range [][]string{nil, tuning} {
		if err := s.startFloor(ctx, one, fmt.Sprintf("floor-%d.db", i), more); err != nil {
			return err
		}
	}
	return nil
}

// startFloor starts a floor on a table of its own: two on one would each make
// the other's cache worthless.
func (s *scale) startFloor(ctx context.Context, one *sized, name string, more []string) error {
	ports, err := sut.FreePorts(1)
	if err != nil {
		return err
	}
	rows := max(one.Sessions, int64(s.chains))
	args := append([]string{"-db", filepath.Join(one.dir, name), "-rows", fmt.Sprint(rows), "-keys"}, more...)
	s.say("filling a floor of %d rows", one.Sessions)
	if out, err := exec.CommandContext(ctx, s.binaries["floor"], append(args, "-fill")...).CombinedOutput(); err != nil {
		return fmt.Errorf("filling the floor: %w: %s", err, out)
	}
	floor := &bareServer{Process: s.process("floor", ports[0], append(args, "-listen", ports[0])...), rovers: s.floorRovers(rows)}
	one.floors = append(one.floors, floor)
	return s.run(ctx, floor.Process)
}

// purged is what purging did.
type purged struct {
	Removed   int     `json:"removed"`
	PerSecond float64 `json:"per_second"`
	Looked    float64 `json:"rows_looked_at_per_second"`
	LongestMS float64 `json:"longest_refresh_ms"`
	AloneMS   float64 `json:"longest_refresh_without_ms"`
}

// purge removes what is over, as fast as it goes, beside as many loops that
// refresh as there are clients, in this process.
func (s *scale) purge(ctx context.Context, one *sized) (err error) {
	s.say("purging the store of %d", one.Sessions)
	st, err := s.open(ctx, filepath.Join(one.dir, "data"), one.dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	all, err := s.strangers(ctx, one)
	if err != nil {
		return err
	}
	alone, err := s.beside(ctx, st, all, func(ctx context.Context) error {
		select {
		case <-time.After(s.length):
		case <-ctx.Done():
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	p := &purged{AloneMS: ms(alone)}
	began := time.Now()
	longest, err := s.beside(ctx, st, all, func(ctx context.Context) error {
		for {
			rep, err := st.Purge(ctx, time.Now().UnixMilli(), 500)
			if err != nil {
				return err
			}
			p.Removed += rep.Removed["sessions"]
			if !rep.More {
				return nil
			}
		}
	})
	took := time.Since(began).Seconds()
	p.LongestMS, p.PerSecond, p.Looked = ms(longest), float64(p.Removed)/took, float64(one.Sessions)/took
	one.Purge = p
	return err
}

// strangers are sessions of a store that no client of the measurement has, and
// that are not over.
func (s *scale) strangers(ctx context.Context, one *sized) (all []core.SessionID, err error) {
	from, err := s.open(ctx, s.seed.Data, "")
	if err != nil {
		return nil, err
	}
	epoch := int64(0)
	view, err := from.Snapshot(ctx)
	if err == nil {
		t := dump.Named("sessions")
		err = view.Rows(ctx, t, 0, func(row []any) error {
			epoch, _ = row[t.Column("epoch")].(int64) // nothing was revoked: they all have one
			return nil
		})
		err = errors.Join(err, view.Close())
	}
	for i := int64(0); i < one.Sessions; i += max(1, one.Sessions/int64(2*s.chains)) {
		key, sum := sessionKey(i, one.Sessions)
		if s.over(sum) {
			continue
		}
		id := core.SessionID{Epoch: epoch}
		copy(id.Key[:], key)
		all = append(all, id)
	}
	return all, errors.Join(err, from.Close())
}

// beside refreshes sessions until work is done, and says how long the slowest
// took.
func (s *scale) beside(ctx context.Context, st core.Store, all []core.SessionID, work func(context.Context) error) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	slowest, errs := make([]time.Duration, s.n), make([]error, s.n)
	var loops sync.WaitGroup
	for c := range s.n {
		loops.Go(func() {
			for ctx.Err() == nil && errs[c] == nil {
				id := all[(rand.IntN(len(all)/s.n)*s.n+c)%len(all)]
				was, _, err := st.SessionByID(ctx, id)
				if err != nil {
					break // the end
				}
				began := time.Now()
				_, err = rotate(context.WithoutCancel(ctx), st, was)
				slowest[c] = max(slowest[c], time.Since(began))
				errs[c] = err
			}
		})
	}
	err := work(ctx)
	cancel()
	loops.Wait()
	longest := time.Duration(0)
	for _, d := range slowest {
		longest = max(longest, d)
	}
	return longest, errors.Join(append(errs, err)...)
}

// addressOf is host and port of a URL.
func addressOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw // made by us; a wrong one fails at once
	}
	return u.Host
}
