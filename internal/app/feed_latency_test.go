package app_test

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/verify"
)

var latencyTokens = flag.Int("latency", 30, "tokens of each kind that TestRevokeToRefused revokes, ten a second")

// TestRevokeToRefused measures how long a token is accepted after the answer to
// its revocation, by the node itself and by verifiers elsewhere, for access and
// application tokens, and prints it (-v). What is asserted is that each token
// is refused in the end: how fast, a loaded machine decides.
func TestRevokeToRefused(t *testing.T) {
	o := newOffline(t, "limits: {application_tokens: 10000}\nsessions: {max_per_subject: 10000}\n")
	o.user("", "scanner", "application")
	key, err := o.app.Service().CreateAPIKey(t.Context(), operator, core.NewAPIKey{AppName: "daemon"})
	if err != nil {
		t.Fatal(err)
	}
	revoker := o.oauthClient(admin.NewOAuthClient{Name: "revoker", Grants: []string{core.GrantCredentials}, Scopes: []string{"read"}})
	login := o.do("POST", "/api/users/login", "", map[string]string{"username": "scanner", "password": password}).want(200, "")

	var tokens []*offlineToken
	for i := range *latencyTokens {
		a := o.do("POST", "/api/v1/auth/token", "", map[string]string{"jwt": o.requestToken(key, fmt.Sprint(i))}).want(200, "")
		tokens = append(tokens, &offlineToken{"access", "contract", a.text("access_token")})
		a = o.do("POST", "/api/users/application-token", login.text("refreshToken"), nil).want(200, "")
		tokens = append(tokens, &offlineToken{"application", "itempath", a.text("token")})
	}
	o.settle("at first", tokens, nil, true)

	var mu sync.Mutex
	heard := map[string][]time.Duration{}
	var all sync.WaitGroup
	for _, x := range tokens {
		time.Sleep(50 * time.Millisecond)
		o.post("/oauth2/revoke", revoker, form("token", x.raw)).want(200, "")
		began := time.Now()
		if o.do("GET", "/api/stations", x.raw, nil).status == 200 {
			t.Fatal("the node accepts a token that it has revoked")
		}
		mu.Lock()
		heard["node, "+x.name] = append(heard["node, "+x.name], time.Since(began))
		mu.Unlock()
		for channel := range o.all {
			all.Go(func() {
				for !errors.Is(o.check(x, channel), verify.ErrRevoked) {
					if time.Since(began) > time.Minute {
						t.Errorf("a revoked %s token is accepted by %s", x.name, channel)
						return
					}
					time.Sleep(time.Millisecond)
				}
				mu.Lock()
				defer mu.Unlock()
				what := channel + ", " + x.name
				heard[what] = append(heard[what], time.Since(began))
			})
		}
	}
	all.Wait()
	for _, name := range []string{"node, access", "node, application", "feed, access", "feed, application", "status list, access", "status list, application"} {
		list := heard[name]
		slices.Sort(list)
		if len(list) == 0 {
			t.Fatal(name, "was not measured")
		}
		t.Logf("%-25s p50 %8s   p99 %8s   longest %8s   (%d tokens)", name, round(list[len(list)/2]), round(list[len(list)*99/100]), round(list[len(list)-1]), len(list))
	}
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
