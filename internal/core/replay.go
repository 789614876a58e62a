package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
)

// Replaying says to a restored store what it has forgotten. Facts are added
// again under new numbers, above all that any life of the store gave: every
// session the store has was opened before what is replayed, so a higher number
// ends the same ones. Rows follow, and so do users, keys and clients that were
// disabled or deleted. All of it only ends things: to do it twice, or after it
// was cut off half-way, does no harm.

// How far fact numbers jump beyond the highest one known, for facts that
// nobody's journal has: a node may have died between commit and journal.
const (
	replayGap = 1_000_000
	// blindGap is for a life of which nothing is known.
	blindGap = 1_000_000_000
)

// ReplayReport says what was done. Lists have ids.
type ReplayReport struct {
	Facts      int // replayed
	Everything bool
	Sessions   int // facts on single sessions
	// Tokens are application tokens that were ended again.
	Tokens []string
	// Users, APIKeys, Clients and Accounts were disabled or deleted, or lost a
	// password or secret that is another since.
	Disabled  []string
	Deleted   []string
	Passwords []string // users without a password now
	Secrets   []string // API keys and clients, disabled until they get a new secret
	// SigningKeys were dropped since; the caller has to drop them again.
	SigningKeys []string
	Highest     int64 // fact replayed or in the store
}

// ReplaySource is a journal to replay.
type ReplaySource struct {
	// Known is the last fact that the store has of the life the journal is of.
	Known   int64
	Entries iter.Seq2[JournalEntry, error]
}

// Replay replays journals in a store that was restored.
func (s *Service) Replay(ctx context.Context, actor Actor, sources []ReplaySource) (*ReplayReport, error) {
	r := newReplay(s, actor)
	if err := r.gather(ctx, sources); err != nil {
		return nil, err
	}
	if err := r.carryOut(ctx, replayGap); err != nil {
		return nil, err
	}
	return r.report, nil
}

func newReplay(s *Service, actor Actor) *replay {
	return &replay{
		s: s, actor: actor, report: &ReplayReport{}, lastTokens: map[string]*Fact{}, secrets: map[string]bool{}, seen: map[Fact]bool{},
		subjects: map[FactKind]map[string]*subjectEnd{FactUser: {}, FactAPIKey: {}, FactClient: {}, FactAccount: {}},
	}
}

// carryOut does what was gathered. Numbers jump first, so that whatever is
// added counts for every session there is.
func (r *replay) carryOut(ctx context.Context, gap int64) error {
	if err := r.s.skipFacts(ctx, r.actor, r.report.Highest+gap); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{r.everything, r.accounts, r.clients, r.apiKeys, r.users, r.tokens, r.sessions} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return r.s.catchUp(ctx)
}

func (s *Service) skipFacts(ctx context.Context, actor Actor, above int64) error {
	ev := actor.Event("restore.replay")
	ev.Detail = map[string]string{"facts_above": fmt.Sprint(above)}
	return StoreError(s.store.SkipFacts(ctx, &SkipFactsParams{Above: above, Now: s.now(), Event: ev}))
}

// EndEverything is for a restored store of whose forgotten revocations nobody
// knows: all sessions and application tokens end. Passwords, secrets and
// signing keys stay as they are in the backup.
func (s *Service) EndEverything(ctx context.Context, actor Actor, known int64) (*ReplayReport, error) {
	r := newReplay(s, actor)
	r.report.Highest = known
	if err := s.skipFacts(ctx, actor, known+blindGap); err != nil {
		return nil, err
	}
	r.all = true
	if err := r.everything(ctx); err != nil {
		return nil, err
	}
	for {
		list, err := s.store.ListApplicationTokens(ctx, ApplicationTokenQuery{Limit: 1000})
		if err != nil {
			return nil, StoreError(err)
		}
		if len(list) == 0 {
			break
		}
		err = abreast(list, func(t *ApplicationToken) error { return r.endToken(ctx, t.ID, TokenRevoke) })
		if err != nil {
			return nil, err
		}
		for _, t := range list {
			r.report.Tokens = append(r.report.Tokens, t.ID)
		}
	}
	return r.report, s.catchUp(ctx)
}

// replay is a replay under way.
type replay struct {
	s      *Service
	actor  Actor
	report *ReplayReport

	all        bool // a fact on everything
	lone       []Fact
	lastTokens map[string]*Fact
	subjects   map[FactKind]map[string]*subjectEnd
	secrets    map[string]bool
	seen       map[Fact]bool
}

// subjectEnd is what the facts on one subject say together.
type subjectEnd struct {
	spare     string // of all of them, "" when they differ
	any       bool
	disabled  bool
	deleted   bool
	password  bool
	compromis bool
}

func (e *subjectEnd) add(f *Fact) {
	if !e.any {
		e.any, e.spare = true, f.Spare
	} else if e.spare != f.Spare {
		e.spare = ""
	}
	switch f.Reason {
	case ReasonDisabled:
		e.disabled = e.disabled || f.Kind != FactAPIKey // there it is about the owner
	case ReasonKeyDisabled, ReasonClient + string(Disabled):
		e.disabled = true
	case ReasonUserDeleted, ReasonKeyDeleted, ReasonClient + string(Deleted):
		e.deleted = true
	case ReasonPassword:
		e.password = true
	case ReasonCompromised:
		e.compromis = true
		e.deleted = e.deleted || f.Kind == FactAPIKey
	}
}

// gather sorts the entries. Facts that the store has are left out.
func (r *replay) gather(ctx context.Context, sources []ReplaySource) error {
	for i := range sources {
		r.report.Highest = max(r.report.Highest, sources[i].Known)
		if err := r.source(ctx, &sources[i]); err != nil {
			return err
		}
	}
	slices.Sort(r.report.SigningKeys)
	r.report.SigningKeys = slices.Compact(r.report.SigningKeys)
	return nil
}

// source gathers from one journal. What journals of several nodes say in the
// same words counts once.
func (r *replay) source(ctx context.Context, src *ReplaySource) error {
	has := hasFacts{s: r.s, known: src.Known}
	for e, err := range src.Entries {
		if err != nil {
			return err
		}
		if e.Note != nil {
			r.note(e.Note)
		}
		if e.Fact == nil {
			continue
		}
		r.report.Highest = max(r.report.Highest, e.Fact.Number)
		there, err := has.fact(ctx, e.Fact)
		if err != nil {
			return err
		}
		if !there && !r.seen[*e.Fact] {
			r.seen[*e.Fact] = true
			r.fact(e.Fact)
		}
	}
	return nil
}

func (r *replay) note(n *JournalNote) {
	switch n.Kind {
	case NoteKey:
		r.report.SigningKeys = append(r.report.SigningKeys, n.Subject)
	case NoteSecret:
		r.secrets[n.Subject] = true
	}
}

func (r *replay) fact(f *Fact) {
	r.report.Facts++
	switch f.Kind {
	case FactEverything:
		r.all = true
	case FactSession:
		r.report.Sessions++
		r.lone = append(r.lone, *f)
	case FactToken:
		if f.OfSession() {
			r.lone = append(r.lone, *f) // no row knows it
			return
		}
		r.lastTokens[f.Subject] = f
	default:
		of := r.subjects[f.Kind]
		if of == nil {
			r.lone = append(r.lone, *f) // of a later version: at least the fact
			return
		}
		if of[f.Subject] == nil {
			of[f.Subject] = &subjectEnd{}
		}
		of[f.Subject].add(f)
	}
}

// hasFacts asks the store's log, page by page, whether it has a fact.
type hasFacts struct {
	s     *Service
	known int64
	page  map[int64]Fact
	upto  int64 // the page has all facts up to this number
}

func (h *hasFacts) fact(ctx context.Context, f *Fact) (bool, error) {
	if f.Number > h.known {
		return false, nil
	}
	for f.Number > h.upto {
		facts, _, err := h.s.store.FactsSince(ctx, h.upto, 1000)
		if err != nil {
			return false, StoreError(err)
		}
		h.page = make(map[int64]Fact, len(facts))
		for _, one := range facts {
			h.page[one.Number] = one
		}
		if h.upto = h.known; len(facts) == 1000 {
			h.upto = facts[len(facts)-1].Number
		}
	}
	mine, ok := h.page[f.Number]
	if !ok {
		// The store had it, and purged it: either it is over, or a later fact on
		// the same token took its place.
		return true, nil
	}
	return mine.Kind == f.Kind && mine.Subject == f.Subject && mine.At == f.At && mine.Spare == f.Spare, nil
}

func (r *replay) everything(ctx context.Context) error {
	if !r.all {
		return nil
	}
	r.report.Everything = true
	return r.s.RevokeEverything(ctx, r.actor)
}

// sessions ends single sessions, and single tokens of sessions. A fact on a session that the store never knew
// is added all the same while it counts: its access tokens may live, and
// verifiers elsewhere hear of it.
func (r *replay) sessions(ctx context.Context) error {
	now := r.s.now()
	return abreast(r.lone, func(f Fact) error {
		if id, err := ParseSessionID(f.Subject); err == nil && f.Kind == FactSession {
			ev := r.actor.Event("restore.replay")
			ev.Session = f.Subject
			n, err := r.s.store.RevokeSessions(ctx, &RevokeSessionsParams{ID: &id, Reason: f.Reason, FactPurgeAt: max(f.PurgeAt, now), Now: now, Event: ev})
			if err != nil || n > 0 {
				return StoreError(err)
			}
		}
		if f.PurgeAt <= now {
			return nil
		}
		p := &AddFactParams{Fact: f, Now: now}
		if id, err := ParseSessionID(f.Spare); err == nil && f.OfSession() {
			// Status lists know the session alone. It goes on without a number: the
			// next ones of this life may be on tokens that came after the backup.
			p.Renumber = &Renumbering{Session: id}
		}
		_, err := r.s.store.AddFact(ctx, p)
		return StoreError(err)
	})
}

// tokens ends application tokens, and the single access tokens of v0.1.0.
func (r *replay) tokens(ctx context.Context) error {
	var ends []*Fact
	for _, f := range r.lastTokens {
		if f.Spare != f.Subject { // else it counts again
			ends = append(ends, f)
		}
	}
	slices.SortFunc(ends, func(a, b *Fact) int { return cmp.Compare(a.Number, b.Number) })
	var mu sync.Mutex
	return abreast(ends, func(f *Fact) error {
		action := TokenSuspend // what an operator can take back
		if f.Reason == string(TokenRevoke) {
			action = TokenRevoke
		}
		err := r.endToken(ctx, f.Subject, action)
		if err == nil {
			mu.Lock()
			r.report.Tokens = append(r.report.Tokens, f.Subject)
			mu.Unlock()
			return nil
		}
		if !errors.Is(err, ErrNoRow) {
			return err
		}
		if now := r.s.now(); f.PurgeAt > now && f.PurgeAt != FactForever {
			_, err := r.s.store.AddFact(ctx, &AddFactParams{Fact: *f, Now: now})
			return StoreError(err)
		}
		return nil // no row: an application token that is none
	})
}

func (r *replay) endToken(ctx context.Context, id string, action ApplicationTokenAction) error {
	now := r.s.now()
	ev := r.actor.Event("apptoken." + string(action))
	ev.Subject = id
	_, err := r.s.store.ChangeApplicationToken(ctx, &ChangeApplicationTokenParams{
		ID: id, Action: action, Now: now, Event: ev,
	})
	if errors.Is(err, ErrNoRow) {
		return err
	}
	return StoreError(err)
}

// abreast runs f for all, some at a time, since the store commits together
// what comes together. It stops at the first error.
func abreast[T any](all []T, f func(T) error) error {
	const width = 32
	var wg sync.WaitGroup
	work, failed := make(chan T), make(chan error, width)
	for range min(width, len(all)) {
		wg.Go(func() {
			for one := range work {
				if err := f(one); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	var err error
feed:
	for _, one := range all {
		select {
		case work <- one:
		case err = <-failed:
			break feed
		}
	}
	close(work)
	wg.Wait()
	select {
	case late := <-failed:
		err = errors.Join(err, late)
	default:
	}
	return err
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
