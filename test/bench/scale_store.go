package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/test/figures"
)

// bareStores measures rotations with no server around the store, beside a bare
// table with as many rows, in turn. What HTTP and tokens cost is the same for
// every number of sessions and hides what that number does; here it shows.
func (s *scale) bareStores(ctx context.Context) error {
	for _, one := range s.sized[1:] {
		s.say("filling the floor of %d rows", one.Sessions)
		if _, err := s.bareFloor(ctx, one, "-fill"); err != nil {
			return fmt.Errorf("filling the floor: %w", err)
		}
	}
	runs, floors := make([][]figure, len(s.sized)), make([][]figure, len(s.sized))
	for run := range s.runs {
		for i, one := range s.sized[1:] {
			s.say("run %d of %d: the store of %d alone", run+1, s.runs, one.Sessions)
			f, err := s.bareStore(ctx, one)
			if err != nil {
				return fmt.Errorf("the store of %d alone: %w", one.Sessions, err)
			}
			runs[i] = append(runs[i], f)
			s.say("run %d of %d: a bare table of %d rows", run+1, s.runs, one.Sessions)
			if f, err = s.bareFloor(ctx, one, "-loop", s.length.String()); err != nil {
				return fmt.Errorf("a bare table of %d rows: %w", one.Sessions, err)
			}
			floors[i] = append(floors[i], f)
		}
	}
	for i, one := range s.sized[1:] {
		one.Store, one.StoreFloor = byValue(runs[i]), byValue(floors[i])
		one.StoreOfFloor = one.Store.Value / one.StoreFloor.Value
	}
	return nil
}

// bareFloor runs the floor's own loop, which answers in JSON.
func (s *scale) bareFloor(ctx context.Context, one *sized, more ...string) (figure, error) {
	name, db := "floor", filepath.Join(one.dir, "floor-1.db")
	args := append([]string{"-keys"}, tuning...)
	if s.store == "postgres" {
		name, db, args = "pgfloor", one.floorDSN, nil
	}
	args = append(args, "-db", db, "-rows", fmt.Sprint(max(one.Sessions, int64(s.chains))), "-n", fmt.Sprint(s.n), "-chains", fmt.Sprint(s.chains))
	out, err := exec.CommandContext(ctx, s.binaries[name], append(args, more...)...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return figure{}, err
	}
	if len(out) == 0 {
		return figure{}, nil
	}
	var found figures.Looped
	if err := json.Unmarshal(out, &found); err != nil {
		return figure{}, err
	}
	return loopFigure(found), nil
}

func loopFigure(l figures.Looped) figure { return figure{Value: l.PerSecond(), P99MS: l.P99MS} }

// bareStore rotates sessions of a store as its server would, in this process.
func (s *scale) bareStore(ctx context.Context, one *sized) (_ figure, err error) {
	st, err := s.open(ctx, filepath.Join(one.dir, "data"), one.dsn)
	if err != nil {
		return figure{}, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	ids, err := s.strangers(ctx, one)
	if err != nil {
		return figure{}, err
	}
	chains := make([]*core.Session, min(s.chains, len(ids)))
	for i := range chains {
		if chains[i], _, err = st.SessionByID(ctx, ids[i*len(ids)/len(chains)]); err != nil {
			return figure{}, err
		}
	}
	found, err := figures.Loop(s.length, s.n, len(chains), func(i int) (err error) {
		chains[i], err = rotate(ctx, st, chains[i])
		return err
	})
	if err != nil {
		return figure{}, err
	}
	return loopFigure(found), nil
}

// rotate moves a session on and gives it as it is then.
func rotate(ctx context.Context, st core.Store, was *core.Session) (*core.Session, error) {
	res, err := st.RefreshSession(ctx, &core.RefreshParams{
		ID: was.ID, Mount: was.Mount, Presented: was.Generation, RefreshKey: was.RefreshKey, Now: time.Now().UnixMilli(),
		Policy: core.Rotation{Rotates: true, GraceMS: 120_000, IdleMS: 30 * 86400_000},
	})
	if err != nil {
		return nil, err
	}
	if res.Verdict != core.RefreshMoved {
		return nil, fmt.Errorf("a refresh was answered with verdict %v", res.Verdict)
	}
	return res.Session, nil
}
