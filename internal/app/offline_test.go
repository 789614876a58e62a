package app_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
	"github.com/sallyport/sallyport/verify"
)

// ownSubject is a contract that says who it is in its own way: what verifiers
// need to follow revocations stands beside that.
const ownSubject = `
format: 1
contract: own
title: Own words
description: A contract that writes sub itself.
tokens:
  access: {lifetime: 15m, alg: ES256, claims: {sub: $user.username}}
routes:
  - route: POST /own/login
    grant: password
    accept: {json: {username: $username, password: $password}}
    answer: {body: {token: $access_token}}
errors:
  bad_request: {status: 400, body: {error: $code}}
  unauthorized: {status: 401, body: {error: $code}}
  forbidden: {status: 403, body: {error: $code}}
  not_found: {status: 404, body: {error: $code}}
  conflict: {status: 409, body: {error: $code}}
  too_many: {status: 429, body: {error: $code}}
  unavailable: {status: 503, body: {error: $code}}
  internal: {status: 500, body: {error: $code}}
`

// offline is a server whose tokens verifiers elsewhere can all read, and those
// verifiers: some follow the feed, some the status lists.
type offline struct {
	*server
	t      *testing.T
	secret []byte
	client *admin.OAuthClient // of users
	feed   func(context.Context) (string, error)
	all    map[string]map[string]*verify.Verifier // channel, then what it verifies
}

func newOffline(t *testing.T, more string) *offline {
	t.Helper()
	dir := t.TempDir()
	o := &offline{t: t, secret: []byte("a secret that the vendor's verifiers have, too"), all: map[string]map[string]*verify.Verifier{}}
	for name, text := range map[string]string{"secret": string(o.secret), "own.yaml": ownSubject} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o.server = serve(t, fmt.Sprintf(`
mounts:
  - netography
  - {contract: netography, name: acme, prefix: /acme, account: acme}
  - {contract: itempath, keys: {shared_secret_file: %s, shared_for: [access, application]}}
  - {contract: %s}
%s`, filepath.Join(dir, "secret"), filepath.Join(dir, "own.yaml"), more))
	auth := o.feedClient("reader", core.RoleRevocations)
	o.feed = func(context.Context) (string, error) { return auth, nil }
	o.client = o.oauthClient(admin.NewOAuthClient{Grants: []string{core.GrantCode, core.GrantRefresh}})
	for channel, follow := range map[string]func(*verify.Config){
		"feed":        func(c *verify.Config) { c.Revocations = &verify.Revocations{Authorization: o.feed} },
		"status list": func(c *verify.Config) { c.StatusLists = &verify.StatusLists{} },
	} {
		o.all[channel] = map[string]*verify.Verifier{}
		for what, c := range map[string]verify.Config{
			"contract": {},
			"itempath": {Secret: o.secret, KindClaim: "type", AllowApplicationTokens: true, ApplicationKindValue: "access"},
			"oauth":    {Accept: verify.OAuthTokens, Audience: o.url},
		} {
			c.Issuer, c.Clock = o.url, func() time.Time { return time.UnixMilli(o.clock.Load()) }
			follow(&c)
			v, err := verify.New(c)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(v.Close)
			o.all[channel][what] = v
		}
	}
	return o
}

// offlineToken is a token and what is to become of it.
type offlineToken struct {
	name     string
	verifier string
	raw      string
}

func (o *offline) check(x *offlineToken, channel string) error {
	_, err := o.all[channel][x.verifier].Verify(o.t.Context(), x.raw)
	return err
}

// settle waits until every verifier says of every token what it should.
func (o *offline) settle(step string, tokens []*offlineToken, dead map[*offlineToken]bool, lists bool) {
	o.t.Helper()
	wrong := map[string]error{}
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		clear(wrong)
		for channel := range o.all {
			if channel == "status list" && !lists {
				continue
			}
			for _, x := range tokens {
				err := o.check(x, channel)
				if dead[x] != errors.Is(err, verify.ErrRevoked) || !dead[x] && err != nil {
					wrong[x.name+" by "+channel] = err
				}
			}
		}
		if len(wrong) == 0 {
			return
		}
		if time.Now().After(end) {
			for _, what := range slices.Sorted(maps.Keys(wrong)) {
				o.t.Errorf("%s: %s: %v", step, what, wrong[what])
			}
			return
		}
	}
}

// who is a user with a token of every kind.
type who struct {
	id    string
	own   []*offlineToken // of the user's sessions
	app   *offlineToken
	key   *core.MadeAPIKey
	keyed *offlineToken // of a session of an API key that the user made
}

func (s *server) requestToken(k *core.MadeAPIKey, id string) string {
	s.t.Helper()
	key, err := token.NewRequestKey([]byte(k.Secret))
	if err != nil {
		s.t.Fatal(err)
	}
	raw, err := token.MintRequest(key, &token.RequestToken{
		AppName: k.Key.AppName, AppKey: k.Key.AppKey, ShortName: k.Account, ID: id, IssuedAt: s.clock.Load() / 1000,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return raw
}

// person makes a user of an account. The contracts but one serve the default
// account alone.
func (o *offline) person(account, name string) *who {
	o.t.Helper()
	w := &who{id: o.user(account, name, "application", "read")}
	prefix := ""
	if account != "" {
		prefix = "/acme"
	}
	a := o.do("POST", prefix+"/api/auth/bearer/token", "", form("username", name, "password", password)).want(200, "")
	w.own = append(w.own, &offlineToken{name + "'s access token", "contract", a.text("access_token")})
	k, err := o.app.Service().CreateAPIKey(o.t.Context(), operator, core.NewAPIKey{Account: account, AppName: "key-" + name, Roles: []string{"read"}, Owner: w.id})
	if err != nil {
		o.t.Fatal(err)
	}
	a = o.do("POST", prefix+"/api/v1/auth/token", "", map[string]string{"jwt": o.requestToken(k, "1")}).want(200, "")
	w.key, w.keyed = k, &offlineToken{name + "'s API key's access token", "contract", a.text("access_token")}
	if account != "" {
		return w
	}
	login := map[string]string{"username": name, "password": password}
	a = o.do("POST", "/own/login", "", login).want(200, "")
	w.own = append(w.own, &offlineToken{name + "'s token of a contract with its own sub", "contract", a.text("token")})
	a = o.do("POST", "/api/users/login", "", login).want(200, "")
	w.own = append(w.own, &offlineToken{name + "'s token under a shared secret", "itempath", a.text("accessToken")})
	a = o.do("POST", "/api/users/application-token", a.text("refreshToken"), nil).want(200, "")
	w.app = &offlineToken{name + "'s application token", "itempath", a.text("token")}
	a = o.session(o.client, name, "openid", "read")
	w.own = append(w.own, &offlineToken{name + "'s OAuth access token", "oauth", a.text("access_token")})
	return w
}

func (w *who) tokens() []*offlineToken {
	all := append(slices.Clone(w.own), w.keyed)
	if w.app != nil {
		all = append(all, w.app)
	}
	return all
}

var operator = core.Actor{Name: "test"}

// TestOffline: whatever ends a token at the server ends it for those who verify
// elsewhere, by the feed and by status lists, for every kind; and an application
// token that counts again is accepted again.
func TestOffline(t *testing.T) {
	o := newOffline(t, "")
	svc := o.app.Service()
	if _, err := svc.CreateAccount(t.Context(), operator, "acme"); err != nil {
		t.Fatal(err)
	}
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	names := []string{
		"nobody", "disabled", "deleted", "compromised", "changed", "reset", "retyped", "suspended", "keyless", "keystopped", "revoked", "apprevoked",
	}
	people, all := map[string]*who{}, []*offlineToken{}
	for _, name := range names {
		people[name] = o.person("", name)
		all = append(all, people[name].tokens()...)
	}
	people["tenant"] = o.person("acme", "tenant")
	all = append(all, people["tenant"].tokens()...)
	o.settle("at first", all, nil, true)

	dead := map[*offlineToken]bool{}
	kill := func(list ...*offlineToken) {
		for _, x := range list {
			dead[x] = true
		}
	}
	must(svc.SetUserState(t.Context(), operator, people["disabled"].id, core.Disabled))
	kill(people["disabled"].tokens()...)
	must(nil, svc.DeleteUser(t.Context(), operator, people["deleted"].id))
	kill(people["deleted"].tokens()...)
	must(svc.CompromiseUser(t.Context(), operator, people["compromised"].id))
	kill(people["compromised"].tokens()...)
	must(svc.SetPassword(t.Context(), operator, people["changed"].id, password+"!", false, ""))
	kill(people["changed"].own...)
	must(svc.SetPassword(t.Context(), operator, people["reset"].id, password+"!", true, ""))
	kill(append(people["reset"].own, people["reset"].app)...)
	plain := core.TypeUser
	must(svc.UpdateUser(t.Context(), operator, people["retyped"].id, core.UserPatch{Type: &plain}))
	kill(people["retyped"].app)
	must(svc.ChangeApplicationToken(t.Context(), operator, tokenID(t, people["suspended"].app.raw), core.TokenSuspend))
	kill(people["suspended"].app)
	must(nil, svc.DeleteAPIKey(t.Context(), operator, people["keyless"].key.Key.ID))
	kill(people["keyless"].keyed)
	must(nil, svc.SetAPIKeyState(t.Context(), operator, people["keystopped"].key.Key.ID, core.Disabled))
	kill(people["keystopped"].keyed)
	must(svc.RevokeSubjectSessions(t.Context(), operator, people["revoked"].id))
	kill(people["revoked"].own...)
	must(svc.ChangeApplicationToken(t.Context(), operator, tokenID(t, people["apprevoked"].app.raw), core.TokenRevoke))
	kill(people["apprevoked"].app)
	must(svc.SetAccountState(t.Context(), operator, "acme", core.Disabled))
	kill(people["tenant"].tokens()...)
	o.settle("revoked", all, dead, true)
	o.agrees(all, dead)

	// What counts again, counts again.
	for _, name := range []string{"disabled", "reset", "retyped", "suspended"} {
		dead[people[name].app] = false
	}
	must(svc.SetUserState(t.Context(), operator, people["disabled"].id, core.Active))
	must(svc.ChangeApplicationToken(t.Context(), operator, tokenID(t, people["reset"].app.raw), core.TokenResume))
	machine := core.TypeApplication
	must(svc.UpdateUser(t.Context(), operator, people["retyped"].id, core.UserPatch{Type: &machine}))
	must(svc.ChangeApplicationToken(t.Context(), operator, tokenID(t, people["suspended"].app.raw), core.TokenResume))
	must(svc.SetAccountState(t.Context(), operator, "acme", core.Active))
	o.settle("resumed", all, dead, true)
	o.agrees(all, dead)

	must(svc.SetAccountState(t.Context(), operator, core.DefaultAccount, core.Disabled))
	for _, x := range all {
		dead[x] = true
	}
	o.settleStatus("the account is disabled", all, dead)
	must(svc.SetAccountState(t.Context(), operator, core.DefaultAccount, core.Active))
	for _, name := range []string{"nobody", "disabled", "changed", "reset", "retyped", "suspended", "keyless", "keystopped", "revoked"} {
		dead[people[name].app] = false
	}
	o.settle("the account is enabled", all, dead, true)
	must(nil, svc.RevokeEverything(t.Context(), operator))
	o.settle("everything", all, dead, true) // application tokens count by their rows
	o.agrees(all, dead)
}

// settleStatus is settle while the reader of the feed is itself refused: only
// status lists tell then.
func (o *offline) settleStatus(step string, tokens []*offlineToken, dead map[*offlineToken]bool) {
	o.t.Helper()
	feed := o.all["feed"]
	delete(o.all, "feed")
	o.settle(step, tokens, dead, true)
	o.all["feed"] = feed
}

// agrees holds the node itself against the same.
func (o *offline) agrees(tokens []*offlineToken, dead map[*offlineToken]bool) {
	o.t.Helper()
	for _, x := range tokens {
		if a := o.do("GET", "/api/stations", x.raw, nil); (a.status == 200) == dead[x] {
			o.t.Errorf("%s: the node answers %d", x.name, a.status)
		}
	}
}

func tokenID(t *testing.T, raw string) string {
	t.Helper()
	_, c := claims(t, raw)
	return c["jti"].(string)
}

// TestFollowedClaims: what tokens carry for those who follow revocations, and
// what the configuration and a contract can turn off.
func TestFollowedClaims(t *testing.T) {
	o := newOffline(t, "oauth: {status_list: false}\n")
	w := o.person("", "ann")
	index := map[string]bool{}
	for _, x := range w.tokens() {
		_, c := claims(t, x.raw)
		if c["acct"] != "ac_default" {
			t.Errorf("%s: acct is %v", x.name, c["acct"])
		}
		want := any(nil)
		if strings.Contains(x.name, "own sub") {
			want = w.id
		}
		if c["uid"] != want {
			t.Errorf("%s: uid is %v, want %v", x.name, c["uid"], want)
		}
		if x.verifier == "oauth" {
			if c["status"] != nil {
				t.Errorf("%s: status is %v", x.name, c["status"])
			}
			continue
		}
		status, _ := c["status"].(map[string]any)
		list, _ := status["status_list"].(map[string]any)
		uri, _ := list["uri"].(string)
		letter := "s"
		if x == w.app {
			letter = "t"
		}
		if uri != o.url+"/oauth2/status-lists/"+letter+"0" || len(list) != 2 {
			t.Errorf("%s: status is %v", x.name, status)
		}
		index[fmt.Sprint(uri, list["idx"])] = true
	}
	if len(index) != 5 {
		t.Errorf("places in lists: %v", index)
	}
	a := o.do("POST", "/api/users/login", "", map[string]string{"username": "ann", "password": password}).want(200, "")
	if _, c := claims(t, a.text("refreshToken")); c["acct"] != nil || c["status"] != nil {
		t.Errorf("a refresh token has %v", c)
	}
}
