package core_test

import (
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
	"github.com/sallyport/sallyport/internal/token"
)

// authServer switches OAuth on.
func (w *world) authServer() *authserver.Server {
	s := authserver.New(authserver.Config{Service: w.svc, Engine: w.svc.Engine(), Store: w.store, Keys: w.keys, Now: w.clock.Load})
	w.must(s.Enable(w.ctx, authserver.Options{}))
	return s
}

// TestEngineIdentify: a token is given with a refusal for its age, and only if
// it is of the kind asked for: what reads hints would take another for one.
func TestEngineIdentify(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("ann")
	g, engine := w.in(m, "ann"), w.svc.Engine()
	identify := func(raw string, kind token.Kind, given bool, code core.Code) {
		t.Helper()
		id, err := engine.Identify(raw, m, w.clock.Load(), kind)
		if (id != nil) != given || given && id.Kind != kind {
			t.Errorf("%+v is given", id)
		}
		if code != "" || err != nil {
			wantCode(t, err, code)
		}
	}
	identify(g.IDToken, token.ID, true, "")
	identify(g.AccessToken, token.ID, false, core.TokenWrongKind)
	identify(g.AccessToken+"x", token.Access, false, core.TokenMalformed)
	w.sleep(2 * hour)
	identify(g.IDToken, token.ID, true, core.TokenExpired)
	identify(g.AccessToken, token.Access, true, core.TokenExpired)
	identify(g.AccessToken, token.ID, false, core.TokenExpired)
	identify(g.RefreshToken, token.Access, false, core.TokenWrongKind)
}

// TestEndTokenOfOneMount: whoever holds the stolen access key of one mount can
// sign any jti with it, and an OAuth client revokes what is signed. That must
// end nothing of another mount, nor hide that a token there was ended.
func TestEndTokenOfOneMount(t *testing.T) {
	stolen, other := netography("stolen", core.DefaultAccount), itempath("other", core.DefaultAccount)
	w := newWorld(t, stolen, other)
	w.user("ann")
	w.user("robot", application)
	engine := w.svc.Engine()
	identified := func(m *core.Mount, raw string) *core.Identified {
		t.Helper()
		id, err := engine.Identify(raw, m, w.clock.Load(), token.Access)
		w.must(err)
		return id
	}
	end := func(id *core.Identified) {
		t.Helper()
		w.must(engine.EndToken(w.ctx, id, "revoked by client", core.Event{Kind: "token.revoke"}, w.clock.Load()))
	}
	thief, ann, ended, robot := w.in(stolen, "ann"), w.in(other, "ann"), w.in(other, "ann"), w.in(other, "robot")
	app := w.minted(other, robot.RefreshToken)
	for _, g := range []*core.Granted{thief, ann, ended} {
		w.calls(g.AccessToken)
	}
	w.calls(app.ApplicationToken)

	end(identified(other, ended.AccessToken))
	forged := func(jti string) *core.Identified {
		id := identified(stolen, thief.AccessToken)
		claims := *id.Claims
		claims.ID = jti
		return &core.Identified{Mount: id.Mount, Kind: id.Kind, Claims: &claims}
	}
	end(forged(identified(other, ann.AccessToken).Claims.ID))
	end(forged(identified(other, ended.AccessToken).Claims.ID))
	end(forged(app.ApplicationID))

	check := func() {
		t.Helper()
		w.calls(ann.AccessToken)
		w.calls(app.ApplicationToken)
		w.calls(thief.AccessToken)
		w.refusedCall(ended.AccessToken, core.TokenRevoked)
		// Readers of the feed of any version go by jti; those of this one also by
		// the session in the fact.
		facts, _, err := w.disk.FactsSince(w.ctx, 0, 0)
		w.must(err)
		for _, f := range facts {
			if f.Kind == core.FactToken && f.Spare != f.Subject && f.Spare != ended.Session.ID.String() && f.Spare != thief.Session.ID.String() {
				t.Errorf("fact %+v names no session", f)
			}
		}
	}
	check()
	w.reopen(nil)
	engine = w.svc.Engine()
	check()

	// What is done to the application token itself still reaches those who only
	// hear facts, and for good.
	_, err := w.svc.ChangeApplicationToken(w.ctx, admin, app.ApplicationID, core.TokenSuspend)
	w.must(err)
	facts, last, err := w.disk.FactsSince(w.ctx, 0, 0)
	w.must(err)
	if f := facts[len(facts)-1]; f.Number != last || f.Subject != app.ApplicationID || f.Spare != "" || f.PurgeAt != core.FactForever {
		t.Errorf("the last fact is %+v", f)
	}

	// A fact that v0.1.0 made has no session, and counts for all.
	id := identified(other, ann.AccessToken)
	_, err = w.disk.AddFact(w.ctx, &core.AddFactParams{Now: w.clock.Load(), Fact: core.Fact{
		Kind: core.FactToken, Subject: id.Claims.ID, At: w.clock.Load(), PurgeAt: w.clock.Load() + hour,
	}})
	w.must(err)
	w.must(w.svc.HearRevocations(w.ctx))
	w.refusedCall(ann.AccessToken, core.TokenRevoked)
}
