package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A store can be carried into another, of the other kind. From the first
// moment on the source says so itself, and is not served: what changed there
// afterwards would be lost. The target says that it came from a move, and
// whether it was used since: until then, going back costs nothing.

// Names of Meta values about this.
const (
	// MetaMove is a Move in JSON, in a store that is being moved or was.
	MetaMove = "move"
	// MetaArrived is the id of the move that filled this store, followed by
	// " used" once it was opened for anything since.
	MetaArrived = "arrived"
	// MetaLoading is set by a store while it is being filled.
	MetaLoading = "loading"
)

const arrivedUsed = " used"

// Move is what a store knows of having been moved. Times are Unix milliseconds.
type Move struct {
	ID      string `json:"id"`
	From    string `json:"from"` // the store itself, for people
	To      string `json:"to"`   // without a password
	BeganAt int64  `json:"began_at"`
	// EndingAt is when the target was about to become one that can be served;
	// 0 before: then it certainly never was.
	EndingAt int64 `json:"ending_at,omitempty"`
	DoneAt   int64 `json:"done_at,omitempty"`
	// UsableSince is what schema_usable_since was: while the store is moved it
	// is a number that no schema reaches, which makes binaries refuse the store
	// that know nothing of moves.
	UsableSince string `json:"usable_since,omitempty"`
}

// ReadMove gives what the store says of being moved, nil for nothing.
func ReadMove(ctx context.Context, st Meta) (*Move, error) {
	text, err := st.MetaGet(ctx, MetaMove)
	if noRowIsNil(err) != nil {
		return nil, fmt.Errorf("reading whether the store was moved: %w", err)
	}
	if text == "" {
		return nil, nil
	}
	m := &Move{}
	if err := json.Unmarshal([]byte(text), m); err != nil {
		return nil, fmt.Errorf("what the store says of its move is damaged: %w", err)
	}
	return m, nil
}

// Write keeps m in the store that it is about.
func (m *Move) Write(ctx context.Context, st Meta, now int64, ev Event) error {
	text, err := json.Marshal(m)
	if err == nil {
		err = st.MetaSet(ctx, &MetaSetParams{Name: MetaMove, Value: string(text), Now: now, Event: ev})
	}
	if err != nil {
		return fmt.Errorf("noting the move in the store: %w", err)
	}
	return nil
}

// MovedError says that a store may not be used, because it was moved or is
// being moved.
type MovedError struct{ Move }

func (e *MovedError) Error() string {
	undo := "sallyport migrate-store --undo --from " + e.From
	if e.DoneAt == 0 {
		return fmt.Sprintf("the store %s is being moved to %s since %s. Finish that: sallyport migrate-store --from %s --to %s. Or give it up: %s (docs/moving.md)",
			e.From, e.To, day(e.BeganAt), e.From, e.To, undo)
	}
	by := "--store"
	if dir, is := strings.CutPrefix(e.To, "sqlite:"); is {
		by, undo = "--data "+dir, undo+" --to "+e.To // what has a password is better named by the configuration
	}
	return fmt.Sprintf("the store %s was moved to %s on %s; serve that one (%s). To go back: %s (docs/moving.md)", e.From, e.To, day(e.DoneAt), by, undo)
}

func day(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05 UTC") }

// ErrLoading says that a store was filled only in part.
var ErrLoading = errors.New("this store is being filled, by a move or a restore that is not finished: run that command again, or begin with an empty one")

// CheckMoved refuses a store that was moved away (*MovedError) or is not
// filled yet (ErrLoading), and notes in one that a move filled that it is
// used from now on.
func CheckMoved(ctx context.Context, st Meta, now int64) error {
	m, err := ReadMove(ctx, st)
	if err != nil {
		return err
	}
	if m != nil {
		return &MovedError{*m}
	}
	loading, err := st.MetaGet(ctx, MetaLoading)
	if noRowIsNil(err) != nil {
		return fmt.Errorf("reading whether the store is being filled: %w", err)
	}
	if loading != "" {
		return ErrLoading
	}
	id, used, err := Arrived(ctx, st)
	if err != nil || id == "" || used {
		return err
	}
	ev := Event{Kind: "store.arrive", Actor: "system", Detail: map[string]string{"move": id}}
	if err := st.MetaSet(ctx, &MetaSetParams{Name: MetaArrived, Value: id + arrivedUsed, Now: now, Event: ev}); err != nil {
		return fmt.Errorf("noting that the moved store is used: %w", err)
	}
	return nil
}

// Arrived gives the id of the move that filled a store, "" for none, and
// whether it was used since.
func Arrived(ctx context.Context, st Meta) (id string, used bool, err error) {
	text, err := st.MetaGet(ctx, MetaArrived)
	if noRowIsNil(err) != nil {
		return "", false, fmt.Errorf("reading where the store came from: %w", err)
	}
	id, used = strings.CutSuffix(text, arrivedUsed)
	return id, used, nil
}
