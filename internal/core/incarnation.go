package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A store that was restored from a backup, or copied, is another incarnation
// of the installation: it has forgotten revocations that were acknowledged.
// The store has an incarnation id, and so has the facts journal, which lies
// elsewhere; before a store is served the two are compared. A store that was
// put back by copying files has the right id, so what the journal knows of the
// store's progress is compared as well.

// Names of Meta values about this.
const (
	// MetaInstallation names the installation for its whole life, in all its
	// incarnations and stores.
	MetaInstallation = "installation"
	// MetaJournaled is "1" once a facts journal belongs to the store.
	MetaJournaled = "journaled"
	// MetaRestored is set, with words for people, in a store that was filled
	// from a backup and not confirmed yet.
	MetaRestored = "restored"
	// MetaFormer lists the incarnations before this one: "id=fact" separated by
	// spaces, the fact being the highest that was replayed from that life.
	MetaFormer = "incarnations"
)

// StoreState is what a store says of itself.
type StoreState struct {
	Installation string
	Incarnation  string
	Former       []FormerLife // the oldest first
	Journaled    bool
	Restored     string
	LastFact     int64
	// RestoredFact is the last fact before a confirmation began that was cut
	// off; without one it is LastFact.
	RestoredFact int64
}

// JournalState is what the journal knows of the store it belongs to.
type JournalState struct {
	Installation string
	Incarnation  string
	Highest      int64        // fact
	Mark         *JournalMark // the last one, nil for none
}

// ReadStoreState reads what the store says of itself.
func ReadStoreState(ctx context.Context, st Store) (*StoreState, error) {
	var found StoreState
	var former, journaled, restored string
	for name, into := range map[string]*string{
		MetaInstallation: &found.Installation, MetaIncarnation: &found.Incarnation, MetaRestored: &found.Restored,
		MetaFormer: &former, MetaJournaled: &journaled, metaRestoredFact: &restored,
	} {
		v, err := st.MetaGet(ctx, name)
		if noRowIsNil(err) != nil {
			return nil, fmt.Errorf("reading what the store says of itself: %w", err)
		}
		*into = v
	}
	found.Journaled = journaled == "1"
	found.Former = parseFormer(former)
	var err error
	if _, found.LastFact, err = st.FactsSince(ctx, 0, 1); err != nil {
		return nil, fmt.Errorf("reading the revocations: %w", err)
	}
	if found.RestoredFact, err = strconv.ParseInt(restored, 10, 64); err != nil {
		found.RestoredFact = found.LastFact
	}
	return &found, nil
}

func noRowIsNil(err error) error {
	if errors.Is(err, ErrNoRow) {
		return nil
	}
	return err
}

// formerKept bounds the list of former incarnations.
const formerKept = 20

// FormerLife is an incarnation before the present one.
type FormerLife struct {
	Incarnation string
	Replayed    int64 // the highest fact of that life that was replayed
}

func parseFormer(text string) (all []FormerLife) {
	for _, one := range strings.Fields(text) {
		id, fact, _ := strings.Cut(one, "=")
		if n, err := strconv.ParseInt(fact, 10, 64); err == nil {
			all = append(all, FormerLife{id, n})
		}
	}
	return all
}

// formatFormer writes the list, the oldest first, as far as it is kept.
func formatFormer(all []FormerLife) string {
	var b strings.Builder
	for _, f := range all[max(0, len(all)-formerKept):] {
		fmt.Fprintf(&b, "%s=%d ", f.Incarnation, f.Replayed)
	}
	return strings.TrimSuffix(b.String(), " ")
}

// RestoredError says that a store may not be served before what it has
// forgotten was said to it again.
type RestoredError struct {
	// Why is a clause: "it was filled from a backup …".
	Why string
}

func (e *RestoredError) Error() string {
	return "this store was restored or copied: " + e.Why + ". Tokens revoked since would be accepted again, so it is not served. " +
		"Run `sallyport restore confirm` to replay the facts journal (--facts FILE names a copy of it), or `sallyport restore confirm --end-everything` when there is none"
}

// JudgeStore compares a store with the journal beside it; journal is nil when
// there is none. shared is set for a store that several nodes serve: one that
// comes new has no journal yet. It returns nil, *RestoredError, or another
// error for a journal that belongs to something else.
func JudgeStore(found *StoreState, journal *JournalState, shared bool) error {
	if found.Restored != "" {
		return &RestoredError{Why: found.Restored}
	}
	if journal == nil {
		if found.Journaled && !shared {
			return &RestoredError{Why: "it had a facts journal, and there is none here"}
		}
		return nil
	}
	if found.Installation == "" {
		return &RestoredError{Why: "there is a facts journal of another life of it"}
	}
	if journal.Installation != found.Installation {
		return fmt.Errorf("the facts journal belongs to another installation (%s, the store is of %s); name the right one with facts_journal, or move it away",
			journal.Installation, found.Installation)
	}
	if journal.Incarnation != found.Incarnation {
		i := slices.IndexFunc(found.Former, func(f FormerLife) bool { return f.Incarnation == journal.Incarnation })
		switch {
		case i < 0:
			return &RestoredError{Why: fmt.Sprintf("it is the incarnation %s, and the facts journal here knows %s", found.Incarnation, journal.Incarnation)}
		case journal.Highest > found.Former[i].Replayed:
			return &RestoredError{Why: fmt.Sprintf("when it was confirmed revocations were replayed up to number %d, and the facts journal of this node knows of %d",
				found.Former[i].Replayed, journal.Highest)}
		}
		return nil
	}
	if found.LastFact < journal.Highest {
		return &RestoredError{Why: fmt.Sprintf("its last revocation is number %d, and the facts journal knows of %d", found.LastFact, journal.Highest)}
	}
	return nil
}

// CheckMark compares the store's audit log with the journal's last mark: a
// *RestoredError when the log is shorter or another one.
func CheckMark(ctx context.Context, st Store, m *JournalMark) error {
	if m == nil || m.Node == "" {
		return nil
	}
	at, err := st.ListAudit(ctx, AuditQuery{Node: m.Node, After: m.Sequence - 1, Limit: 1})
	if err != nil {
		return fmt.Errorf("reading the audit log: %w", err)
	}
	switch {
	case len(at) == 0:
		return &RestoredError{Why: fmt.Sprintf("its audit log ends before record %d, which the facts journal knows of", m.Sequence)}
	case at[0].Sequence == m.Sequence && at[0].Hash != m.Hash:
		return &RestoredError{Why: fmt.Sprintf("record %d of its audit log is not the one that the facts journal knows", m.Sequence)}
	}
	return nil
}

// BeginConfirm marks a store that must not be served until it was confirmed,
// and notes which fact was its last, for a later try if this one is cut off
// after it added some.
func BeginConfirm(ctx context.Context, st Store, found *StoreState, why string, now int64) error {
	err := st.MetaSet(ctx, &MetaSetParams{Name: metaRestoredFact, Value: strconv.FormatInt(found.RestoredFact, 10), Now: now})
	if err == nil && found.Restored == "" {
		err = st.MetaSet(ctx, &MetaSetParams{Name: MetaRestored, Value: why, Now: now})
	}
	if err != nil {
		return fmt.Errorf("marking the store: %w", err)
	}
	return nil
}

// metaRestoredFact is the last fact of a store before its confirmation began.
const metaRestoredFact = "restored_fact"

// NewIncarnation gives a store another incarnation, after its former lives were
// replayed up to a fact. EndConfirm is to follow.
func NewIncarnation(ctx context.Context, st Store, actor Actor, found *StoreState, others []string, replayed, now int64) (id string, err error) {
	id = NewID("in_")
	former := append([]FormerLife{}, found.Former...)
	for _, other := range append(others, found.Incarnation) {
		if other != "" && other != id {
			former = slices.DeleteFunc(former, func(f FormerLife) bool { return f.Incarnation == other })
			former = append(former, FormerLife{other, replayed})
		}
	}
	ev := actor.Event("restore.confirm")
	ev.Detail = map[string]string{"former": found.Incarnation, "incarnation": id}
	// In this order: cut off between, the store still has its old name, and one
	// entry too many.
	err = st.MetaSet(ctx, &MetaSetParams{Name: MetaFormer, Value: formatFormer(former), Now: now})
	if err == nil {
		err = st.MetaSet(ctx, &MetaSetParams{Name: MetaIncarnation, Value: id, Now: now, Event: ev})
	}
	if err != nil {
		return "", fmt.Errorf("naming the new incarnation: %w", err)
	}
	return id, nil
}

// EndConfirm lets the store be served.
func EndConfirm(ctx context.Context, st Store, now int64) error {
	// The mark last: until it is gone everything is done again.
	for _, name := range []string{metaRestoredFact, MetaRestored} {
		if err := st.MetaSet(ctx, &MetaSetParams{Name: name, Now: now}); err != nil {
			return fmt.Errorf("ending the confirmation: %w", err)
		}
	}
	return nil
}
