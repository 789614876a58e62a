package storetest

import "github.com/sallyport/sallyport/internal/core"

func apiKeys(e *env) {
	k := newKey("daemon")
	k.Secrets = []core.APISecret{{Number: 2, Sealed: []byte{0, 1, 255}, CreatedAt: now + 1}, {Number: 1, Sealed: []byte("old"), CreatedAt: now, ExpiresAt: now + day}}
	got, err := e.CreateAPIKey(e.ctx, &core.CreateAPIKeyParams{Key: k, Now: now, Event: event("apikey.create")})
	e.ok(err)
	equal(e, "created key", got, &k)
	want := &core.APIKeyRecord{APIKey: k, AccountShortname: core.DefaultAccount, AccountState: core.Active, AccountVersion: 1}
	rec, err := e.APIKeyByID(e.ctx, k.ID)
	e.ok(err)
	equal(e, "key by id", rec, want)
	rec, err = e.APIKeyByName(e.ctx, core.DefaultAccount, "daemon")
	e.ok(err)
	equal(e, "key by name", rec, want)
	_, err = e.APIKeyByName(e.ctx, "other", "daemon")
	e.is(err, core.ErrNoRow)
	_, err = e.APIKeyByID(e.ctx, "key_none")
	e.is(err, core.ErrNoRow)

	for _, again := range []func(*core.APIKey){func(n *core.APIKey) { n.ID = k.ID }, func(n *core.APIKey) { n.AppName = "daemon" }} {
		n := newKey("other")
		again(&n)
		_, err = e.CreateAPIKey(e.ctx, &core.CreateAPIKeyParams{Key: n, Now: now})
		e.is(err, core.ErrExists)
	}
	lost := newKey("lost")
	lost.Account = "ac_none"
	_, err = e.CreateAPIKey(e.ctx, &core.CreateAPIKeyParams{Key: lost, Now: now})
	e.is(err, core.ErrNoRow)

	ex, err := e.ExchangeRequestToken(e.ctx, exchanging(&k, "t"))
	e.ok(err)
	last := e.lastFact()
	changed := k
	changed.Description, changed.Roles, changed.UpdatedAt = "new", nil, now+5
	changed.Secrets = []core.APISecret{{Number: 3, Sealed: []byte("three"), CreatedAt: now + 5}}
	changed.LastLogin, changed.LastFrom = now, "192.0.2.7"
	changed.Version = 2 // an exchange under way with the former secret must stop
	got, err = e.ChangeAPIKey(e.ctx, &core.ChangeAPIKeyParams{
		ID: k.ID, IfVersion: 1, Now: now + 5, Event: event("apikey.change"),
		Patch: core.APIKeyPatch{Description: ptr("new"), Roles: ptr([]string{}), Secrets: &changed.Secrets},
	})
	e.ok(err)
	got.Roles = nil
	equal(e, "changed key", got, &changed)
	rec, err = e.APIKeyByID(e.ctx, k.ID)
	e.ok(err)
	equal(e, "stored key", &rec.APIKey, &changed)
	equal(e, "no fact", e.lastFact(), last)
	_, err = e.ChangeAPIKey(e.ctx, &core.ChangeAPIKeyParams{ID: k.ID, IfVersion: 7, Now: now})
	e.is(err, core.ErrStale)
	_, err = e.ChangeAPIKey(e.ctx, &core.ChangeAPIKeyParams{ID: "key_none", Now: now})
	e.is(err, core.ErrNoRow)

	got, err = e.ChangeAPIKey(e.ctx, &core.ChangeAPIKeyParams{
		ID: k.ID, Patch: core.APIKeyPatch{State: ptr(core.Disabled)}, EndSessions: true, FactPurgeAt: now + day, Now: now + 6, Event: event("apikey.disable"),
	})
	e.ok(err)
	equal(e, "disabled key", []any{got.State, got.Version, len(got.Secrets)}, []any{core.Disabled, int64(3), 1})
	facts := e.factsSince(last)
	equal(e, "fact", []any{len(facts), facts[0].Kind, facts[0].Subject, facts[0].PurgeAt}, []any{1, core.FactAPIKey, k.ID, now + day})
	equal(e, "its session", e.refreshed(presenting(ex.Session, 0, now)).Verdict, core.RefreshRevoked)

	for _, n := range []string{"a", "b"} {
		e.key(n)
	}
	_, err = e.ChangeAPIKey(e.ctx, &core.ChangeAPIKeyParams{ID: k.ID, Patch: core.APIKeyPatch{State: ptr(core.Deleted)}, EndSessions: true, Now: now})
	e.ok(err)
	_, err = e.ChangeAPIKey(e.ctx, &core.ChangeAPIKeyParams{ID: k.ID, Patch: core.APIKeyPatch{State: ptr(core.Active)}, Now: now})
	e.is(err, core.ErrNoRow)
	_, err = e.APIKeyByName(e.ctx, core.DefaultAccount, "daemon")
	e.is(err, core.ErrNoRow)
	rec, err = e.APIKeyByID(e.ctx, k.ID)
	e.ok(err)
	equal(e, "deleted key", []any{rec.State, len(rec.Secrets)}, []any{core.Deleted, 0})
	list, err := e.ListAPIKeys(e.ctx, core.APIKeyQuery{Account: home})
	e.ok(err)
	equal(e, "live keys", []any{len(list), list[0].AppName, list[1].AppName, len(list[0].Secrets)}, []any{2, "a", "b", 1})
	list, err = e.ListAPIKeys(e.ctx, core.APIKeyQuery{Account: home, After: "a", Limit: 5})
	e.ok(err)
	equal(e, "next page", []any{len(list), list[0].AppName}, []any{1, "b"})
	e.key("daemon") // a deleted key's name is free
}

func exchange(e *env) {
	k := e.key("daemon")
	p := exchanging(k, "token")
	seen := e.lastAudit()
	first, err := e.ExchangeRequestToken(e.ctx, p)
	e.ok(err)
	equal(e, "first", first.Verdict, core.Exchanged)
	equal(e, "session", []any{first.Session.Subject, first.Session.SubjectKind}, []any{k.ID, core.SubjectAPIKey})
	equal(e, "subject", first.Subject, &core.Subject{
		Kind: core.SubjectAPIKey, ID: k.ID, Account: home, AccountShortname: core.DefaultAccount, AccountState: core.Active, AccountVersion: 1,
		State: core.Active, Version: 1, Type: core.TypeApplication, Username: "daemon", Roles: k.Roles, Attributes: []byte("{}"),
	})
	rec, err := e.APIKeyByID(e.ctx, k.ID)
	e.ok(err)
	equal(e, "last login", []any{rec.LastLogin, rec.LastFrom}, []any{now, "192.0.2.7"})

	arrival := func(at int64, address string, change func(*core.ExchangeParams)) *core.ExchangeResult {
		e.Helper()
		again := exchanging(k, "token")
		again.Address, again.Open.Now = address, at
		if change != nil {
			change(again)
		}
		res, err := e.ExchangeRequestToken(e.ctx, again)
		e.ok(err)
		return res
	}
	twin := arrival(now+core.TwinWindowMS, p.Address, nil)
	equal(e, "twin", twin.Verdict, core.ExchangeTwin)
	equal(e, "the twin's session", twin.Session, first.Session)
	equal(e, "a twin past the gate", arrival(now+1, p.Address, func(x *core.ExchangeParams) { x.Open.Gate.Version = 5 }).Verdict, core.ExchangeStale)
	equal(e, "audit so far", e.audited(seen), []string{"login"})
	for name, res := range map[string]*core.ExchangeResult{
		"late":            arrival(now+core.TwinWindowMS+1, p.Address, nil),
		"elsewhere":       arrival(now+1, "198.51.100.1", nil),
		"clock went back": arrival(now-1, p.Address, nil),
	} {
		equal(e, name, []any{res.Verdict, res.FirstAddress, res.Session == nil}, []any{core.ExchangeReplayed, p.Address, true})
	}
	records, err := e.ListAudit(e.ctx, core.AuditQuery{Kind: "request_token.replay"})
	e.ok(err)
	equal(e, "replays audited", len(records), 3)
	equal(e, "both addresses", []string{records[1].Event.Detail["first_address"], records[1].Event.Detail["second_address"], records[1].Event.Detail["k"]},
		[]string{p.Address, "198.51.100.1", "v"})
	equal(e, "the caller's event", len(p.ReplayEvent.Detail), 1)

	_, err = e.RevokeSessions(e.ctx, &core.RevokeSessionsParams{ID: &first.Session.ID, Now: now})
	e.ok(err)
	equal(e, "twin of an ended session", arrival(now+1, p.Address, nil).Verdict, core.ExchangeEnded)

	// What the gate refuses is not remembered.
	stale := exchanging(k, "other")
	stale.Open.Gate.Version = 9
	res, err := e.ExchangeRequestToken(e.ctx, stale)
	e.ok(err)
	equal(e, "stale", []any{res.Verdict, res.Session == nil}, []any{core.ExchangeStale, true})
	res, err = e.ExchangeRequestToken(e.ctx, exchanging(k, "other"))
	e.ok(err)
	equal(e, "the same token afterwards", res.Verdict, core.Exchanged)
}
