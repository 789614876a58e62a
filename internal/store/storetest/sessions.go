package storetest

import "github.com/sallyport/sallyport/internal/core"

func openSession(e *env) {
	u := e.user("ada")
	_, err := e.AddFact(e.ctx, &core.AddFactParams{Fact: core.Fact{Kind: core.FactSession, Subject: "0-x", At: now}, Now: now})
	e.ok(err)
	p := opening(u)
	p.Now = now + 3
	res, err := e.OpenSession(e.ctx, p)
	e.ok(err)
	want := p.Session
	want.ID.Epoch = 1
	equal(e, "opened session", res.Session, &want)
	equal(e, "subject", res.Subject, &core.Subject{
		Kind: core.SubjectUser, ID: u.ID, Account: home, AccountShortname: core.DefaultAccount, AccountState: core.Active, AccountVersion: 1,
		State: core.Active, Version: 1, Type: core.TypeUser, Username: "ada", Roles: u.Roles, Attributes: u.Attributes,
	})
	got, subj, err := e.SessionByID(e.ctx, want.ID)
	e.ok(err)
	equal(e, "stored session", got, &want)
	equal(e, "stored subject", subj, res.Subject)
	rec := e.userNow(u.ID)
	equal(e, "last login", []any{rec.LastLoginAt, rec.LastLoginFrom}, []any{now + 3, want.Address})

	records, err := e.ListAudit(e.ctx, core.AuditQuery{Kind: "login"})
	e.ok(err)
	equal(e, "sid in the audit record", []any{len(records), records[0].Event.Session}, []any{1, want.ID.String()})

	// Repeating the step finds the row, and nothing happens twice.
	again, err := e.OpenSession(e.ctx, p)
	e.ok(err)
	equal(e, "repeated", again.Session, &want)
	equal(e, "audit after repeating", len(e.audited(0)), 2)

	wrong := want.ID
	wrong.Epoch++
	_, _, err = e.SessionByID(e.ctx, wrong)
	e.is(err, core.ErrNoRow)
	_, _, err = e.SessionByID(e.ctx, core.SessionID{Key: core.NewSessionKey()})
	e.is(err, core.ErrNoRow)
}

func sessionGate(e *env) {
	u := e.user("ada")
	raise := core.Effects{RaiseVersion: true}
	for name, change := range map[string]func(*core.OpenSessionParams){
		"version":         func(p *core.OpenSessionParams) { p.Gate.Version = 7 },
		"account version": func(p *core.OpenSessionParams) { p.Gate.AccountVersion = 7 },
		"account":         func(p *core.OpenSessionParams) { p.Gate.Account = "ac_other" },
		"unknown user":    func(p *core.OpenSessionParams) { p.Gate.Subject = core.NewUUID() },
		"kind":            func(p *core.OpenSessionParams) { p.Gate.SubjectKind = core.SubjectAPIKey },
		"disabled": func(p *core.OpenSessionParams) {
			d := e.user("disabled")
			p.Gate.Subject = d.ID
			e.change(d.ID, core.ChangeUserParams{Patch: core.UserPatch{State: ptr(core.Disabled)}})
		},
		"deleted": func(p *core.OpenSessionParams) {
			d := e.user("deleted")
			p.Gate.Subject, p.Gate.Version = d.ID, 2
			e.ok(e.DeleteUser(e.ctx, &core.DeleteUserParams{ID: d.ID, Now: now}))
		},
		"password changed meanwhile": func(p *core.OpenSessionParams) {
			c := e.user("changed")
			p.Gate.Subject = c.ID
			e.change(c.ID, core.ChangeUserParams{Patch: core.UserPatch{PasswordHash: ptr("$new")}, Effects: raise})
		},
	} {
		p := opening(u)
		change(p)
		seen := e.lastAudit()
		_, err := e.OpenSession(e.ctx, p)
		if err == nil {
			e.Fatalf("%s: opened", name)
		}
		e.is(err, core.ErrStale)
		_, _, err = e.SessionByID(e.ctx, p.Session.ID)
		e.is(err, core.ErrNoRow)
		equal(e, name+": audit", e.audited(seen), []string{})
	}
}

func sessionCap(e *env) {
	u := e.user("ada")
	var ids []core.SessionID
	for i := range int64(4) {
		p := opening(u)
		p.Session.CreatedAt, p.Session.LastUsedAt, p.MaxPerSubject = now+i, now+10-i, 3
		res, err := e.OpenSession(e.ctx, p)
		e.ok(err)
		ids = append(ids, res.Session.ID)
	}
	// The fourth is the longest idle of all and is spared, being the new one.
	var alive []bool
	for _, id := range ids {
		alive = append(alive, e.sessionNow(id).RevokedAt == 0)
	}
	equal(e, "alive", alive, []bool{true, true, false, true})
	facts := e.factsSince(0)
	equal(e, "one fact", len(facts), 1)
	equal(e, "fact", []any{facts[0].Kind, facts[0].Subject, facts[0].PurgeAt}, []any{core.FactSession, ids[2].String(), now + day})

	// Revoked and expired sessions take no room.
	p := opening(u)
	p.MaxPerSubject, p.Now = 3, now+40*day // all others are past their deadline
	p.Session.CreatedAt, p.Session.LastUsedAt, p.Session.RefreshExpires = p.Now, p.Now, p.Now+day
	_, err := e.OpenSession(e.ctx, p)
	e.ok(err)
	equal(e, "no more facts", len(e.factsSince(0)), 1)
}

func listSessions(e *env) {
	u, v := e.user("ada"), e.user("bob")
	var ids []core.SessionID
	for i := range int64(4) {
		owner := u
		if i == 3 {
			owner = v
		}
		p := opening(owner)
		p.Session.CreatedAt = now + i
		if i == 1 {
			p.Session.Mount = "m2"
		}
		res, err := e.OpenSession(e.ctx, p)
		e.ok(err)
		ids = append(ids, res.Session.ID)
	}
	expired := opening(u)
	expired.Session.RefreshExpires = now + 5
	_, err := e.OpenSession(e.ctx, expired)
	e.ok(err)

	for _, c := range []struct {
		name string
		q    core.SessionQuery
		want []int
	}{
		{"all", core.SessionQuery{}, []int{3, 2, 1, 0}},
		{"subject", core.SessionQuery{Subject: u.ID}, []int{2, 1, 0}},
		{"mount", core.SessionQuery{Mount: "m2"}, []int{1}},
		{"account", core.SessionQuery{Account: home, Limit: 2}, []int{3, 2}},
		{"other account", core.SessionQuery{Account: "ac_other"}, nil},
		{"before", core.SessionQuery{Before: now + 2}, []int{1, 0}},
	} {
		c.q.Now = now + 10
		got, err := e.ListSessions(e.ctx, c.q)
		e.ok(err)
		var want, have []core.SessionID
		for _, i := range c.want {
			want = append(want, ids[i])
		}
		for _, s := range got {
			have = append(have, s.ID)
		}
		equal(e, c.name, have, want)
	}
	got, err := e.ListSessions(e.ctx, core.SessionQuery{Now: now + 100*day})
	e.ok(err)
	equal(e, "all expired", len(got), 0)

	before := e.sessionNow(ids[0])
	touches := []core.Touch{{ID: ids[0], At: now + 7}, {ID: core.SessionID{Key: core.NewSessionKey()}, At: now + 7}, {ID: ids[1], At: now - 9}}
	for range 300 { // more than one step's worth
		touches = append(touches, core.Touch{ID: ids[2], At: now + 9})
	}
	e.ok(e.TouchSessions(e.ctx, now+7, touches))
	after := *before
	after.LastUsedAt = now + 7
	equal(e, "touched", e.sessionNow(ids[0]), &after)
	equal(e, "never backwards", e.sessionNow(ids[1]).LastUsedAt, now)
	equal(e, "last of a long batch", e.sessionNow(ids[2]).LastUsedAt, now+9)
	e.ok(e.TouchSessions(e.ctx, now, nil))
}

func revokeSessions(e *env) {
	u, v := e.user("ada"), e.user("bob")
	var ids []core.SessionID
	for i := range 4 {
		p := opening(u)
		if i == 3 {
			p.Session.Mount = "m2"
		}
		res, err := e.OpenSession(e.ctx, p)
		e.ok(err)
		ids = append(ids, res.Session.ID)
	}
	kept := e.login(v)
	end := func(p core.RevokeSessionsParams, want int) {
		e.Helper()
		p.Reason, p.FactPurgeAt, p.Now, p.Event = "logout", now+day, now+1, event("logout")
		seen, last := e.lastAudit(), e.lastFact()
		n, err := e.RevokeSessions(e.ctx, &p)
		e.ok(err)
		equal(e, "ended", n, want)
		equal(e, "facts", len(e.factsSince(last)), want)
		equal(e, "audit records", len(e.audited(seen)), min(want, 1))
	}
	end(core.RevokeSessionsParams{ID: &ids[0], Mount: "elsewhere"}, 0)
	end(core.RevokeSessionsParams{ID: &ids[0], Mount: e.sessionNow(ids[0]).Mount}, 1)
	end(core.RevokeSessionsParams{ID: &ids[0]}, 0)
	facts := e.factsSince(0)
	equal(e, "fact", facts, []core.Fact{{Number: 1, Kind: core.FactSession, Subject: ids[0].String(), Reason: "logout", At: now + 1, PurgeAt: now + day}})
	s := e.sessionNow(ids[0])
	equal(e, "row", []any{s.RevokedAt, s.RevokedReason}, []any{now + 1, "logout"})
	wrong := core.SessionID{Epoch: 99, Key: ids[1].Key}
	end(core.RevokeSessionsParams{ID: &wrong}, 0)
	end(core.RevokeSessionsParams{Subject: u.ID, Mount: "m2"}, 1)
	end(core.RevokeSessionsParams{Subject: u.ID, Spare: ids[1].String()}, 1)
	end(core.RevokeSessionsParams{Subject: u.ID}, 1)
	end(core.RevokeSessionsParams{Subject: u.ID}, 0)
	equal(e, "another's session", e.sessionNow(kept.ID).RevokedAt, int64(0))
}
