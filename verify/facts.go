package verify

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// accountPrefix is what the ids of accounts begin with.
const accountPrefix = "ac_"

// noEpoch marks a token without a session id.
const noEpoch = -1

// epochOf reads the epoch that a session id starts with, as in "12-abc…". Only the spelling that the server gives is
// read: digits without sign or leading zero.
func epochOf(sid string) (int64, bool) {
	digits, rest, ok := strings.Cut(sid, "-")
	if !ok || digits == "" || rest == "" || len(digits) > 18 || len(digits) > 1 && digits[0] == '0' {
		return 0, false
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil
}

// fact is a numbered revocation as the feed writes it.
type fact struct {
	Number  int64  `json:"n"`
	Kind    string `json:"k"`
	Subject string `json:"s"`
	Spare   string `json:"x"`
	Purge   int64  `json:"p"` // Unix seconds; 0 never
}

// mark is a fact on someone who may have many tokens: it ends those of sessions with a lower epoch, one spared.
type mark struct {
	number int64
	spare  string
	purge  int64
}

// facts is the memory of revocations.
type facts struct {
	// version changes with every change, so that a token that was alive under it need not be looked at again.
	version atomic.Int64

	mu       sync.RWMutex
	last     int64
	log      string           // whose numbers these are; "" from a server that does not say
	sessions map[string]int64 // sid: purge
	tokens   map[string]int64 // jti: purge
	access   map[accessToken]int64
	subjects map[string][]mark
	accounts map[string][]mark
	all      []mark
}

// accessToken names a token of a session: a jti alone could have been written into a token of another mount, to end this
// one.
type accessToken struct{ jti, sid string }

func newFacts(version int64) *facts {
	f := &facts{sessions: map[string]int64{}, tokens: map[string]int64{}, access: map[accessToken]int64{}, subjects: map[string][]mark{}, accounts: map[string][]mark{}}
	f.version.Store(version)
	return f
}

// known reports whether a kind of fact is understood. What is not understood cannot be obeyed.
func (f *fact) known() bool {
	switch f.Kind {
	case "session", "token", "user", "apikey", "client", "account", "everything":
		return true
	}
	return false
}

// add takes facts in, in their order. last is the number up to which they are complete.
func (f *facts) add(list []fact, last int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range list {
		x := &list[i]
		m := mark{x.Number, x.Spare, x.Purge}
		switch x.Kind {
		case "session":
			f.sessions[x.Subject] = x.Purge
		case "token":
			// A fact that spares its own token takes back those before it: an application token was resumed.
			switch x.Spare {
			case x.Subject:
				delete(f.tokens, x.Subject)
			case "":
				f.tokens[x.Subject] = x.Purge
			default: // it is the session that the token is of
				f.access[accessToken{x.Subject, x.Spare}] = x.Purge
			}
		case "user", "apikey", "client": // ids of different kinds never coincide
			f.subjects[x.Subject] = newest(f.subjects[x.Subject], m)
		case "account":
			f.accounts[x.Subject] = newest(f.accounts[x.Subject], m)
		case "everything":
			f.all = newest(f.all, m)
		}
	}
	f.last = last
	if len(list) > 0 {
		f.version.Add(1)
	}
}

// newest keeps of the marks on one subject those that still say something: the last, and the one before if the last
// spares a session that the one before does not. Older ones end nothing that these two do not.
//
// The last is kept as long as any before it: its own date was reckoned with the token lifetimes of its day, which may
// have been shortened since.
func newest(marks []mark, m mark) []mark {
	for _, before := range marks {
		m.purge = later(m.purge, before.purge)
	}
	if m.spare == "" || len(marks) == 0 {
		return []mark{m}
	}
	before := marks[len(marks)-1]
	if before.spare != m.spare {
		return []mark{before, m}
	}
	// The same session is spared again: what the last one replaces, it ends too.
	return append(marks[:len(marks)-1:len(marks)-1], m)
}

// later returns the later of two purge dates, 0 being never.
func later(a, b int64) int64 {
	if a == 0 || b == 0 {
		return 0
	}
	return max(a, b)
}

// dead reports whether a token was revoked, as what it says about itself and the account have it.
//
// A contract may have put something of its own into the claims uid and acct. So sub counts beside uid, and an acct that is
// no account's id does not stand in for the account that was configured.
//
// A token without a session id is an application token. It has no epoch, so facts on its user could be older than it;
// it ends by a fact of its own.
func (f *facts) dead(c *Claims, account string) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if _, dead := f.tokens[c.c.ID]; dead && c.c.ID != "" {
		return true
	}
	if _, dead := f.tokens[c.parent]; dead && c.parent != "" {
		return true
	}
	if c.epoch == noEpoch {
		return false
	}
	if len(f.access) > 0 && (f.ended(c.c.ID, c.c.SessionID) || f.ended(c.parent, c.c.SessionID)) {
		return true
	}
	if _, dead := f.sessions[c.c.SessionID]; dead {
		return true
	}
	if f.hit(f.all, c) || f.hit(f.subjects[c.c.Subject], c) || c.uid != "" && f.hit(f.subjects[c.uid], c) ||
		c.c.ClientID != "" && f.hit(f.subjects[c.c.ClientID], c) || c.acct != "" && f.hit(f.accounts[c.acct], c) {
		return true
	}
	return account != "" && !strings.HasPrefix(c.acct, accountPrefix) && f.hit(f.accounts[account], c)
}

// ended reports a fact on a token of a session.
func (f *facts) ended(jti, sid string) bool {
	_, dead := f.access[accessToken{jti, sid}]
	return dead && jti != ""
}

func (f *facts) hit(marks []mark, c *Claims) bool {
	for _, m := range marks {
		if m.number > c.epoch && (m.spare == "" || m.spare != c.c.SessionID) {
			return true
		}
	}
	return false
}

// purge forgets facts that concern no token any more. Facts on single tokens are kept on request: an application token
// has no end, so none of its facts is ever of no concern.
func (f *facts) purge(nowSec int64, keepTokens bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	past := func(p int64) bool { return p > 0 && p <= nowSec }
	for sid, p := range f.sessions {
		if past(p) {
			delete(f.sessions, sid)
		}
	}
	for jti, p := range f.tokens {
		if past(p) && !keepTokens {
			delete(f.tokens, jti)
		}
	}
	for of, p := range f.access { // never an application token
		if past(p) {
			delete(f.access, of)
		}
	}
	for _, by := range [...]map[string][]mark{f.subjects, f.accounts} {
		for id, marks := range by {
			if past(marks[len(marks)-1].purge) {
				delete(by, id)
			}
		}
	}
	if n := len(f.all); n > 0 && past(f.all[n-1].purge) {
		f.all = nil
	}
}

// size is how many facts are kept, about.
func (f *facts) size() int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.sessions) + len(f.tokens) + len(f.access) + len(f.subjects) + len(f.accounts)
}
