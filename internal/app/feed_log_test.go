package app_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/verify"
)

// TestFeedNamesItsLog: a number of another log says nothing here, also when it
// is one that this log has reached.
func TestFeedNamesItsLog(t *testing.T) {
	s := serve(t, "")
	auth := s.feedClient("reader", core.RoleRevocations)
	for _, name := range []string{"ann", "bob"} {
		s.act("/users/"+s.user("", name, "user")+"/disable", nil)
	}
	logOf := func(a *answer) (out struct {
		Log   string
		Since int64
		Full  bool
		Facts []any
	},
	) {
		t.Helper()
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(a.want(200, "").raw, ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(payload, &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	first := s.poll("?since=0", auth)
	own := logOf(first).Log
	if own == "" || len(logOf(first).Facts) != 2 {
		t.Fatal(first.raw)
	}
	if a := logOf(s.poll("?since=1&log="+own, auth)); a.Log != own || a.Since != 1 || a.Full || len(a.Facts) != 1 {
		t.Errorf("own log: %+v", a)
	}
	began := time.Now()
	other := s.poll("?since=2&wait=25&log=in_other", auth)
	if a := logOf(other); a.Log != own || a.Since != 0 || !a.Full || len(a.Facts) != 2 {
		t.Errorf("another log: %+v", a)
	}
	if d := time.Since(began); d > 20*time.Second {
		t.Errorf("who has another log waited %s", d)
	}
	s.poll("?since=2&log=in_other", auth, "If-None-Match", other.header.Get("ETag")).want(304, "")
	s.poll("?since=2&log="+strings.Repeat("x", 65), auth).want(400, "")
}

// TestOneAccessTokenRevoked: by RFC 7009 one access token ends, and its session
// goes on: the next one is accepted everywhere, and has another place in the
// status list.
func TestOneAccessTokenRevoked(t *testing.T) {
	o := newOffline(t, "")
	o.user("", "ann", "user")
	revoker := o.oauthClient(admin.NewOAuthClient{Name: "revoker", Grants: []string{core.GrantCredentials}, Scopes: []string{"read"}})
	tok, refresh := o.bearerLogin("ann")
	before := &offlineToken{"before", "contract", tok}
	o.settle("at first", []*offlineToken{before}, nil, true)
	o.post("/oauth2/revoke", revoker, form("token", tok)).want(200, "")
	a := o.do("POST", "/api/auth/bearer/refresh", "", url.Values{"refresh_token": {refresh}}).want(200, "")
	after := &offlineToken{"after", "contract", a.text("access_token")}
	o.settle("revoked", []*offlineToken{before, after}, map[*offlineToken]bool{before: true}, true)
	_, x := claims(t, before.raw)
	_, y := claims(t, after.raw)
	if x["sid"] != y["sid"] {
		t.Error("the session changed")
	}
	place := func(c map[string]any) any { return c["status"].(map[string]any)["status_list"].(map[string]any)["idx"] }
	if place(x) == place(y) {
		t.Errorf("both have place %v", place(x))
	}
	if err := o.check(before, "status list"); !errors.Is(err, verify.ErrRevoked) {
		t.Error(err)
	}
}
