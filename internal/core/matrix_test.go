package core_test

import (
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/keyring"
	"github.com/sallyport/sallyport/internal/token"
)

// everyKind is a contract that has all kinds of tokens.
func everyKind(id, account string) *core.Mount {
	m := netography(id, account)
	m.Policy.Application = jwt(token.Application, token.HS256, 0)
	return m
}

// TestKindsTimesMethods: every kind of token at every method; only the
// diagonal is accepted.
func TestKindsTimesMethods(t *testing.T) {
	m := everyKind("all", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("robot", application)
	k := w.apiKey("", "daemon")
	g := w.in(m, "robot")
	app := w.minted(m, g.RefreshToken)
	toks := map[token.Kind]string{
		token.Access: g.AccessToken, token.Refresh: g.RefreshToken, token.ID: g.IDToken,
		token.Application: app.ApplicationToken, token.Request: w.request(k, "1", start),
	}
	verify := func(kinds ...token.Kind) func(string) error {
		return func(tok string) error {
			p, err := w.svc.Verify(w.ctx, &core.VerifyRequest{Mount: m, Token: tok, Kinds: kinds, Client: from(home)})
			if err == nil && toks[p.Kind] != tok {
				t.Errorf("a token was taken for one of kind %s", p.Kind)
			}
			return err
		}
	}
	methods := []struct {
		name string
		call func(tok string) error
		good []token.Kind
	}{
		{"authenticate", func(tok string) error { _, err := w.call(tok); return err }, []token.Kind{token.Access, token.Application}},
		{"authenticate, access only", func(tok string) error {
			_, err := w.svc.Authenticate(w.ctx, &core.AuthenticateRequest{Mounts: w.mounts, Kinds: []token.Kind{token.Access}, Token: tok})
			return err
		}, []token.Kind{token.Access}},
		{"authenticate, refresh listed", func(tok string) error {
			_, err := w.svc.Authenticate(w.ctx, &core.AuthenticateRequest{Mounts: w.mounts, Kinds: []token.Kind{token.Refresh, token.ID}, Token: tok})
			return err
		}, nil},
		{"verify", verify(), []token.Kind{token.Access, token.Application}},
		{"verify refresh", verify(token.Refresh), []token.Kind{token.Refresh}},
		{"verify id", verify(token.ID), []token.Kind{token.ID}},
		{"verify application", verify(token.Application), []token.Kind{token.Application}},
		{"mint", func(tok string) error { _, err := w.mint(m, tok); return err }, []token.Kind{token.Refresh}},
		{"mint by access", func(tok string) error {
			_, err := w.svc.MintApplicationToken(w.ctx, &core.MintRequest{Mount: m, Token: tok, Kinds: []token.Kind{token.Access}})
			return err
		}, []token.Kind{token.Access}},
		{"renew", func(tok string) error {
			_, err := w.svc.Renew(w.ctx, &core.RenewRequest{Mount: m, Token: tok})
			return err
		}, []token.Kind{token.Access}},
		{"refresh", func(tok string) error { _, err := w.refresh(m, tok); return err }, []token.Kind{token.Refresh}},
		{"exchange", func(tok string) error { _, err := w.exchange(m, tok, home); return err }, []token.Kind{token.Request}},
		{"logout", func(tok string) error {
			return w.svc.Logout(w.ctx, &core.LogoutRequest{Mount: m, Token: tok, Client: from(home)})
		}, []token.Kind{token.Access, token.Refresh}},
	}
	for _, method := range methods {
		for kind, tok := range toks {
			want := core.TokenWrongKind
			switch {
			case method.name == "exchange":
				want = core.RequestTokenInvalid
			case kind == token.Request:
				want = core.TokenInvalid
			}
			for _, good := range method.good {
				if kind == good {
					want = ""
				}
			}
			err := method.call(tok)
			if err == nil && want != "" || err != nil && core.CodeOf(err) != want {
				t.Errorf("%s token at %s: %v, want %q", kind, method.name, err, want)
			}
		}
	}
	// Expired, it is that and no more, whatever its kind.
	w.sleep(2 * day)
	for kind, tok := range toks {
		if kind == token.Application || kind == token.Request {
			continue
		}
		for _, method := range methods {
			if method.name == "exchange" {
				continue
			}
			if err := method.call(tok); core.CodeOf(err) != core.TokenExpired {
				t.Errorf("expired %s token at %s: %v", kind, method.name, err)
			}
		}
	}
}

// TestSecurity43_UserStatesTimesCredentials: what still works for whom. (Peers let a
// locked or disabled user refresh or mint.)
func TestSecurity43_UserStatesTimesCredentials(t *testing.T) {
	m := everyKind("all", "acme")
	w := newWorld(t, m)
	_, err := w.svc.CreateAccount(w.ctx, admin, "acme")
	w.must(err)
	states := []struct {
		name string
		act  func(w *world, u *core.User) error
		good string // credentials that still work
	}{
		{"active", func(*world, *core.User) error { return nil }, "password access refresh id application mint key keytoken"},
		{"renamed", func(w *world, u *core.User) error {
			name := u.Username + "x"
			_, err := w.svc.UpdateUser(w.ctx, admin, u.ID, core.UserPatch{Username: &name})
			return err
		}, "access refresh id application mint key keytoken"},
		{"plain user", func(w *world, u *core.User) error {
			typ := core.TypeUser
			_, err := w.svc.UpdateUser(w.ctx, admin, u.ID, core.UserPatch{Type: &typ})
			return err
		}, "password access refresh id key keytoken"},
		{"disabled", func(w *world, u *core.User) error {
			_, err := w.svc.SetUserState(w.ctx, admin, u.ID, core.Disabled)
			return err
		}, ""},
		{"deleted", func(w *world, u *core.User) error { return w.svc.DeleteUser(w.ctx, admin, u.ID) }, ""},
		{"compromised", func(w *world, u *core.User) error {
			_, err := w.svc.CompromiseUser(w.ctx, admin, u.ID)
			return err
		}, ""},
		{"password changed", func(w *world, u *core.User) error {
			_, err := w.svc.SetPassword(w.ctx, admin, u.ID, "quite another set of words", false, "")
			return err
		}, "application key keytoken"},
		{"password reset", func(w *world, u *core.User) error {
			_, err := w.svc.SetPassword(w.ctx, admin, u.ID, "quite another set of words", true, "")
			return err
		}, "key keytoken"},
		{"account disabled", func(w *world, _ *core.User) error {
			_, err := w.svc.SetAccountState(w.ctx, admin, "acme", core.Disabled)
			return err
		}, ""},
	}
	for i, st := range states {
		t.Run(st.name, func(t *testing.T) {
			w := w.with(t)
			u := w.user("robot"+string(rune('a'+i)), application, in("acme"))
			k, err := w.svc.CreateAPIKey(w.ctx, admin, core.NewAPIKey{Account: "acme", AppName: u.Username, Owner: u.ID})
			w.must(err)
			keyed, err := w.exchange(m, w.request(k, "1", w.clock.Load()), home)
			w.must(err)
			g := w.in(m, u.Username)
			app := w.minted(m, g.RefreshToken)
			w.calls(g.AccessToken)
			w.calls(keyed.AccessToken)
			w.must(st.act(w, u))
			uses := []struct {
				credential string
				use        func() error
			}{
				{"password", func() error { _, err := w.login(m, u.Username, right, home); return err }},
				{"access", func() error { _, err := w.call(g.AccessToken); return err }},
				{"id", func() error {
					_, err := w.svc.Verify(w.ctx, &core.VerifyRequest{Mount: m, Token: g.IDToken, Kinds: []token.Kind{token.ID}})
					return err
				}},
				{"application", func() error { _, err := w.call(app.ApplicationToken); return err }},
				{"mint", func() error { _, err := w.mint(m, g.RefreshToken); return err }},
				{"refresh", func() error { _, err := w.refresh(m, g.RefreshToken); return err }},
				{"key", func() error { _, err := w.exchange(m, w.request(k, "2", w.clock.Load()), home); return err }},
				{"keytoken", func() error { _, err := w.call(keyed.AccessToken); return err }},
				{"keytoken", func() error { _, err := w.refresh(m, keyed.RefreshToken); return err }},
			}
			for _, c := range uses {
				err := c.use()
				good := containsWord(st.good, c.credential)
				switch {
				case good && err != nil:
					t.Errorf("%s: %v", c.credential, err)
				case !good && err == nil:
					t.Errorf("%s still works", c.credential)
				case !good && !core.CodeOf(err).Is(core.Unauthorized) && core.CodeOf(err) != core.UserTypeForbidden:
					t.Errorf("%s: %v", c.credential, err)
				}
			}
			_, err = w.svc.SetAccountState(w.ctx, admin, "acme", core.Active)
			w.must(err)
		})
	}
}

func containsWord(list, word string) bool {
	for len(list) >= len(word) {
		rest := ""
		first := list
		for i := range list {
			if list[i] == ' ' {
				first, rest = list[:i], list[i+1:]
				break
			}
		}
		if first == word {
			return true
		}
		list = rest
	}
	return false
}

// TestTwoAccountsTwoMounts of one contract: neither sees the other's users,
// keys or tokens.
func TestTwoAccountsTwoMounts(t *testing.T) {
	a, b, all := everyKind("ma", "acme"), everyKind("mb", "bolt"), everyKind("any", core.AnyAccount)
	w := newWorld(t, a, b, all)
	for _, name := range []string{"acme", "bolt"} {
		_, err := w.svc.CreateAccount(w.ctx, admin, name)
		w.must(err)
	}
	w.user("ann", in("acme"), application)
	w.user("ann", in("bolt"), func(n *core.NewUser) { n.PasswordHash = ""; n.Password = "quite another set of words" })
	w.user("bob", in("bolt"))
	ka := w.apiKey("acme", "daemon")
	g := w.in(a, "ann")
	app := w.minted(a, g.RefreshToken)
	for name, err := range map[string]error{
		"password of the namesake": func() error { _, err := w.login(b, "ann", right, home); return err }(),
		"the other's user":         func() error { _, err := w.login(a, "bob", right, home); return err }(),
		"asking for the other account": func() error {
			_, err := w.svc.Login(w.ctx, &core.LoginRequest{Mount: a, Account: "bolt", Username: "bob", Password: right, Client: from(home)})
			return err
		}(),
		"any mount, default account": func() error { _, err := w.login(all, "bob", right, home); return err }(),
	} {
		if core.CodeOf(err) != core.BadCredentials {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"access":      func() error { _, err := w.call(g.AccessToken, b); return err }(),
		"application": func() error { _, err := w.call(app.ApplicationToken, b); return err }(),
		"refresh":     func() error { _, err := w.refresh(b, g.RefreshToken); return err }(),
		"access, any": func() error { _, err := w.call(g.AccessToken, all); return err }(),
	} {
		if core.CodeOf(err) != core.TokenInvalid {
			t.Errorf("%s on the other mount: %v", name, err)
		}
	}
	_, err := w.exchange(b, w.request(ka, "1", start), home)
	wantCode(t, err, core.RequestTokenInvalid)
	got, err := w.svc.Login(w.ctx, &core.LoginRequest{Mount: all, Account: "bolt", Username: "bob", Password: right, Client: from(home)})
	w.must(err)
	_, err = w.svc.Authenticate(w.ctx, &core.AuthenticateRequest{Mounts: w.mounts, Token: got.AccessToken, Account: "acme"})
	wantCode(t, err, core.ScopeInsufficient)
	_, err = w.svc.Authenticate(w.ctx, &core.AuthenticateRequest{Mounts: w.mounts, Token: got.AccessToken, Account: "bolt"})
	w.must(err)
	// A mount that is given another account serves the old one's tokens no more.
	w.mounts = []*core.Mount{everyKind("ma", "bolt"), b, all}
	w.reopen(nil)
	moved := w.mounts[0]
	for name, err := range map[string]error{
		"access":      func() error { _, err := w.call(g.AccessToken); return err }(),
		"application": func() error { _, err := w.call(app.ApplicationToken); return err }(),
		"mint":        func() error { _, err := w.mint(moved, g.RefreshToken); return err }(),
		"refresh":     func() error { _, err := w.refresh(moved, g.RefreshToken); return err }(),
	} {
		if !core.CodeOf(err).Is(core.TokenInvalid) {
			t.Errorf("%s after the mount moved to another account: %v", name, err)
		}
	}
}

// TestSharedSecret: whoever holds the secret that a mount signs with can mint
// what outsiders' verifiers take, and nothing that we take anywhere.
func TestSharedSecret(t *testing.T) {
	m, other := itempath("item", core.DefaultAccount), itempath("other", core.DefaultAccount)
	w := newWorld(t, m, other)
	secret := []byte("held by the vendor's verifiers, 32 bytes and more")
	for _, kind := range []token.Kind{token.Access, token.Application} {
		_, err := w.keys.ImportShared(w.ctx, core.KeySet{Mount: m.ID, Kind: kind}, secret, keyring.ImportOptions{})
		w.must(err)
	}
	if _, err := w.keys.ImportShared(w.ctx, core.KeySet{Mount: m.ID, Kind: token.Refresh}, secret, keyring.ImportOptions{}); err == nil {
		t.Fatal("a shared secret may sign refresh tokens")
	}
	u := w.user("robot", application)
	g := w.in(m, "robot")
	app := w.minted(m, g.RefreshToken)
	held, err := token.NewHMAC("", secret)
	w.must(err)
	for name, tok := range map[string]string{"access": g.AccessToken, "application": app.ApplicationToken} { // the controls
		w.calls(tok)
		rules := &token.Rules{Issuers: []string{issuer}, MaxLifetime: 900, NoExpiry: name == "application"}
		if _, err := token.Verify(tok, []*token.Key{held}, rules, start); err != nil {
			t.Fatalf("%s: a verifier that holds the secret refuses it: %v", name, err)
		}
	}
	sid, mac := payload(t, g.AccessToken)["sid"].(string), payload(t, g.AccessToken)["mac"].(string)
	base := `{"iss":"` + issuer + `","sub":"` + u.ID + `","sid":"` + sid + `","jti":"` + core.NewUUID() + `","iat":1800000000,"nbf":1800000000`
	forged := map[string]string{}
	for name, claims := range map[string]string{
		"access":                      `,"exp":1800000900,"type":"access","fresh":false,"identity":"robot"}`,
		"access with another's mac":   `,"exp":1800000900,"type":"access","fresh":false,"identity":"robot","mac":"` + mac + `"}`,
		"access without exp":          `,"type":"access","fresh":false,"identity":"robot"}`,
		"access without exp, its mac": `,"type":"access","fresh":false,"identity":"robot","mac":"` + mac + `"}`,
		"refresh":                     `,"exp":1802592000,"type":"refresh","fresh":false,"identity":"robot"}`,
		"refresh with a mac":          `,"exp":1802592000,"type":"refresh","fresh":false,"identity":"robot","mac":"` + mac + `"}`,
	} {
		forged[name], err = held.Sign(token.Header{Typ: "JWT", OmitKeyID: true, Order: token.TypAlgKid}, []byte(base+claims))
		w.must(err)
	}
	for name, tok := range forged {
		for _, mount := range w.mounts {
			all := []token.Kind{token.Access, token.Refresh, token.ID, token.Application}
			for what, err := range map[string]error{
				"authenticate": func() error { _, err := w.call(tok); return err }(),
				"verify": func() error {
					_, err := w.svc.Verify(w.ctx, &core.VerifyRequest{Mount: mount, Token: tok, Kinds: all})
					return err
				}(),
				"refresh": func() error { _, err := w.refresh(mount, tok); return err }(),
				"renew": func() error {
					_, err := w.svc.Renew(w.ctx, &core.RenewRequest{Mount: mount, Token: tok})
					return err
				}(),
				"mint": func() error {
					_, err := w.svc.MintApplicationToken(w.ctx, &core.MintRequest{Mount: mount, Token: tok, Kinds: all})
					return err
				}(),
				"logout": w.svc.Logout(w.ctx, &core.LogoutRequest{Mount: mount, Token: tok, Kinds: all}),
			} {
				if core.CodeOf(err) != core.TokenInvalid {
					t.Errorf("forged %s at %s of %s: %v", name, what, mount.ID, err)
				}
			}
		}
		in, err := w.svc.InspectToken(w.ctx, tok)
		w.must(err)
		if in.Valid {
			t.Errorf("forged %s: inspection calls it good", name)
		}
	}
	w.calls(g.AccessToken)
	// The genuine tokens of a shared mount are good on that mount alone.
	for _, tok := range []string{g.AccessToken, app.ApplicationToken} {
		_, err := w.call(tok, other)
		wantCode(t, err, core.TokenInvalid)
	}
}
