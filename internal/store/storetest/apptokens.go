package storetest

import "github.com/sallyport/sallyport/internal/core"

func applicationTokens(e *env) {
	u := e.create(newUser("app", core.TypeApplication))
	s := e.login(u)
	p := minting(u, s)
	equal(e, "minted", e.minted(p), core.Minted)
	equal(e, "repeated", e.minted(p), core.MintRepeat)
	got, subj, err := e.ApplicationTokenByHash(e.ctx, p.Token.Hash)
	e.ok(err)
	want := p.Token
	equal(e, "stored token", got, &want)
	equal(e, "subject", []any{subj.Type, subj.Username}, []any{core.TypeApplication, "app"})
	equal(e, "audit", e.audited(0), []string{"user.create", "login", "apptoken.mint"})

	clash := minting(u, s)
	clash.Token.ID = p.Token.ID
	_, err = e.MintApplicationToken(e.ctx, clash)
	e.is(err, core.ErrExists)
	_, _, err = e.ApplicationTokenByHash(e.ctx, clash.Token.Hash)
	e.is(err, core.ErrNoRow)

	e.ok(e.TouchApplicationTokens(e.ctx, []core.TokenTouch{
		{ID: p.Token.ID, At: now + 60_000, Address: "192.0.2.50"}, {ID: core.NewUUID(), At: now}, {ID: p.Token.ID, At: now, Address: "late"},
	}))
	want.LastUsed, want.LastFrom = now+60_000, "192.0.2.50"

	change := func(action core.ApplicationTokenAction, facts int) *core.ApplicationToken {
		e.Helper()
		last, seen := e.lastFact(), e.lastAudit()
		a, err := e.ChangeApplicationToken(e.ctx, &core.ChangeApplicationTokenParams{
			ID: p.Token.ID, Action: action, Now: now + 1, Event: event("apptoken." + string(action)),
		})
		e.ok(err)
		added := e.factsSince(last)
		equal(e, string(action)+": facts", len(added), facts)
		if facts > 0 {
			spare := ""
			if action == core.TokenResume {
				spare = p.Token.ID // the fact spares the token: it counts again
			}
			equal(e, "fact", []any{added[0].Kind, added[0].Subject, added[0].Spare, added[0].PurgeAt}, []any{core.FactToken, p.Token.ID, spare, core.FactForever})
		}
		equal(e, "audit", e.audited(seen), []string{"apptoken." + string(action)})
		return a
	}
	want.Suspended = true
	equal(e, "suspended", change(core.TokenSuspend, 1), &want)
	want.Suspended = false
	equal(e, "resumed", change(core.TokenResume, 1), &want)
	want.RevokedAt = now + 1
	equal(e, "revoked", change(core.TokenRevoke, 1), &want)
	got, _, err = e.ApplicationTokenByHash(e.ctx, p.Token.Hash)
	e.ok(err)
	equal(e, "revoked ones are found", got, &want)
	for _, id := range []string{p.Token.ID, core.NewUUID()} {
		_, err = e.ChangeApplicationToken(e.ctx, &core.ChangeApplicationTokenParams{ID: id, Action: core.TokenResume, Now: now})
		e.is(err, core.ErrNoRow)
	}

	other := e.create(newUser("app2", core.TypeApplication))
	var ids []string
	for i := range int64(3) {
		owner, in := u, s
		if i == 2 {
			owner, in = other, e.login(other)
		}
		m := minting(owner, in)
		m.Token.CreatedAt, m.Token.Scopes, m.Token.Networks = now+i, nil, nil
		equal(e, "minted", e.minted(m), core.Minted)
		ids = append(ids, m.Token.ID)
	}
	for _, c := range []struct {
		q    core.ApplicationTokenQuery
		want []string
	}{
		{core.ApplicationTokenQuery{}, []string{ids[2], ids[1], ids[0]}},
		{core.ApplicationTokenQuery{User: u.ID}, []string{ids[1], ids[0]}},
		{core.ApplicationTokenQuery{Account: home, Before: now + 2, Limit: 1}, []string{ids[1]}},
		{core.ApplicationTokenQuery{Account: "ac_other"}, nil},
	} {
		list, err := e.ListApplicationTokens(e.ctx, c.q)
		e.ok(err)
		var have []string
		for _, a := range list {
			have = append(have, a.ID)
		}
		equal(e, "listed", have, c.want)
	}
}

func mintingGate(e *env) {
	u := e.create(newUser("app", core.TypeApplication))
	s := e.login(u)
	plain := e.user("plain")
	inPlain := e.login(plain)
	revoked := e.login(u)
	_, err := e.RevokeSessions(e.ctx, &core.RevokeSessionsParams{ID: &revoked.ID, Now: now})
	e.ok(err)
	for name, c := range map[string]struct {
		p    *core.MintParams
		do   func(*core.MintParams)
		want core.MintVerdict
	}{
		"plain user":        {minting(plain, inPlain), func(*core.MintParams) {}, core.MintType},
		"version":           {minting(u, s), func(p *core.MintParams) { p.Gate.Version = 9 }, core.MintStale},
		"account version":   {minting(u, s), func(p *core.MintParams) { p.Gate.AccountVersion = 9 }, core.MintStale},
		"unknown user":      {minting(u, s), func(p *core.MintParams) { p.Gate.Subject = core.NewUUID(); p.Token.User = p.Gate.Subject }, core.MintStale},
		"revoked session":   {minting(u, revoked), func(*core.MintParams) {}, core.MintStale},
		"session's epoch":   {minting(u, s), func(p *core.MintParams) { p.Session.Epoch = 77 }, core.MintStale},
		"no session":        {minting(u, s), func(p *core.MintParams) { p.Session.Key = core.NewSessionKey() }, core.MintStale},
		"another's session": {minting(u, inPlain), func(*core.MintParams) {}, core.MintStale},
		"another mount":     {minting(u, s), func(p *core.MintParams) { p.Token.Mount = "m2" }, core.MintStale},
		"session expired":   {minting(u, s), func(p *core.MintParams) { p.Now = now + 31*day }, core.MintStale},
		"cap":               {minting(u, s), func(p *core.MintParams) { p.MaxPerUser = 1 }, core.Minted},
		"for another user":  {minting(u, s), func(p *core.MintParams) { p.Token.User = plain.ID }, core.MintType},
	} {
		c.do(c.p)
		equal(e, name, e.minted(c.p), c.want)
		_, _, err := e.ApplicationTokenByHash(e.ctx, c.p.Token.Hash)
		if c.want != core.Minted {
			e.is(err, core.ErrNoRow)
		}
	}
	// One token is there now.
	full := minting(u, s)
	full.MaxPerUser = 1
	equal(e, "beyond the cap", e.minted(full), core.MintTooMany)
	full.MaxPerUser = 0
	equal(e, "no cap", e.minted(full), core.Minted)
	e.change(u.ID, core.ChangeUserParams{Patch: core.UserPatch{State: ptr(core.Disabled)}})
	equal(e, "disabled", e.minted(minting(u, s)), core.MintStale)
}
