package storetest

import (
	"math/rand/v2"
	"sync/atomic"

	"github.com/sallyport/sallyport/internal/core"
)

func refresh(e *env) {
	u := e.user("ada")
	s := e.login(u)

	p := presenting(s, 0, now+10)
	res := e.refreshed(p)
	equal(e, "first move", res.Verdict, core.RefreshMoved)
	want := core.NextMove(s, p)
	equal(e, "row after the move", res.Session, want)
	equal(e, "stored row", e.sessionNow(s.ID), want)
	equal(e, "subject", res.Subject.Username, "ada")

	// The same again within the grace time: nothing moves, nothing is written.
	steps := e.lastAudit()
	res = e.refreshed(presenting(s, 0, now+11))
	equal(e, "repeated", res.Verdict, core.RefreshReplayed)
	equal(e, "row after a replay", res.Session, want)
	equal(e, "stored row after a replay", e.sessionNow(s.ID), want)

	// Refusals move nothing.
	for name, c := range map[string]struct {
		change func(*core.RefreshParams)
		want   core.RefreshVerdict
	}{
		"mount":   {func(p *core.RefreshParams) { p.Mount = "m2" }, core.RefreshWrongMount},
		"subject": {func(p *core.RefreshParams) { p.Subject = core.NewUUID() }, core.RefreshMismatch},
		"epoch":   {func(p *core.RefreshParams) { p.ID.Epoch = 5 }, core.RefreshNoSession},
		"key":     {func(p *core.RefreshParams) { p.ID.Key = core.NewSessionKey() }, core.RefreshNoSession},
		"late":    {func(p *core.RefreshParams) { p.Now = now + 31*day }, core.RefreshExpired},
		"policy":  {func(p *core.RefreshParams) { p.Policy.AbsoluteMS = 5 }, core.RefreshExpired},
	} {
		p := presenting(s, 1, now+20)
		c.change(p)
		res = e.refreshed(p)
		equal(e, name, res.Verdict, c.want)
		if c.want == core.RefreshNoSession && (res.Session != nil || res.Subject != nil) {
			e.Fatalf("%s: a session came with no_session", name)
		}
		equal(e, name+": row", e.sessionNow(s.ID), want)
	}
	equal(e, "audit of replays and refusals", e.audited(steps), []string{})

	// Not rotating: the row is not written either.
	still := presenting(s, 1, now+20)
	still.Policy.Rotates = false
	equal(e, "not rotating", e.refreshed(still).Verdict, core.RefreshCurrent)
	still.Presented = 0
	equal(e, "not rotating any more, an answer lost just before", e.refreshed(still).Verdict, core.RefreshReplayed)
	still.Now += rotating.GraceMS
	equal(e, "not rotating, ancestor", e.refreshed(still).Verdict, core.RefreshStray)
	equal(e, "row", e.sessionNow(s.ID), want)

	// The store had lost a commit: adopt and tell.
	behind := presenting(s, 6, now+30)
	res = e.refreshed(behind)
	equal(e, "ahead of the store", res.Verdict, core.RefreshBehind)
	want = core.NextMove(want, behind)
	equal(e, "row", e.sessionNow(s.ID), want)
	equal(e, "audit", e.audited(steps), []string{"refresh.behind"})

	// An ancestor after the grace time ends the family in the same step.
	last := e.lastFact()
	reuse := presenting(s, 6, now+30+rotating.GraceMS)
	res = e.refreshed(reuse)
	equal(e, "reuse", res.Verdict, core.RefreshReused)
	stored := e.sessionNow(s.ID)
	equal(e, "row after reuse", res.Session, stored)
	equal(e, "revoked at", stored.RevokedAt, reuse.Now)
	facts := e.factsSince(last)
	equal(e, "one fact", len(facts), 1)
	equal(e, "fact", []any{facts[0].Kind, facts[0].Subject, facts[0].PurgeAt}, []any{core.FactSession, s.ID.String(), reuse.FactPurgeAt})
	equal(e, "audit", e.audited(steps), []string{"refresh.behind", "refresh.reuse"})
	equal(e, "the current token too", e.refreshed(presenting(s, 7, reuse.Now)).Verdict, core.RefreshRevoked)
	equal(e, "no second fact", len(e.factsSince(last)), 1)

	// Disabling reaches a session whose row was not touched.
	s = e.login(u)
	e.change(u.ID, core.ChangeUserParams{Patch: core.UserPatch{State: ptr(core.Disabled)}})
	equal(e, "disabled user", e.refreshed(presenting(s, 0, now)).Verdict, core.RefreshDeadSubj)
	equal(e, "row", e.sessionNow(s.ID), s)
}

// refreshAgainstRule compares the store's statement with core.JudgeRefresh and
// core.NextMove on generated rows and requests.
func refreshAgainstRule(e *env) {
	const rows = 2500
	active, disabled := e.user("active"), e.user("disabled")
	gen := rand.New(rand.NewPCG(1, 2))
	type one struct {
		open    *core.OpenSessionParams
		id      core.SessionID // with the epoch
		revoke  bool
		present core.RefreshParams
	}
	all := make([]one, rows)
	for i := range all {
		all[i].open, all[i].revoke = generatedSession(gen, active, disabled)
		all[i].present = generatedRefresh(gen, &all[i].open.Session)
	}
	at(16, func(w int) {
		for i := w; i < rows; i += 16 {
			o := &all[i]
			res, err := e.OpenSession(e.ctx, o.open)
			if err != nil {
				e.Errorf("row %d: %v", i, err)
				return
			}
			id := res.Session.ID
			o.id = id
			o.present.ID.Epoch += id.Epoch // generated as the distance from it
			if o.revoke {
				if _, err := e.RevokeSessions(e.ctx, &core.RevokeSessionsParams{ID: &id, Now: now}); err != nil {
					e.Errorf("row %d: %v", i, err)
				}
			}
		}
	})
	e.change(disabled.ID, core.ChangeUserParams{Patch: core.UserPatch{State: ptr(core.Disabled)}})
	var seen [12]atomic.Int64
	at(16, func(w int) {
		for i := w; i < rows; i += 16 {
			if v := e.compareRefresh(i, all[i].id, &all[i].present); v >= 0 {
				seen[v].Add(1)
			}
		}
	})
	for i := range seen {
		if seen[i].Load() == 0 {
			e.Errorf("no generated row led to %s", verdicts[i])
		}
	}
}

var verdicts = [...]core.RefreshVerdict{
	core.RefreshMoved, core.RefreshReplayed, core.RefreshCurrent, core.RefreshBehind, core.RefreshReused, core.RefreshNoSession,
	core.RefreshWrongMount, core.RefreshMismatch, core.RefreshRevoked, core.RefreshDeadSubj, core.RefreshExpired, core.RefreshStray,
}

// compareRefresh runs one generated refresh and gives the verdict's index.
func (e *env) compareRefresh(i int, id core.SessionID, p *core.RefreshParams) int {
	row, subj, err := e.SessionByID(e.ctx, id)
	if err != nil {
		e.Errorf("row %d: %v", i, err)
		return -1
	}
	want := core.JudgeRefresh(row, subj, p)
	res, err := e.RefreshSession(e.ctx, p)
	if err != nil {
		e.Errorf("row %d: %v", i, err)
		return -1
	}
	after, _, err := e.SessionByID(e.ctx, id)
	if err != nil {
		e.Errorf("row %d: %v", i, err)
		return -1
	}
	expect := *row
	switch {
	case want.Moves():
		expect = *core.NextMove(row, p)
	case want == core.RefreshReused:
		expect.RevokedAt, expect.RevokedReason = p.Now, "reused"
	}
	if res.Verdict != want || *after != expect {
		e.Errorf("row %d: %+v\nparams %+v\ngot  %s, row %+v\nwant %s, row %+v", i, *row, *p, res.Verdict, *after, want, expect)
	}
	if res.Verdict != core.RefreshNoSession && *res.Session != expect {
		e.Errorf("row %d: returned %+v\nwant %+v", i, *res.Session, expect)
	}
	for n, v := range verdicts {
		if v == want {
			return n
		}
	}
	return -1
}

// about gives now, give or take a little or a lot, with the edges favoured.
func about(gen *rand.Rand) int64 {
	edges := []int64{0, 0, 1, -1, 1000, -1000, 120_000, -120_000, day, -day}
	return now + edges[gen.IntN(len(edges))]
}

func pick[T any](gen *rand.Rand, of ...T) T { return of[gen.IntN(len(of))] }

func generatedSession(gen *rand.Rand, active, disabled *core.User) (*core.OpenSessionParams, bool) {
	p := opening(pick(gen, active, active, active, active, active, active, disabled))
	s := &p.Session
	s.Generation = int64(gen.IntN(8))
	for i := range s.Moves {
		if int64(i) <= s.Generation && gen.IntN(8) > 0 {
			s.Moves[i] = now - pick[int64](gen, 0, 1, 50_000, 119_999, 120_000, 120_001, day)
		} else {
			s.Moves[i] = 0
		}
	}
	s.RefreshExpires = pick(gen, now+day, now+day, now+day, about(gen))
	s.CreatedAt = now - pick[int64](gen, 0, 1000, day)
	s.AbsoluteMS = pick(gen, 0, 90*day, day, 1000)
	s.IdleMS = pick(gen, 0, day)
	s.Rotates = gen.IntN(2) == 0
	s.GraceMS = pick[int64](gen, 0, 120_000)
	return p, gen.IntN(10) == 0
}

func generatedRefresh(gen *rand.Rand, s *core.Session) core.RefreshParams {
	p := core.RefreshParams{
		ID: s.ID, Mount: pick(gen, "m1", "m1", "m1", "m1", "m1", "m1", "m1", "m2"), Presented: s.Generation,
		PresentedAt: pick(gen, 0, now, now-119_999, now-120_000, now-day), RefreshKey: pick(gen, "k2", "k3"), Now: now,
		Policy: core.Rotation{
			Rotates: gen.IntN(5) > 0, GraceMS: pick[int64](gen, 0, 120_000, 120_000, 600_000),
			IdleMS: pick(gen, 30*day, 30*day, 100_000, day), AbsoluteMS: pick(gen, 0, 90*day, 90*day, day, 1000),
		},
		ReuseEvent: event("refresh.reuse"), BehindEvent: event("refresh.behind"),
	}
	if gen.IntN(3) == 0 {
		p.Presented = max(0, s.Generation+int64(gen.IntN(9)-6))
	}
	if gen.IntN(4) == 0 {
		p.Subject = pick(gen, s.Subject, s.Subject, core.NewUUID())
	}
	if gen.IntN(25) == 0 {
		p.ID.Epoch = 1
	}
	if gen.IntN(40) == 0 {
		p.ID.Key = core.NewSessionKey()
	}
	return p
}
