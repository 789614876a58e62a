package core_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
	"github.com/sallyport/sallyport/internal/token"
)

// statusOf is the place in a status list that a token names, "" for none.
func statusOf(t *testing.T, raw string) (uri string, idx int64) {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Status struct {
			List struct {
				URI string `json:"uri"`
				Idx int64  `json:"idx"`
			} `json:"status_list"`
		} `json:"status"`
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		t.Fatal(err)
	}
	return c.Status.List.URI, c.Status.List.Idx
}

// TestStatusNumbers: each session has a number of its own for all its access
// tokens, over restarts too; other kinds and mounts without lists have none.
func TestStatusNumbers(t *testing.T) {
	m, none := everyKind("all", core.DefaultAccount), netography("none", core.DefaultAccount)
	none.Policy.NoStatusList = true
	w := newWorld(t, m, none)
	w.user("robot", application)
	seen := map[int64]bool{}
	fresh := func(g *core.Granted) int64 {
		t.Helper()
		uri, idx := statusOf(t, g.AccessToken)
		if uri != w.svc.Issuer()+"/oauth2/status-lists/s0" || idx == 0 || idx != g.Session.Status || seen[idx] {
			t.Fatalf("place %d of %s, session %d, seen %v", idx, uri, g.Session.Status, seen)
		}
		seen[idx] = true
		return idx
	}
	g := w.in(m, "robot")
	number := fresh(g)
	fresh(w.in(m, "robot"))
	again := w.refreshed(m, g.RefreshToken)
	if _, idx := statusOf(t, again.AccessToken); idx != number {
		t.Errorf("after a refresh %d, want %d", idx, number)
	}
	for _, raw := range []string{g.RefreshToken, g.IDToken} {
		if uri, _ := statusOf(t, raw); uri != "" {
			t.Errorf("a token that nobody verifies elsewhere names %s", uri)
		}
	}
	app := w.minted(m, again.RefreshToken)
	if uri, idx := statusOf(t, app.ApplicationToken); uri != w.svc.Issuer()+"/oauth2/status-lists/t0" || idx == 0 {
		t.Errorf("application token: place %d of %s", idx, uri)
	}
	if x := w.in(none, "robot"); x.Session.Status != 0 || strings.Contains(x.AccessToken, base64.RawURLEncoding.EncodeToString([]byte(`"status"`))) {
		t.Errorf("a mount without lists gave %d", x.Session.Status)
	}
	// A block is not used for longer than it counts as open.
	w.sleep(core.StatusBlockMS)
	if next := fresh(w.in(m, "robot")); next < number+200 {
		t.Errorf("%d comes from the block of an hour ago, which began with %d", next, number)
	}
	w.reopen(nil)
	fresh(w.in(m, "robot"))
}

// TestEndedByFactIsNotListed: what a fact on everything ended is not shown as
// live, though its row was not touched.
func TestEndedByFactIsNotListed(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	ann := w.user("ann")
	w.in(m, "ann")
	w.must(w.svc.RevokeEverything(w.ctx, admin))
	after := w.in(m, "ann")
	list, err := w.svc.ListSessions(w.ctx, core.SessionQuery{Subject: ann.ID})
	w.must(err)
	if len(list) != 1 || list[0].ID != after.Session.ID {
		t.Errorf("%d sessions are listed after everything was ended and one opened", len(list))
	}
}

// TestResumedTokenIsHeard: a token that was suspended and resumed works on this
// node, after a restart too, and the latest fact on it says so.
func TestResumedTokenIsHeard(t *testing.T) {
	m := everyKind("all", core.DefaultAccount)
	w := newWorld(t, m)
	u := w.user("robot", application)
	g := w.in(m, "robot")
	app := w.minted(m, g.RefreshToken)
	check := func(when string, alive bool) {
		t.Helper()
		if _, err := w.call(app.ApplicationToken); (err == nil) != alive {
			t.Errorf("%s: %v", when, err)
		}
		facts, _, err := w.svc.RevocationsSince(w.ctx, 0, 100)
		w.must(err)
		var latest *core.Fact
		for i := range facts {
			if facts[i].Kind == core.FactToken && facts[i].Subject == app.ApplicationID {
				latest = &facts[i]
			}
		}
		if dead := latest != nil && latest.Spare == ""; dead == alive {
			t.Errorf("%s: the latest fact is %+v", when, latest)
		}
	}
	check("minted", true)
	_, err := w.svc.SetUserState(w.ctx, admin, u.ID, core.Disabled)
	w.must(err)
	check("disabled", false)
	_, err = w.svc.SetUserState(w.ctx, admin, u.ID, core.Active)
	w.must(err)
	check("enabled", true)
	w.reopen(nil)
	check("after a restart", true)
	if _, err := w.svc.Verify(w.ctx, &core.VerifyRequest{Mount: m, Token: app.ApplicationToken, Kinds: []token.Kind{token.Application}, Client: from(home)}); err != nil {
		t.Error(err)
	}
}

// TestStatusListNamesAreOne: a list has one spelling.
func TestStatusListNamesAreOne(t *testing.T) {
	for name, want := range map[string]bool{
		"s0": true, "t17": true, "s00": false, "s": false, "": false, "u1": false, "s-1": false, "s+1": false, "s1 ": false, "s99999999999999999999": false,
	} {
		if _, _, ok := core.ParseStatusList(name); ok != want {
			t.Errorf("%q: %v", name, ok)
		}
	}
	if uri := core.StatusListURI("https://a.example/", core.StatusTokens, 3); uri != "https://a.example/oauth2/status-lists/t3" {
		t.Error(uri)
	}
}

// ReserveStatus is hooked like the fixture's methods.
func (h *hooked) ReserveStatus(ctx context.Context, p *core.ReserveStatusParams) (int64, error) {
	if err := h.at("ReserveStatus"); err != nil {
		return 0, err
	}
	return h.Store.ReserveStatus(ctx, p)
}

// TestRevokedWithoutNumber: a store that cannot number sessions any more, as on
// a full disk, still takes a revocation; a login it refuses.
func TestRevokedWithoutNumber(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("ann")
	g := w.in(m, "ann")
	auth := w.authServer()
	w.sleep(core.StatusBlockMS - 1)
	g = w.refreshed(m, g.RefreshToken)
	w.sleep(1)
	w.store.hook(func(method string) error {
		if method == "ReserveStatus" {
			return errDisk
		}
		return nil
	})
	_, err := w.login(m, "ann", right, home)
	wantCode(t, err, core.Unavailable)
	client := &core.ClientRecord{OAuthClient: core.OAuthClient{ID: "client_x", Account: "ac_default", Type: core.ClientConfidential}}
	w.must(auth.RevokeToken(w.ctx, &authserver.RevokeRequest{Auth: client, Token: g.AccessToken, Client: from(home)}))
	w.refusedCall(g.AccessToken, core.TokenRevoked)
	again := w.refreshed(m, g.RefreshToken)
	if uri, _ := statusOf(t, again.AccessToken); uri != "" || again.Session.Status != 0 {
		t.Errorf("the session goes on as %d in %s", again.Session.Status, uri)
	}
}

// TestReplayedRevocationIsListed: the end of one access token, said again to a
// restored store, reads as revoked in its status list too; the session goes on.
func TestReplayedRevocationIsListed(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("ann")
	g, other := w.in(m, "ann"), w.in(m, "ann")
	dead := func(g *core.Granted) bool {
		t.Helper()
		_, idx := statusOf(t, g.AccessToken)
		l, err := w.svc.StatusList(w.ctx, core.StatusQuery{Space: core.StatusSessions})
		w.must(err)
		return l.Dead[idx/8]>>(idx%8)&1 == 1
	}
	if dead(g) || dead(other) {
		t.Fatal("dead before the replay")
	}
	id := w.calls(g.AccessToken)
	forgotten := core.Fact{
		Number: 7, Kind: core.FactToken, Subject: id.TokenID, Spare: g.Session.ID.String(), Reason: "revoked by client", At: start, PurgeAt: start + day,
	}
	_, err := w.svc.Replay(w.ctx, admin, []core.ReplaySource{{Entries: func(yield func(core.JournalEntry, error) bool) {
		yield(core.JournalEntry{Fact: &forgotten}, nil)
	}}})
	w.must(err)
	w.refusedCall(g.AccessToken, core.TokenRevoked)
	if !dead(g) {
		t.Error("who reads status lists alone takes a token that was revoked")
	}
	w.calls(other.AccessToken)
	if dead(other) {
		t.Error("another session is dead too")
	}
	again := w.refreshed(m, g.RefreshToken)
	w.calls(again.AccessToken)
	// Numbers of the life that ended may be on tokens that the store knows nothing
	// of: none of them is given before it has another incarnation.
	if uri, idx := statusOf(t, again.AccessToken); uri != "" {
		t.Errorf("the session goes on as %d in %s", idx, uri)
	}
}
