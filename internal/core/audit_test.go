package core_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// TestAuditOfActs: one event for each act, that says who, whom and from where,
// in one unbroken chain, with no secret in it.
func TestAuditOfActs(t *testing.T) {
	m, item := netography("net", core.DefaultAccount), itempath("item", core.DefaultAccount)
	w := newWorld(t, m, item)
	op := core.Actor{Name: "operator:1000", Address: "192.0.2.77", RequestID: "r9"}
	var secrets []string
	expect := []string{}
	act := func(kind string, err error) {
		t.Helper()
		w.must(err)
		expect = append(expect, kind)
	}
	_, err := w.svc.CreateAccount(w.ctx, op, "acme")
	act("account.create", err)
	_, err = w.svc.SetAccountState(w.ctx, op, "acme", core.Disabled)
	act("account.disable", err)
	u, err := w.svc.CreateUser(w.ctx, op, core.NewUser{Username: "robot", Type: core.TypeApplication, Password: right})
	act("user.create", err)
	g, err := w.login(item, "robot", right, home)
	act("login", err)
	app, err := w.mint(item, g.RefreshToken)
	act("apptoken.mint", err)
	_, err = w.svc.ChangeApplicationToken(w.ctx, op, app.ApplicationID, core.TokenSuspend)
	act("apptoken.suspend", err)
	_, err = w.svc.ChangeApplicationToken(w.ctx, op, app.ApplicationID, core.TokenResume)
	act("apptoken.resume", err)
	_, err = w.svc.ChangeApplicationToken(w.ctx, op, app.ApplicationID, core.TokenRevoke)
	act("apptoken.revoke", err)
	act("logout", w.svc.Logout(w.ctx, &core.LogoutRequest{Mount: item, Token: g.RefreshToken, Client: from(home)}))
	name := "robot2"
	_, err = w.svc.UpdateUser(w.ctx, op, u.ID, core.UserPatch{Username: &name})
	act("user.update", err)
	_, err = w.svc.SetPassword(w.ctx, op, u.ID, "quite another set of words", true, "")
	act("user.password.reset", err)
	act("user.unlock", w.svc.UnlockUser(w.ctx, op, u.ID))
	_, err = w.svc.SetUserState(w.ctx, op, u.ID, core.Disabled)
	act("user.disable", err)
	_, err = w.svc.SetUserState(w.ctx, op, u.ID, core.Active)
	act("user.enable", err)
	k, err := w.svc.CreateAPIKey(w.ctx, op, core.NewAPIKey{AppName: "daemon"})
	act("apikey.create", err)
	kg, err := w.exchange(m, w.request(k, "1", start), home)
	act("login", err)
	k2, err := w.svc.RotateAPIKey(w.ctx, op, k.Key.ID, hour, "")
	act("apikey.rotate", err)
	act("session.revoke", w.svc.RevokeSession(w.ctx, op, kg.Session.ID.String()))
	act("apikey.disable", w.svc.SetAPIKeyState(w.ctx, op, k.Key.ID, core.Disabled))
	act("apikey.delete", w.svc.DeleteAPIKey(w.ctx, op, k.Key.ID))
	_, err = w.svc.CompromiseUser(w.ctx, op, u.ID)
	act("user.compromised", err)
	act("user.delete", w.svc.DeleteUser(w.ctx, op, u.ID))
	act("revoke.everything", w.svc.RevokeEverything(w.ctx, op))
	secrets = append(secrets, right, "quite another set of words", g.AccessToken, g.RefreshToken, app.ApplicationToken, k.Secret, k2.Secret, kg.AccessToken)

	records, err := w.svc.ListAudit(w.ctx, core.AuditQuery{Limit: 1000})
	w.must(err)
	w.must(core.VerifyChain(records))
	var kinds []string
	for _, r := range records {
		if strings.HasPrefix(r.Event.Kind, "key.") {
			continue // of the keyring, at start
		}
		kinds = append(kinds, r.Event.Kind)
		e := r.Event
		switch e.Kind {
		case "login", "logout", "apptoken.mint":
			if e.Address != home.String() || e.RequestID != "r1" || e.Mount == "" || e.Session == "" {
				t.Errorf("%+v", e)
			}
		default:
			if e.Actor != op.Name || e.Address != op.Address || e.RequestID != op.RequestID {
				t.Errorf("%+v", e)
			}
		}
		text := fmt.Sprintf("%+v", r)
		for _, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("%s holds a secret", e.Kind)
			}
		}
	}
	if !slices.Equal(kinds, expect) {
		t.Errorf("got  %v\nwant %v", kinds, expect)
	}
	records[2].Event.Subject = "somebody else"
	if core.VerifyChain(records) == nil {
		t.Error("a changed record verifies")
	}
}

// TestRefusalsWriteNothing but counters: the log holds one bounded summary of
// the minute, whoever and however many they were.
func TestRefusalsWriteNothing(t *testing.T) {
	m, item := netography("net", core.DefaultAccount), itempath("item", core.DefaultAccount)
	w := newWorld(t, m, item)
	w.user("robot", application)
	g := w.in(m, "robot")
	w.svc.Flush(w.ctx)
	before := w.disk.Stats().Steps
	head := func(alg string) string { return "eyJhbGciOiI" + alg + "IifQ.e30.AAAA" }
	for i := range 3000 {
		c := core.Client{Address: netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(i % 250)})}
		for _, tok := range []string{"", "x", head(fmt.Sprint(i)), g.RefreshToken, g.AccessToken + "A", strings.Repeat("a.", i%50)} {
			_, err := w.svc.Authenticate(w.ctx, &core.AuthenticateRequest{Mounts: w.mounts, Token: tok, Client: c})
			if err == nil {
				t.Fatalf("%q is accepted", tok)
			}
		}
		_, err := w.svc.Refresh(w.ctx, &core.RefreshRequest{Mount: m, Token: g.AccessToken, Client: c})
		wantCode(t, err, core.TokenWrongKind)
		_, err = w.svc.ExchangeRequestToken(w.ctx, &core.ExchangeRequest{Mount: m, Token: g.AccessToken, Client: c})
		wantCode(t, err, core.RequestTokenInvalid)
		err = w.svc.Logout(w.ctx, &core.LogoutRequest{Mount: m, Token: g.IDToken, Client: c})
		wantCode(t, err, core.TokenWrongKind)
	}
	if steps := w.disk.Stats().Steps - before; steps != 0 {
		t.Fatalf("refusals wrote %d steps", steps)
	}
	w.svc.Flush(w.ctx)
	if steps := w.disk.Stats().Steps - before; steps != 1 {
		t.Fatalf("the summary took %d steps", steps)
	}
	list := w.audits("refusals")
	if len(list) == 0 || len(list) > 50 {
		t.Fatalf("%d records for one minute", len(list))
	}
	for _, e := range list {
		if len(e.Detail) > 30 || len(fmt.Sprint(e)) > 2000 {
			t.Fatalf("an unbounded record: %+v", e)
		}
	}
}

// TestRefusalsOfManyReasons: a network that a token may not be used from
// stands in the address, not in the reason, or strangers would fill the
// minute's summary and push the others out.
func TestRefusalsOfManyReasons(t *testing.T) {
	item := itempath("item", core.DefaultAccount)
	w := newWorld(t, item)
	w.user("robot", application)
	g := w.in(item, "robot")
	app, err := w.svc.MintApplicationToken(w.ctx, &core.MintRequest{Mount: item, Token: g.RefreshToken, Networks: []string{"192.0.2.0/24"}, Client: from(home)})
	w.must(err)
	for i := range 500 {
		c := core.Client{Address: netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(i % 250)})}
		_, err := w.svc.Authenticate(w.ctx, &core.AuthenticateRequest{Mounts: w.mounts, Token: app.ApplicationToken, Client: c})
		wantCode(t, err, core.NetworkForbidden)
	}
	_, err = w.login(item, "robot", wrong, stranger)
	wantCode(t, err, core.BadCredentials)
	list := w.audits("refusals")
	if len(list) != 2 || list[0].Detail["count"] != "500" || list[1].Detail["reason"] != "wrong password" {
		t.Fatalf("%d records: %+v", len(list), list)
	}
}

// TestClockGuard: a clock that jumps stops purging until an operator says so.
func TestClockGuard(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	for _, c := range []struct {
		name  string
		jump  int64
		doubt bool
	}{
		{"a day ahead", day + 1, true}, {"a day", day, false}, {"a minute back", -minute - 1, true}, {"less back", -minute, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, m)
			k := w.apiKey("", "daemon")
			g, err := w.exchange(m, w.request(k, "1", start), home)
			w.must(err)
			w.reopen(func() { w.sleep(c.jump) })
			if w.svc.ClockInDoubt() != c.doubt || w.seen.heard("clock") != c.doubt {
				t.Fatalf("in doubt: %v", w.svc.ClockInDoubt())
			}
			if !c.doubt {
				return
			}
			w.reopen(nil)
			if !w.svc.ClockInDoubt() {
				t.Fatal("a restart confirms the clock")
			}
			w.sleep(2 * year)
			w.svc.Purge(w.ctx)
			if !w.hasRow(g.Session.ID) {
				t.Fatal("purged under a clock in doubt")
			}
			w.must(w.svc.ConfirmClock(w.ctx, admin))
			if w.svc.ClockInDoubt() {
				t.Fatal("still in doubt")
			}
			w.svc.Purge(w.ctx)
			if w.hasRow(g.Session.ID) {
				t.Fatal("nothing is purged any more")
			}
			w.reopen(nil)
			if w.svc.ClockInDoubt() {
				t.Fatal("the confirmation is forgotten")
			}
		})
	}
}

// TestInspectToken: what an operator reads.
func TestInspectToken(t *testing.T) {
	m, item := netography("net", core.DefaultAccount), itempath("item", core.DefaultAccount)
	w := newWorld(t, m, item)
	w.user("robot", application)
	g, i := w.in(m, "robot"), w.in(item, "robot")
	app := w.minted(item, i.RefreshToken)
	say := func(tok string) *core.Inspection {
		t.Helper()
		in, err := w.svc.InspectToken(w.ctx, " "+tok+"\n")
		w.must(err)
		return in
	}
	for _, c := range []struct {
		tok, verdict, mount string
		kind                token.Kind
		valid               bool
	}{
		{g.AccessToken, "Good: this access token speaks for robot.", "net", token.Access, true},
		{g.RefreshToken, "Good: this refresh token speaks for robot. It does not open the API; only access and application tokens do.", "net", token.Refresh, true},
		{g.IDToken, "Good: this id token speaks for robot. It does not open the API; only access and application tokens do.", "net", token.ID, true},
		{app.ApplicationToken, "Good: this application token speaks for robot.", "item", token.Application, true},
		{"abc", "", "", "", false},
		{g.AccessToken[:len(g.AccessToken)-1] + flip(g.AccessToken[len(g.AccessToken)-1]), "Refused: no key of this server signed it. It comes from another issuer, its key was dropped, or it was altered.", "", "", false},
	} {
		in := say(c.tok)
		if in.Valid != c.valid || in.Kind != c.kind || in.Mount != c.mount || c.verdict != "" && in.Verdict != c.verdict || in.Verdict == "" {
			t.Errorf("%+v", in)
		}
		if c.valid && (in.Header != header(t, c.tok) || in.Subject == nil || in.KeyID == "") {
			t.Errorf("%+v", in)
		}
		if len(in.Checks) == 0 || in.Checks[len(in.Checks)-1].OK != c.valid {
			t.Errorf("checks %+v", in.Checks)
		}
	}
	w.must(w.svc.RevokeSession(w.ctx, admin, g.Session.ID.String()))
	if in := say(g.AccessToken); in.Valid || in.Verdict != "Refused: session revoked" || in.Session == nil || in.Session.RevokedReason != "operator" {
		t.Errorf("%+v", in)
	}
	w.sleep(hour)
	if in := say(g.AccessToken); in.Valid || in.Kind != token.Access || !strings.Contains(in.Verdict, "expired") {
		t.Errorf("%+v", in)
	}
	if before := w.row(i.Session.ID); before.Generation != 0 {
		t.Error("an inspection moves the row")
	}
}
