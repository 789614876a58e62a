package storetest

import (
	"math/rand/v2"

	"github.com/sallyport/sallyport/internal/core"
)

const homeNetwork = "192.0.2.0/24"

func (e *env) reserve(p core.ReserveParams) *core.Reservation {
	e.Helper()
	if p.Stranger == (core.BudgetLimit{}) {
		p.Stranger, p.Known = core.BudgetLimit{Burst: 3, Interval: 1000}, core.BudgetLimit{Burst: 2, Interval: 100, ForgiveOnSuccess: true}
	}
	p.KnownAfter = p.Now - core.KnownNetworkMS
	r, err := e.ReserveAttempt(e.ctx, &p)
	e.ok(err)
	return r
}

func attempts(e *env) {
	k, other := core.AttemptKey{1}, core.AttemptKey{2}
	for i := range int64(3) {
		equal(e, "within the burst", e.reserve(core.ReserveParams{Key: k, Now: now}), &core.Reservation{Allowed: true, Budget: "stranger", Failures: i + 1})
	}
	full := &core.Reservation{Budget: "stranger", RetryAfter: 1000, Failures: 3}
	equal(e, "beyond it", e.reserve(core.ReserveParams{Key: k, Now: now}), full)
	equal(e, "refusals postpone nothing", e.reserve(core.ReserveParams{Key: k, Now: now}), full)
	equal(e, "another name", e.reserve(core.ReserveParams{Key: other, Now: now}).Allowed, true)
	equal(e, "an interval later", e.reserve(core.ReserveParams{Key: k, Now: now + 1000}).Allowed, true)
	equal(e, "and only one", e.reserve(core.ReserveParams{Key: k, Now: now + 1000}).RetryAfter, int64(1000))

	strangers := core.BudgetLimit{Burst: 3, Interval: 1000}
	settle := func(o core.Outcome) {
		e.Helper()
		e.ok(e.SettleAttempt(e.ctx, &core.SettleParams{Outcome: o, Key: k, Budget: "stranger", Limit: strangers, Now: now + 1000}))
	}
	settle(core.AttemptFailed)
	equal(e, "a failure stays spent", e.reserve(core.ReserveParams{Key: k, Now: now + 1000}).Allowed, false)
	for _, o := range []core.Outcome{core.AttemptSucceeded, core.AttemptRepeated, core.AttemptUnjudged} {
		settle(o) // gives back one
		equal(e, "given back", e.reserve(core.ReserveParams{Key: k, Now: now + 1000}).Allowed, true)
		equal(e, "one alone", e.reserve(core.ReserveParams{Key: k, Now: now + 1000}).Allowed, false)
	}
	e.ok(e.SettleAttempt(e.ctx, &core.SettleParams{Outcome: core.AttemptSucceeded, Key: core.AttemptKey{9}, Budget: "stranger", Limit: strangers, Now: now}))

	e.ok(e.UnlockAttempts(e.ctx, &core.UnlockParams{Key: k, Now: now, Event: event("user.unlock")}))
	equal(e, "unlocked", e.reserve(core.ReserveParams{Key: k, Now: now + 1000}).Failures, int64(1))
	equal(e, "audit", e.audited(0), []string{"user.unlock"})
}

// attemptsAgainstRule compares the store's statement with the arithmetic of
// core.BudgetLimit.
func attemptsAgainstRule(e *env) {
	gen := rand.New(rand.NewPCG(3, 4))
	type one struct {
		policy core.BudgetLimit
		state  core.AttemptState
	}
	names := make([]one, 20)
	for i := range names {
		names[i].policy = core.BudgetLimit{Burst: int64(gen.IntN(6)), Interval: pick[int64](gen, 0, 1, 1000, 60_000)}
	}
	clock := now
	for i := range 1500 {
		n := gen.IntN(len(names))
		c, key := &names[n], core.AttemptKey{byte(n), 7}
		clock += pick[int64](gen, 0, 0, 0, 1, 999, 30_000)
		at := clock - pick[int64](gen, 0, 0, 0, 5_000, 86_400_000) + pick[int64](gen, 0, 0, 0, 86_400_000)
		next, want := c.policy.Reserve(c.state, at)
		got, err := e.ReserveAttempt(e.ctx, &core.ReserveParams{Key: key, Stranger: c.policy, Known: c.policy, Now: at})
		e.ok(err)
		if got.Allowed != want.Allowed || got.RetryAfter != want.RetryAfter {
			e.Fatalf("%d: %+v at %d under %+v: got %+v, want %+v", i, c.state, at, c.policy, got, want)
		}
		c.state = next
		if want.Allowed {
			o := pick(gen, core.AttemptFailed, core.AttemptFailed, core.AttemptSucceeded, core.AttemptRepeated, core.AttemptUnjudged)
			c.state = c.policy.Settle(c.state, o)
			e.ok(e.SettleAttempt(e.ctx, &core.SettleParams{Outcome: o, Key: key, Budget: got.Budget, Limit: c.policy, Now: at}))
		}
	}
}

func knownNetworks(e *env) {
	u := e.user("ada")
	k := core.AttemptKey{1}
	at := core.ReserveParams{Key: k, User: u.ID, Network: homeNetwork, Now: now}
	for range 3 {
		equal(e, "not known yet", e.reserve(at).Budget, "stranger")
	}
	equal(e, "strangers' budget is spent", e.reserve(at).Allowed, false)

	p := opening(u) // the login's step learns the network and gives one back
	p.Attempt = &core.SettleParams{
		Outcome: core.AttemptSucceeded, Key: k, User: u.ID, Network: homeNetwork, Budget: "stranger",
		Limit: core.BudgetLimit{Burst: 3, Interval: 1000}, Learn: true, Now: now,
	}
	_, err := e.OpenSession(e.ctx, p)
	e.ok(err)
	known, err := e.KnownNetworks(e.ctx, u.ID)
	e.ok(err)
	equal(e, "learned", known, []core.KnownNetwork{{User: u.ID, Network: homeNetwork, LastUsed: now}})

	first := e.reserve(at)
	equal(e, "known now", first, &core.Reservation{Allowed: true, Budget: "known", Failures: 1})
	e.reserve(at)
	equal(e, "its own budget", e.reserve(at), &core.Reservation{Budget: "known", RetryAfter: 100, Failures: 2})
	// The owner's success forgives the owner's failures and gives strangers nothing.
	e.ok(e.SettleAttempt(e.ctx, &core.SettleParams{
		Outcome: core.AttemptSucceeded, Key: k, User: u.ID, Network: homeNetwork, Budget: "known",
		Limit: core.BudgetLimit{Burst: 2, Interval: 100, ForgiveOnSuccess: true}, Learn: true, Now: now + 50,
	}))
	equal(e, "forgiven", e.reserve(at).Failures, int64(1))
	elsewhere := at
	elsewhere.Network = "198.51.100.0/24"
	equal(e, "strangers got the one back", e.reserve(elsewhere).Allowed, true)
	equal(e, "and no more", e.reserve(elsewhere).Allowed, false)

	forced := at
	forced.ForceBudget = "stranger"
	equal(e, "forced", e.reserve(forced).Budget, "stranger")
	nobody := at
	nobody.User = ""
	equal(e, "an unknown name is never known", e.reserve(nobody).Budget, "stranger")
	late := at
	late.Now = now + 50 + core.KnownNetworkMS
	equal(e, "forgotten after 30 days", e.reserve(late).Budget, "stranger")
	late.Now--
	equal(e, "not before", e.reserve(late).Budget, "known")
}
