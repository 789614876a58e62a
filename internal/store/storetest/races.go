package storetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/sallyport/sallyport/internal/core"
)

func isUnknown(err error) bool { return errors.Is(err, core.ErrUnknownOutcome) }
func isExists(err error) bool  { return errors.Is(err, core.ErrExists) }

// tally counts outcomes of goroutines.
type tally[K comparable] struct {
	mu sync.Mutex
	n  map[K]int
}

func (t *tally[K]) add(k K) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = map[K]int{}
	}
	t.n[k]++
}

// raceRefresh: 50 refreshes of one token move the chain once, and all get the
// same successor.
func raceRefresh(e *env) {
	s := e.login(e.user("ada"))
	for generation := range int64(5) {
		var verdicts tally[core.RefreshVerdict]
		var rows tally[core.Session]
		at(50, func(int) {
			res, err := e.RefreshSession(e.ctx, presenting(s, generation, now+generation))
			if err != nil {
				e.Errorf("refresh: %v", err)
				return
			}
			verdicts.add(res.Verdict)
			rows.add(*res.Session)
		})
		equal(e, "verdicts", verdicts.n, map[core.RefreshVerdict]int{core.RefreshMoved: 1, core.RefreshReplayed: 49})
		equal(e, "one successor", rows.n, map[core.Session]int{*e.sessionNow(s.ID): 50})
	}
	equal(e, "generation", e.sessionNow(s.ID).Generation, int64(5))
}

func raceName(e *env) {
	var outcomes tally[bool]
	at(50, func(i int) {
		u := newUser("ada", core.TypeUser)
		if i%2 == 1 { // one namespace: an address is a name too
			u.Username, u.UsernameCanon, u.Email, u.EmailCanon = u.ID, u.ID, "ada", "ada"
		}
		_, err := e.CreateUser(e.ctx, &core.CreateUserParams{User: u, Now: now})
		if err != nil && !isExists(err) {
			e.Errorf("creating: %v", err)
		}
		outcomes.add(err == nil)
	})
	equal(e, "created", outcomes.n, map[bool]int{true: 1, false: 49})
	users, err := e.ListUsers(e.ctx, core.UserQuery{})
	e.ok(err)
	equal(e, "users", len(users), 1)
}

func raceMint(e *env) {
	u := e.create(newUser("app", core.TypeApplication))
	s := e.login(u)
	var verdicts tally[core.MintVerdict]
	at(50, func(int) {
		v, err := e.MintApplicationToken(e.ctx, minting(u, s))
		if err != nil {
			e.Errorf("minting: %v", err)
		}
		verdicts.add(v)
	})
	equal(e, "verdicts", verdicts.n, map[core.MintVerdict]int{core.Minted: 10, core.MintTooMany: 40})
	same := minting(e.create(newUser("app2", core.TypeApplication)), s)
	same.Token.User = same.Gate.Subject
	own := e.login(&core.User{ID: same.Gate.Subject, Account: home, Version: 1})
	same.Session, same.Token.Session = own.ID, own.ID.String()
	verdicts = tally[core.MintVerdict]{}
	at(50, func(int) {
		v, err := e.MintApplicationToken(e.ctx, same)
		if err != nil {
			e.Errorf("minting: %v", err)
		}
		verdicts.add(v)
	})
	equal(e, "one step repeated", verdicts.n, map[core.MintVerdict]int{core.Minted: 1, core.MintRepeat: 49})
}

func raceSessions(e *env) {
	u := e.user("ada")
	at(100, func(int) {
		p := opening(u)
		p.MaxPerSubject = 20
		if _, err := e.OpenSession(e.ctx, p); err != nil {
			e.Errorf("opening: %v", err)
		}
	})
	live, err := e.ListSessions(e.ctx, core.SessionQuery{Subject: u.ID, Now: now, Limit: 1000})
	e.ok(err)
	equal(e, "live sessions", len(live), 20)
	equal(e, "facts", e.lastFact(), int64(80))
}

// raceAttempts: 500 guesses at once never exceed the budget, and a success
// among them gives back no more than its own.
func raceAttempts(e *env) {
	k := core.AttemptKey{1}
	limit := core.BudgetLimit{Burst: 100, Interval: 600_000}
	var allowed atomic.Int64
	guess := func(int) {
		r, err := e.ReserveAttempt(e.ctx, &core.ReserveParams{Key: k, Stranger: limit, Known: limit, Now: now})
		if err != nil {
			e.Errorf("reserving: %v", err)
			return
		}
		if r.Allowed {
			allowed.Add(1)
		}
	}
	at(500, guess)
	equal(e, "allowed", allowed.Load(), int64(100))
	at(100, func(i int) {
		if i < 10 {
			err := e.SettleAttempt(e.ctx, &core.SettleParams{Outcome: core.AttemptSucceeded, Key: k, Budget: "stranger", Limit: limit, Now: now})
			if err != nil {
				e.Errorf("settling: %v", err)
			}
			return
		}
		guess(i)
	})
	at(100, guess)
	equal(e, "allowed after ten were given back", allowed.Load(), int64(110))
}

func raceExchange(e *env) {
	k := e.key("daemon")
	var verdicts tally[core.ExchangeVerdict]
	var ids tally[core.SessionID]
	at(50, func(int) {
		res, err := e.ExchangeRequestToken(e.ctx, exchanging(k, "t"))
		if err != nil {
			e.Errorf("exchanging: %v", err)
			return
		}
		verdicts.add(res.Verdict)
		ids.add(res.Session.ID)
	})
	equal(e, "verdicts", verdicts.n, map[core.ExchangeVerdict]int{core.Exchanged: 1, core.ExchangeTwin: 49})
	equal(e, "sessions", len(ids.n), 1)
	live, err := e.ListSessions(e.ctx, core.SessionQuery{Subject: k.ID, Now: now})
	e.ok(err)
	equal(e, "live sessions", len(live), 1)
}

func raceKey(e *env) {
	var outcomes tally[bool]
	at(20, func(int) {
		err := e.InsertKey(e.ctx, newSigningKey(core.NewID(""), core.KeyActive))
		if err != nil && !isExists(err) {
			e.Errorf("inserting: %v", err)
		}
		outcomes.add(err == nil)
	})
	equal(e, "first keys", outcomes.n, map[bool]int{true: 1, false: 19})
}

// raceRevoke: once a revocation has been answered, no refresh is granted.
func raceRevoke(e *env) {
	u := e.user("ada")
	for range 20 {
		s := e.login(u)
		var revoked atomic.Bool
		at(9, func(i int) {
			if i == 0 {
				n, err := e.RevokeSessions(context.WithoutCancel(e.ctx), &core.RevokeSessionsParams{ID: &s.ID, Now: now})
				if err != nil || n != 1 {
					e.Errorf("revoking: %d, %v", n, err)
				}
				revoked.Store(true)
				return
			}
			for {
				before := revoked.Load()
				res, err := e.RefreshSession(e.ctx, presenting(s, 0, now))
				if err != nil {
					e.Errorf("refreshing: %v", err)
					return
				}
				if before && res.Verdict.Granted() {
					e.Errorf("granted after the revocation: %s", res.Verdict)
				}
				if before || !res.Verdict.Granted() {
					return
				}
			}
		})
	}
}
