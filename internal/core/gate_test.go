package core_test

import (
	"context"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/password"
)

// What can happen to a user while something of theirs is under way.
var acts = []struct {
	name string
	do   func(w *world, u *core.User) error
	ends bool // ends sessions that are open
}{
	{"password changed", func(w *world, u *core.User) error {
		_, err := w.svc.SetPassword(w.ctx, admin, u.ID, "quite another set of words", false, "")
		return err
	}, true},
	{"password reset", func(w *world, u *core.User) error {
		_, err := w.svc.SetPassword(w.ctx, admin, u.ID, "quite another set of words", true, "")
		return err
	}, true},
	{"disabled", func(w *world, u *core.User) error {
		_, err := w.svc.SetUserState(w.ctx, admin, u.ID, core.Disabled)
		return err
	}, true},
	{"disabled and enabled", func(w *world, u *core.User) error {
		_, err := w.svc.SetUserState(w.ctx, admin, u.ID, core.Disabled)
		w.must(err)
		_, err = w.svc.SetUserState(w.ctx, admin, u.ID, core.Active)
		return err
	}, true},
	{"deleted", func(w *world, u *core.User) error { return w.svc.DeleteUser(w.ctx, admin, u.ID) }, true},
	{"renamed", func(w *world, u *core.User) error {
		name := u.Username + "-new"
		_, err := w.svc.UpdateUser(w.ctx, admin, u.ID, core.UserPatch{Username: &name})
		return err
	}, false},
	{"type changed", func(w *world, u *core.User) error {
		typ := core.TypeUser
		_, err := w.svc.UpdateUser(w.ctx, admin, u.ID, core.UserPatch{Type: &typ})
		return err
	}, false},
	{"compromised", func(w *world, u *core.User) error {
		_, err := w.svc.CompromiseUser(w.ctx, admin, u.ID)
		return err
	}, true},
	{"account disabled", func(w *world, _ *core.User) error {
		_, err := w.svc.SetAccountState(w.ctx, admin, "acme", core.Disabled)
		return err
	}, true},
	{"account disabled and enabled", func(w *world, _ *core.User) error {
		_, err := w.svc.SetAccountState(w.ctx, admin, "acme", core.Disabled)
		w.must(err)
		_, err = w.svc.SetAccountState(w.ctx, admin, "acme", core.Active)
		return err
	}, true},
}

// acme makes a world with an account and a mount of it.
func acme(t testing.TB, h *password.Hasher, m *core.Mount) *world {
	w := newWorldWith(t, core.Config{}, h, m)
	_, err := w.svc.CreateAccount(w.ctx, admin, "acme")
	w.must(err)
	return w
}

// importedHash is right in a format that the first login upgrades.
func importedHash(t testing.TB) string {
	t.Helper()
	b, err := bcrypt.GenerateFromPassword([]byte(right), 10)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func imported(phc string) func(*core.NewUser) {
	return func(n *core.NewUser) { n.PasswordHash = phc }
}

func storedHash(w *world, id string) string {
	w.Helper()
	u, err := w.disk.UserByID(w.ctx, id)
	w.must(err)
	return u.PasswordHash
}

// TestGateLogin: a login whose password was verified, and that then hangs
// before it opens its session, yields nothing once the user changed.
func TestGateLogin(t *testing.T) {
	h, err := password.New(password.Config{Slots: 2})
	if err != nil {
		t.Fatal(err)
	}
	m := itempath("item", "acme")
	w := acme(t, h, m)
	phc := importedHash(t)
	for i, c := range acts {
		t.Run(c.name, func(t *testing.T) {
			w := w.with(t)
			u := w.user("user"+string(rune('a'+i)), in("acme"), application, imported(phc))
			if got := storedHash(w, u.ID); got != phc {
				t.Fatal("the hash was not imported as it is")
			}
			var after string
			w.store.once("OpenSession", func() {
				w.must(c.do(w, u))
				after = storedHash(w, u.ID)
			})
			defer w.store.mend()
			_, err := w.login(m, u.Username, right, home)
			wantCode(t, err, core.BadCredentials)
			if n := len(w.liveSessions(u.ID)); n != 0 {
				t.Fatalf("%d sessions", n)
			}
			if got := storedHash(w, u.ID); got != after {
				t.Fatalf("the hash changed after the act: %s", got)
			}
			_, err = w.svc.SetAccountState(w.ctx, admin, "acme", core.Active)
			w.must(err)
		})
	}
}

// TestGateHashUpgrade: the upgrade of a hash does not bring the old password
// back when it changes between the login and the upgrade.
func TestGateHashUpgrade(t *testing.T) {
	h, err := password.New(password.Config{Slots: 2})
	if err != nil {
		t.Fatal(err)
	}
	m := itempath("item", "acme")
	w := acme(t, h, m)
	phc := importedHash(t)
	u := w.user("control", in("acme"), imported(phc))
	w.in(m, "control")
	if got := storedHash(w, u.ID); got == phc {
		t.Fatal("a login does not upgrade the hash: the cases below prove nothing")
	}
	w.in(m, "control")
	for i, c := range acts {
		t.Run(c.name, func(t *testing.T) {
			w := w.with(t)
			u := w.user("user"+string(rune('a'+i)), in("acme"), application, imported(phc))
			var after string
			w.store.once("UpgradeHash", func() {
				w.must(c.do(w, u))
				after = storedHash(w, u.ID)
			})
			defer w.store.mend()
			g, err := w.login(m, u.Username, right, home)
			if got := storedHash(w, u.ID); got != after && after != phc {
				t.Fatalf("the upgrade replaced a newer hash: %s", got)
			}
			if err == nil && c.ends {
				w.refusedCall(g.AccessToken, core.TokenRevoked)
				_, err = w.refresh(m, g.RefreshToken)
				wantCode(t, err, core.TokenRevoked)
			}
			_, err = w.svc.SetAccountState(w.ctx, admin, "acme", core.Active)
			w.must(err)
		})
	}
}

// TestGateHashSlot holds a login in the only hash slot while the user changes.
func TestGateHashSlot(t *testing.T) {
	h, err := password.New(password.Config{Slots: 1})
	if err != nil {
		t.Fatal(err)
	}
	m := itempath("item", core.DefaultAccount)
	w := newWorldWith(t, core.Config{}, h, m)
	u := w.user("ann")
	var results []chan error
	queued := make(chan struct{}, 8)
	w.store.hook(func(method string) error {
		if method == "ReserveAttempt" {
			queued <- struct{}{}
		}
		return nil
	})
	for range 4 { // they read the user, then wait for each other's hash
		done := make(chan error, 1)
		results = append(results, done)
		go func() {
			_, err := w.login(m, "ann", right, home)
			done <- err
		}()
		<-queued
	}
	_, err = w.disk.ChangeUser(w.ctx, &core.ChangeUserParams{
		ID: u.ID, Patch: core.UserPatch{PasswordHash: new(string)}, Effects: core.Effects{RaiseVersion: true, EndSessions: true}, Now: w.clock.Load(),
	})
	w.must(err)
	w.must(w.svc.RevokeEverything(w.ctx, admin)) // makes the service read the facts
	for _, done := range results {
		if err := <-done; err != nil {
			wantCode(t, err, core.BadCredentials)
		}
	}
	if n := len(w.liveSessions(u.ID)); n != 0 {
		t.Fatalf("%d sessions outlive the change of password", n)
	}
	if storedHash(w, u.ID) != "" {
		t.Fatal("the old hash is back")
	}
}

// TestGateRefresh: a refresh that hangs before its step.
func TestGateRefresh(t *testing.T) {
	for _, m := range []*core.Mount{netography("net", "acme"), itempath("item", "acme"), bare("bare", "acme")} {
		w := acme(t, sharedHasher(), m)
		for i, c := range acts {
			t.Run(m.Contract+" "+c.name, func(t *testing.T) {
				w := w.with(t)
				u := w.user("user"+string(rune('a'+i)), in("acme"), application)
				g := w.in(m, u.Username)
				w.store.once("RefreshSession", func() { w.must(c.do(w, u)) })
				defer w.store.mend()
				var err error
				var next *core.Granted
				if m.Policy.Refresh == nil {
					next, err = w.svc.Renew(w.ctx, &core.RenewRequest{Mount: m, Token: g.AccessToken, Client: from(home)})
				} else {
					next, err = w.refresh(m, g.RefreshToken)
				}
				if c.ends {
					wantCode(t, err, core.TokenRevoked)
					if w.row(g.Session.ID).Generation != 0 {
						t.Fatal("a refusal moved the row")
					}
				} else {
					w.must(err)
					w.calls(next.AccessToken)
				}
				_, err = w.svc.SetAccountState(w.ctx, admin, "acme", core.Active)
				w.must(err)
				if c.ends {
					w.refusedCall(g.AccessToken, core.TokenRevoked)
				}
			})
		}
	}
}

// TestGateMint: an application token whose minting hangs before its step.
func TestGateMint(t *testing.T) {
	m := itempath("item", "acme")
	w := acme(t, sharedHasher(), m)
	more := append(acts[:len(acts):len(acts)], struct {
		name string
		do   func(w *world, u *core.User) error
		ends bool
	}{"logged out", func(w *world, u *core.User) error {
		_, err := w.svc.RevokeSubjectSessions(w.ctx, admin, u.ID)
		return err
	}, true})
	for i, c := range more {
		t.Run(c.name, func(t *testing.T) {
			w := w.with(t)
			u := w.user("user"+string(rune('a'+i)), in("acme"), application)
			g := w.in(m, u.Username)
			w.store.once("MintApplicationToken", func() { w.must(c.do(w, u)) })
			defer w.store.mend()
			_, err := w.mint(m, g.RefreshToken)
			if c.name == "type changed" {
				wantCode(t, err, core.UserTypeForbidden)
			} else {
				wantCode(t, err, core.TokenRevoked)
			}
			list, err := w.svc.ListApplicationTokens(w.ctx, core.ApplicationTokenQuery{User: u.ID})
			w.must(err)
			if len(list) != 0 {
				t.Fatal("a token was minted")
			}
			_, err = w.svc.SetAccountState(w.ctx, admin, "acme", core.Active)
			w.must(err)
		})
	}
}

// TestGateExchange: a request token whose exchange hangs before its step.
func TestGateExchange(t *testing.T) {
	m := netography("net", "acme")
	w := acme(t, sharedHasher(), m)
	for i, c := range []struct {
		name string
		do   func(w *world, k *core.MadeAPIKey) error
		good bool // the secret is still one
	}{
		{"disabled", func(w *world, k *core.MadeAPIKey) error {
			return w.svc.SetAPIKeyState(w.ctx, admin, k.Key.ID, core.Disabled)
		}, false},
		{"deleted", func(w *world, k *core.MadeAPIKey) error { return w.svc.DeleteAPIKey(w.ctx, admin, k.Key.ID) }, false},
		{"secret replaced", func(w *world, k *core.MadeAPIKey) error {
			_, err := w.svc.RotateAPIKey(w.ctx, admin, k.Key.ID, 0, "")
			return err
		}, false},
		{"secret rotating", func(w *world, k *core.MadeAPIKey) error {
			_, err := w.svc.RotateAPIKey(w.ctx, admin, k.Key.ID, hour, "")
			return err
		}, true},
		{"account disabled", func(w *world, _ *core.MadeAPIKey) error {
			_, err := w.svc.SetAccountState(w.ctx, admin, "acme", core.Disabled)
			return err
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.with(t)
			k := w.apiKey("acme", "app"+string(rune('a'+i)))
			w.store.once("ExchangeRequestToken", func() { w.must(c.do(w, k)) })
			defer w.store.mend()
			_, err := w.exchange(m, w.request(k, "1", w.clock.Load()), home)
			if c.good {
				w.must(err)
			} else {
				wantCode(t, err, core.RequestTokenInvalid)
				if n := len(w.liveSessions(k.Key.ID)); n != 0 {
					t.Fatalf("%d sessions", n)
				}
			}
			_, err = w.svc.SetAccountState(w.ctx, admin, "acme", core.Active)
			w.must(err)
		})
	}
}

// TestGatePasswordChange: a change of password that hangs in its hash while
// the user is marked compromised sets nothing: whoever asked for it may be the
// reason.
func TestGatePasswordChange(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorld(t, m)
	u := w.user("ann")
	w.store.once("ChangeUser", func() {
		_, err := w.svc.CompromiseUser(w.ctx, admin, u.ID)
		w.must(err)
	})
	_, err := w.svc.SetPassword(w.ctx, core.Actor{Name: "user:" + u.ID}, u.ID, "the thief chose these words", false, "")
	wantCode(t, err, core.Conflict)
	if storedHash(w, u.ID) != "" {
		t.Fatal("the password of a compromised user is the thief's")
	}
}

// TestGateCallerLeft: a caller that goes away in the queue leaves no session
// and has its attempt given back.
func TestGateCallerLeft(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorld(t, m)
	u := w.user("ann")
	for range 120 { // more than the whole budget
		ctx, cancel := context.WithCancel(w.ctx)
		w.store.hook(func(method string) error {
			if method == "ReserveAttempt done" {
				cancel()
			}
			return nil
		})
		_, err := w.svc.Login(ctx, &core.LoginRequest{Mount: m, Username: "ann", Password: wrong, Client: from(stranger)})
		wantCode(t, err, core.Unavailable)
		cancel()
	}
	w.store.mend()
	if n := len(w.liveSessions(u.ID)); n != 0 {
		t.Fatalf("%d sessions", n)
	}
	if _, err := w.login(m, "ann", right, stranger); err != nil {
		t.Fatalf("attempts that were never judged used the budget up: %v", err)
	}
}
