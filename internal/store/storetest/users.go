package storetest

import (
	"strings"

	"github.com/sallyport/sallyport/internal/core"
)

func users(e *env) {
	u := newUser("Ada", core.TypeUser)
	u.UsernameCanon, u.Email, u.EmailCanon = "ada", "Ada@Example.com", "ada@example.com"
	got := e.create(u)
	equal(e, "created user", got, &u)
	rec := e.userNow(u.ID)
	equal(e, "stored user", rec, &core.UserRecord{User: u, AccountShortname: core.DefaultAccount, AccountState: core.Active, AccountVersion: 1})

	byName, err := e.UserByLogin(e.ctx, home, "ada")
	e.ok(err)
	equal(e, "user by name", byName, rec)
	_, err = e.UserByLogin(e.ctx, home, "ada@example.com")
	e.is(err, core.ErrNoRow) // not verified
	_, err = e.UserByLogin(e.ctx, "ac_other", "ada")
	e.is(err, core.ErrNoRow)
	_, err = e.UserByID(e.ctx, core.NewUUID())
	e.is(err, core.ErrNoRow)

	lost := newUser("lost", core.TypeUser)
	lost.Account = "ac_none"
	_, err = e.CreateUser(e.ctx, &core.CreateUserParams{User: lost, Now: now, Event: event("user.create")})
	e.is(err, core.ErrNoRow)
	twice := newUser("other", core.TypeUser)
	twice.ID = u.ID
	_, err = e.CreateUser(e.ctx, &core.CreateUserParams{User: twice, Now: now, Event: event("user.create")})
	e.is(err, core.ErrExists)

	bare := core.User{ID: core.NewUUID(), Account: home, Type: core.TypeApplication, State: core.Active, Username: "bare", UsernameCanon: "bare", Version: 1}
	e.create(bare)
	bare.Attributes = []byte("{}")
	equal(e, "user with defaults", e.userNow(bare.ID).User, bare)

	e.user("carl")
	a := e.account("acme")
	in := newUser("dora", core.TypeUser)
	in.Account = a.ID
	e.create(in)
	var names []string
	for q := (core.UserQuery{Account: home, Limit: 2}); ; {
		page, err := e.ListUsers(e.ctx, q)
		e.ok(err)
		if len(page) == 0 {
			break
		}
		for _, u := range page {
			names = append(names, u.UsernameCanon)
		}
		q.After = names[len(names)-1]
	}
	equal(e, "users of an account in pages", names, []string{"ada", "bare", "carl"})
	all, err := e.ListUsers(e.ctx, core.UserQuery{})
	e.ok(err)
	equal(e, "all users", len(all), 4)
}

// loginNames: one namespace, unverified addresses claim but do not log in.
func loginNames(e *env) {
	u := newUser("ada", core.TypeUser)
	u.Email, u.EmailCanon = "ada@example.com", "ada@example.com"
	e.create(u)
	for what, other := range map[string]core.User{
		"same name":               {Username: "ada", UsernameCanon: "ada"},
		"name is another's email": {Username: "ada@example.com", UsernameCanon: "ada@example.com"},
		"email is another's name": {Username: "x1", UsernameCanon: "x1", EmailCanon: "ada"},
		"same email":              {Username: "x2", UsernameCanon: "x2", EmailCanon: "ada@example.com", EmailVerified: true},
	} {
		full := newUser(other.Username, core.TypeUser)
		full.UsernameCanon, full.Email, full.EmailCanon, full.EmailVerified = other.UsernameCanon, other.EmailCanon, other.EmailCanon, other.EmailVerified
		_, err := e.CreateUser(e.ctx, &core.CreateUserParams{User: full, Now: now, Event: event("user.create")})
		if err == nil {
			e.Fatalf("%s: created", what)
		}
		e.is(err, core.ErrExists)
		_, err = e.UserByID(e.ctx, full.ID)
		e.is(err, core.ErrNoRow) // nothing of the failed step remains
	}
	_, err := e.UserByLogin(e.ctx, home, "x1")
	e.is(err, core.ErrNoRow)
	x1 := e.user("x1") // the name that a failed step claimed is free

	a := e.account("acme")
	same := newUser("ada", core.TypeUser)
	same.Account = a.ID
	e.create(same) // names are unique by account

	e.change(u.ID, core.ChangeUserParams{Patch: core.UserPatch{EmailVerified: ptr(true)}})
	got, err := e.UserByLogin(e.ctx, home, "ada@example.com")
	e.ok(err)
	equal(e, "user by verified email", got.ID, u.ID)

	// A freed name is reserved for others, not for the one who had it.
	e.change(u.ID, core.ChangeUserParams{Patch: core.UserPatch{Username: ptr("eda"), UsernameCanon: ptr("eda")}, NamesReservedUntil: now + day})
	_, err = e.UserByLogin(e.ctx, home, "ada")
	e.is(err, core.ErrNoRow)
	take := core.ChangeUserParams{ID: x1.ID, Patch: core.UserPatch{Username: ptr("ada"), UsernameCanon: ptr("ada")}, NamesReservedUntil: now + day, Now: now + day - 1}
	_, err = e.ChangeUser(e.ctx, &take)
	e.is(err, core.ErrExists)
	equal(e, "name after a refused rename", e.userNow(x1.ID).UsernameCanon, "x1")
	e.change(u.ID, core.ChangeUserParams{Patch: core.UserPatch{Username: ptr("ada"), UsernameCanon: ptr("ada")}, NamesReservedUntil: now + day})
	e.change(u.ID, core.ChangeUserParams{Patch: core.UserPatch{Username: ptr("eda"), UsernameCanon: ptr("eda")}, NamesReservedUntil: now + day})
	take.Now = now + day
	_, err = e.ChangeUser(e.ctx, &take)
	e.ok(err)
	got, err = e.UserByLogin(e.ctx, home, "ada")
	e.ok(err)
	equal(e, "new owner of the name", got.ID, x1.ID)

	// One string as both user name and address is one claim.
	both := newUser("both@example.com", core.TypeUser)
	both.Email, both.EmailCanon = both.Username, both.UsernameCanon
	e.create(both)
	e.change(both.ID, core.ChangeUserParams{Patch: core.UserPatch{Email: ptr(""), EmailCanon: ptr("")}})
	_, err = e.UserByLogin(e.ctx, home, "both@example.com")
	e.ok(err)
}

// change changes a user with defaults for what every change needs.
func (e *env) change(id string, p core.ChangeUserParams) *core.User {
	e.Helper()
	p.ID, p.FactPurgeAt, p.Event = id, now+day, event("user.change")
	if p.Now == 0 {
		p.Now = now
	}
	u, err := e.ChangeUser(e.ctx, &p)
	e.ok(err)
	return u
}

func changeUser(e *env) {
	u := e.user("ada")
	want := *u
	want.Type, want.Roles, want.Attributes = core.TypeApplication, []string{"x"}, []byte(`{"b":[2]}`)
	want.PasswordHash, want.PasswordAt, want.UpdatedAt, want.Version = "$5$new", now+5, now+5, 2
	got := e.change(u.ID, core.ChangeUserParams{
		IfVersion: 1,
		Patch: core.UserPatch{
			Type: ptr(core.TypeApplication), Roles: ptr([]string{"x"}), Attributes: ptr([]byte(`{"b":[2]}`)), PasswordHash: ptr("$5$new"),
		},
		Effects: core.Effects{RaiseVersion: true}, Now: now + 5,
	})
	equal(e, "changed user", got, &want)
	equal(e, "stored user", e.userNow(u.ID).User, want)
	_, err := e.ChangeUser(e.ctx, &core.ChangeUserParams{ID: u.ID, IfVersion: 1, Patch: core.UserPatch{State: ptr(core.Disabled)}, Now: now})
	e.is(err, core.ErrStale)
	equal(e, "user after a stale change", e.userNow(u.ID).User, want)
	_, err = e.ChangeUser(e.ctx, &core.ChangeUserParams{ID: core.NewUUID(), Now: now})
	e.is(err, core.ErrNoRow)

	// A password change spares the session it was made in.
	here, there := e.login(got), e.login(got)
	last := e.lastFact()
	e.change(u.ID, core.ChangeUserParams{Effects: core.Effects{RaiseVersion: true, EndSessions: true, SpareSession: here.ID.String()}})
	equal(e, "spared session", e.sessionNow(here.ID).RevokedAt, int64(0))
	if e.sessionNow(there.ID).RevokedAt == 0 {
		e.Fatal("the other session lives")
	}
	facts := e.factsSince(last)
	equal(e, "one fact for all", len(facts), 1)
	equal(e, "fact", []any{facts[0].Kind, facts[0].Subject, facts[0].Spare, facts[0].PurgeAt}, []any{core.FactUser, u.ID, here.ID.String(), now + day})
}

func passwordReset(e *env) {
	u := e.create(newUser("app", core.TypeApplication))
	early := e.login(u)
	inEarly := minting(u, early)
	equal(e, "minted", e.minted(inEarly), core.Minted)
	_, err := e.RevokeSessions(e.ctx, &core.RevokeSessionsParams{ID: &early.ID, Reason: "logout", FactPurgeAt: now + day, Now: now})
	e.ok(err)
	live := e.login(u)
	inLive := minting(u, live)
	equal(e, "minted", e.minted(inLive), core.Minted)

	last := e.lastFact()
	e.change(u.ID, core.ChangeUserParams{Effects: core.Effects{RaiseVersion: true, EndSessions: true, SuspendSessionTokens: true}})
	a, _, err := e.ApplicationTokenByHash(e.ctx, inLive.Token.Hash)
	e.ok(err)
	equal(e, "token of an ended session", []any{a.Suspended, a.RevokedAt}, []any{true, int64(0)})
	a, _, err = e.ApplicationTokenByHash(e.ctx, inEarly.Token.Hash)
	e.ok(err)
	equal(e, "token of a session ended long before", a.Suspended, false)
	kinds := map[core.FactKind]string{}
	for _, f := range e.factsSince(last) {
		kinds[f.Kind] = f.Subject
	}
	equal(e, "facts", kinds, map[core.FactKind]string{core.FactToken: inLive.Token.ID, core.FactUser: u.ID})
}

func compromise(e *env) {
	u := e.create(newUser("app", core.TypeApplication))
	s := e.login(u)
	m := minting(u, s)
	e.minted(m)
	k := newKey("daemon")
	k.Owner = u.ID
	_, err := e.CreateAPIKey(e.ctx, &core.CreateAPIKeyParams{Key: k, Now: now})
	e.ok(err)
	other := e.key("other")
	ex, err := e.ExchangeRequestToken(e.ctx, exchanging(&k, "t"))
	e.ok(err)

	last := e.lastFact()
	e.change(u.ID, core.ChangeUserParams{Effects: core.Effects{RaiseVersion: true, EndSessions: true, RevokeApplicationToken: true, DeleteAPIKeys: true}})
	kinds := map[core.FactKind]string{}
	for _, f := range e.factsSince(last) {
		kinds[f.Kind] = f.Subject
	}
	equal(e, "facts", kinds, map[core.FactKind]string{core.FactToken: m.Token.ID, core.FactUser: u.ID, core.FactAPIKey: k.ID})
	a, _, err := e.ApplicationTokenByHash(e.ctx, m.Token.Hash)
	e.ok(err)
	if a.RevokedAt == 0 {
		e.Fatal("the application token lives")
	}
	gone, err := e.APIKeyByID(e.ctx, k.ID)
	e.ok(err)
	equal(e, "API key", []any{gone.State, len(gone.Secrets), gone.Version}, []any{core.Deleted, 0, int64(2)})
	for _, id := range []core.SessionID{s.ID, ex.Session.ID} {
		if e.sessionNow(id).RevokedAt == 0 {
			e.Fatalf("session %s lives", id)
		}
	}
	kept, err := e.APIKeyByID(e.ctx, other.ID)
	e.ok(err)
	equal(e, "another's API key", kept.State, core.Active)
}

func deleteUser(e *env) {
	plain := newUser("ada", core.TypeUser)
	plain.Email, plain.EmailCanon, plain.EmailVerified = "a@example.com", "a@example.com", true
	u := e.create(plain)
	s := e.login(u)
	last := e.lastFact()
	gone := &core.DeleteUserParams{ID: u.ID, NamesReservedUntil: now + day, FactPurgeAt: now + day, Now: now + 1, Event: event("user.delete")}
	e.ok(e.DeleteUser(e.ctx, gone))
	e.is(e.DeleteUser(e.ctx, gone), core.ErrNoRow)
	_, err := e.ChangeUser(e.ctx, &core.ChangeUserParams{ID: u.ID, Patch: core.UserPatch{State: ptr(core.Active)}, Now: now})
	e.is(err, core.ErrNoRow)
	rec := e.userNow(u.ID)
	equal(e, "tombstone", []any{rec.State, rec.PasswordHash, string(rec.Attributes), rec.Version}, []any{core.Deleted, "", "{}", int64(2)})
	for _, name := range []string{"ada", "a@example.com"} {
		_, err = e.UserByLogin(e.ctx, home, name)
		e.is(err, core.ErrNoRow)
	}
	equal(e, "session after deletion", e.refreshed(presenting(s, 0, now)).Verdict, core.RefreshRevoked)
	facts := e.factsSince(last)
	equal(e, "facts", []any{len(facts), facts[0].Kind, facts[0].Subject}, []any{1, core.FactUser, u.ID})
	list, err := e.ListUsers(e.ctx, core.UserQuery{})
	e.ok(err)
	equal(e, "live users", len(list), 0)

	heir := newUser("ada", core.TypeUser)
	_, err = e.CreateUser(e.ctx, &core.CreateUserParams{User: heir, Now: now + day - 1})
	e.is(err, core.ErrExists)
	_, err = e.CreateUser(e.ctx, &core.CreateUserParams{User: heir, Now: now + day})
	e.ok(err)

	// Who ever had an application token leaves its name to nobody.
	app := e.create(newUser("robot", core.TypeApplication))
	m := minting(app, e.login(app))
	e.minted(m)
	_, err = e.ChangeApplicationToken(e.ctx, &core.ChangeApplicationTokenParams{ID: m.Token.ID, Action: core.TokenRevoke, Now: now})
	e.ok(err)
	e.ok(e.DeleteUser(e.ctx, &core.DeleteUserParams{ID: app.ID, NamesReservedUntil: now + day, Now: now}))
	for e.purged(now + 10_000*day).More {
	}
	_, err = e.CreateUser(e.ctx, &core.CreateUserParams{User: newUser("robot", core.TypeUser), Now: now + 10_000*day})
	e.is(err, core.ErrExists)
}

func hashes(e *env) {
	u := e.user("ada")
	up := core.UpgradeHashParams{ID: u.ID, Old: "$wrong$", New: "$argon2id$v=19$m=65536,t=3,p=1$s$h", Now: now}
	for _, c := range []struct {
		old  string
		want bool
	}{{"$wrong$", false}, {u.PasswordHash, true}, {u.PasswordHash, false}} {
		up.Old = c.old
		done, err := e.UpgradeHash(e.ctx, &up)
		e.ok(err)
		equal(e, "replaced "+c.old, done, c.want)
	}
	rec := e.userNow(u.ID)
	equal(e, "after the upgrade", []any{rec.PasswordHash, rec.Version}, []any{up.New, int64(1)})

	e.user("bob") // the suite's usual format
	e.user("cat")
	for name, phc := range map[string]string{
		"b1": "$2b$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234", "b2": "$2b$10$bbcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
		"b3": "$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234", "none": "",
	} {
		n := newUser(name, core.TypeUser)
		n.PasswordHash = phc
		e.create(n)
	}
	samples, err := e.HashSamples(e.ctx)
	e.ok(err)
	var got []string
	for _, s := range samples {
		got = append(got, strings.Join(strings.Split(s, "$")[:3], "$"))
	}
	equal(e, "number of formats", len(got), 4) // two costs of argon2id, two of bcrypt
}
