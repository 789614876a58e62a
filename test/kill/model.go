package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// subject is a user or an API key and what the server acknowledged about it.
type subject struct {
	key    bool   // an API key
	app    bool   // a user of type application
	id     string // "" while its creation is in doubt
	name   string // user name or app name
	secret string // password or shared secret
	appKey string // of an API key
	ended  int    // round in which disabling was acknowledged; 0 = active
	made   int    // round
	logins int
}

func (s *subject) String() string {
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
	mount   *mount
	subject *subject
	sid     string
	gen     int64
	refresh string
	parent  string // the refresh token before it, "" if none
	access  string
	movedAt time.Time // when the newest generation was acknowledged
	made    int       // round
	moved   int       // round of the last acknowledged move
	ended   int       // round in which its revocation was acknowledged
}

func (c *chain) dead() bool { return c.ended != 0 || c.subject.ended != 0 }

func (c *chain) endedIn() int { return max(c.ended, c.subject.ended) }

func (c *chain) String() string {
	s := fmt.Sprintf("%s session %s of %s, opened in round %d, generation %d acknowledged in round %d",
		c.mount.name, c.sid, c.subject, c.made, c.gen, c.moved)
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
	subject *subject
	id      string
	text    string
	made    int
	ended   int
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
	spares func(*subject) bool     // nil: the request could end nobody
	settle func(w *worker, a *api) // sends it again and demands success
}

// worker is one client of the server, with books of its own.
type worker struct {
	n        int
	run      *run
	rng      *rand.Rand
	subjects []*subject
	chains   []*chain // alive
	tokens   []*appToken
	gone     []*chain // dead
	goneTok  []*appToken
	doubt    *doubt
	names    int // for fresh names
}

// pick gives one of a list, the zero value of an empty one.
func pick[T any](w *worker, list []T) (one T) {
	if len(list) == 0 {
		return one
	}
	return list[w.rng.IntN(len(list))]
}

// alive gives the active subjects of a kind.
func (w *worker) alive(want func(*subject) bool) (list []*subject) {
	for _, s := range w.subjects {
		if s.ended == 0 && want(s) {
			list = append(list, s)
		}
	}
	return list
}

func isUser(s *subject) bool { return !s.key }
func isApp(s *subject) bool  { return s.app }
func isKey(s *subject) bool  { return s.key }

// bury moves what has died to the list of the dead.
func (w *worker) bury() {
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
