package app_test

import (
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

// together runs f n times at once and gives the answers.
func together(n int, f func(i int) *answer) []*answer {
	out := make([]*answer, n)
	var ready, done sync.WaitGroup
	ready.Add(1)
	for i := range n {
		done.Go(func() {
			ready.Wait()
			out[i] = f(i)
		})
	}
	ready.Done()
	done.Wait()
	return out
}

// count tells how many answers have a status.
func count(all []*answer, status int) (n int) {
	for _, a := range all {
		if a.status == status {
			n++
		}
	}
	return n
}

// TestSecurity40_OneCodeAtOnce presents one code 50 times at once: one gets tokens, the
// others are replays, which end what the one got.
func TestSecurity40_OneCodeAtOnce(t *testing.T) {
	s := serve(t, "")
	s.user("", "ann", "user")
	c := s.oauthClient(admin.NewOAuthClient{})
	code := s.code(c, s.login("ann"))
	all := together(50, func(int) *answer { return s.redeem(c, code) })
	if count(all, 200) != 1 || count(all, 400) != 49 {
		t.Fatalf("%d got tokens, %d were refused", count(all, 200), count(all, 400))
	}
	for _, a := range all {
		if a.status == 200 {
			s.refreshOAuth(c, a.text("refresh_token")).isError(400, "invalid_grant")
			s.do("GET", "/v2/things", a.text("access_token"), nil).want(401, "")
			continue
		}
		a.isError(400, "invalid_grant")
	}
}

// TestOAuthRaceOneRefresh presents one refresh token 50 times at once, as two
// tabs or an eager retry do: all get the same successor, nobody is logged out.
func TestOAuthRaceOneRefresh(t *testing.T) {
	s := serve(t, "")
	s.user("", "ann", "user")
	c := s.oauthClient(admin.NewOAuthClient{})
	a := s.session(c, "ann")
	all := together(50, func(int) *answer { return s.refreshOAuth(c, a.text("refresh_token")) })
	next := all[0].want(200, "").text("refresh_token")
	for _, b := range all {
		if b.want(200, "").text("refresh_token") != next {
			t.Fatal("a fork: two successors of one refresh token")
		}
	}
	s.pass(time.Hour)
	s.refreshOAuth(c, next).want(200, "")
}

// TestSecurity36_OneAssertionAtOnce presents one assertion 50 times at once: it counts
// once.
func TestSecurity36_OneAssertionAtOnce(t *testing.T) {
	s := serve(t, "")
	key := newSigner(t)
	c := s.oauthClient(admin.NewOAuthClient{Auth: "private_key_jwt", JWKS: key.set, Grants: []string{"client_credentials"}})
	now := s.clock.Load() / 1000
	one := key.sign(t, map[string]any{"iss": c.ID, "sub": c.ID, "aud": s.url, "exp": now + 60, "jti": "once"})
	all := together(50, func(int) *answer {
		return s.token(nil, "grant_type", "client_credentials", "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", one)
	})
	if count(all, 200) != 1 || count(all, 401) != 49 {
		t.Errorf("%d accepted, %d refused", count(all, 200), count(all, 401))
	}
}

// TestOAuthRaceDisable disables the client among 30 refreshes: whatever they
// answered, nothing that they gave out counts afterwards.
func TestOAuthRaceDisable(t *testing.T) {
	s := serve(t, "")
	s.user("", "ann", "user")
	c, rs := s.oauthClient(admin.NewOAuthClient{}), s.machine()
	first := s.session(c, "ann")
	all := together(31, func(i int) *answer {
		if i == 15 {
			s.act("/clients/"+c.ID+"/disable", nil)
			return &answer{t: t}
		}
		return s.refreshOAuth(c, first.text("refresh_token"))
	})
	for _, a := range append(all, first) {
		if a.status == 200 {
			s.introspect(rs, a.text("access_token")).want(200, inactive)
		}
	}
	s.act("/clients/"+c.ID+"/enable", nil)
	for _, a := range append(all, first) {
		if a.status == 200 {
			s.introspect(rs, a.text("access_token")).want(200, inactive)
			s.refreshOAuth(c, a.text("refresh_token")).isError(400, "invalid_grant")
		}
	}
}

// TestSecurity22_CodeInFlight: what happens to user, client or login between a code
// and its redemption counts.
func TestSecurity22_CodeInFlight(t *testing.T) {
	for name, act := range map[string]func(s *server, user string, c *admin.OAuthClient){
		"user disabled": func(s *server, user string, _ *admin.OAuthClient) { s.act("/users/"+user+"/disable", nil) },
		"password changed": func(s *server, user string, _ *admin.OAuthClient) {
			s.act("/users/"+user+"/password", map[string]any{"generate": true})
		},
		"account disabled": func(s *server, _ string, _ *admin.OAuthClient) { s.act("/accounts/default/disable", nil) },
		"sessions revoked": func(s *server, user string, _ *admin.OAuthClient) {
			s.act("/sessions/revoke", map[string]any{"subject": user})
		},
		"everything": func(s *server, _ string, _ *admin.OAuthClient) {
			s.act("/sessions/revoke", map[string]any{"everything": true})
		},
		"client disabled": func(s *server, _ string, c *admin.OAuthClient) { s.act("/clients/"+c.ID+"/disable", nil) },
		"client enabled again": func(s *server, _ string, c *admin.OAuthClient) {
			s.act("/clients/"+c.ID+"/disable", nil)
			s.act("/clients/"+c.ID+"/enable", nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, "")
			id := s.user("", "ann", "user")
			c := s.oauthClient(admin.NewOAuthClient{})
			code := s.code(c, s.login("ann"))
			act(s, id, c)
			if a := s.redeem(c, code); a.status != 400 && a.status != 401 {
				t.Errorf("the code still gives %d %s", a.status, a.raw)
			}
		})
	}
	t.Run("logged out", func(t *testing.T) {
		s := serve(t, "")
		s.user("", "ann", "user")
		c := s.oauthClient(admin.NewOAuthClient{})
		b := s.login("ann")
		spent, code := s.code(c, b), s.code(c, b)
		a := s.redeem(c, spent).want(200, "")
		if err := s.app.AuthServer().EndBrowser(t.Context(), b, &coreClient); err != nil {
			t.Fatal(err)
		}
		s.redeem(c, code).isError(400, "invalid_grant")
		s.refreshOAuth(c, a.text("refresh_token")).isError(400, "invalid_grant")
		s.do("GET", "/v2/things", a.text("access_token"), nil).want(401, "")
		if _, err := s.app.AuthServer().Browser(t.Context(), b.Cookie, &coreClient); err == nil {
			t.Error("the cookie still counts")
		}
	})
}
