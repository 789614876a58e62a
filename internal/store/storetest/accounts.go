package storetest

import "github.com/sallyport/sallyport/internal/core"

func (e *env) account(shortname string) *core.Account {
	e.Helper()
	a, err := e.CreateAccount(e.ctx, &core.CreateAccountParams{
		Account: core.Account{ID: core.NewID("ac_"), Shortname: shortname, State: core.Active, Version: 1, CreatedAt: now},
		Now:     now, Event: event("account.create"),
	})
	e.ok(err)
	return a
}

func accounts(e *env) {
	def, err := e.AccountByShortname(e.ctx, core.DefaultAccount)
	e.ok(err)
	equal(e, "default account", []any{def.ID, def.State, def.Version}, []any{home, core.Active, int64(1)})

	a := e.account("acme")
	got, err := e.AccountByID(e.ctx, a.ID)
	e.ok(err)
	equal(e, "account by id", got, a)
	got, err = e.AccountByShortname(e.ctx, "acme")
	e.ok(err)
	equal(e, "account by shortname", got, a)

	_, err = e.AccountByID(e.ctx, "ac_none")
	e.is(err, core.ErrNoRow)
	_, err = e.AccountByShortname(e.ctx, "none")
	e.is(err, core.ErrNoRow)
	for _, again := range []core.Account{{ID: a.ID, Shortname: "other"}, {ID: "ac_other", Shortname: "acme"}} {
		again.State, again.Version = core.Active, 1
		_, err = e.CreateAccount(e.ctx, &core.CreateAccountParams{Account: again, Now: now, Event: event("account.create")})
		e.is(err, core.ErrExists)
	}

	e.account("zeta")
	var names []string
	for after := ""; ; {
		page, err := e.ListAccounts(e.ctx, after, 2)
		e.ok(err)
		if len(page) == 0 {
			break
		}
		for _, a := range page {
			names = append(names, a.Shortname)
		}
		after = names[len(names)-1]
	}
	equal(e, "accounts in pages", names, []string{"acme", "default", "zeta"})
	_, err = e.SetAccountState(e.ctx, &core.SetAccountStateParams{ID: "ac_none", State: core.Disabled, Now: now})
	e.is(err, core.ErrNoRow)
	equal(e, "audit", e.audited(0), []string{"account.create", "account.create"})
}

func accountDisabled(e *env) {
	a := e.account("acme")
	u := newUser("eve", core.TypeUser)
	u.Account = a.ID
	user := e.create(u)
	before := e.login(user)
	other := e.login(e.user("bob"))

	last := e.lastFact()
	got, err := e.SetAccountState(e.ctx, &core.SetAccountStateParams{ID: a.ID, State: core.Disabled, FactPurgeAt: now + day, Now: now, Event: event("account.disable")})
	e.ok(err)
	equal(e, "disabled account", []any{got.State, got.Version}, []any{core.Disabled, int64(2)})
	equal(e, "fact", e.factsSince(last), []core.Fact{{
		Number: last + 1, Kind: core.FactAccount, Subject: a.ID, Reason: "disabled", At: now, PurgeAt: now + day,
	}})
	_, err = e.OpenSession(e.ctx, opening(user))
	e.is(err, core.ErrStale)
	if v := e.refreshed(presenting(before, 0, now)).Verdict; v.Granted() {
		e.Fatalf("refresh in a disabled account: %s", v)
	}
	if v := e.refreshed(presenting(other, 0, now)).Verdict; v != core.RefreshMoved {
		e.Fatalf("refresh in another account: %s", v)
	}

	got, err = e.SetAccountState(e.ctx, &core.SetAccountStateParams{ID: a.ID, State: core.Active, Now: now, Event: event("account.enable")})
	e.ok(err)
	equal(e, "enabled account", []any{got.State, got.Version}, []any{core.Active, int64(3)})
	equal(e, "no fact for enabling", e.lastFact(), last+1)
	// A session from before the fact would only get tokens that are dead.
	if v := e.refreshed(presenting(before, 0, now)).Verdict; v != core.RefreshRevoked {
		e.Fatalf("refresh of an old session after enabling: %s, want revoked", v)
	}
	p := opening(user)
	p.Gate.AccountVersion = 3
	res, err := e.OpenSession(e.ctx, p)
	e.ok(err)
	equal(e, "epoch after the fact", res.Session.ID.Epoch, last+1)
}
