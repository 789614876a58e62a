package storetest

import (
	"sync/atomic"

	"github.com/sallyport/sallyport/internal/core"
)

// purged purges to the end and gives the sum.
func (e *env) purged(at int64) *core.PurgeReport {
	e.Helper()
	sum := &core.PurgeReport{Removed: map[string]int{}}
	for range 1000 {
		r, err := e.Purge(e.ctx, at, 1000)
		e.ok(err)
		for kind, n := range r.Removed {
			sum.Removed[kind] += n
		}
		if !r.More {
			return sum
		}
	}
	e.Fatal("purging never ends")
	return nil
}

func purge(e *env) {
	u, k := e.user("ada"), e.key("daemon")
	short := opening(u)
	short.Session.RefreshExpires = now + day
	res, err := e.OpenSession(e.ctx, short)
	e.ok(err)
	long := e.login(u)
	_, err = e.ExchangeRequestToken(e.ctx, exchanging(k, "t"))
	e.ok(err)
	e.reserve(core.ReserveParams{Key: core.AttemptKey{1}, Now: now})
	e.ok(e.SettleAttempt(e.ctx, &core.SettleParams{Key: core.AttemptKey{2}, User: u.ID, Network: homeNetwork, Learn: true, Now: now}))
	e.change(u.ID, core.ChangeUserParams{Patch: core.UserPatch{Username: ptr("eda"), UsernameCanon: ptr("eda")}, NamesReservedUntil: now + day})
	for i := range int64(3) {
		_, err := e.AddFact(e.ctx, &core.AddFactParams{Fact: core.Fact{Kind: core.FactToken, Subject: "t", At: now, PurgeAt: now + (i+1)*day}, Now: now})
		e.ok(err)
	}

	counts := func(at int64) map[string]int {
		e.Helper()
		r := e.purged(at)
		for kind, n := range r.Removed {
			if n == 0 {
				delete(r.Removed, kind)
			}
		}
		return r.Removed
	}
	equal(e, "nothing is over", counts(now), map[string]int{})
	equal(e, "a day later", counts(now+day), map[string]int{"attempts": 1, "facts": 1, "login_names": 1, "request_tokens": 1})
	e.sessionNow(res.Session.ID) // ended rows stay a while, to be revoked by name
	equal(e, "long after", counts(now+20*day), map[string]int{"facts": 2, "sessions": 1})
	_, _, err = e.SessionByID(e.ctx, res.Session.ID)
	e.is(err, core.ErrNoRow)
	e.sessionNow(long.ID)
	equal(e, "a month", counts(now+core.KnownNetworkMS), map[string]int{"known_networks": 1})
	known, err := e.KnownNetworks(e.ctx, u.ID)
	e.ok(err)
	equal(e, "known networks", len(known), 0)

	// A limit is a limit for each kind.
	for range 30 {
		_, err := e.AddFact(e.ctx, &core.AddFactParams{Fact: core.Fact{Kind: core.FactToken, At: now, PurgeAt: now}, Now: now})
		e.ok(err)
	}
	r, err := e.Purge(e.ctx, now, 20)
	e.ok(err)
	equal(e, "first part", []any{r.Removed["facts"], r.More}, []any{20, true})
	r, err = e.Purge(e.ctx, now, 20)
	e.ok(err)
	equal(e, "second part", []any{r.Removed["facts"], r.More}, []any{10, false})
}

// purgeUnderLoad: what is used while it is purged stays, the rest goes.
func purgeUnderLoad(e *env) {
	u := e.user("ada")
	const n = 400
	keep, drop := make([]core.SessionID, n), make([]core.SessionID, n)
	at(8, func(w int) {
		for i := w; i < n; i += 8 {
			for _, into := range []*core.SessionID{&keep[i], &drop[i]} {
				p := opening(u)
				p.Session.RefreshExpires = now + 10
				if into == &keep[i] {
					p.Session.RefreshExpires = now + 30*day
				}
				res, err := e.OpenSession(e.ctx, p)
				if err != nil {
					e.Errorf("opening: %v", err)
					return
				}
				*into = res.Session.ID
			}
		}
	})
	var over atomic.Bool
	at(5, func(w int) {
		if w == 0 {
			defer over.Store(true)
			if got := e.purged(now + 10*day).Removed["sessions"]; got != n {
				e.Errorf("%d sessions were purged, want %d", got, n)
			}
			return
		}
		for i := w; i < n || !over.Load(); i += 4 {
			p := presenting(&core.Session{ID: keep[i%n], Mount: "m1"}, 0, now+10*day)
			res, err := e.RefreshSession(e.ctx, p)
			if err != nil || !res.Verdict.Granted() {
				e.Errorf("refresh while purging: %+v, %v", res, err)
				return
			}
		}
	})
	for i := range n {
		if _, _, err := e.SessionByID(e.ctx, keep[i]); err != nil {
			e.Fatalf("a living session is gone: %v", err)
		}
		_, _, err := e.SessionByID(e.ctx, drop[i])
		e.is(err, core.ErrNoRow)
	}
}
