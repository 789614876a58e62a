package core_test

import (
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// TestSecurity46_FreshLoginBeforeMinting: an application token is only for who
// has just logged in. Refreshing makes no login younger.
func TestSecurity46_FreshLoginBeforeMinting(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("robot", application)
	w.user("ann")
	g, plain := w.in(m, "robot"), w.in(m, "ann")
	mint := func(tok string, age int64) error {
		_, err := w.svc.MintApplicationToken(w.ctx, &core.MintRequest{
			Mount: m, Token: tok, Kinds: []token.Kind{token.Access, token.Refresh}, MaxAgeMS: age, Client: from(home),
		})
		return err
	}
	w.must(mint(g.RefreshToken, 0))
	w.sleep(5 * minute)
	w.must(mint(g.RefreshToken, 0))
	w.sleep(1)
	wantCode(t, mint(g.RefreshToken, 0), core.LoginTooOld)
	wantCode(t, mint(g.AccessToken, 0), core.LoginTooOld)
	next, err := w.refresh(m, g.RefreshToken)
	w.must(err)
	wantCode(t, mint(next.AccessToken, 0), core.LoginTooOld)
	wantCode(t, mint(plain.RefreshToken, 0), core.UserTypeForbidden) // logging in again would not help
	w.must(mint(g.RefreshToken, 10*minute))
	w.must(mint(g.RefreshToken, core.AnyAge))
}
