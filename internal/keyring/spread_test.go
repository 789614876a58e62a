package keyring

import (
	"context"
	"errors"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// TestOtherNodesKnowWhatSigns: a key signs when the other nodes have read it,
// in every way in which a key comes to sign on request; until then the old one
// does. Else a refresh token of this node would be forged on the next one.
func TestOtherNodesKnowWhatSigns(t *testing.T) {
	rows := newRows()
	r, other := openRing(t, rows, 10), openRing(t, rows, 10)
	if err := r.Ensure(t.Context(), []Need{{refreshSet, token.HS256}, {accessSet, token.HS256}, {idSet, token.ES256}}); err != nil {
		t.Fatal(err)
	}
	waits := 0
	for name, change := range map[string]struct {
		set core.KeySet
		do  func() error
	}{
		"rotate":     {refreshSet, func() error { _, err := r.Rotate(t.Context(), refreshSet, "operator:0"); return err }},
		"rotate now": {idSet, func() error { _, err := r.RotateNow(t.Context(), idSet, "operator:0"); return err }},
		"import": {accessSet, func() error {
			_, err := r.ImportShared(t.Context(), accessSet, longSecret, ImportOptions{Actor: "operator:0"})
			return err
		}},
	} {
		before := r.ActiveKey(change.set)
		signs := func() bool {
			tok, _, err := r.Sign(change.set, token.Header{}, payload)
			if err != nil {
				t.Fatal(err)
			}
			p, err := token.Inspect(tok)
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range other.Verifying(change.set) {
				for _, k := range g.Keys {
					if k.ID() == p.KeyID {
						return true
					}
				}
			}
			return false
		}
		r.cfg.Spread = func(context.Context) error {
			waits++
			if r.ActiveKey(change.set) != before || !signs() {
				t.Errorf("%s: the new key signs already", name)
			}
			// Nobody waits for this: another node may have to drop a key.
			if err := r.Reload(t.Context()); err != nil {
				t.Error(err)
			}
			return other.Reload(t.Context())
		}
		if err := other.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := change.do(); err != nil {
			t.Fatal(err)
		}
		if r.ActiveKey(change.set) == before || !signs() {
			t.Errorf("%s: the other node does not know what signs", name)
		}
	}
	if waits != 3 {
		t.Errorf("waited %d times", waits)
	}

	// Who leaves meanwhile leaves a key that waits, and the next one waits again.
	before := r.ActiveKey(refreshSet)
	r.cfg.Spread = func(context.Context) error { return context.Canceled }
	_, err := r.Rotate(t.Context(), refreshSet, "operator:0")
	wantCode(t, err, core.Unavailable)
	if !errors.Is(err, context.Canceled) || r.ActiveKey(refreshSet) != before {
		t.Errorf("%v, and %s signs", err, r.ActiveKey(refreshSet))
	}
	waits = 0
	r.cfg.Spread = func(context.Context) error { waits++; return nil }
	step, err := r.Rotate(t.Context(), refreshSet, "operator:0")
	if err != nil || waits != 1 || step.Retired != before || len(rows.rows) != 7 {
		t.Errorf("%+v, %v, waited %d times, %d keys", step, err, waits, len(rows.rows))
	}
	// Of two at once one says that the other was there first: it must not name the
	// new key as the one that is over.
	r.cfg.Spread = func(ctx context.Context) error {
		r.cfg.Spread = nil
		var err error
		step, err = r.Rotate(ctx, refreshSet, "operator:0")
		return err
	}
	second, err := r.Rotate(t.Context(), refreshSet, "operator:0")
	wantCode(t, err, core.Conflict)
	if second != nil || r.ActiveKey(refreshSet) != step.Activated {
		t.Errorf("%+v, and %s signs", second, r.ActiveKey(refreshSet))
	}
	// In an emergency nobody is waited for.
	r.cfg.Spread = func(context.Context) error { t.Error("an emergency waits"); return nil }
	if _, err := r.Replace(t.Context(), step.Activated, "operator:0"); err != nil {
		t.Error(err)
	}
}
