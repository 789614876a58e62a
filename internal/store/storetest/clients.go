package storetest

import (
	"crypto/sha256"
	"errors"
	"slices"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// newClient gives an OAuth client that is not stored yet.
func newClient(name string) core.OAuthClient {
	return core.OAuthClient{
		ID: core.NewID(core.ClientIDPrefix), Account: home, Name: name, Type: core.ClientConfidential, Auth: core.AuthSecretBasic,
		Secrets: []core.ClientSecret{
			{Number: 2, Hash: sha256.Sum256([]byte("two")), CreatedAt: now + 1},
			{Number: 1, Hash: sha256.Sum256([]byte("one")), CreatedAt: now, ExpiresAt: now + day},
		},
		JWKS: []byte(`{"keys":[]}`), RedirectURIs: []string{"https://a.example/cb?x=1,2"}, PostLogoutRedirectURIs: []string{"https://a.example/"},
		Grants: []string{core.GrantCode, core.GrantRefresh}, Scopes: []string{"openid", "reader"}, Audiences: []string{"https://api.example"},
		IDTokenAlg: token.EdDSA, RequireConsent: true, IntrospectAll: true, AccessMS: 900_000, RefreshIdleMS: 30 * day, SessionMS: 90 * day,
		State: core.Active, Version: 1, CreatedAt: now, UpdatedAt: now,
	}
}

func (e *env) client(name string) *core.OAuthClient {
	e.Helper()
	c, err := e.CreateClient(e.ctx, &core.CreateClientParams{Client: newClient(name), Now: now, Event: event("client.create")})
	e.ok(err)
	return c
}

func clients(e *env) {
	c := newClient("web")
	got, err := e.CreateClient(e.ctx, &core.CreateClientParams{Client: c, Now: now, Event: event("client.create")})
	e.ok(err)
	equal(e, "created client", got, &c)
	rec, err := e.ClientByID(e.ctx, c.ID)
	e.ok(err)
	equal(e, "client by id", rec, &core.ClientRecord{OAuthClient: c, AccountShortname: core.DefaultAccount, AccountState: core.Active, AccountVersion: 1})
	_, err = e.ClientByID(e.ctx, "client_none")
	e.is(err, core.ErrNoRow)
	_, err = e.CreateClient(e.ctx, &core.CreateClientParams{Client: c, Now: now})
	e.is(err, core.ErrExists)
	lost := newClient("lost")
	lost.Account = "ac_none"
	_, err = e.CreateClient(e.ctx, &core.CreateClientParams{Client: lost, Now: now})
	e.is(err, core.ErrNoRow)

	// Empty members come back empty.
	bare := core.OAuthClient{
		ID: core.NewID(core.ClientIDPrefix), Account: home, Name: "bare", Type: core.ClientPublic, Auth: core.AuthNone, Grants: []string{core.GrantCode},
		IDTokenAlg: token.ES256, AccessMS: 60_000, RefreshIdleMS: 60_000, State: core.Active, Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	_, err = e.CreateClient(e.ctx, &core.CreateClientParams{Client: bare, Now: now})
	e.ok(err)
	rec, err = e.ClientByID(e.ctx, bare.ID)
	e.ok(err)
	rec.Secrets = slices.Clip(rec.Secrets)
	equal(e, "bare client", []any{len(rec.Secrets), rec.JWKS, rec.RedirectURIs, rec.Scopes, rec.Audiences}, []any{0, []byte(nil), []string(nil), []string(nil), []string(nil)})

	changed := c
	changed.Name, changed.Scopes, changed.RequireConsent, changed.UpdatedAt = "web 2", nil, false, now+5
	last := e.lastFact()
	got, err = e.ChangeClient(e.ctx, &core.ChangeClientParams{Client: changed, IfVersion: 1, Now: now + 5, Event: event("client.update")})
	e.ok(err)
	changed.Version = 2
	equal(e, "changed client", got, &changed)
	rec, err = e.ClientByID(e.ctx, c.ID)
	e.ok(err)
	equal(e, "stored client", &rec.OAuthClient, &changed)
	equal(e, "no fact", e.lastFact(), last)
	_, err = e.ChangeClient(e.ctx, &core.ChangeClientParams{Client: changed, IfVersion: 1, Now: now})
	e.is(err, core.ErrStale)
	_, err = e.ChangeClient(e.ctx, &core.ChangeClientParams{Client: lost, IfVersion: 1, Now: now})
	e.is(err, core.ErrNoRow)
	listClients(e, c.ID, bare.ID)
}

func listClients(e *env, a, b string) {
	want := []string{a, b}
	slices.Sort(want)
	var ids []string
	list, err := e.ListClients(e.ctx, core.ClientQuery{Account: home})
	e.ok(err)
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	equal(e, "listed", ids, want)
	list, err = e.ListClients(e.ctx, core.ClientQuery{Account: home, After: want[0], Limit: 1})
	e.ok(err)
	equal(e, "second page", []any{len(list), list[0].ID}, []any{1, want[1]})
	list, err = e.ListClients(e.ctx, core.ClientQuery{Account: "ac_none"})
	e.ok(err)
	equal(e, "of no account", len(list), 0)
}

// clientEnds: disabling ends the client's sessions under one fact, deleting
// takes secrets, keys and consents.
func clientEnds(e *env) {
	u, other := e.user("ann"), e.client("other")
	c := e.client("web")
	mine, theirs := e.granted(u, c), e.granted(u, other)
	e.ok(e.PutConsent(e.ctx, &core.PutConsentParams{Consent: core.Consent{User: u.ID, Client: c.ID, Scope: []string{"openid"}, CreatedAt: now, UpdatedAt: now}, Now: now}))
	last, plain := e.lastFact(), e.login(u)
	c.State = core.Disabled
	c, err := e.ChangeClient(e.ctx, &core.ChangeClientParams{Client: *c, IfVersion: c.Version, EndSessions: true, FactPurgeAt: now + day, Now: now + 1, Event: event("client.disable")})
	e.ok(err)
	facts := e.factsSince(last)
	equal(e, "fact", []any{len(facts), facts[0].Kind, facts[0].Subject, facts[0].PurgeAt}, []any{1, core.FactClient, c.ID, now + day})
	equal(e, "its session", e.refreshed(presenting(mine, 0, now+2)).Verdict, core.RefreshRevoked)
	equal(e, "another client's", e.refreshed(presenting(theirs, 0, now+2)).Verdict, core.RefreshMoved)
	equal(e, "a contract's", e.refreshed(presenting(plain, 0, now+2)).Verdict, core.RefreshMoved)
	subj, epoch, err := e.Machine(e.ctx, c.ID)
	e.ok(err)
	equal(e, "machine", []any{subj.State, subj.Live(), epoch}, []any{core.Disabled, false, e.lastFact()})

	c.State = core.Deleted
	_, err = e.ChangeClient(e.ctx, &core.ChangeClientParams{Client: *c, IfVersion: c.Version, EndSessions: true, Now: now + 3})
	e.ok(err)
	rec, err := e.ClientByID(e.ctx, c.ID)
	e.ok(err)
	equal(e, "deleted client", []any{rec.State, len(rec.Secrets), rec.JWKS}, []any{core.Deleted, 0, []byte(nil)})
	_, err = e.ConsentOf(e.ctx, u.ID, c.ID)
	e.is(err, core.ErrNoRow)
	list, err := e.ListClients(e.ctx, core.ClientQuery{})
	e.ok(err)
	equal(e, "left", []any{len(list), list[0].ID}, []any{1, other.ID})
}

func machines(e *env) {
	c, k := e.client("web"), e.key("daemon")
	subj, epoch, err := e.Machine(e.ctx, c.ID)
	e.ok(err)
	equal(e, "client", []any{subj.Kind, subj.ID, subj.Account, subj.AccountShortname, subj.Version, subj.Username, subj.Roles, subj.Live(), epoch},
		[]any{core.SubjectClient, c.ID, home, core.DefaultAccount, int64(1), "web", c.Scopes, true, int64(0)})
	_, err = e.AddFact(e.ctx, &core.AddFactParams{Fact: core.Fact{Kind: core.FactToken, Subject: "x", At: now, PurgeAt: now + day}, Now: now})
	e.ok(err)
	subj, epoch, err = e.Machine(e.ctx, k.ID)
	e.ok(err)
	equal(e, "API key", []any{subj.Kind, subj.ID, subj.Roles, subj.Live(), epoch}, []any{core.SubjectAPIKey, k.ID, k.Roles, true, int64(1)})
	for _, id := range []string{"client_none", "key_none", e.user("ann").ID} {
		_, _, err = e.Machine(e.ctx, id)
		e.is(err, core.ErrNoRow)
	}
	_, err = e.SetAccountState(e.ctx, &core.SetAccountStateParams{ID: home, State: core.Disabled, FactPurgeAt: now + day, Now: now})
	e.ok(err)
	subj, _, err = e.Machine(e.ctx, c.ID)
	e.ok(err)
	equal(e, "of a disabled account", subj.Live(), false)
}

func assertions(e *env) {
	p := &core.AssertionParams{Hash: sha256.Sum256([]byte("a")), Until: now + minute, Now: now}
	e.ok(e.AcceptAssertion(e.ctx, p))
	e.is(e.AcceptAssertion(e.ctx, p), core.ErrExists)
	e.again()
	e.is(e.AcceptAssertion(e.ctx, p), core.ErrExists)
	_, err := e.Purge(e.ctx, now+minute-1, 100)
	e.ok(err)
	e.is(e.AcceptAssertion(e.ctx, p), core.ErrExists)
	r, err := e.Purge(e.ctx, now+minute, 100)
	e.ok(err)
	equal(e, "purged", r.Removed["assertions"], 1)
	e.ok(e.AcceptAssertion(e.ctx, p))
}

func raceAssertion(e *env) {
	accepted := make([]bool, 50)
	at(50, func(i int) {
		err := e.AcceptAssertion(e.ctx, &core.AssertionParams{Hash: sha256.Sum256([]byte("a")), Until: now + minute, Now: now})
		accepted[i] = err == nil
		if err != nil && !errors.Is(err, core.ErrExists) {
			e.Error(err)
		}
	})
	n := 0
	for _, ok := range accepted {
		if ok {
			n++
		}
	}
	equal(e, "accepted", n, 1)
}

func consents(e *env) {
	u, c, other := e.user("ann"), e.client("web"), e.client("other")
	put := func(client string, at int64, scope ...string) {
		e.Helper()
		e.ok(e.PutConsent(e.ctx, &core.PutConsentParams{
			Consent: core.Consent{User: u.ID, Client: client, Scope: scope, CreatedAt: at, UpdatedAt: at}, Now: at, Event: event("consent.give"),
		}))
	}
	_, err := e.ConsentOf(e.ctx, u.ID, c.ID)
	e.is(err, core.ErrNoRow)
	put(c.ID, now, "openid")
	put(other.ID, now+1, "openid")
	put(c.ID, now+2, "reader")
	got, err := e.ConsentOf(e.ctx, u.ID, c.ID)
	e.ok(err)
	equal(e, "consent", got, &core.Consent{User: u.ID, Client: c.ID, Scope: []string{"reader", "openid"}, CreatedAt: now, UpdatedAt: now + 2})
	list, err := e.ListConsents(e.ctx, u.ID)
	e.ok(err)
	equal(e, "consents", len(list), 2)

	mine, theirs := e.granted(u, c), e.granted(u, other)
	for _, code := range []core.AuthCode{newCode(u, c, "on its way"), newCode(u, other, "another's")} {
		e.ok(e.CreateCode(e.ctx, &core.CreateCodeParams{Code: code, Now: now}))
	}
	e.ok(e.DeleteConsent(e.ctx, &core.DeleteConsentParams{User: u.ID, Client: c.ID, FactPurgeAt: now + day, Now: now + 3, Event: event("consent.withdraw")}))
	e.is(e.DeleteConsent(e.ctx, &core.DeleteConsentParams{User: u.ID, Client: c.ID, Now: now}), core.ErrNoRow)
	equal(e, "the session it carried", e.refreshed(presenting(mine, 0, now+4)).Verdict, core.RefreshRevoked)
	equal(e, "another", e.refreshed(presenting(theirs, 0, now+4)).Verdict, core.RefreshMoved)
	e.is(e.CreateCode(e.ctx, &core.CreateCodeParams{Code: newCode(u, c, "by his word"), Consent: true, Now: now}), core.ErrStale)
	e.ok(e.CreateCode(e.ctx, &core.CreateCodeParams{Code: newCode(u, other, "by his word"), Consent: true, Now: now}))
	put(c.ID, now+3, "email")
	got, err = e.ConsentOf(e.ctx, u.ID, c.ID)
	e.ok(err)
	equal(e, "what was withdrawn does not come back", got.Scope, []string{"email"})
	equal(e, "a code given before", e.redeemed(redeeming(u, c, "on its way")).Verdict, core.CodeUnknown)
	equal(e, "a code of another client", e.redeemed(redeeming(u, other, "another's")).Verdict, core.CodeRedeemed)
	_, err = e.ConsentOf(e.ctx, u.ID, other.ID)
	e.ok(err)
	// They go with the user.
	rec := e.userNow(u.ID)
	e.ok(e.DeleteUser(e.ctx, &core.DeleteUserParams{ID: rec.ID, Now: now + 5}))
	list, err = e.ListConsents(e.ctx, u.ID)
	e.ok(err)
	equal(e, "of a deleted user", len(list), 0)
}
