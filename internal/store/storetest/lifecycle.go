package storetest

import (
	"context"
	"sync/atomic"

	"github.com/sallyport/sallyport/internal/core"
)

// reopen: everything acknowledged is there after closing and opening.
func reopen(e *env) {
	u := e.create(newUser("app", core.TypeApplication))
	s := e.login(u)
	moved := e.refreshed(presenting(s, 0, now+1)).Session
	m := minting(u, s)
	e.minted(m)
	k := e.key("daemon")
	ex, err := e.ExchangeRequestToken(e.ctx, exchanging(k, "t"))
	e.ok(err)
	dead := e.login(u)
	_, err = e.RevokeSessions(e.ctx, &core.RevokeSessionsParams{ID: &dead.ID, Reason: "logout", Now: now, Event: event("logout")})
	e.ok(err)
	e.ok(e.InsertKey(e.ctx, newSigningKey("sk", core.KeyActive)))
	e.reserve(core.ReserveParams{Key: core.AttemptKey{1}, Now: now})
	node, err := e.MetaGet(e.ctx, core.MetaNode)
	e.ok(err)
	rec, audited, last := e.userNow(u.ID), e.audited(0), e.lastFact()

	e.again()
	equal(e, "user", e.userNow(u.ID), rec)
	equal(e, "session", e.sessionNow(s.ID), moved)
	equal(e, "revoked session", e.refreshed(presenting(dead, 0, now)).Verdict, core.RefreshRevoked)
	a, _, err := e.ApplicationTokenByHash(e.ctx, m.Token.Hash)
	e.ok(err)
	equal(e, "application token", a.ID, m.Token.ID)
	twin, err := e.ExchangeRequestToken(e.ctx, exchanging(k, "t"))
	e.ok(err)
	equal(e, "request token", []any{twin.Verdict, twin.Session.ID}, []any{core.ExchangeTwin, ex.Session.ID})
	equal(e, "facts", e.lastFact(), last)
	equal(e, "audit", e.audited(0), audited)
	equal(e, "attempts", e.reserve(core.ReserveParams{Key: core.AttemptKey{1}, Now: now}).Failures, int64(2))
	keys, err := e.ListKeys(e.ctx)
	e.ok(err)
	equal(e, "signing keys", len(keys), 1)
	again, err := e.MetaGet(e.ctx, core.MetaNode)
	e.ok(err)
	equal(e, "node", again, node)
	equal(e, "the same token goes on", e.refreshed(presenting(s, 1, now+2)).Verdict, core.RefreshMoved)
}

func changes(e *env) {
	drain := func() bool {
		select {
		case <-e.Changes():
			return true
		default:
			return false
		}
	}
	u := e.user("ada")
	s := e.login(u)
	drain()
	e.refreshed(presenting(s, 0, now))
	equal(e, "news of a refresh", drain(), false)
	_, err := e.RevokeSessions(e.ctx, &core.RevokeSessionsParams{ID: &s.ID, Now: now})
	e.ok(err)
	equal(e, "news of a revocation", drain(), true)
	e.ok(e.InsertKey(e.ctx, newSigningKey("a", core.KeyActive)))
	e.change(u.ID, core.ChangeUserParams{Patch: core.UserPatch{State: ptr(core.Disabled)}})
	equal(e, "news of two", drain(), true)
	equal(e, "at most one waits", drain(), false)
}

func stats(e *env) {
	e.ok(e.Ping(e.ctx))
	before := e.Stats()
	at(20, func(int) {
		if err := e.AppendAudit(e.ctx, now, []core.Event{event("x")}); err != nil {
			e.Errorf("appending: %v", err)
		}
	})
	after := e.Stats()
	equal(e, "steps", after.Steps-before.Steps, uint64(20))
	if n := after.Batches - before.Batches; n < 1 || n > 20 {
		e.Fatalf("%d commits for 20 steps", n)
	}
	if after.SizeBytes == 0 || after.LastCommit == 0 || after.Queue != 0 {
		e.Fatalf("stats %+v", after)
	}
}

func closed(e *env) {
	e.user("ada")
	var started, refused atomic.Int64
	at(9, func(i int) {
		if i == 0 {
			for started.Load() < 8 {
				_ = e.Stats() // let the others begin
			}
			if err := e.Store.Close(); err != nil {
				e.Errorf("closing under load: %v", err)
			}
			return
		}
		for n := 0; ; n++ {
			err := e.AppendAudit(e.ctx, now, []core.Event{event("x")})
			if n == 0 {
				started.Add(1)
			}
			if err != nil {
				if core.CodeOf(err) != core.Unavailable {
					e.Errorf("a closed store says %v", err)
				}
				refused.Add(1)
				return
			}
		}
	})
	equal(e, "refused", refused.Load(), int64(8))
	_, err := e.UserByLogin(e.ctx, home, "ada")
	e.is(err, core.ErrStoreUnavailable)
	e.is(e.Ping(e.ctx), core.ErrStoreUnavailable)
	e.ok(e.Store.Close()) // twice is no mistake
	e.Store = e.open(e.T)
	e.ok(e.Ping(e.ctx))
}

// cancelledBefore: a context that has ended before the hand-over changes nothing.
func cancelledBefore(e *env) {
	gone, cancel := context.WithCancel(e.ctx)
	cancel()
	u := newUser("ada", core.TypeUser)
	_, err := e.CreateUser(gone, &core.CreateUserParams{User: u, Now: now})
	equal(e, "code", core.CodeOf(err), core.Unavailable)
	e.is(err, context.Canceled)
	if _, err := e.UserByID(e.ctx, u.ID); err == nil {
		e.Fatal("the step happened")
	}
	_, err = e.UserByID(gone, u.ID)
	equal(e, "reading", core.CodeOf(err), core.Unavailable)
}

// cancelledWaiting: whoever stops waiting is told that the outcome is unknown,
// and repeating the step with the same ids is safe, whatever it was.
func cancelledWaiting(e *env) {
	u := e.create(newUser("app", core.TypeApplication))
	s := e.login(u)
	k := e.key("daemon")
	var unknown atomic.Int64
	at(32, func(i int) {
		for n := range 12 {
			ctx, cancel := context.WithCancel(e.ctx)
			if i%4 != 0 {
				go cancel()
			}
			e.cancelledStep(ctx, (i+n)%4, u, s, k, &unknown)
			cancel()
		}
	})
	e.Logf("%d outcomes were unknown", unknown.Load())
	records, err := e.ListAudit(e.ctx, core.AuditQuery{Limit: 1000})
	e.ok(err)
	e.ok(core.VerifyChain(records))
}

func (e *env) cancelledStep(ctx context.Context, kind int, u *core.User, s *core.Session, k *core.APIKey, unknown *atomic.Int64) {
	try := func(step func(context.Context) error, repeated func(error) bool) {
		err := step(ctx)
		if err == nil {
			return
		}
		if core.CodeOf(err) != core.Unavailable {
			e.Errorf("a cancelled step says %v", err)
		}
		if isUnknown(err) {
			unknown.Add(1)
		}
		if err := step(e.ctx); err != nil && !repeated(err) {
			e.Errorf("repeating a step of unknown outcome: %v", err)
		}
	}
	never := func(error) bool { return false }
	switch kind {
	case 0:
		p := opening(u)
		p.MaxPerSubject = 0
		try(func(ctx context.Context) error { _, err := e.OpenSession(ctx, p); return err }, never)
		e.sessionNowAnyEpoch(p)
	case 1:
		p := minting(u, s)
		p.MaxPerUser = 0
		try(func(ctx context.Context) error { _, err := e.MintApplicationToken(ctx, p); return err }, never)
		if _, _, err := e.ApplicationTokenByHash(e.ctx, p.Token.Hash); err != nil {
			e.Errorf("the token is not there: %v", err)
		}
	case 2:
		p := exchanging(k, core.NewID("t"))
		try(func(ctx context.Context) error { _, err := e.ExchangeRequestToken(ctx, p); return err }, never)
		e.sessionNowAnyEpoch(&p.Open)
	case 3:
		p := newUser(core.NewID("u"), core.TypeUser)
		try(func(ctx context.Context) error {
			_, err := e.CreateUser(ctx, &core.CreateUserParams{User: p, Now: now})
			return err
		}, isExists)
		if _, err := e.UserByID(e.ctx, p.ID); err != nil {
			e.Errorf("the user is not there: %v", err)
		}
	}
}

// sessionNowAnyEpoch opens the session again, which finds the row.
func (e *env) sessionNowAnyEpoch(p *core.OpenSessionParams) {
	res, err := e.OpenSession(e.ctx, p)
	if err != nil || res.Session.ID.Key != p.Session.ID.Key {
		e.Errorf("the session is not there: %v", err)
	}
}
