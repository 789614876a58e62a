package app

import (
	"context"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/dump"
	"github.com/sallyport/sallyport/internal/store/postgres"
)

// notCarried are Meta values about a store's own moves.
var notCarried = map[string]bool{core.MetaMove: true, core.MetaArrived: true}

// carriedView is a view as it is carried: without what is about the store's own
// moves, and with texts as the target can hold them.
type carriedView struct {
	dump.Snapshot
	clean    bool
	replaced int64
	own      map[string]bool // Meta names that this side has of itself
	lacks    map[string]bool // Meta names that a new store has and this one does not
}

func (m *move) carried(v dump.Snapshot) *carriedView {
	return &carriedView{Snapshot: v, clean: m.to.kind() == "postgres", lacks: map[string]bool{core.MetaNode: true}}
}

// Count implements dump.Snapshot. Meta is short; it is read.
func (v *carriedView) Count(ctx context.Context, t *dump.Table) (n int64, err error) {
	if t.Name != "meta" {
		return v.Snapshot.Count(ctx, t)
	}
	err = v.Rows(ctx, t, 0, func([]any) error { n++; return nil })
	return n, err
}

// Rows implements dump.Snapshot. The meta table is always read from its
// beginning.
func (v *carriedView) Rows(ctx context.Context, t *dump.Table, skip int64, f func(row []any) error) error {
	return v.Snapshot.Rows(ctx, t, skip, func(row []any) error {
		if t.Name == "meta" {
			name, _ := row[0].(string)
			if notCarried[name] || v.own[name] {
				return nil
			}
			delete(v.lacks, name)
		}
		if v.clean {
			for i, value := range row {
				if s, ok := value.(string); ok {
					if c := postgres.CleanText(s); c != s {
						row[i] = c
						v.replaced++
					}
				}
			}
		}
		return f(row)
	})
}
