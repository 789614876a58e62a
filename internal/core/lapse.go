package core

import (
	"context"
	"fmt"
	"slices"
)

// A store that fails over may lose its last commits: a primary may show a
// commit that no standby has yet, and asynchronous replication loses what was
// acknowledged, too. A node that knows of revocations which the store has lost
// says them to it again. Numbers may have been given again meanwhile, so the
// last fact known is read with each look at the log and compared.
//
// A store that lost more than the last minutes was not failed over but
// restored. It is left to an operator.

const (
	// recentMS is how far back a failover is believed to go.
	recentMS = 10 * 60 * 1000
	// recentMost bounds what is remembered for this.
	recentMost = 50_000
	// lapseGap is how far numbers jump over those that may have been given.
	lapseGap = 10_000
	// purgeSlack is how much sooner than at its purge date a fact may be gone: a
	// node with another clock purges, too.
	purgeSlack = 30 * 60 * 1000
)

// recentFacts are facts heard lately, the oldest first. Who follows the store
// holds them.
type recentFacts struct {
	facts []Fact
	heard []int64
}

func (r *recentFacts) add(facts []Fact, now int64) {
	for i := range facts {
		r.facts, r.heard = append(r.facts, facts[i]), append(r.heard, now)
	}
	drop := max(0, len(r.facts)-recentMost)
	for drop < len(r.facts)-1 && r.heard[drop] < now-recentMS { // the last one is always kept
		drop++
	}
	if drop > 0 {
		r.facts, r.heard = slices.Delete(r.facts, 0, drop), slices.Delete(r.heard, 0, drop)
	}
}

// sameLog compares what was read from the fact before the last one on with
// what is known, and leaves what is new. same is false when the last one is
// another now, or missing though it should be there: another node has made
// numbers jump already, and there may be others below that were given again.
func (r *recentFacts) sameLog(facts []Fact, last, now int64) (news []Fact, same bool) {
	there := len(facts) > 0 && facts[0].Number == last
	if n := len(r.facts); n > 0 && r.facts[n-1].Number == last {
		if known := &r.facts[n-1]; there && *known != facts[0] || !there && !mayBeOver(known, onTokens(facts), now) {
			return nil, false
		}
	}
	if there {
		facts = facts[1:]
	}
	return facts, true
}

// mayBeOver reports whether a fact may be missing though nothing was lost: it
// was purged, or a later one on the same application token took its place.
// later has the numbers of those that the log has.
func mayBeOver(f *Fact, later map[string]int64, now int64) bool {
	if f.PurgeAt > 0 && f.PurgeAt <= now+purgeSlack {
		return true
	}
	return f.Kind == FactToken && !f.OfSession() && later[f.Subject] > f.Number
}

// onTokens gives the number of the last fact on each application token. Who
// disables somebody who has one ends it last, so that such a fact is missing
// says much of those before it.
func onTokens(facts []Fact) map[string]int64 {
	last := make(map[string]int64)
	for i := range facts {
		if f := &facts[i]; f.Kind == FactToken && !f.OfSession() {
			last[f.Subject] = f.Number
		}
	}
	return last
}

// lapsed brings this node into step with a store whose log ends at highest,
// though this node knew of one that ended at last. What is lost stays in
// memory, so it is refused here, and is noted to be added again.
func (s *Service) lapsed(ctx context.Context, highest, last, now int64) error {
	recent := s.recent.facts
	if len(recent) == 0 || highest < recent[0].Number-1 {
		return s.wentBack(ctx, highest, last)
	}
	var has []Fact
	for from := recent[0].Number - 1; ; {
		page, top, err := s.store.FactsSince(ctx, from, 1000)
		if err != nil {
			return StoreError(err)
		}
		has = append(has, page...)
		if highest = top; len(page) < 1000 {
			break
		}
		from = page[len(page)-1].Number
	}
	lost, news := compareLogs(recent, has, highest, now)
	s.revoked.add(news, 0, now)
	s.revoked.rewind(highest)
	s.numbersAgain(last)
	s.heardFacts(news)
	s.recent = recentFacts{}
	s.recent.add(has, now)
	s.lostMu.Lock()
	s.lost = append(s.lost, lost...)
	s.lostMu.Unlock()
	if len(lost) == 0 && highest >= last && (len(news) == 0 || news[0].Number > last) && mayBeOver(&recent[len(recent)-1], onTokens(has), now) {
		return nil // what took the last fact's place was only too far on to be read with it
	}
	s.observer.Alarm("store_lost_facts", fmt.Sprint(len(lost)))
	s.log.Error("the store has lost revocations, as in a failover; they are added again", "lost", len(lost), "highest", highest, "known", last)
	return nil
}

// compareLogs says which facts a store lost and which of its facts are news.
// What was lost and stands above what was known was added again by another
// node that knew of it.
func compareLogs(known, has []Fact, highest, now int64) (lost, news []Fact) {
	at := make(map[int64]Fact, len(has))
	for i := range has {
		at[has[i].Number] = has[i]
	}
	last := known[len(known)-1].Number
	added, later := make(map[Fact]bool), onTokens(has)
	for i := range has {
		if has[i].Number > last {
			added[sameEnd(&has[i])] = true
		}
	}
	for i := range known {
		f, there := at[known[i].Number]
		if there && f == known[i] {
			delete(at, f.Number)
			continue
		}
		gone := there || known[i].Number > highest || !mayBeOver(&known[i], later, now)
		if gone && !added[sameEnd(&known[i])] {
			lost = append(lost, known[i])
		}
	}
	for i := range has {
		if _, isNew := at[has[i].Number]; isNew {
			news = append(news, has[i])
		}
	}
	return lost, news
}

// sameEnd is what a fact ends, and what it does to the row of its subject: who
// logs out twice has not added again that he was disabled.
func sameEnd(f *Fact) Fact {
	same := Fact{Kind: f.Kind, Subject: f.Subject, Spare: f.Spare}
	var does subjectEnd
	if does.add(f); does.disabled || does.deleted || does.password || does.compromis {
		same.Reason = f.Reason
	}
	return same
}

// rewind says that the log ends earlier than was heard.
func (r *revocations) rewind(last int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = last
	close(r.changed)
	r.changed = make(chan struct{})
}

// addLost adds again what the store has lost, and does to rows what it says.
func (s *Service) addLost(ctx context.Context) error {
	s.lostMu.Lock()
	lost := s.lost
	s.lost = nil
	s.lostMu.Unlock()
	if len(lost) == 0 {
		return nil
	}
	r := newReplay(s, Actor{Name: "system"})
	for i := range lost {
		r.report.Highest = max(r.report.Highest, lost[i].Number)
		r.fact(&lost[i])
	}
	if last, _ := s.revoked.state(); last > r.report.Highest {
		r.report.Highest = last
	}
	if err := r.carryOut(ctx, lapseGap); err != nil {
		s.lostMu.Lock()
		s.lost = append(lost, s.lost...)
		s.lostMu.Unlock()
		return err
	}
	s.log.Info("lost revocations are in the store again", "facts", len(lost))
	return nil
}

// wentBack refuses a store that has forgotten more than a failover loses. It is
// marked, so that a node that starts, and knows nothing of before, does not
// serve it either.
func (s *Service) wentBack(ctx context.Context, highest, known int64) error {
	why := fmt.Sprintf("its last revocation is number %d, and a node that was running knew of %d", highest, known)
	if !s.marks.Swap(true) {
		s.observer.Alarm("store_went_back", why)
		if err := s.store.MetaSet(ctx, &MetaSetParams{Name: MetaRestored, Value: why, Now: s.now()}); err != nil {
			s.marks.Store(false)
		}
	}
	return &Error{Code: Unavailable, Reason: "store went back", RetryAfter: 5000, Err: &RestoredError{Why: why}}
}
