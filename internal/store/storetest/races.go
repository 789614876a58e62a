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

// raceEverything does everything to one user at once, a hundred at a time:
// nothing may fail but by a documented refusal, deadlocks least of all, and
// afterwards log, facts and rows agree.
func raceEverything(e *env) {
	u := e.create(newUser("app", core.TypeApplication))
	k := newKey("daemon")
	k.Owner = u.ID
	_, err := e.CreateAPIKey(e.ctx, &core.CreateAPIKeyParams{Key: k, Now: now})
	e.ok(err)
	s := e.login(u)
	may := func(what string, err error, refusals ...error) {
		if err == nil {
			return
		}
		for _, r := range refusals {
			if errors.Is(err, r) {
				return
			}
		}
		e.Errorf("%s: %v", what, err)
	}
	acts := []func(i int){
		func(int) { _, err := e.OpenSession(e.ctx, capped(u)); may("login", err, core.ErrStale) },
		func(i int) {
			_, err := e.RefreshSession(e.ctx, presenting(s, int64(i%7), now+int64(i)))
			may("refresh", err)
		},
		func(int) {
			_, err := e.RevokeSessions(e.ctx, &core.RevokeSessionsParams{Subject: u.ID, Spare: s.ID.String(), Now: now, Event: event("logout")})
			may("revoke", err)
		},
		func(int) { _, err := e.MintApplicationToken(e.ctx, minting(u, s)); may("mint", err) },
		func(int) {
			_, err := e.ExchangeRequestToken(e.ctx, exchanging(&k, core.NewID("t")))
			may("exchange", err)
		},
		func(i int) {
			eff := core.Effects{EndSessions: i%2 == 0, SpareSession: s.ID.String(), SuspendSessionTokens: i%3 == 0}
			_, err := e.ChangeUser(e.ctx, &core.ChangeUserParams{ID: u.ID, Effects: eff, Now: now, Event: event("user.change")})
			may("change", err)
		},
		func(i int) {
			p := core.APIKeyPatch{Description: ptr("d")}
			_, err := e.ChangeAPIKey(e.ctx, &core.ChangeAPIKeyParams{ID: k.ID, Patch: p, EndSessions: i%2 == 0, Now: now, Event: event("apikey.change")})
			may("change key", err)
		},
		func(int) {
			list, err := e.ListApplicationTokens(e.ctx, core.ApplicationTokenQuery{User: u.ID, Limit: 1})
			may("list", err)
			if len(list) == 1 {
				_, err = e.ChangeApplicationToken(e.ctx, &core.ChangeApplicationTokenParams{ID: list[0].ID, Action: core.TokenRevoke, Now: now, Event: event("apptoken.revoke")})
				may("revoke token", err, core.ErrNoRow)
			}
		},
		func(i int) {
			err := e.TouchSessions(e.ctx, now, []core.Touch{{ID: s.ID, At: now + int64(i)}, {ID: core.SessionID{Key: core.NewSessionKey()}, At: now}})
			may("touch", err)
		},
		func(int) {
			_, err := e.AddFact(e.ctx, &core.AddFactParams{Fact: core.Fact{Kind: core.FactToken, Subject: core.NewUUID(), At: now}, Now: now, Event: event("revoke")})
			may("fact", err)
		},
	}
	at(100, func(i int) {
		for n := range 4 {
			acts[(i+n*3)%len(acts)](i + n)
		}
	})
	_, err = e.ChangeUser(e.ctx, &core.ChangeUserParams{
		ID: u.ID, Patch: core.UserPatch{State: ptr(core.Disabled)}, Effects: core.Effects{RaiseVersion: true, EndSessions: true}, Now: now, Event: event("user.disable"),
	})
	e.ok(err)
	live, err := e.ListSessions(e.ctx, core.SessionQuery{Subject: u.ID, Now: now, Limit: 1000})
	e.ok(err)
	equal(e, "sessions of a disabled user", len(live), 0)
	if v := e.refreshed(presenting(s, e.sessionNow(s.ID).Generation, now)).Verdict; v.Granted() {
		e.Errorf("a disabled user's session is %s", v)
	}
	e.ok(checkChain(e.ctx, e.Store))
	seen := int64(0)
	for _, f := range e.factsSince(0) {
		if f.Number <= seen {
			e.Fatalf("fact %d comes after %d", f.Number, seen)
		}
		seen = f.Number
	}
	equal(e, "the highest number", e.lastFact(), seen)
}

func capped(u *core.User) *core.OpenSessionParams {
	p := opening(u)
	p.MaxPerSubject = 5
	return p
}

// clockJumps: a clock that jumps back or ahead between steps decides nothing
// but what is about time: chains go by generation, facts by number, and no
// deadline moves.
func clockJumps(e *env) {
	s := e.login(e.user("ada"))
	generation := int64(0)
	for _, jump := range []int64{0, -5 * minute, -day, day, -20 * day, 0, 2 * day} {
		row := e.sessionNow(s.ID)
		p := presenting(s, generation, now+jump)
		_, subj, err := e.SessionByID(e.ctx, s.ID)
		e.ok(err)
		want := core.JudgeRefresh(row, subj, p)
		equal(e, "moved whatever the clock says", want, core.RefreshMoved)
		equal(e, "verdict", e.refreshed(p).Verdict, want)
		equal(e, "row", e.sessionNow(s.ID), core.NextMove(row, p))
		generation++
		// The same token again at once is a repetition, on whatever day.
		equal(e, "again", e.refreshed(p).Verdict, core.RefreshReplayed)

		last := e.lastFact()
		f, err := e.AddFact(e.ctx, &core.AddFactParams{Fact: core.Fact{Kind: core.FactToken, Subject: core.NewUUID(), At: p.Now}, Now: p.Now, Event: event("revoke")})
		e.ok(err)
		equal(e, "numbered by order", f.Number, last+1)
	}
	// Purged by a clock that stands a day ahead, and is put right after: what
	// is alive by the right clock is still there.
	e.purged(now + day)
	e.sessionNow(s.ID)
	equal(e, "goes on", e.refreshed(presenting(s, generation, now)).Verdict, core.RefreshMoved)

	// A request token that comes back under a clock before its first arrival is
	// no honest twin.
	k := e.key("daemon")
	ex := exchanging(k, "t")
	_, err := e.ExchangeRequestToken(e.ctx, ex)
	e.ok(err)
	back := exchanging(k, "t")
	back.Open.Now = now - 1
	res, err := e.ExchangeRequestToken(e.ctx, back)
	e.ok(err)
	equal(e, "before its first arrival", res.Verdict, core.ExchangeReplayed)
	e.ok(checkChain(e.ctx, e.Store))
}
