package clients

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Subject is a user or an API key and what the server acknowledged about it.
type Subject struct {
	key    bool      // an API key
	app    bool      // a user of type application
	id     string    // "" while its creation is in doubt
	name   string    // user name or app name
	secret string    // password or shared secret
	appKey string    // of an API key
	ended  int       // round in which disabling was acknowledged; 0 = active
	at     time.Time // of that acknowledgement
	made   int       // round
	logins int
}

func (s *Subject) String() string {
	kind := "user"
	switch {
	case s.key:
		kind = "API key"
	case s.app:
		kind = "application user"
	}
	return fmt.Sprintf("%s %s (made in round %d)", kind, s.name, s.made)
}

// chain is a session: its newest acknowledged tokens.
type chain struct {
	mount   *Mount
	subject *Subject
	sid     string
	gen     int64
	refresh string
	parent  string // the refresh token before it, "" if none
	access  string
	movedAt time.Time // when the newest generation was acknowledged
	made    int       // round
	moved   int       // round of the last acknowledged move
	ended   int       // round in which its revocation was acknowledged
	at      time.Time // of that acknowledgement
}

func (c *chain) dead() bool { return c.ended != 0 || c.subject.ended != 0 }

func (s *Subject) end(round int)  { s.ended, s.at = round, time.Now() }
func (c *chain) end(round int)    { c.ended, c.at = round, time.Now() }
func (t *appToken) end(round int) { t.ended, t.at = round, time.Now() }

// endedAt is the earlier of the ends that it met.
func (c *chain) endedAt() time.Time    { return earlier(c.at, c.subject.at) }
func (t *appToken) endedAt() time.Time { return earlier(t.at, t.subject.at) }

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func (c *chain) endedIn() int { return max(c.ended, c.subject.ended) }

func (c *chain) String() string {
	s := fmt.Sprintf("%s session %s of %s, opened in round %d, generation %d acknowledged in round %d",
		c.mount.Name, c.sid, c.subject, c.made, c.gen, c.moved)
	if c.ended != 0 {
		s += fmt.Sprintf(", revoked in round %d", c.ended)
	}
	if c.subject.ended != 0 {
		s += fmt.Sprintf(", its subject disabled in round %d", c.subject.ended)
	}
	return s
}

// appToken is an application token.
type appToken struct {
	subject *Subject
	id      string
	text    string
	made    int
	ended   int
	at      time.Time
}

func (t *appToken) dead() bool   { return t.ended != 0 || t.subject.ended != 0 }
func (t *appToken) endedIn() int { return max(t.ended, t.subject.ended) }

func (t *appToken) String() string {
	return fmt.Sprintf("application token %s of %s, minted in round %d, revoked in round %d (0 = not)", t.id, t.subject, t.made, t.ended)
}

// doubt is the one request of a worker whose outcome the kill left open.
type doubt struct {
	what   string
	chain  *chain                  // whose refresh it was, if it was one
	spares func(*Subject) bool     // nil: the request could end nobody
	settle func(w *Worker, a *API) // sends it again and demands success
}

// Worker is one client of the server, with books of its own.
type Worker struct {
	n        int
	crew     *Crew
	rng      *rand.Rand
	subjects []*Subject
	chains   []*chain // alive
	tokens   []*appToken
	gone     []*chain // dead
	goneTok  []*appToken
	doubt    *doubt
	names    int // for fresh names
}

// pick gives one of a list, the zero value of an empty one.
func pick[T any](w *Worker, list []T) (one T) {
	if len(list) == 0 {
		return one
	}
	return list[w.rng.IntN(len(list))]
}

// alive gives the active subjects of a kind.
func (w *Worker) alive(want func(*Subject) bool) (list []*Subject) {
	for _, s := range w.subjects {
		if s.ended == 0 && want(s) {
			list = append(list, s)
		}
	}
	return list
}

func isUser(s *Subject) bool { return !s.key }
func isApp(s *Subject) bool  { return s.app }
func isKey(s *Subject) bool  { return s.key }

// bury moves what has died to the list of the dead.
func (w *Worker) bury() {
	live := w.chains[:0]
	for _, c := range w.chains {
		if c.dead() {
			w.gone = append(w.gone, c)
		} else {
			live = append(live, c)
		}
	}
	clear(w.chains[len(live):])
	w.chains = live
	toks := w.tokens[:0]
	for _, t := range w.tokens {
		if t.dead() {
			w.goneTok = append(w.goneTok, t)
		} else {
			toks = append(toks, t)
		}
	}
	clear(w.tokens[len(toks):])
	w.tokens = toks
}
