package storetest

import (
	"github.com/sallyport/sallyport/internal/core"
)

// skipFacts: numbers that another life of the store gave are not given again.
func skipFacts(e *env) {
	skip := func(above int64) {
		e.ok(e.SkipFacts(e.ctx, &core.SkipFactsParams{Above: above, Now: now, Event: event("restore.confirm")}))
	}
	add := func() int64 {
		f, err := e.AddFact(e.ctx, &core.AddFactParams{Fact: core.Fact{Kind: core.FactUser, Subject: "u", At: now}, Now: now})
		e.ok(err)
		return f.Number
	}
	skip(100) // before the first fact
	equal(e, "last", e.lastFact(), int64(100))
	equal(e, "the next", add(), int64(101))
	skip(50)
	equal(e, "never back", add(), int64(102))
	skip(1 << 40)
	e.again()
	equal(e, "kept", e.lastFact(), int64(1<<40))
	equal(e, "the epoch of a session", e.login(e.user("ada")).ID.Epoch, int64(1<<40))
	equal(e, "the one after", add(), int64(1<<40+1))
	equal(e, "audited", e.audited(0), []string{"restore.confirm", "restore.confirm", "restore.confirm", "user.create", "login"})
	e.ok(e.WriteFault())
}

// factReasons: what a fact says of why is what a restored store is told by.
func factReasons(e *env) {
	u := e.create(newUser("ada", core.TypeApplication))
	k := newKey("daemon")
	k.Owner = u.ID
	_, err := e.CreateAPIKey(e.ctx, &core.CreateAPIKeyParams{Key: k, Now: now})
	e.ok(err)
	seen := int64(0)
	reasons := func() (all []string) {
		for _, f := range e.factsSince(seen) {
			all = append(all, string(f.Kind)+": "+f.Reason)
			seen = f.Number
		}
		return all
	}
	change := func(state *core.State, eff core.Effects, why string) {
		_, err := e.ChangeUser(e.ctx, &core.ChangeUserParams{
			ID: u.ID, Patch: core.UserPatch{State: state}, Effects: eff, FactReason: why, FactPurgeAt: now + day, Now: now,
		})
		e.ok(err)
	}
	change(nil, core.Effects{EndSessions: true}, "")
	equal(e, "no reason given", reasons(), []string{"user: user"})
	change(nil, core.Effects{EndSessions: true}, core.ReasonPassword)
	equal(e, "a password", reasons(), []string{"user: password"})
	change(ptr(core.Disabled), core.Effects{EndSessions: true}, core.ReasonDisabled)
	equal(e, "disabled", reasons(), []string{"user: disabled", "apikey: disabled"})
	key := func(state core.State) {
		_, err := e.ChangeAPIKey(e.ctx, &core.ChangeAPIKeyParams{ID: k.ID, Patch: core.APIKeyPatch{State: &state}, EndSessions: true, FactPurgeAt: now + day, Now: now})
		e.ok(err)
	}
	key(core.Disabled)
	equal(e, "key disabled", reasons(), []string{"apikey: api key disabled"})
	change(nil, core.Effects{EndSessions: true, DeleteAPIKeys: true}, core.ReasonCompromised)
	equal(e, "compromised", reasons(), []string{"user: compromised", "apikey: compromised"})
	other := e.key("other")
	k.ID = other.ID
	key(core.Deleted)
	equal(e, "key deleted", reasons(), []string{"apikey: api key deleted"})
	e.ok(e.DeleteUser(e.ctx, &core.DeleteUserParams{ID: u.ID, FactPurgeAt: now + day, Now: now}))
	equal(e, "deleted", reasons(), []string{"user: user deleted"})
}
