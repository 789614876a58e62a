package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/dump"
	"github.com/sallyport/sallyport/internal/store/postgres"
)

// Moving carries a whole store into an empty one, usually of the other kind.
//
// What happens in which order, and why a process that is killed anywhere can
// be started again: (1) the source says that it is being moved, and is served
// no more; (2) the target says that it is being filled, under the id of the
// move; (3) rows are copied, a step each few thousand, and after a kill from
// where the target stands, then indexes are built, a step each; (4) both are read whole and their sums compared; (5) the
// source notes that the target is about to become usable; (6) the target takes
// its mark away and says where it came from; (7) the source says that it was
// moved. At no moment can both be served.
//
// Both are the same incarnation: they hold the same revocations, and a facts
// journal that knows the source accepts the target. An older copy of either is
// still found out by it.

// MoveOptions say what to move.
type MoveOptions struct {
	From, To string // sqlite:DIR, a data directory, or postgres://…; "" for the configured store
	// Progress is told of each phase; nil for nobody.
	Progress func(phase, table string, done, total int64)
	// step is called before each durable step; tests end the process there.
	step func(name string)
}

// MoveReport says what was moved.
type MoveReport struct {
	ID        string          `json:"id"`
	From      string          `json:"from"`
	To        string          `json:"to"`
	Resumed   bool            `json:"resumed"` // a former run was cut off
	Rows      int64           `json:"rows"`
	MasterKey string          `json:"master_key"` // what both stores are sealed with
	Tables    []dump.TableSum `json:"tables"`
	Replaced  int64           `json:"texts_replaced"` // that the target cannot hold
}

// move is one under way.
type move struct {
	o        MoveOptions
	from, to place
	source   anyStore
	target   anyStore
	now      func() int64
	actor    string
	note     core.Move
	report   MoveReport
}

// MoveStore moves a store. *core.MovedError when it was moved already,
// dump.ErrNotEmpty when the target holds something else.
func MoveStore(ctx context.Context, cfg *config.Config, o Options, how MoveOptions) (report *MoveReport, err error) {
	m, err := newMove(cfg, &o, how)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	if m.source, err = m.from.open(ctx, cfg, o, false); err != nil {
		return nil, err
	}
	if err := idle(ctx, m.source, m.from); err != nil {
		return nil, err
	}
	if err := m.judge(ctx, cfg, o); err != nil {
		return nil, err
	}
	if m.target, err = m.to.open(ctx, cfg, o, true); err != nil {
		return nil, err
	}
	if err := m.run(ctx); err != nil {
		return nil, err
	}
	return &m.report, nil
}

func newMove(cfg *config.Config, o *Options, how MoveOptions) (*move, error) {
	if err := o.fill(cfg); err != nil {
		return nil, err
	}
	m := &move{o: how, now: o.Now, actor: "operator:" + strconv.Itoa(os.Getuid())}
	if m.o.step == nil {
		m.o.step = func(string) {}
	}
	if m.o.Progress == nil {
		m.o.Progress = func(string, string, int64, int64) {}
	}
	var err error
	if m.from, err = parsePlace(how.From); err != nil {
		return nil, fmt.Errorf("--from: %w", err)
	}
	if m.to, err = parsePlace(how.To); err != nil {
		return nil, fmt.Errorf("--to: %w", err)
	}
	if m.from == m.to {
		return nil, errors.New("a store cannot be moved into itself")
	}
	m.report.From, m.report.To = m.from.String(), m.to.String()
	return m, nil
}

func (m *move) close() error {
	var errs []error
	for _, s := range []anyStore{m.source, m.target} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

// judge refuses a source that is served, or should not be: one that was
// restored and not confirmed would arrive as one that nobody doubts.
func (m *move) judge(ctx context.Context, cfg *config.Config, o Options) (err error) {
	loading, err := m.source.MetaGet(ctx, core.MetaLoading)
	if err == nil && loading != "" {
		return core.ErrLoading
	}
	e := &engine{dir: m.from.dir, store: m.source, log: o.Logger, now: o.Now}
	if e.dir == "" {
		e.dir = absolute(cfg.Data)
	}
	err = e.judgeStore(ctx, cfg)
	if e.journal != nil {
		err = errors.Join(err, e.journal.Close())
	}
	return err
}

// idle refuses a store that nodes serve. A data directory has a lock for that.
func idle(ctx context.Context, s anyStore, at place) error {
	pg, ok := s.(*postgres.Store)
	if !ok {
		return nil
	}
	nodes, err := pg.Serving(ctx)
	if err != nil || len(nodes) == 0 {
		return err
	}
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	return fmt.Errorf("%s is being served, by %s: stop that first (a process that was killed is forgotten after 15 s)", at, strings.Join(names, ", "))
}

func (m *move) run(ctx context.Context) error {
	fresh, err := m.begin(ctx)
	if err != nil {
		return err
	}
	arrived, _, err := core.Arrived(ctx, m.target)
	if err != nil {
		return err
	}
	if arrived != m.note.ID {
		if err := m.fill(ctx, fresh); err != nil {
			return err
		}
	}
	return m.end(ctx, arrived == m.note.ID)
}

// begin notes the move in the source, unless a former run did.
func (m *move) begin(ctx context.Context) (fresh bool, err error) {
	was, err := core.ReadMove(ctx, m.source)
	if err != nil {
		return false, err
	}
	if was != nil && (was.DoneAt > 0 || was.To != m.to.String()) {
		return false, &core.MovedError{Move: *was}
	}
	if was != nil {
		m.note, m.report.Resumed = *was, true
	} else {
		m.note = core.Move{ID: core.NewID("mv_"), From: m.from.String(), To: m.to.String(), BeganAt: m.now()}
		m.o.step("note")
		if err := m.note.Write(ctx, m.source, m.now(), core.Event{}); err != nil {
			return true, err
		}
	}
	m.report.ID = m.note.ID
	for _, check := range []func() error{
		func() error { return idle(ctx, m.source, m.from) },
		func() error { return idle(ctx, m.target, m.to) },
		func() error { return m.shut(ctx) },
	} {
		if err := check(); err != nil {
			return was == nil, errors.Join(err, m.forget(ctx, was == nil))
		}
	}
	return was == nil, nil
}

// forget takes the note of a move back that did not begin.
func (m *move) forget(ctx context.Context, fresh bool) error {
	if !fresh {
		return nil
	}
	return release(ctx, m.source, &m.note, m.now(), core.Event{})
}

const (
	// schemaUsable is the Meta name under which a store says since which schema
	// a binary can use it, and noSchema a number that none reaches.
	schemaUsable = "schema_usable_since"
	noSchema     = "1000000000"
)

// shut makes binaries refuse the source that know nothing of moves.
func (m *move) shut(ctx context.Context) error {
	if m.note.UsableSince == "" {
		since, err := m.source.MetaGet(ctx, schemaUsable)
		if err != nil {
			return fmt.Errorf("reading the schema numbers: %w", err)
		}
		m.note.UsableSince = since
		m.o.step("note")
		if err := m.note.Write(ctx, m.source, m.now(), core.Event{}); err != nil {
			return err
		}
	}
	m.o.step("shut")
	return m.source.MetaSet(ctx, &core.MetaSetParams{Name: schemaUsable, Value: noSchema, Now: m.now()})
}

// release lets a store be used that was being moved.
func release(ctx context.Context, s anyStore, note *core.Move, now int64, ev core.Event) error {
	// A newer binary may have migrated the store meanwhile, and said so.
	since, err := s.MetaGet(ctx, schemaUsable)
	if err != nil {
		return fmt.Errorf("reading the schema numbers: %w", err)
	}
	if since == noSchema && note.UsableSince != "" {
		if err := s.MetaSet(ctx, &core.MetaSetParams{Name: schemaUsable, Value: note.UsableSince, Now: now}); err != nil {
			return err
		}
	}
	return s.MetaSet(ctx, &core.MetaSetParams{Name: core.MetaMove, Now: now, Event: ev})
}

// fill copies and compares.
func (m *move) fill(ctx context.Context, fresh bool) error {
	m.o.step("begin")
	if err := m.target.BeginLoad(ctx, m.note.ID); err != nil {
		if errors.Is(err, dump.ErrNotEmpty) {
			err = fmt.Errorf("%s: %w; a store is moved into an empty one", m.to, err)
		}
		return errors.Join(err, m.forget(ctx, fresh))
	}
	view, err := m.source.Snapshot(ctx)
	if err != nil {
		return err
	}
	from := m.carried(view)
	err = dump.Copy(ctx, from, &steppedTarget{m.target, m.o.step}, m.phase("copying"))
	if err = errors.Join(err, view.Close()); err != nil {
		return err
	}
	err = m.target.BuildIndexes(ctx, func(index string, done, total int64) {
		switch done {
		case 0:
			m.o.step("indexes")
		case total / 2:
			m.o.step("half of the indexes")
		}
		m.o.Progress(BuildingIndexes, index, done, total)
	})
	if err != nil {
		return err
	}
	return m.compare(ctx)
}

func (m *move) phase(name string) dump.Progress {
	return func(table string, done, total int64) { m.o.Progress(name, table, done, total) }
}

// compare reads both stores whole, anew.
func (m *move) compare(ctx context.Context) error {
	sums := func(s anyStore, phase string, as func(dump.Snapshot) dump.Snapshot) (map[string]dump.Sum, error) {
		view, err := s.Snapshot(ctx)
		if err != nil {
			return nil, err
		}
		all, err := dump.Sums(ctx, as(view), m.phase(phase))
		return all, errors.Join(err, view.Close())
	}
	var from *carriedView
	want, err := sums(m.source, "checking the source", func(v dump.Snapshot) dump.Snapshot {
		from = m.carried(v)
		return from
	})
	if err != nil {
		return err
	}
	got, err := sums(m.target, "checking the copy", func(v dump.Snapshot) dump.Snapshot { return &carriedView{Snapshot: v, own: from.lacks} })
	if err != nil {
		return err
	}
	m.report.Replaced = from.replaced
	return m.agree(want, got)
}

// agree wants every table to be the same on both sides.
func (m *move) agree(want, got map[string]dump.Sum) error {
	var differ []string
	m.report.Rows, m.report.Tables = 0, nil
	for _, t := range dump.Tables() {
		w, g := want[t.Name], got[t.Name]
		if w != g {
			differ = append(differ, fmt.Sprintf("%s (%d rows and %d)", t.Name, w.Rows, g.Rows))
		}
		m.report.Rows += w.Rows
		m.report.Tables = append(m.report.Tables, dump.TableSum{Name: t.Name, Rows: w.Rows, Sum: w.String()})
	}
	if len(differ) > 0 {
		return fmt.Errorf("the copy is not what was copied, in %s: was one of the two used meanwhile? Undo the move (--undo), empty the target, and move again", strings.Join(differ, ", "))
	}
	return nil
}

// end makes the target usable and the source not.
func (m *move) end(ctx context.Context, there bool) error {
	var err error
	if m.report.MasterKey, err = m.source.MetaGet(ctx, core.MetaMasterKeyID); err != nil && !errors.Is(err, core.ErrNoRow) {
		return err
	}
	if !there {
		// Who began to serve the source while it was copied is seen here at
		// the latest.
		if err := idle(ctx, m.source, m.from); err != nil {
			return err
		}
		m.note.EndingAt = m.now()
		m.o.step("ending")
		if err := m.note.Write(ctx, m.source, m.now(), core.Event{}); err != nil {
			return err
		}
		m.o.step("end")
		if err := m.target.EndLoad(ctx, map[string]string{core.MetaArrived: m.note.ID}); err != nil {
			return err
		}
		if pg, ok := m.target.(*postgres.Store); ok {
			if err := pg.Analyze(ctx); err != nil {
				return fmt.Errorf("the store was moved; only its statistics are missing, run ANALYZE: %w", err)
			}
		}
	}
	m.note.DoneAt = m.now()
	m.o.step("done")
	return m.note.Write(ctx, m.source, m.now(), core.Event{Kind: "store.move", Actor: m.actor, Detail: map[string]string{"to": m.note.To, "move": m.note.ID}})
}

// steppedTarget tells of each step.
type steppedTarget struct {
	dump.Target
	step func(string)
}

func (t *steppedTarget) LoadRows(ctx context.Context, table *dump.Table, rows [][]any) error {
	t.step("rows of " + table.Name)
	return t.Target.LoadRows(ctx, table, rows)
}
