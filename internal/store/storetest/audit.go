package storetest

import "github.com/sallyport/sallyport/internal/core"

func audit(e *env) {
	u := e.user("ada")
	e.login(u)
	odd := core.Event{Kind: "summary", Subject: u.ID, Detail: map[string]string{"raw": "\xff\x00é", "b": "2"}}
	e.ok(e.AppendAudit(e.ctx, now+9, []core.Event{odd, {}, {Kind: "last"}}))
	records, err := e.ListAudit(e.ctx, core.AuditQuery{})
	e.ok(err)
	equal(e, "kinds", e.audited(0), []string{"user.create", "login", "summary", "last"})
	e.ok(core.VerifyChain(records))
	node, err := e.MetaGet(e.ctx, core.MetaNode)
	e.ok(err)
	want := event("user.create")
	equal(e, "first record", []any{records[0].Node, records[0].Sequence, records[0].At, records[0].Event}, []any{node, int64(1), now, want})
	equal(e, "bytes that are no text", records[2].Event.Detail["raw"], "\uFFFD\x00é")

	for _, c := range []struct {
		name string
		q    core.AuditQuery
		want []int64
	}{
		{"after", core.AuditQuery{After: 2}, []int64{3, 4}},
		{"kind", core.AuditQuery{Kind: "login"}, []int64{2}},
		{"subject", core.AuditQuery{Subject: u.ID}, []int64{3}},
		{"node", core.AuditQuery{Node: node, Limit: 2}, []int64{1, 2}},
		{"other node", core.AuditQuery{Node: "nd_other"}, nil},
		{"newest", core.AuditQuery{Newest: true, Limit: 2}, []int64{3, 4}},
	} {
		got, err := e.ListAudit(e.ctx, c.q)
		e.ok(err)
		var have []int64
		for _, r := range got {
			have = append(have, r.Sequence)
		}
		equal(e, c.name, have, c.want)
	}

	// The chain goes on where it stood, and shows what was done to it.
	e.again()
	e.user("bob")
	at(8, func(int) {
		for range 10 {
			if err := e.AppendAudit(e.ctx, now, []core.Event{event("x"), event("y")}); err != nil {
				e.Errorf("appending: %v", err)
			}
		}
	})
	records, err = e.ListAudit(e.ctx, core.AuditQuery{Limit: 1000})
	e.ok(err)
	equal(e, "records", len(records), 165)
	e.ok(core.VerifyChain(records))
	for name, tamper := range map[string]func([]core.AuditRecord) []core.AuditRecord{
		"changed": func(r []core.AuditRecord) []core.AuditRecord { r[5].Event.Actor = "nobody"; return r },
		"removed": func(r []core.AuditRecord) []core.AuditRecord { return append(r[:7:7], r[8:]...) },
		"swapped": func(r []core.AuditRecord) []core.AuditRecord { r[3], r[4] = r[4], r[3]; return r },
		"forged": func(r []core.AuditRecord) []core.AuditRecord {
			r[6].Event.Kind = "z"
			r[6].Hash = core.HashAudit(&r[6])
			return r
		},
	} {
		if core.VerifyChain(tamper(append([]core.AuditRecord(nil), records...))) == nil {
			e.Errorf("%s: the chain verifies", name)
		}
	}
}

// auditPurge: the front of a chain goes, and the event that tells of it is the
// newest record, in one step.
func auditPurge(e *env) {
	for range 5 {
		e.ok(e.AppendAudit(e.ctx, now, []core.Event{event("x")}))
	}
	heads, err := e.AuditHeads(e.ctx)
	e.ok(err)
	records, err := e.ListAudit(e.ctx, core.AuditQuery{})
	e.ok(err)
	equal(e, "heads", heads, records[len(records)-1:])
	node := heads[0].Node
	purge := func(node string, through int64) {
		e.ok(e.PurgeAudit(e.ctx, &core.PurgeAuditParams{Node: node, Through: through, Now: now + 1, Event: event("audit.purge")}))
	}
	purge("nd_other", 100)
	purge(node, 3)
	records, err = e.ListAudit(e.ctx, core.AuditQuery{})
	e.ok(err)
	var left []int64
	for _, r := range records {
		left = append(left, r.Sequence)
	}
	equal(e, "what is left", left, []int64{4, 5, 6, 7})
	equal(e, "newest", records[3].Event.Kind, "audit.purge")
	e.ok(core.VerifyChain(records))
	purge(node, 7)
	e.again()
	e.ok(e.AppendAudit(e.ctx, now, []core.Event{event("after")}))
	records, err = e.ListAudit(e.ctx, core.AuditQuery{})
	e.ok(err)
	equal(e, "the chain goes on", []any{len(records), records[0].Sequence, records[1].Event.Kind}, []any{2, int64(8), "after"})
	e.ok(core.VerifyChain(records))
}

// auditRefused: a step that fails leaves no record, and one among others in a
// batch undoes itself alone.
func auditRefused(e *env) {
	e.user("ada")
	seen := e.lastAudit()
	at(40, func(i int) {
		if i%2 == 0 {
			_, err := e.CreateUser(e.ctx, &core.CreateUserParams{User: newUser("ada", core.TypeUser), Now: now, Event: event("user.create")})
			if err == nil {
				e.Error("a taken name was given")
			}
			return
		}
		if err := e.AppendAudit(e.ctx, now, []core.Event{event("good")}); err != nil {
			e.Errorf("a good step beside failing ones: %v", err)
		}
	})
	for _, kind := range e.audited(seen) {
		equal(e, "record", kind, "good")
	}
	equal(e, "records", len(e.audited(seen)), 20)
	users, err := e.ListUsers(e.ctx, core.UserQuery{})
	e.ok(err)
	equal(e, "users", len(users), 1)
	records, err := e.ListAudit(e.ctx, core.AuditQuery{Limit: 1000})
	e.ok(err)
	e.ok(core.VerifyChain(records))
}
