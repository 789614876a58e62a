package storetest

import (
	"slices"
	"sync"

	"github.com/sallyport/sallyport/internal/core"
)

// reserved sets numbers aside.
func (e *env) reserved(space core.StatusSpace, count int, incarnation string, at int64) int64 {
	e.Helper()
	first, err := e.ReserveStatus(e.ctx, &core.ReserveStatusParams{Space: space, Count: count, Incarnation: incarnation, Now: at})
	e.ok(err)
	return first
}

func (e *env) statusList(space core.StatusSpace, list, known, at int64) *core.StatusList {
	e.Helper()
	l, err := e.StatusList(e.ctx, core.StatusQuery{Space: space, List: list, Known: known, Now: at})
	e.ok(err)
	return l
}

// deadIn tells which of the numbers a list calls dead.
func deadIn(l *core.StatusList, numbers ...int64) []bool {
	out := make([]bool, len(numbers))
	for i, n := range numbers {
		n %= core.StatusListSize
		out[i] = l.Dead[n/8]>>(n%8)&1 == 1
	}
	return out
}

// closedLater is when no block of these cases is open any more.
const closedLater = now + core.StatusOpenMS

func statusNumbers(e *env) {
	_, err := e.StatusList(e.ctx, core.StatusQuery{Space: core.StatusSessions, Now: now})
	e.is(err, core.ErrNoRow)
	equal(e, "first", e.reserved(core.StatusSessions, 10, "in_a", now), int64(1))
	equal(e, "second", e.reserved(core.StatusSessions, 5, "in_a", now), int64(11))
	equal(e, "of the other space", e.reserved(core.StatusTokens, 1, "in_a", now), int64(1))
	e.again()
	equal(e, "after a restart", e.reserved(core.StatusSessions, core.StatusListSize, "in_a", now+1), int64(16))
	l := e.statusList(core.StatusSessions, 0, 0, now)
	equal(e, "version, length", []any{l.Version, len(l.Dead)}, []any{int64(1), core.StatusListSize / 8})
	equal(e, "unchanged", e.statusList(core.StatusSessions, 0, 1, now), &core.StatusList{Version: 1})

	// Nothing but 0, which is no number, is dead while the blocks are open, nor
	// is what was never reserved; later what no row holds is.
	equal(e, "open", deadIn(l, 0, 1, 15, 16, 65535), []bool{true, false, false, false, false})
	equal(e, "one closed", deadIn(e.statusList(core.StatusSessions, 0, 0, closedLater), 1, 15, 16, 65535), []bool{true, true, false, false})
	equal(e, "all closed", deadIn(e.statusList(core.StatusSessions, 0, 0, closedLater+1), 1, 16, 65535), []bool{true, true, true})
	second := e.statusList(core.StatusSessions, 1, 0, closedLater+1)
	equal(e, "end of what was reserved", deadIn(second, 65536, 65551, 65552, 131071), []bool{true, true, false, false})
	_, err = e.StatusList(e.ctx, core.StatusQuery{Space: core.StatusSessions, List: 2, Now: now})
	e.is(err, core.ErrNoRow)

	// A restored store must not give numbers that its former life gave.
	leapt := e.reserved(core.StatusSessions, 3, "in_b", now+1)
	equal(e, "leap", leapt, int64(core.StatusLeap))
	equal(e, "and on", e.reserved(core.StatusSessions, 3, "in_b", now+1), leapt+3)
	equal(e, "again", e.reserved(core.StatusSessions, 3, "in_c", now+1), int64(2*core.StatusLeap))
	equal(e, "the gap is dead", deadIn(e.statusList(core.StatusSessions, 1, 0, closedLater+1), 65552, 131071), []bool{true, true})
	equal(e, "the new life's is not", deadIn(e.statusList(core.StatusSessions, leapt/core.StatusListSize, 0, now+1), leapt, leapt+5), []bool{false, false})

	removed := e.purged(closedLater + 1).Removed["status_blocks"]
	equal(e, "blocks purged", removed, 7)
	equal(e, "and nothing is alive by it", deadIn(e.statusList(core.StatusSessions, 0, 0, closedLater+1), 1, 16), []bool{true, true})
}

func raceStatus(e *env) {
	var mu sync.Mutex
	var all []int64
	at(20, func(int) {
		for range 5 {
			first, err := e.ReserveStatus(e.ctx, &core.ReserveStatusParams{Space: core.StatusSessions, Count: 3, Incarnation: "in_a", Now: now})
			if err != nil {
				e.Errorf("reserving: %v", err)
				return
			}
			mu.Lock()
			all = append(all, first, first+1, first+2)
			mu.Unlock()
		}
	})
	slices.Sort(all)
	for i, n := range all {
		if n != int64(i)+1 {
			e.Fatalf("number %d in place %d: one was given twice or left out", n, i+1)
		}
	}
}

func statusOfSessions(e *env) {
	first := e.reserved(core.StatusSessions, 20, "in_a", now)
	ann, bea := e.user("ann"), e.user("bea")
	open := func(u *core.User, n int64) *core.Session {
		e.Helper()
		p := opening(u)
		p.Session.Status = first + n
		res, err := e.OpenSession(e.ctx, p)
		e.ok(err)
		equal(e, "number of the session", []int64{res.Session.Status, e.sessionNow(res.Session.ID).Status}, []int64{first + n, first + n})
		return res.Session
	}
	s := []*core.Session{open(ann, 0), open(ann, 1), open(bea, 2), open(bea, 3)}
	version := int64(1)
	// check looks while the block is open and later, when nothing but rows counts.
	check := func(what string, changed bool, want ...bool) {
		e.Helper()
		l := e.statusList(core.StatusSessions, 0, 0, now)
		if changed != (l.Version > version) {
			e.Fatalf("%s: version %d after %d", what, l.Version, version)
		}
		version = l.Version
		for _, at := range []int64{now, closedLater} {
			l := e.statusList(core.StatusSessions, 0, 0, at)
			equal(e, what, deadIn(l, first, first+1, first+2, first+3), want)
		}
	}
	check("opened", false, false, false, false, false)
	equal(e, "moved", e.refreshed(presenting(s[0], 0, now+1)).Session.Status, first)
	check("refreshed", false, false, false, false, false)
	_, err := e.RevokeSessions(e.ctx, &core.RevokeSessionsParams{ID: &s[0].ID, Now: now, FactPurgeAt: now + day})
	e.ok(err)
	check("revoked", true, true, false, false, false)

	// A token fact that renumbers: the number of before is dead, the new one lives.
	again := first + 10
	f, err := e.AddFact(e.ctx, &core.AddFactParams{
		Fact: core.Fact{Kind: core.FactToken, Subject: core.NewUUID(), At: now, PurgeAt: now + day}, Now: now,
		Renumber: &core.Renumbering{Session: s[1].ID, Status: again},
	})
	e.ok(err)
	if f.Number == 0 {
		e.Fatal("no fact")
	}
	equal(e, "new number", e.sessionNow(s[1].ID).Status, again)
	for _, at := range []int64{now, closedLater} {
		equal(e, "lives", deadIn(e.statusList(core.StatusSessions, 0, 0, at), first+1, again), []bool{true, false})
	}
	unnumbered := open(bea, 12)
	_, err = e.AddFact(e.ctx, &core.AddFactParams{
		Fact: core.Fact{Kind: core.FactToken, Subject: "u", At: now}, Now: now, Renumber: &core.Renumbering{Session: unnumbered.ID},
	})
	e.ok(err)
	equal(e, "no number", e.sessionNow(unnumbered.ID).Status, int64(0))
	equal(e, "the one it had", deadIn(e.statusList(core.StatusSessions, 0, 0, now), unnumbered.Status), []bool{true})
	version = e.statusList(core.StatusSessions, 0, 0, now).Version
	for _, id := range []core.SessionID{s[0].ID, {Key: core.NewSessionKey()}} { // revoked; not there
		_, err = e.AddFact(e.ctx, &core.AddFactParams{
			Fact: core.Fact{Kind: core.FactToken, Subject: "t", At: now}, Now: now, Renumber: &core.Renumbering{Session: id, Status: first + 11},
		})
		e.ok(err)
	}
	equal(e, "a revoked session keeps its number", e.sessionNow(s[0].ID).Status, first)
	equal(e, "lists with life", e.liveLists(core.StatusSessions), []int64{0})

	e.change(ann.ID, core.ChangeUserParams{Patch: core.UserPatch{State: ptr(core.Disabled)}, Effects: core.Effects{EndSessions: true}})
	equal(e, "user disabled", deadIn(e.statusList(core.StatusSessions, 0, 0, now), again, first+2), []bool{true, false})
	version = e.statusList(core.StatusSessions, 0, 0, now).Version
	_, err = e.AddFact(e.ctx, &core.AddFactParams{Fact: core.Fact{Kind: core.FactEverything, At: now, PurgeAt: core.FactForever}, Now: now})
	e.ok(err)
	check("everything", true, true, true, true, true)
	after := open(bea, 4)
	equal(e, "a later session", deadIn(e.statusList(core.StatusSessions, 0, 0, closedLater), after.Status), []bool{false})
	list, err := e.ListSessions(e.ctx, core.SessionQuery{Subject: bea.ID, Now: now})
	e.ok(err)
	equal(e, "listed after everything ended", len(list), 1)
	equal(e, "the later one", list[0].ID, after.ID)

	_, err = e.SetAccountState(e.ctx, &core.SetAccountStateParams{ID: home, State: core.Disabled, FactPurgeAt: now + day, Now: now})
	e.ok(err)
	equal(e, "account disabled", deadIn(e.statusList(core.StatusSessions, 0, 0, now), after.Status), []bool{true})
	equal(e, "no list with life", e.liveLists(core.StatusSessions), nil)
	e.purged(now + 400*day)
	equal(e, "purged", deadIn(e.statusList(core.StatusSessions, 0, 0, now+400*day), first, first+1, first+2, after.Status), []bool{true, true, true, true})
}

func (e *env) liveLists(space core.StatusSpace) []int64 {
	e.Helper()
	all, err := e.StatusLists(e.ctx, space)
	e.ok(err)
	return all
}

// tokenChanges are the ways in which application tokens cease to count and
// count again; want says what is true of the user's three tokens after each:
// one left alone, one suspended by hand, one revoked by hand.
var tokenChanges = []struct {
	what  string
	do    func(e *env, u *core.User, ids []string)
	want  [3]bool
	facts int
}{
	{"suspended and revoked", func(e *env, _ *core.User, ids []string) {
		e.changeToken(ids[1], core.TokenSuspend)
		e.changeToken(ids[2], core.TokenRevoke)
	}, [3]bool{true, false, false}, 2},
	{"user disabled", func(e *env, u *core.User, _ []string) {
		e.change(u.ID, core.ChangeUserParams{Patch: core.UserPatch{State: ptr(core.Disabled)}, Effects: core.Effects{RaiseVersion: true, EndSessions: true}})
	}, [3]bool{}, 1},
	{"resumed while disabled", func(e *env, _ *core.User, ids []string) { e.changeToken(ids[1], core.TokenResume) }, [3]bool{}, 0},
	{"user enabled", func(e *env, u *core.User, _ []string) {
		e.change(u.ID, core.ChangeUserParams{Patch: core.UserPatch{State: ptr(core.Active)}})
	}, [3]bool{true, true, false}, 2},
	{"type changed", func(e *env, u *core.User, _ []string) {
		e.change(u.ID, core.ChangeUserParams{Patch: core.UserPatch{Type: ptr(core.TypeUser)}})
	}, [3]bool{}, 2},
	{"account disabled too", func(e *env, _ *core.User, _ []string) { e.accountState(core.Disabled) }, [3]bool{}, 0},
	{"type changed back", func(e *env, u *core.User, _ []string) {
		e.change(u.ID, core.ChangeUserParams{Patch: core.UserPatch{Type: ptr(core.TypeApplication)}})
	}, [3]bool{}, 0},
	{"account enabled", func(e *env, _ *core.User, _ []string) { e.accountState(core.Active) }, [3]bool{true, true, false}, 2},
	{"roles changed", func(e *env, u *core.User, _ []string) {
		e.change(u.ID, core.ChangeUserParams{Patch: core.UserPatch{Roles: ptr([]string{"other"})}, Effects: core.Effects{RaiseVersion: true}})
	}, [3]bool{true, true, false}, 0},
	{"suspended", func(e *env, _ *core.User, ids []string) { e.changeToken(ids[1], core.TokenSuspend) }, [3]bool{true, false, false}, 1},
	{"resumed", func(e *env, _ *core.User, ids []string) { e.changeToken(ids[1], core.TokenResume) }, [3]bool{true, true, false}, 1},
	{"password reset", func(e *env, u *core.User, _ []string) {
		e.change(u.ID, core.ChangeUserParams{Effects: core.Effects{EndSessions: true, SuspendSessionTokens: true}})
	}, [3]bool{true, true, false}, 0}, // the session that they were minted in ended long ago
	{"compromised", func(e *env, u *core.User, _ []string) {
		e.change(u.ID, core.ChangeUserParams{Effects: core.Effects{EndSessions: true, RevokeApplicationToken: true, DeleteAPIKeys: true}})
	}, [3]bool{}, 2},
	{"deleted", func(e *env, u *core.User, _ []string) {
		e.ok(e.DeleteUser(e.ctx, &core.DeleteUserParams{ID: u.ID, Now: now, FactPurgeAt: now + day}))
	}, [3]bool{}, 0},
}

func (e *env) changeToken(id string, a core.ApplicationTokenAction) {
	e.Helper()
	_, err := e.ChangeApplicationToken(e.ctx, &core.ChangeApplicationTokenParams{ID: id, Action: a, Now: now})
	e.ok(err)
}

func (e *env) accountState(s core.State) {
	e.Helper()
	_, err := e.SetAccountState(e.ctx, &core.SetAccountStateParams{ID: home, State: s, Now: now, FactPurgeAt: now + day})
	e.ok(err)
}

// mintThree mints three tokens of a user, numbered from first (0: none), and
// one of somebody else's, whom nothing here may touch.
func (e *env) mintThree(first int64) (u *core.User, ids []string) {
	e.Helper()
	u = e.create(newUser("app", core.TypeApplication))
	other := e.create(newUser("app2", core.TypeApplication))
	for i := range int64(4) {
		owner := u
		if i == 3 {
			owner = other
		}
		p := minting(owner, e.login(owner))
		if first > 0 {
			p.Token.Status = first + i
		}
		equal(e, "minted", e.minted(p), core.Minted)
		got, _, err := e.ApplicationTokenByHash(e.ctx, p.Token.Hash)
		e.ok(err)
		equal(e, "number", got.Status, p.Token.Status)
		ids = append(ids, p.Token.ID)
	}
	return u, ids
}

// tokenFacts: a follower that only hears facts knows of each token what its row
// says, and there is at most one fact on each. A fact on a token of a session
// that was given the same jti neither stands in for one nor goes with them.
func tokenFacts(e *env) {
	u, ids := e.mintThree(0)
	_, err := e.AddFact(e.ctx, &core.AddFactParams{Now: now, Event: event("revoke"), Fact: core.Fact{
		Kind: core.FactToken, Subject: ids[0], Spare: "5-x", At: now, PurgeAt: now + day,
	}})
	e.ok(err)
	heard := map[string]bool{} // jti: the latest fact ended it
	seen := e.lastFact()
	for _, c := range tokenChanges {
		c.do(e, u, ids)
		added := 0
		for _, f := range e.factsSince(seen) {
			seen = f.Number
			if f.Kind != core.FactToken || f.Subject == ids[3] {
				continue
			}
			added++
			heard[f.Subject] = f.Spare != f.Subject
			equal(e, c.what+": kept", f.PurgeAt, core.FactForever)
		}
		equal(e, c.what+": facts", added, c.facts)
		equal(e, c.what, [3]bool{!heard[ids[0]], !heard[ids[1]], !heard[ids[2]]}, c.want)
	}
	stored := map[string]int{}
	for _, f := range e.factsSince(0) {
		switch {
		case f.OfSession():
			stored["of a session"]++
		case f.Kind == core.FactToken:
			stored[f.Subject]++
		}
	}
	equal(e, "facts on each token", stored, map[string]int{ids[0]: 1, ids[1]: 1, ids[2]: 1, ids[3]: 1, "of a session": 1})
}

// statusOfTokens: the list says of each token what its row says, in the open
// block and after.
func statusOfTokens(e *env) {
	first := e.reserved(core.StatusTokens, 16, "in_a", now)
	u, ids := e.mintThree(first)
	before := e.statusList(core.StatusTokens, 0, 0, now)
	for _, c := range tokenChanges {
		c.do(e, u, ids)
		for _, at := range []int64{now, closedLater} {
			l := e.statusList(core.StatusTokens, 0, 0, at)
			dead := deadIn(l, first, first+1, first+2)
			equal(e, c.what, [3]bool{!dead[0], !dead[1], !dead[2]}, c.want)
			if changed := !slices.Equal(l.Dead, before.Dead); at == now && changed && l.Version <= before.Version {
				e.Fatalf("%s: the list changed under version %d", c.what, l.Version)
			}
			if at == now {
				before = l
			}
		}
	}
	equal(e, "the other's", deadIn(e.statusList(core.StatusTokens, 0, 0, closedLater), first+3), []bool{false})
	equal(e, "lists with life", e.liveLists(core.StatusTokens), []int64{0})
	e.purged(now + 400*day)
	equal(e, "purged", deadIn(e.statusList(core.StatusTokens, 0, 0, now+400*day), first, first+1, first+2, first+3), []bool{true, true, true, false})
}
