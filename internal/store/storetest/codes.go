package storetest

import (
	"crypto/sha256"

	"github.com/sallyport/sallyport/internal/core"
)

// newCode gives a code of u for c that is not stored yet.
func newCode(u *core.User, c *core.OAuthClient, text string) core.AuthCode {
	return core.AuthCode{
		Hash: sha256.Sum256([]byte(text)), Client: c.ID, ClientVersion: c.Version, RedirectURI: "https://a.example/cb", Challenge: "ch", Nonce: "n",
		Scope: []string{"openid", "reader"}, Audience: []string{"https://api.example"}, Subject: u.ID, SubjectVersion: u.Version,
		Account: u.Account, AccountVersion: 1, AuthTime: now - 5, LoginName: "Ann", CreatedAt: now, ExpiresAt: now + minute,
	}
}

// redeeming gives the parameters of a code's redemption.
func redeeming(u *core.User, c *core.OAuthClient, text string) *core.RedeemCodeParams {
	open := opening(u)
	open.Session.Mount = core.OAuthMount
	return &core.RedeemCodeParams{
		Hash: sha256.Sum256([]byte(text)), Client: c.ID, ClientVersion: c.Version, Open: *open, ReplayEvent: event("code.replay"),
		Grant: core.SessionGrant{Client: c.ID, Scope: []string{"openid"}, Audience: []string{"https://api.example"}, AuthTime: now - 5, Nonce: "n"},
	}
}

func (e *env) redeemed(p *core.RedeemCodeParams) *core.RedeemCodeResult {
	e.Helper()
	res, err := e.RedeemCode(e.ctx, p)
	e.ok(err)
	return res
}

// granted opens an OAuth session on the mount that the suite's refreshes name.
func (e *env) granted(u *core.User, c *core.OAuthClient) *core.Session {
	e.Helper()
	text := core.NewID("")
	e.ok(e.CreateCode(e.ctx, &core.CreateCodeParams{Code: newCode(u, c, text), Now: now}))
	p := redeeming(u, c, text)
	p.Open.Session.Mount = "m1"
	res := e.redeemed(p)
	equal(e, "redemption", res.Verdict, core.CodeRedeemed)
	return res.Session
}

func codes(e *env) {
	u, c := e.user("ann"), e.client("web")
	code := newCode(u, c, "one")
	e.ok(e.CreateCode(e.ctx, &core.CreateCodeParams{Code: code, Now: now}))
	got, err := e.CodeByHash(e.ctx, code.Hash)
	e.ok(err)
	equal(e, "code", got, &code)
	_, err = e.CodeByHash(e.ctx, sha256.Sum256([]byte("none")))
	e.is(err, core.ErrNoRow)

	other := *c
	other.ID = "client_other"
	last, seen := e.lastAudit(), e.lastFact()
	equal(e, "unknown", e.redeemed(redeeming(u, c, "none")).Verdict, core.CodeUnknown)
	equal(e, "another client's", e.redeemed(redeeming(u, &other, "one")).Verdict, core.CodeUnknown)
	late := redeeming(u, c, "one")
	late.Open.Now = now + minute
	equal(e, "late", e.redeemed(late).Verdict, core.CodeExpired)
	equal(e, "refusals write nothing", []any{e.lastAudit(), e.lastFact()}, []any{last, seen})

	p := redeeming(u, c, "one")
	res := e.redeemed(p)
	equal(e, "first use", []any{res.Verdict, res.Session.Mount, res.Session.Subject, res.Subject.ID}, []any{core.CodeRedeemed, core.OAuthMount, u.ID, u.ID})
	grant, err := e.GrantOf(e.ctx, res.Session.ID.Key)
	e.ok(err)
	equal(e, "grant", grant, &p.Grant)
	_, err = e.GrantOf(e.ctx, core.NewSessionKey())
	e.is(err, core.ErrNoRow)
	got, err = e.CodeByHash(e.ctx, code.Hash)
	e.ok(err)
	equal(e, "used code", []any{got.UsedAt, got.Session}, []any{now, res.Session.ID.Key})
	equal(e, "audit", e.audited(last), []string{"login"})

	last = e.lastAudit()
	equal(e, "of another client, used", e.redeemed(redeeming(u, &other, "one")).Verdict, core.CodeUnknown)
	equal(e, "session lives", e.sessionNow(res.Session.ID).RevokedAt, int64(0))
	again := redeeming(u, c, "one")
	again.Open.Now = now + day
	equal(e, "second use", e.redeemed(again).Verdict, core.CodeReplayed)
	equal(e, "its session", e.sessionNow(res.Session.ID).RevokedReason, "code used twice")
	facts := e.factsSince(seen)
	equal(e, "fact", []any{len(facts), facts[0].Kind, facts[0].Subject}, []any{1, core.FactSession, res.Session.ID.String()})
	equal(e, "audit", e.audited(last), []string{"code.replay"})
	e.again()
	equal(e, "after a restart", e.redeemed(again).Verdict, core.CodeReplayed)
	purgeCodes(e, res.Session)
}

// purgeCodes: used codes are remembered for a day, grants go with their
// sessions.
func purgeCodes(e *env, s *core.Session) {
	r, err := e.Purge(e.ctx, now+minute+core.CodeKeptMS-1, 1000)
	e.ok(err)
	equal(e, "purged early", r.Removed["codes"], 0)
	r, err = e.Purge(e.ctx, now+400*day, 1000)
	e.ok(err)
	equal(e, "purged", []any{r.Removed["codes"], r.Removed["sessions"]}, []any{1, 1})
	_, err = e.GrantOf(e.ctx, s.ID.Key)
	e.is(err, core.ErrNoRow)
}

// codeGate: a code is neither made nor redeemed when user, account, client or
// browser login is not what it was.
func codeGate(e *env) {
	u, c := e.user("ann"), e.client("web")
	browser := e.login(u)
	made := func(text string, change func(*core.AuthCode)) error {
		code := newCode(u, c, text)
		code.Browser = browser.ID.String()
		if change != nil {
			change(&code)
		}
		return e.CreateCode(e.ctx, &core.CreateCodeParams{Code: code, Now: now})
	}
	for _, change := range []func(*core.AuthCode){
		func(a *core.AuthCode) { a.SubjectVersion++ }, func(a *core.AuthCode) { a.AccountVersion++ }, func(a *core.AuthCode) { a.ClientVersion++ },
		func(a *core.AuthCode) { a.Client = "client_none" }, func(a *core.AuthCode) { a.Subject = core.NewUUID() },
		func(a *core.AuthCode) { a.Browser = "0-aaaaaaaaaaaaaaaaaaaaaaaaaa" }, func(a *core.AuthCode) { a.Browser = "x" },
	} {
		e.is(made("refused", change), core.ErrStale)
	}
	e.ok(made("a", nil))
	e.ok(made("b", nil))
	stale := redeeming(u, c, "a")
	stale.Open.Gate.Version++
	equal(e, "user changed", e.redeemed(stale).Verdict, core.CodeStale)
	stale = redeeming(u, c, "a")
	stale.ClientVersion++
	equal(e, "client changed", e.redeemed(stale).Verdict, core.CodeStale)
	code, err := e.CodeByHash(e.ctx, stale.Hash)
	e.ok(err)
	equal(e, "a refusal does not use it up", code.UsedAt, int64(0))
	res := e.redeemed(redeeming(u, c, "a"))
	equal(e, "as it was", res.Verdict, core.CodeRedeemed)

	n, err := e.RevokeSessions(e.ctx, &core.RevokeSessionsParams{ID: &browser.ID, Reason: "logout", FactPurgeAt: now + day, Now: now})
	e.ok(err)
	equal(e, "logged out", n, 1)
	equal(e, "code of an ended login", e.redeemed(redeeming(u, c, "b")).Verdict, core.CodeStale)
	e.is(made("c", nil), core.ErrStale)
}

// grantsEnd: sessions end by the browser login that they came from, or by
// client and subject, with a fact each.
func grantsEnd(e *env) {
	u, v, c, other := e.user("ann"), e.user("bob"), e.client("web"), e.client("other")
	from := func(text, browser string) *core.Session {
		e.Helper()
		e.ok(e.CreateCode(e.ctx, &core.CreateCodeParams{Code: newCode(u, c, text), Now: now}))
		p := redeeming(u, c, text)
		p.Grant.Browser, p.Open.Session.Mount = browser, "m1"
		return e.redeemed(p).Session
	}
	first, second := from("a", "login-1"), from("b", "login-2")
	bobs, others := e.granted(v, c), e.granted(u, other)
	last, trail := e.lastFact(), e.lastAudit()
	n, err := e.RevokeGrants(e.ctx, &core.RevokeGrantsParams{Browser: "login-1", Reason: "logout", FactPurgeAt: now + day, Now: now + 1, Event: event("logout")})
	e.ok(err)
	facts := e.factsSince(last)
	equal(e, "by login", []any{n, len(facts), facts[0].Subject, e.audited(trail)}, []any{1, 1, first.ID.String(), []string{"logout"}})
	equal(e, "its session", e.sessionNow(first.ID).RevokedReason, "logout")
	trail = e.lastAudit()
	n, err = e.RevokeGrants(e.ctx, &core.RevokeGrantsParams{Browser: "login-1", Reason: "logout", Now: now + 2, Event: event("logout")})
	e.ok(err)
	equal(e, "again", []any{n, e.audited(trail)}, []any{0, []string{}})
	n, err = e.RevokeGrants(e.ctx, &core.RevokeGrantsParams{Client: c.ID, Subject: u.ID, Reason: "x", FactPurgeAt: now + day, Now: now + 3})
	e.ok(err)
	equal(e, "by client and subject", n, 1)
	equal(e, "ended", e.sessionNow(second.ID).RevokedReason, "x")
	for _, s := range []*core.Session{bobs, others} {
		equal(e, "not asked for", e.sessionNow(s.ID).RevokedAt, int64(0))
	}
}

// grantsMove: sessions go from one browser login to the next one of the same
// user, also when the first is over; never to one that does not live.
func grantsMove(e *env) {
	u, v, c := e.user("ann"), e.user("bob"), e.client("web")
	first, second, third, bobs := e.login(u), e.login(u), e.login(u), e.login(v)
	text := core.NewID("")
	e.ok(e.CreateCode(e.ctx, &core.CreateCodeParams{Code: newCode(u, c, text), Now: now}))
	p := redeeming(u, c, text)
	p.Grant.Browser = first.ID.String()
	app := e.redeemed(p).Session
	browser := func() string {
		e.Helper()
		g, err := e.GrantOf(e.ctx, app.ID.Key)
		e.ok(err)
		return g.Browser
	}
	move := func(from, to *core.Session, subject string) error {
		return e.MoveGrants(e.ctx, &core.MoveGrantsParams{
			From: from.ID, To: to.ID, Mount: first.Mount, Subject: subject, Reason: "logged in again", FactPurgeAt: now + day, Now: now + 1, Event: event("logout"),
		})
	}
	last := e.lastFact()
	// What a cookie names may be a session that no browser login opened.
	o := opening(u)
	o.Session.Mount = "another"
	res, err := e.OpenSession(e.ctx, o)
	e.ok(err)
	trail := e.lastAudit()
	e.ok(move(res.Session, second, u.ID))
	equal(e, "another mount's", []any{e.sessionNow(res.Session.ID).RevokedAt, e.lastFact(), e.audited(trail)}, []any{int64(0), last, []string{}})
	e.is(move(first, bobs, u.ID), core.ErrStale)
	e.ok(move(first, bobs, v.ID)) // of bob's sessions there are none
	equal(e, "another's login", []any{browser(), e.sessionNow(first.ID).RevokedAt, e.lastFact(), e.audited(trail)}, []any{first.ID.String(), int64(0), last, []string{}})

	e.ok(move(first, second, u.ID))
	facts := e.factsSince(last)
	equal(e, "moved", []any{browser(), len(facts), facts[0].Subject, e.audited(trail)}, []any{second.ID.String(), 1, first.ID.String(), []string{"logout"}})
	equal(e, "the first login", e.sessionNow(first.ID).RevokedReason, "logged in again")
	equal(e, "the session", e.sessionNow(app.ID).RevokedAt, int64(0))
	e.is(move(second, first, u.ID), core.ErrStale)

	_, err = e.RevokeSessions(e.ctx, &core.RevokeSessionsParams{ID: &second.ID, Reason: "x", FactPurgeAt: now + day, Now: now + 2})
	e.ok(err)
	last, trail = e.lastFact(), e.lastAudit()
	e.ok(move(second, third, u.ID))
	equal(e, "from a login that is over", []any{browser(), e.lastFact(), e.audited(trail)}, []any{third.ID.String(), last, []string{}})
}

// raceCode: 50 redemptions of one code at once give one session, and end it.
func raceCode(e *env) {
	u, c := e.user("ann"), e.client("web")
	e.ok(e.CreateCode(e.ctx, &core.CreateCodeParams{Code: newCode(u, c, "one"), Now: now}))
	verdicts := make([]core.RedeemVerdict, 50)
	var ids [50]core.SessionID
	at(50, func(i int) {
		res, err := e.RedeemCode(e.ctx, redeeming(u, c, "one"))
		if err != nil {
			e.Error(err)
			return
		}
		if verdicts[i] = res.Verdict; res.Session != nil {
			ids[i] = res.Session.ID
		}
	})
	n := map[core.RedeemVerdict]int{}
	for i, v := range verdicts {
		n[v]++
		if v == core.CodeRedeemed {
			equal(e, "the session", e.sessionNow(ids[i]).RevokedReason, "code used twice")
		}
	}
	equal(e, "verdicts", n, map[core.RedeemVerdict]int{core.CodeRedeemed: 1, core.CodeReplayed: 49})
	equal(e, "facts", len(e.factsSince(0)), 1)
}
