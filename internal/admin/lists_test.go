package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/core"
)

func all[T any](t *testing.T, c *admin.Client, path string, q url.Values) []T {
	t.Helper()
	var out []T
	for item, err := range admin.List[T](context.Background(), c, path, q) {
		if err != nil {
			t.Fatalf("%s %v: %v", path, q, err)
		}
		out = append(out, item)
	}
	return out
}

// TestPagesCoverAll lists with every page size: each row once, in order.
func TestPagesCoverAll(t *testing.T) {
	f := setUp(t)
	var want []string
	for _, acc := range []string{"aa", "default", "empty", "zz"} {
		if acc != "default" {
			f.post("/accounts", map[string]string{"shortname": acc}, nil)
		}
		for i := range 3 {
			if acc == "empty" {
				break
			}
			name := fmt.Sprintf("u%d", i)
			f.addUser(admin.NewUser{Account: acc, Username: name})
			f.post("/api-keys", admin.NewAPIKey{Account: acc, AppName: name}, nil)
			want = append(want, acc+"/"+name)
		}
	}
	for size := 1; size <= 11; size++ {
		q := url.Values{"limit": {strconv.Itoa(size)}}
		var users, keys, accounts []string
		for _, u := range all[admin.User](t, f.client, "/users", q) {
			users = append(users, u.Account+"/"+u.Username)
		}
		for _, k := range all[admin.APIKey](t, f.client, "/api-keys", q) {
			keys = append(keys, k.Account+"/"+k.AppName)
		}
		for _, a := range all[admin.Account](t, f.client, "/accounts", q) {
			accounts = append(accounts, a.Shortname)
		}
		if !slices.Equal(users, want) || !slices.Equal(keys, want) {
			t.Errorf("pages of %d:\nusers %v\nkeys  %v\nwant  %v", size, users, keys, want)
		}
		if got := strings.Join(accounts, " "); got != "aa default empty zz" {
			t.Errorf("pages of %d: accounts %s", size, got)
		}
		q.Set("account", "default")
		if got := all[admin.User](t, f.client, "/users", q); len(got) != 3 || got[0].Account != "default" {
			t.Errorf("pages of %d: %d users in default", size, len(got))
		}
		delete(q, "account")
		if got := all[admin.AuditRecord](t, f.client, "/audit", q); len(got) != 3+9+9 {
			t.Errorf("pages of %d: %d audit records, want 21", size, len(got))
		}
	}
	if p := problem(t, f.client.Get(context.Background(), "/users", url.Values{"account": {"zz"}, "cursor": {"YWEfdTA"}}, nil)); p.Code != "field_invalid" {
		t.Errorf("a cursor of account aa went through in zz: %v", p)
	}
}

// openSessions puts n sessions into the store, several a millisecond.
func (f *fixture) openSessions(u admin.User, n, perMS int) []string {
	f.t.Helper()
	ctx := context.Background()
	acc, err := f.service.Account(ctx, u.Account)
	if err != nil {
		f.t.Fatal(err)
	}
	rec, err := f.service.FindUser(ctx, u.Account, u.ID)
	if err != nil {
		f.t.Fatal(err)
	}
	var sids []string
	for i := range n {
		now := int64(start + i/perMS)
		res, err := f.store.OpenSession(ctx, &core.OpenSessionParams{
			Session: core.Session{
				ID: core.SessionID{Key: core.NewSessionKey()}, Mount: "m", Account: acc.ID, SubjectKind: core.SubjectUser, Subject: u.ID,
				Credential: "password", LoginName: u.Username, Issuer: 1, CreatedAt: now, LastUsedAt: now,
				RefreshExpires: start + 3_600_000, Moves: [core.MovesKept]int64{now},
			},
			Gate: core.Gate{SubjectKind: core.SubjectUser, Subject: u.ID, Version: rec.Version, Account: acc.ID, AccountVersion: acc.Version},
			Now:  now,
		})
		if err != nil {
			f.t.Fatal(err)
		}
		sids = append(sids, res.Session.ID.String())
	}
	return sids
}

// TestSessionPages: pages by time lose nobody who shares a millisecond.
func TestSessionPages(t *testing.T) {
	f := setUp(t)
	u := f.addUser(admin.NewUser{Username: "a"})
	sids := f.openSessions(u, 20, 3)
	f.now.Add(1000)
	slices.Sort(sids)
	for size := 1; size <= 21; size++ {
		var got []string
		last := admin.Time(start + 1_000_000)
		for _, s := range all[admin.Session](t, f.client, "/sessions", url.Values{"limit": {strconv.Itoa(size)}}) {
			if s.CreatedAt > last || s.Account != "default" || s.LoginName != "a" {
				t.Errorf("out of order or wrong: %+v", s)
			}
			last, got = s.CreatedAt, append(got, s.ID)
		}
		slices.Sort(got)
		if !slices.Equal(got, sids) {
			t.Errorf("pages of %d: %d sessions of %d", size, len(got), len(sids))
		}
	}

	var out admin.Revoked
	f.post("/sessions/revoke", admin.Revocation{Session: sids[0]}, &out)
	if out.Revoked != 1 {
		t.Errorf("one session: %d revoked", out.Revoked)
	}
	if p := problem(t, f.client.Post(context.Background(), "/sessions/revoke", admin.Revocation{Session: sids[0]}, nil)); p.Status != 404 {
		t.Errorf("revoked twice: %v", p)
	}
	f.post("/sessions/revoke", admin.Revocation{Subject: u.ID}, &out)
	if out.Revoked != 19 {
		t.Errorf("the user's: %d revoked, want 19", out.Revoked)
	}
	if left := all[admin.Session](t, f.client, "/sessions", nil); len(left) != 0 {
		t.Errorf("%d sessions left", len(left))
	}
}

func TestApplicationTokens(t *testing.T) {
	f, ctx := setUp(t), context.Background()
	u := f.addUser(admin.NewUser{Username: "bot", Type: "application"})
	sid, err := core.ParseSessionID(f.openSessions(u, 1, 1)[0])
	if err != nil {
		t.Fatal(err)
	}
	id := core.NewUUID()
	verdict, err := f.store.MintApplicationToken(ctx, &core.MintParams{
		Token: core.ApplicationToken{
			ID: id, Hash: [32]byte{1}, User: u.ID, Account: "ac_default", Mount: "m", Session: sid.String(),
			Label: "scanner", Networks: []string{"10.0.0.0/8"}, CreatedAt: start, CreatedBy: "10.1.1.1",
		},
		Session: sid, MaxPerUser: 10, Now: start,
		Gate: core.Gate{SubjectKind: core.SubjectUser, Subject: u.ID, Version: 1, Account: "ac_default", AccountVersion: 1},
	})
	if err != nil || verdict != core.Minted {
		t.Fatal(verdict, err)
	}
	want := admin.ApplicationToken{
		ID: id, Account: "default", User: u.ID, Username: "bot", Mount: "m", Session: sid.String(), Label: "scanner", State: "active",
		Networks: []string{"10.0.0.0/8"}, Scopes: []string{}, CreatedAt: start, CreatedBy: "10.1.1.1",
	}
	same(t, "list", all[admin.ApplicationToken](t, f.client, "/application-tokens", url.Values{"user": {u.ID}}), []admin.ApplicationToken{want})
	for _, step := range [][2]string{{"suspend", "suspended"}, {"resume", "active"}, {"revoke", "revoked"}} {
		var got admin.ApplicationToken
		f.post("/application-tokens/"+id+"/"+step[0], nil, &got)
		if got.State != step[1] {
			t.Errorf("%s: %s, want %s", step[0], got.State, step[1])
		}
	}
	if p := problem(t, f.client.Post(ctx, "/application-tokens/"+id+"/revoke", nil, nil)); p.Status != 404 {
		t.Errorf("revoked twice: %v", p)
	}
}

// TestAPIKeySecretOnce: the secret is in the answer that makes it and in no
// other.
func TestAPIKeySecretOnce(t *testing.T) {
	f, ctx := setUp(t), context.Background()
	var made, rotated admin.APIKey
	f.post("/api-keys", admin.NewAPIKey{AppName: "d", Roles: []string{"r"}}, &made)
	n, err := core.DecodeNetosecret(made.Netosecret)
	if err != nil {
		t.Fatal(err)
	}
	if *n != (core.Netosecret{URL: "https://id.example/api/v1", AppName: "d", AppKey: made.AppKey, Shortname: "default", SharedSecret: made.Secret}) || len(made.Secret) < 32 {
		t.Errorf("NETOSECRET holds %+v", n)
	}
	f.post("/api-keys/"+made.ID+"/rotate", admin.Rotation{OverlapSeconds: 60, URL: "https://other.example"}, &rotated)
	if rotated.Secret == "" || rotated.Secret == made.Secret || len(rotated.Secrets) != 2 || rotated.Secrets[1].ExpiresAt != start+60_000 {
		t.Errorf("rotated: %+v", rotated)
	}
	var found admin.APIKey
	if err := f.client.Get(ctx, "/api-keys/lookup", url.Values{"ref": {"d"}}, &found); err != nil {
		t.Fatal(err)
	}
	listed, err := json.Marshal([]any{found, all[admin.APIKey](t, f.client, "/api-keys", nil)})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{made.Secret, rotated.Secret, made.Netosecret, rotated.Netosecret} {
		if strings.Contains(string(listed), secret) {
			t.Error("a secret is shown a second time")
		}
	}
	if p := problem(t, f.client.Post(ctx, "/api-keys", admin.NewAPIKey{AppName: "d"}, nil)); p.Status != 409 {
		t.Errorf("second d: %v", p)
	}
	if p := problem(t, f.client.Post(ctx, "/api-keys/d/disable", nil, nil)); p.Detail != `there is no API key with id "d"` {
		t.Errorf("a path took an app name for an id: %v", p)
	}
	if p := problem(t, f.client.Post(ctx, "/api-keys/"+made.ID+"/rotate", admin.Rotation{OverlapSeconds: 1 << 50}, nil)); p.Status != 422 {
		t.Errorf("endless overlap: %v", p)
	}
}

func TestAuditVerifyAndFollow(t *testing.T) {
	f, ctx := setUp(t), context.Background()
	f.addUser(admin.NewUser{Username: "a"})
	f.addUser(admin.NewUser{Username: "b"})
	var rep admin.AuditReport
	if err := f.client.Get(ctx, "/audit/verify", nil, &rep); err != nil {
		t.Fatal(err)
	}
	if !rep.OK || rep.Records != 2 || len(rep.Chains) != 1 || rep.Chains[0].First != 1 || rep.Chains[0].Last != 2 || len(rep.Chains[0].Head) != 64 {
		t.Errorf("report %+v", rep)
	}
	var page admin.Page[admin.AuditRecord]
	if err := f.client.Get(ctx, "/audit", url.Values{"newest": {"true"}, "limit": {"1"}}, &page); err != nil {
		t.Fatal(err)
	}
	if len(page.Items) != 1 || page.Items[0].Sequence != 2 || page.Items[0].Hash != rep.Chains[0].Head {
		t.Errorf("newest: %+v", page)
	}
	q := url.Values{"cursor": {page.Next}}
	page = admin.Page[admin.AuditRecord]{}
	if err := f.client.Get(ctx, "/audit", q, &page); err != nil || len(page.Items) != 0 || page.Next != q.Get("cursor") {
		t.Fatalf("nothing new: %+v, %v", page, err)
	}
	f.addUser(admin.NewUser{Username: "c"})
	if err := f.client.Get(ctx, "/audit", q, &page); err != nil || len(page.Items) != 1 || page.Items[0].Detail["username"] != "c" {
		t.Errorf("followed: %+v, %v", page, err)
	}
}

func TestExtras(t *testing.T) {
	f, ctx := setUp(t), context.Background()
	var st admin.Status
	f.post("/clock/confirm", nil, &st)
	if !st.Clock.Trusted || st.Version != "test" {
		t.Errorf("status %+v", st)
	}
	var a admin.RouteAnswer
	if err := f.client.Get(ctx, "/gateway/routes", url.Values{"method": {"GET"}, "host": {"h"}, "path": {"/x"}}, &a); err != nil || a.Detail != "GET h/x" {
		t.Errorf("explained %+v, %v", a, err)
	}
	var in admin.Inspection
	f.post("/tokens/inspect", map[string]string{"token": "no.token"}, &in)
	if in.Valid || len(in.Checks) != 1 || in.Checks[0].OK || string(in.Header) != "null" {
		t.Errorf("inspected %+v", in)
	}
}
