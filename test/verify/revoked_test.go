package verify_test

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/verify"
)

// ways are those by which a verifier hears of revocations.
func (w *world) ways() map[string]verify.Config {
	feed := &verify.Revocations{Authorization: w.reader()}
	return map[string]verify.Config{
		"feed":        {Revocations: feed},
		"status list": {StatusLists: &verify.StatusLists{}},
		"both":        {Revocations: feed, StatusLists: &verify.StatusLists{Require: true}},
	}
}

// becomes waits until the verifier says want of a token and returns how long that took. What it waits for comes over a
// connection, so no clock of the test moves it.
func becomes(t *testing.T, v *verify.Verifier, what, raw string, want error) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		_, err := v.Verify(t.Context(), raw)
		if (err == nil) == (want == nil) && errors.Is(err, want) {
			return time.Since(began)
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("%s: %v, want %v", what, err, want)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (w *world) revoke(sid string) {
	w.t.Helper()
	w.act("/sessions/revoke", map[string]any{"session": sid}, nil)
}

// TestRevoked revokes tokens of every kind on a real server, under verifiers that hear of it in different ways.
func TestRevoked(t *testing.T) {
	w := serve(t)
	ann := w.user("ann", "user")
	w.user("bob", "user")
	scanner := w.user("scanner", "application")
	type m = map[string]string
	app := w.client(&admin.NewOAuthClient{
		Name: "app", Grants: []string{"authorization_code", "refresh_token"}, RedirectURIs: []string{callback}, Scopes: []string{"openid", "read", "offline_access"},
	})
	for name, way := range w.ways() {
		t.Run(name, func(t *testing.T) {
			w.t = t
			netography := w.verifier(way)
			oauth := way
			oauth.Accept, oauth.Audience = verify.OAuthTokens, w.url
			ofOAuth := w.verifier(oauth)
			item := way
			item.Secret, item.KindClaim, item.AllowApplicationTokens, item.ApplicationKindValue = w.itempath, "type", true, "access"
			itempath := w.verifier(item)

			bearer := func(user string) string {
				return text(w.post("/api/auth/bearer/token", "", url.Values{"username": {user}, "password": {password}}), "access_token")
			}
			sid := func(v *verify.Verifier, raw string) string {
				t.Helper()
				c, err := v.Verify(t.Context(), raw)
				if err != nil {
					t.Fatal(err)
				}
				return c.SessionID()
			}
			first, second, bobs := bearer("ann"), bearer("ann"), bearer("bob")
			w.revoke(sid(netography, first))
			becomes(t, netography, "a session", first, verify.ErrRevoked)
			becomes(t, netography, "another session", second, nil)
			becomes(t, netography, "another user", bobs, nil)

			login := w.login(app, "ann", "openid read offline_access")
			token := text(login, "access_token")
			becomes(t, ofOAuth, "OAuth", token, nil)
			w.post("/oauth2/revoke", app.ID+":"+app.Secret, url.Values{"token": {text(login, "refresh_token")}})
			becomes(t, ofOAuth, "OAuth, its refresh token", token, verify.ErrRevoked)

			login = w.post("/api/users/login", "", m{"username": "scanner", "password": password})
			access := text(login, "accessToken")
			forever := text(w.post("/api/users/application-token", text(login, "refreshToken"), nil), "token")
			becomes(t, itempath, "HS256 access", access, nil)
			becomes(t, itempath, "application token", forever, nil)
			c, err := itempath.Verify(t.Context(), forever)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				w.act("/application-tokens/"+c.ID()+"/suspend", nil, nil)
				becomes(t, itempath, "suspended", forever, verify.ErrRevoked)
				w.act("/application-tokens/"+c.ID()+"/resume", nil, nil)
				becomes(t, itempath, "resumed", forever, nil)
			}
			w.act("/users/"+scanner+"/disable", nil, nil)
			becomes(t, itempath, "its user disabled", forever, verify.ErrRevoked)
			becomes(t, itempath, "the user's session", access, verify.ErrRevoked)
			w.act("/users/"+scanner+"/enable", nil, nil)
			becomes(t, itempath, "its user enabled", forever, nil)
			w.act("/application-tokens/"+c.ID()+"/revoke", nil, nil)
			becomes(t, itempath, "revoked", forever, verify.ErrRevoked)

			w.act("/users/"+ann+"/disable", nil, nil)
			becomes(t, netography, "user disabled", second, verify.ErrRevoked)
			becomes(t, netography, "another user", bobs, nil)
			w.act("/users/"+ann+"/enable", nil, nil)
		})
	}
}

// TestHowSoon measures how long verifiers accept a token after the answer to its revocation, and prints it (-v). What
// is asserted is that each is refused in the end: how fast, a loaded machine decides.
func TestHowSoon(t *testing.T) {
	w := serve(t)
	const users, each = 3, 10
	type m = map[string]string
	v := map[string]*verify.Verifier{}
	for name, way := range w.ways() {
		way.Secret, way.KindClaim, way.AllowApplicationTokens, way.ApplicationKindValue = w.itempath, "type", true, "access"
		if name != "both" {
			v[name] = w.verifier(way)
		}
	}
	tokens := map[string][]string{}
	for n := range users {
		name := fmt.Sprint("scanner", n)
		w.user(name, "application")
		for range each {
			login := w.post("/api/users/login", "", m{"username": name, "password": password})
			tokens["access"] = append(tokens["access"], text(login, "accessToken"))
			tokens["application"] = append(tokens["application"], text(w.post("/api/users/application-token", text(login, "refreshToken"), nil), "token"))
		}
	}
	var mu sync.Mutex
	took := map[string][]time.Duration{}
	var all sync.WaitGroup
	for kind, list := range tokens {
		for _, raw := range list {
			var c *verify.Claims
			for name := range v {
				var err error
				if c, err = v[name].Verify(t.Context(), raw); err != nil {
					t.Fatal(kind, name, err)
				}
			}
			if kind == "access" {
				w.revoke(c.SessionID())
			} else {
				w.act("/application-tokens/"+c.ID()+"/revoke", nil, nil)
			}
			for name := range v {
				all.Go(func() {
					d := becomes(t, v[name], kind+" by "+name, raw, verify.ErrRevoked)
					mu.Lock()
					defer mu.Unlock()
					took[kind+" token by "+name] = append(took[kind+" token by "+name], d)
				})
			}
			time.Sleep(67 * time.Millisecond) // spread over the two seconds between fetches
		}
	}
	all.Wait()
	for name, list := range took {
		slices.Sort(list)
		t.Logf("%s: refused after p50 %s, p99 %s, longest %s (%d tokens)", name, list[len(list)/2], list[len(list)*99/100], list[len(list)-1], len(list))
	}
}
