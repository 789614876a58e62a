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
