package postgres

import (
	"bytes"
	"context"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sallyport/sallyport/internal/core"
)

const (
	groupMax   = 128 // refreshes in one statement
	groupQueue = 1024
	// groupWriters is how many groups may be on their way at once: while one
	// waits for its commit, or for a row, the next is not held up.
	groupWriters = 2
)

// group coalesces refreshes: those that wait while others are on their way go
// to the server together, as one statement over arrays, each with an outcome
// of its own. Nobody waits for company.
type group struct {
	s     *Store
	queue chan *moving
}

// moving is one refresh under way.
type moving struct {
	p    *core.RefreshParams
	done chan moveOutcome // room for one
}

type moveOutcome struct {
	res *core.RefreshResult // nil without an error: the statement left the row alone
	err error
}

func (s *Store) startGroup(ctx context.Context) *group {
	g := &group{s: s, queue: make(chan *moving, groupQueue)}
	for range groupWriters {
		s.chores.Go(func() { g.write(ctx) })
	}
	return g
}

func (g *group) waiting() int {
	if g == nil {
		return 0
	}
	return len(g.queue)
}

// refresh hands a step to the writers and waits for its outcome.
func (g *group) refresh(ctx context.Context, p *core.RefreshParams) (*core.RefreshResult, error) {
	if ctx.Err() != nil {
		return nil, gone(ctx)
	}
	if err := g.s.enter(); err != nil { // the writer counts it out
		return nil, err
	}
	m := &moving{p: p, done: make(chan moveOutcome, 1)}
	select {
	case g.queue <- m:
	case <-ctx.Done():
		g.s.running.Done()
		return nil, gone(ctx)
	}
	var o moveOutcome
	select {
	case o = <-m.done:
	case <-ctx.Done():
		select {
		case o = <-m.done: // both were ready: the outcome is known after all
		default:
			return nil, unknown(context.Cause(ctx))
		}
	}
	if o.err == nil && o.res != nil {
		return o.res, nil
	}
	var res *core.RefreshResult
	err := g.s.submit(ctx, func(ctx context.Context) (err error) {
		res, err = g.later(ctx, p, o.err)
		return err
	})
	if err != nil {
		return nil, err
	}
	return res, nil
}

// later goes on with a step that the statement over arrays did not move.
func (g *group) later(ctx context.Context, p *core.RefreshParams, err error) (*core.RefreshResult, error) {
	switch {
	case err == nil:
		return g.s.unmoved(ctx, p)
	case inDoubt(err):
		return g.s.perhapsMoved(ctx, p)
	case transient(err) || sqlState(err) == "55P03":
		// Nothing was done, perhaps because of a neighbour's row.
		return g.s.refreshAlone(ctx, p)
	}
	return nil, err
}

// write takes what waits and sends it, until ctx ends. Steps are handed in
// only while the store is open, so nothing waits then.
func (g *group) write(ctx context.Context) {
	batch := make([]*moving, 0, groupMax)
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-g.queue:
			batch = append(batch[:0], m)
		}
	fill:
		for len(batch) < groupMax {
			select {
			case m := <-g.queue:
				batch = append(batch, m)
			default:
				break fill
			}
		}
		g.send(ctx, batch)
		clear(batch)
	}
}

// send carries out a batch. Of several steps on one session the first goes
// with the statement; the others are told, once it has committed, that it left
// them alone, which for repetitions of a token is the truth and for others
// decided by the row as it then is.
func (g *group) send(ctx context.Context, batch []*moving) {
	slices.SortStableFunc(batch, func(a, b *moving) int { return bytes.Compare(a.p.ID.Key[:], b.p.ID.Key[:]) })
	first := make([]*moving, 0, len(batch))
	for i, m := range batch {
		if i == 0 || m.p.ID.Key != batch[i-1].p.ID.Key {
			first = append(first, m)
		}
	}
	results, err := g.move(context.WithoutCancel(ctx), first)
	if err == nil {
		g.s.committed(len(first))
	}
	at := 0
	for i, m := range batch {
		o := moveOutcome{err: err}
		if i == 0 || m.p.ID.Key != batch[i-1].p.ID.Key {
			if err == nil {
				o.res = results[at]
			}
			at++
		} else {
			o.err = nil
		}
		m.done <- o
		g.s.running.Done()
	}
}

// move is the statement over arrays; it gives a result for each step that
// moved its row.
func (g *group) move(ctx context.Context, batch []*moving) ([]*core.RefreshResult, error) {
	ctx, cancel := g.s.bounded(ctx, g.s.cfg.StatementTimeout)
	defer cancel()
	args := columns(batch)
	results := make([]*core.RefreshResult, len(batch))
	err := g.s.again(ctx, g.s.pool, func(c *pgxpool.Conn) error {
		clear(results)
		rows, err := c.Query(ctx, moveMany, args...)
		if err == nil {
			for rows.Next() {
				n, res, serr := scanMoved(rows)
				if serr != nil {
					rows.Close()
					return unknown(serr)
				}
				results[n] = res
			}
			err = rows.Err()
		}
		return g.s.outcome(c, err)
	})
	return results, err
}

// columns turns steps into the arrays of moveMany.
func columns(batch []*moving) []any {
	n := len(batch)
	numbers, keys := make([]int32, n), make([][16]byte, n)
	mounts, subjects, refreshKeys := make([]string, n), make([]string, n), make([]string, n)
	var ints [6][]int64
	for i := range ints {
		ints[i] = make([]int64, n)
	}
	for i, m := range batch {
		p := m.p
		numbers[i], keys[i] = int32(i), p.ID.Key
		mounts[i], subjects[i], refreshKeys[i] = p.Mount, p.Subject, p.RefreshKey
		for k, v := range [...]int64{p.ID.Epoch, p.Presented, p.Now, p.Policy.GraceMS, p.Policy.IdleMS, p.Policy.AbsoluteMS} {
			ints[k][i] = v
		}
	}
	return clean([]any{numbers, keys, ints[0], mounts, ints[1], subjects, ints[2], refreshKeys, ints[3], ints[4], ints[5]})
}
