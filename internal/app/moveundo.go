package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/core"
)

// UndoReport says what became of a move that was undone.
type UndoReport struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Confirm says that the source must be confirmed before it is served, like
	// a restored one: the target was, or may have been, used since.
	Confirm bool `json:"to_be_confirmed"`
	// TargetShut says that the target was marked, so that it cannot be served.
	TargetShut bool `json:"target_shut"`
}

// ErrUsedSince says that undoing a move would forget what happened in the
// store that it made.
var ErrUsedSince = errors.New("what happened there since would be lost")

// UndoMove makes a store one that can be used again, after it was moved or its
// move was cut off. how.To may be "": then nothing is known of the target.
// Where the target was used, or may have been, it fails with ErrUsedSince
// unless force is given, and then the store must be confirmed like one that
// was restored.
func UndoMove(ctx context.Context, cfg *config.Config, o Options, how MoveOptions, force bool) (report *UndoReport, err error) {
	blind := how.To == ""
	if blind {
		how.To = "postgres://nobody/knows"
	}
	m, err := newMove(cfg, &o, how)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	if m.source, err = m.from.open(ctx, cfg, o, false); err != nil {
		return nil, err
	}
	note, err := core.ReadMove(ctx, m.source)
	if err != nil {
		return nil, err
	}
	if note == nil {
		return nil, fmt.Errorf("there is nothing to undo: %s was not moved", m.from)
	}
	m.note = *note
	report = &UndoReport{From: m.from.String(), To: note.To}
	if !blind && note.To != m.to.String() {
		return nil, fmt.Errorf("%s was moved to %s, and --to names %s", m.from, note.To, m.to)
	}
	if !blind {
		if m.target, err = m.to.open(ctx, cfg, o, false); err != nil {
			return nil, err
		}
	}
	if note.EndingAt > 0 {
		if err := m.withdraw(ctx, report, force); err != nil {
			return nil, err
		}
	}
	if report.Confirm {
		why := "it was moved to " + note.To + ", and brought back after that was used, or may have been"
		if err := m.source.MetaSet(ctx, &core.MetaSetParams{Name: core.MetaRestored, Value: why, Now: m.now()}); err != nil {
			return nil, err
		}
	}
	ev := core.Event{Kind: "store.unmove", Actor: m.actor, Detail: map[string]string{"to": note.To, "move": note.ID}}
	return report, release(ctx, m.source, note, m.now(), ev)
}

// withdraw makes sure that the target is not served beside the source.
func (m *move) withdraw(ctx context.Context, report *UndoReport, force bool) error {
	report.Confirm = true
	if m.target == nil {
		if !force {
			return fmt.Errorf("%s may have been used since: name it with --to, so that it can be asked; %w", m.note.To, ErrUsedSince)
		}
		return nil
	}
	if err := idle(ctx, m.target, m.to); err != nil {
		return err
	}
	id, used, err := core.Arrived(ctx, m.target)
	if err != nil {
		return err
	}
	if id != m.note.ID {
		// Not filled to the end, or by something else: not our copy.
		report.Confirm = false
		loading, err := m.target.MetaGet(ctx, core.MetaLoading)
		if err != nil && !errors.Is(err, core.ErrNoRow) {
			return err
		}
		if loading == m.note.ID {
			return nil
		}
		return fmt.Errorf("%s does not hold what was moved there (move %s)", m.to, m.note.ID)
	}
	if used && !force {
		return fmt.Errorf("%s was used since: %w. To bring all of it back, move it the other way: sallyport migrate-store --from %s --to sqlite:NEWDIR", m.to, ErrUsedSince, m.to)
	}
	report.Confirm, report.TargetShut = used, true
	back := core.Move{ID: core.NewID("mv_"), From: m.to.String(), To: m.from.String(), BeganAt: m.now(), EndingAt: m.now(), DoneAt: m.now()}
	return back.Write(ctx, m.target, m.now(), core.Event{})
}
