package core

import (
	"context"
	"sync"
)

// Journal keeps facts outside the store: what a store restored from a backup
// has forgotten can be said to it again. A node writes what it commits before
// it acknowledges it, and what it learns from other nodes soon after. Package
// journal implements it.
type Journal interface {
	// Append makes entries survive power loss, in their order. A fact numbered
	// at or below Highest is there already and is passed over, but for Again. After an error
	// nothing of the call counts as written.
	Append(ctx context.Context, entries []JournalEntry) error
	// Highest is the number of the last fact written.
	Highest() int64
	// Purge drops what is over at now.
	Purge(now int64) error
}

// JournalEntry is one record of the journal: a fact, a note or a mark.
type JournalEntry struct {
	Fact *Fact
	Note *JournalNote
	Mark *JournalMark
	// KeepUntil is when the record may be dropped: when no store restored from
	// a backup could make anything of it come back.
	KeepUntil int64
	// Again is set for a fact whose number may be at or below Highest because
	// another one had it, in commits that the store lost.
	Again bool
}

// JournalNote tells of an end that is no fact, because no token need be looked
// up for it: verifiers learn of it otherwise.
type JournalNote struct {
	Kind    NoteKind
	Subject string
	At      int64
}

// NoteKind says what a note is about.
type NoteKind string

// The kinds of notes.
const (
	// NoteKey: the signing key Subject was dropped. A restored store has it
	// again, and whoever it was dropped for could sign with it.
	NoteKey NoteKind = "key"
	// NoteSecret: the API key or OAuth client Subject got another secret. A
	// restored store would accept the former one again.
	NoteSecret NoteKind = "secret"
)

// JournalMark says how far a store had come. One whose audit chain is shorter,
// or another, is not the one the journal belongs to, also when nothing was
// revoked between.
type JournalMark struct {
	Facts    int64  // all facts up to this number are in the journal, or over
	Node     string // whose audit chain; "" for none
	Sequence int64
	Hash     [32]byte
	At       int64
}

// journalKeepMS is how long facts on subjects, and notes, are kept at least:
// what they ended (a password, a user, a key) has no lifetime of its own, so
// it is as long as backups should be worth restoring.
const journalKeepMS = 400 * 24 * 3600 * 1000

// journalKeep says until when the journal has a fact. The store may forget a
// fact on a session when the last access token is gone, because the row says
// the same; a restored row does not, until the refresh token has expired too.
func (s *Service) journalKeep(f *Fact) int64 {
	switch f.Kind {
	case FactSession, FactToken:
		return max(f.PurgeAt, s.factPurgeAt(f.At))
	}
	return max(f.PurgeAt, f.At+journalKeepMS)
}

// journaling is what the service has yet to write to the journal.
type journaling struct {
	writer  chan struct{} // room for the one that writes
	mu      sync.Mutex
	pending []JournalEntry
	reread  bool // entries were given up: read them from the store again
	fault   error
	// againTo is the highest number that was heard before the store lost facts:
	// whatever is heard under a number up to it since may be another fact.
	againTo int64
}

// numbersAgain says that the store may give numbers up to one a second time,
// now and until what it lost is added again, far above.
func (s *Service) numbersAgain(upTo int64) {
	s.journaling.mu.Lock()
	defer s.journaling.mu.Unlock()
	s.journaling.againTo = max(s.journaling.againTo, upTo)
}

// heardFacts notes facts just read from the log.
func (s *Service) heardFacts(facts []Fact) {
	if s.cfg.Journal == nil || len(facts) == 0 {
		return
	}
	j := &s.journaling
	j.mu.Lock()
	defer j.mu.Unlock()
	written := s.cfg.Journal.Highest()
	for i := range facts {
		again := facts[i].Number <= j.againTo
		if again || facts[i].Number > written && !j.reread { // else settle reads it
			f := facts[i]
			j.pending = append(j.pending, JournalEntry{Fact: &f, KeepUntil: s.journalKeep(&f), Again: again})
		}
	}
}

// settle writes what was heard to the journal. Every act that revokes calls it
// before it answers: what was acknowledged outlives the store. Callers that
// wait meanwhile share the next write. When it fails the revocation stands in
// the store and is in force; the caller must not be told so, since a restored
// store would not know, and repeating the act asks again.
func (s *Service) settle(ctx context.Context) error {
	if s.cfg.Journal == nil {
		return nil
	}
	j := &s.journaling
	select {
	case j.writer <- struct{}{}:
		defer func() { <-j.writer }()
	case <-ctx.Done():
		return journalErr(context.Cause(ctx))
	}
	j.mu.Lock()
	entries, reread := j.pending, j.reread
	// What is heard from here on may be too late to be read again.
	j.pending, j.reread = nil, false
	j.mu.Unlock()
	var err error
	switch {
	case reread:
		err = s.rewriteJournal(ctx, entries)
	case len(entries) > 0:
		err = s.cfg.Journal.Append(ctx, entries)
	default:
		return nil
	}
	s.journalOutcome(entries, err)
	if err != nil {
		return journalErr(err)
	}
	return nil
}

// journalOutcome remembers how a write went. Facts that could not be written
// are in the store, above all that the journal has; notes are nowhere else and
// are kept, and so are facts whose numbers the journal has of others.
func (s *Service) journalOutcome(entries []JournalEntry, err error) {
	j := &s.journaling
	j.mu.Lock()
	was := j.fault
	j.fault, j.reread = err, err != nil
	if err != nil {
		for _, e := range entries {
			if e.Fact == nil || e.Again {
				j.pending = append(j.pending, e)
			}
		}
	}
	j.mu.Unlock()
	switch {
	case err != nil && was == nil:
		s.observer.Alarm("facts_journal", err.Error())
		s.log.Error("the facts journal cannot be written; revocations take effect and are answered 503 until it can", "err", err)
	case err == nil && was != nil:
		s.log.Info("the facts journal is written again")
	}
}

// rewriteJournal writes notes, then the facts that the journal lacks, and last
// those whose numbers are given again: what is numbered below them would be
// passed over.
func (s *Service) rewriteJournal(ctx context.Context, given []JournalEntry) error {
	var entries, again []JournalEntry
	for _, e := range given {
		if e.Again {
			again = append(again, e)
		} else if e.Fact == nil {
			entries = append(entries, e)
		}
	}
	for {
		facts, last, err := s.store.FactsSince(ctx, s.cfg.Journal.Highest(), 1000)
		if err != nil {
			return err
		}
		for i := range facts {
			entries = append(entries, JournalEntry{Fact: &facts[i], KeepUntil: s.journalKeep(&facts[i])})
		}
		if len(entries) > 0 {
			if err := s.cfg.Journal.Append(ctx, entries); err != nil {
				return err
			}
		}
		if entries = nil; len(facts) < 1000 || facts[len(facts)-1].Number >= last {
			break
		}
	}
	if len(again) == 0 {
		return nil
	}
	return s.cfg.Journal.Append(ctx, again)
}

func journalErr(err error) error {
	return &Error{
		Code: Unavailable, Reason: "facts journal", RetryAfter: 1000, Err: err,
		Message: "This took effect, but it could not be written to the facts journal, so it would not outlive a restored backup; try again",
	}
}

// note writes a note to the journal, before the act it tells of: an end that
// is noted and did not happen costs little at a restore, the reverse lets an
// ended credential back in.
func (s *Service) note(ctx context.Context, kind NoteKind, subject string, now int64) error {
	if s.cfg.Journal == nil {
		return nil
	}
	s.journaling.mu.Lock()
	s.journaling.pending = append(s.journaling.pending, JournalEntry{
		Note: &JournalNote{Kind: kind, Subject: subject, At: now}, KeepUntil: now + journalKeepMS,
	})
	s.journaling.mu.Unlock()
	return s.settle(ctx)
}

// NoteKeyDropped notes in the journal that a signing key is about to be
// dropped. *Error Unavailable when it cannot: then it must not be dropped yet.
func (s *Service) NoteKeyDropped(ctx context.Context, key string) error {
	return s.note(ctx, NoteKey, key, s.now())
}

// JournalFault is why the facts journal cannot be written, nil when it can.
func (s *Service) JournalFault() error {
	s.journaling.mu.Lock()
	defer s.journaling.mu.Unlock()
	return s.journaling.fault
}

// markJournal writes how far the store has come.
func (s *Service) markJournal(ctx context.Context) {
	if s.cfg.Journal == nil {
		return
	}
	m := JournalMark{At: s.now()}
	m.Facts, _ = s.revoked.state()
	if err := s.settle(ctx); err != nil {
		return // told of there
	}
	head, err := auditHead(ctx, s.store)
	if err != nil {
		return // the store's own troubles are told of elsewhere
	}
	if head != nil {
		m.Node, m.Sequence, m.Hash = head.Node, head.Sequence, head.Hash
	}
	if m.Facts == s.marked.Facts && m.Sequence == s.marked.Sequence {
		return
	}
	if err := s.cfg.Journal.Append(ctx, []JournalEntry{{Mark: &m}}); err != nil {
		return // the next fact that cannot be written is told of
	}
	s.marked = m
}

// auditHead is the end of the audit chain of the node that the store names,
// nil when it names none or the chain is empty.
func auditHead(ctx context.Context, st Store) (*AuditRecord, error) {
	node, err := st.MetaGet(ctx, MetaNode)
	if err != nil {
		return nil, noRowIsNil(err)
	}
	last, err := st.ListAudit(ctx, AuditQuery{Node: node, Newest: true, Limit: 1})
	if err != nil || len(last) == 0 {
		return nil, err
	}
	return &last[0], nil
}
