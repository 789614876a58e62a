package core

import "sync"

// revocations is the memory of facts, filled from the committed log alone.
// It answers whether a token is dead without asking the store, and when the
// log was last heard, so that a node cut off from it fails closed.
type revocations struct {
	mu         sync.RWMutex
	last       int64 // highest number seen
	heard      int64 // when the log last answered
	sessions   map[string]int64
	tokens     map[string]subjectFact // by jti
	access     map[accessToken]subjectFact
	subjects   map[string][]subjectFact // by user, API key or client id
	accounts   map[string]subjectFact
	everything int64
	changed    chan struct{} // closed, and replaced, when last rises
}

// subjectFact is a fact on a subject: it kills what was opened before it.
type subjectFact struct {
	number int64
	spare  string
	purge  int64
}

// accessToken is what names a token of a session. The sid was checked to be
// one of the mount whose key signed it.
type accessToken struct{ jti, sid string }

func newRevocations() *revocations {
	return &revocations{
		sessions: map[string]int64{}, tokens: map[string]subjectFact{}, access: map[accessToken]subjectFact{},
		subjects: map[string][]subjectFact{}, accounts: map[string]subjectFact{}, changed: make(chan struct{}),
	}
}

// add takes facts in; last is the highest number committed, which may be
// above the last fact when some were purged.
func (r *revocations) add(facts []Fact, last, now int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range facts {
		f := &facts[i]
		switch f.Kind {
		case FactSession:
			r.sessions[f.Subject] = f.PurgeAt
		case FactToken:
			if f.OfSession() {
				r.access[accessToken{f.Subject, f.Spare}] = subjectFact{f.Number, "", f.PurgeAt}
			} else {
				r.tokens[f.Subject] = subjectFact{f.Number, f.Spare, f.PurgeAt}
			}
		case FactUser, FactAPIKey, FactClient:
			r.subjects[f.Subject] = pushFact(r.subjects[f.Subject], subjectFact{f.Number, f.Spare, f.PurgeAt})
		case FactAccount:
			r.accounts[f.Subject] = subjectFact{f.Number, "", f.PurgeAt}
		case FactEverything:
			r.everything = f.Number
		}
	}
	if last > r.last {
		r.last = last
		close(r.changed)
		r.changed = make(chan struct{})
	}
	r.heard = now
}

// pushFact adds a newer fact. One that spares nothing makes those below it
// redundant, and two that spare different sessions together spare nothing
// below the older, so the list stays short.
func pushFact(list []subjectFact, f subjectFact) []subjectFact {
	if f.spare == "" {
		return []subjectFact{f}
	}
	if len(list) == 0 {
		return []subjectFact{f}
	}
	newest := list[len(list)-1]
	if newest.spare == f.spare {
		return append(list[:len(list)-1:len(list)-1], f)
	}
	return []subjectFact{newest, f}
}

// state reports the highest fact number seen and when the log was last heard.
func (r *revocations) state() (last, heard int64) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.last, r.heard
}

// deadToken reports whether the jti is a fact, in this session or in any, and
// one that does not spare it.
func (r *revocations) deadToken(jti, sid string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if _, dead := r.access[accessToken{jti, sid}]; dead {
		return true
	}
	f, is := r.tokens[jti]
	return is && f.spare != jti
}

// deadSession reports whether a session, as its tokens describe it, is ended
// by a fact: on itself, or on its subject, account or everything with a number
// above its epoch that does not spare it.
func (r *revocations) deadSession(id SessionID, sid, subject, account string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if _, dead := r.sessions[sid]; dead {
		return true
	}
	if r.everything > id.Epoch {
		return true
	}
	if f, ok := r.accounts[account]; ok && f.number > id.Epoch {
		return true
	}
	for _, f := range r.subjects[subject] {
		if f.number > id.Epoch && f.spare != sid {
			return true
		}
	}
	return false
}

// tokenNews is the number of the latest fact on the jti in this session, or in
// any; 0 for none.
func (r *revocations) tokenNews(jti, sid string) int64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return max(r.tokens[jti].number, r.access[accessToken{jti, sid}].number)
}

// newsAbout is the number of the latest fact on a subject or its account; what
// was read of them before it is stale.
func (r *revocations) newsAbout(subject, account string) int64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	n := r.everything
	if f, ok := r.accounts[account]; ok {
		n = max(n, f.number)
	}
	for _, f := range r.subjects[subject] {
		n = max(n, f.number)
	}
	return n
}

// purge forgets facts that concern no token any more, as the store does.
func (r *revocations) purge(now int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, at := range r.sessions {
		if at <= now {
			delete(r.sessions, k)
		}
	}
	for k, f := range r.tokens {
		if f.purge <= now {
			delete(r.tokens, k)
		}
	}
	for k, f := range r.access {
		if f.purge <= now {
			delete(r.access, k)
		}
	}
	for k, list := range r.subjects {
		if list[len(list)-1].purge <= now {
			delete(r.subjects, k)
		}
	}
	for k, f := range r.accounts {
		if f.purge <= now {
			delete(r.accounts, k)
		}
	}
}
