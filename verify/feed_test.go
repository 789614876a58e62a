package verify_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/internal/token"
	"github.com/sallyport/sallyport/verify"
	"github.com/sallyport/sallyport/verify/verifytest"
)

// TestRevocations revokes in each way and sees who is refused and who is not, and how soon.
func TestRevocations(t *testing.T) {
	bubbled(t, verifytest.Options{}, func(t *testing.T, issuer *verifytest.Issuer) {
		v := issuer.Verifier(t, func(c *verify.Config) { c.AllowApplicationTokens = true; c.Revocations.Account = "default" })
		issuer.RevokeToken("something before") // so that epochs are not 0
		named := map[string]any{"acct": "ac_other"}
		tokens := map[string]string{}
		for name, tok := range map[string]verifytest.Token{
			"session":     {Subject: "u1", SessionID: "1-a"},
			"token":       {Subject: "u2", ID: "j2"},
			"user":        {Subject: "u3", SessionID: "1-b"},
			"spared":      {Subject: "u3", SessionID: "1-c"},
			"apikey":      {Subject: "k4"},
			"client":      {Subject: "u5", ClientID: "client_5"},
			"own client":  {Subject: "client_5"},
			"account":     {Subject: "u6"},
			"other":       {Subject: "u7", Claims: named},
			"application": {Subject: "u3", ID: "app", Application: true},
		} {
			tokens[name] = issuer.Mint(tok)
		}
		dead := map[string]bool{}
		look := func(step string) {
			t.Helper()
			start := time.Now()
			synctest.Wait()
			if d := time.Since(start); d != 0 {
				t.Errorf("%s: heard after %s", step, d)
			}
			for name, raw := range tokens {
				want := error(nil)
				if dead[name] {
					want = verify.ErrRevoked
				}
				expect(t, v, step+": "+name, raw, want)
			}
		}
		look("before")
		for _, s := range []struct {
			step string
			act  func()
			dies []string
		}{
			{"session", func() { issuer.RevokeSession("1-a") }, []string{"session"}},
			{"token", func() { issuer.RevokeToken("j2") }, []string{"token"}},
			{"user but one session", func() { issuer.RevokeUser("u3", "1-c") }, []string{"user"}},
			{"API key", func() { issuer.RevokeAPIKey("k4") }, []string{"apikey"}},
			{"client", func() { issuer.RevokeClient("client_5") }, []string{"client", "own client"}},
			{"account", func() { issuer.RevokeAccount("default") }, []string{"session", "token", "user", "spared", "apikey", "client", "own client", "account"}},
			{"application token", func() { issuer.RevokeToken("app") }, []string{"application"}},
			{"everything", issuer.RevokeEverything, []string{"other"}},
		} {
			s.act()
			for _, name := range s.dies {
				dead[name] = true
			}
			look(s.step)
		}
		for _, sub := range []string{"u1", "u3", "k4", "u6"} {
			expect(t, v, "a session after the facts, "+sub, issuer.Mint(verifytest.Token{Subject: sub}), nil)
		}
	})
}

// TestSpares ends the sessions of a user again and again, sparing another one each time.
func TestSpares(t *testing.T) {
	bubbled(t, verifytest.Options{}, func(t *testing.T, issuer *verifytest.Issuer) {
		v := issuer.Verifier(t)
		names := []string{"0-a", "0-b", "0-c", "0-a", "0-a", "0-b"}
		tokens := map[string]string{"0-z": issuer.Mint(verifytest.Token{SessionID: "0-z"})}
		for _, sid := range names {
			tokens[sid] = issuer.Mint(verifytest.Token{SessionID: sid})
		}
		alive := map[string]bool{"0-a": true, "0-b": true, "0-c": true, "0-z": true}
		for n, spare := range names {
			issuer.RevokeUser("user-1", spare)
			synctest.Wait()
			for sid, raw := range tokens {
				alive[sid] = alive[sid] && sid == spare
				want := verify.ErrRevoked
				if alive[sid] {
					want = nil
				}
				expect(t, v, fmt.Sprintf("step %d, %s", n, sid), raw, want)
			}
		}
	})
}

// TestStale lets the feed fall silent. It must be heard again within thirty seconds, or nothing is accepted.
func TestStale(t *testing.T) {
	bubbled(t, verifytest.Options{}, func(t *testing.T, issuer *verifytest.Issuer) {
		strict := issuer.Verifier(t, quiet)
		lax := issuer.Verifier(t, quiet, func(c *verify.Config) { c.Revocations.StaleOK = true })
		raw := issuer.Mint(verifytest.Token{})
		expired := issuer.Mint(verifytest.Token{Claims: map[string]any{"iat": issuer.Now().Unix() - 9, "exp": issuer.Now().Unix() - 1}})
		both := func(step string, want error) {
			t.Helper()
			expect(t, strict, step, raw, want)
			expect(t, lax, step, raw, nil)
		}
		time.Sleep(time.Hour)
		both("nothing new for an hour", nil)
		issuer.SetDown(true)
		time.Sleep(19 * time.Second) // and up to 10 s before, while a poll waited
		both("silent for less than 30 s", nil)
		time.Sleep(12 * time.Second)
		both("silent for more than 30 s", verify.ErrStale)
		expect(t, strict, "an expired token is expired", expired, verify.ErrExpired)
		if err := strict.Ready(expiredContext(t)); !errors.Is(err, verify.ErrStale) {
			t.Error(err)
		}
		issuer.RevokeUser("user-1", "")
		issuer.SetDown(false)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		expect(t, strict, "revoked during the silence", raw, verify.ErrRevoked)
		expect(t, lax, "revoked during the silence", raw, verify.ErrRevoked)
		raw = issuer.Mint(verifytest.Token{})
		both("back", nil)
	})
}

// TestPolls counts questions: few in peace, few when the server answers nonsense.
func TestPolls(t *testing.T) {
	bubbled(t, verifytest.Options{}, func(t *testing.T, issuer *verifytest.Issuer) {
		issuer.Verifier(t, quiet)
		before := issuer.Polls()
		time.Sleep(10 * time.Minute)
		if n := issuer.Polls() - before; n < 50 || n > 65 {
			t.Errorf("%d polls in ten minutes without news", n)
		}
	})
}

// TestReload restores the server's store from a backup: numbers go back, and all facts are read again.
func TestReload(t *testing.T) {
	bubbled(t, verifytest.Options{PageSize: 3}, func(t *testing.T, issuer *verifytest.Issuer) {
		for n := range 10 {
			issuer.RevokeSession(fmt.Sprintf("0-s%d", n))
		}
		v := issuer.Verifier(t, quiet)
		raw := make([]string, 10)
		for n := range raw {
			raw[n] = issuer.Mint(verifytest.Token{SessionID: fmt.Sprintf("0-s%d", n)})
			expect(t, v, "page by page", raw[n], verify.ErrRevoked)
		}
		late := issuer.Mint(verifytest.Token{Subject: "late"})
		expect(t, v, "after all facts", late, nil)
		issuer.LoseRevocations(5)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		for n := range raw {
			want := verify.ErrRevoked
			if n >= 5 {
				want = nil
			}
			expect(t, v, fmt.Sprint("after the loss, ", n), raw[n], want)
		}
		issuer.RevokeSession("0-s7")
		synctest.Wait()
		expect(t, v, "follows on", raw[7], verify.ErrRevoked)
		expect(t, v, "late", late, nil)
	})
}

// TestPurge forgets facts at their date, but for those on application tokens.
func TestPurge(t *testing.T) {
	bubbled(t, verifytest.Options{}, func(t *testing.T, issuer *verifytest.Issuer) {
		v := issuer.Verifier(t, func(c *verify.Config) {
			c.AllowApplicationTokens, c.MaxLifetime, c.Revocations.MaxFacts = true, 1000*time.Hour, 10
		}, quiet)
		app := issuer.Mint(verifytest.Token{Application: true, ID: "app"})
		issuer.RevokeToken("app")
		for round := range 10 { // ten times as many as there is room for, but never at once
			for n := range 5 {
				issuer.RevokeSession(fmt.Sprintf("%d-%d", round, n))
			}
			raw := issuer.Mint(verifytest.Token{SessionID: fmt.Sprintf("%d-1", round), Lifetime: 100 * time.Hour})
			synctest.Wait()
			expect(t, v, "revoked", raw, verify.ErrRevoked)
			issuer.Advance(49 * time.Hour)
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			expect(t, v, "application token", app, verify.ErrRevoked)
		}
		for n := range 11 {
			issuer.RevokeSession(fmt.Sprintf("99-%d", n))
		}
		time.Sleep(time.Minute)
		expect(t, v, "more facts than room", issuer.Mint(verifytest.Token{}), verify.ErrStale)
	})
}

// TestFeedKeys rotates the key of the feed, unannounced.
func TestFeedKeys(t *testing.T) {
	bubbled(t, verifytest.Options{MaxAge: time.Hour}, func(t *testing.T, issuer *verifytest.Issuer) {
		v := issuer.Verifier(t)
		raw := issuer.Mint(verifytest.Token{SessionID: "0-a"})
		expect(t, v, "before", raw, nil)
		issuer.Rotate()
		issuer.RevokeSession("0-a")
		synctest.Wait()
		expect(t, v, "signed with the new key", raw, verify.ErrRevoked)
	})
}

// TestBadFeed answers the follower with what it must not take. Each case changes a good answer.
func TestBadFeed(t *testing.T) {
	type payload = map[string]any
	key, err := token.GenerateKey(token.ES256, "k")
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := token.GenerateKey(token.ES256, "k")
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := key.JWK()
	if err != nil {
		t.Fatal(err)
	}
	jwks := []byte(`{"keys":[` + string(jwk) + `]}`)
	clock := time.Unix(1_800_000_000, 0)
	now := clock.Unix()
	fact := func(n int64, kind string) payload { return payload{"n": n, "k": kind, "s": "x", "p": now + 100} }
	sign := func(k *token.Key, typ string, p payload) string {
		data, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		text, err := token.SignDocument(k, typ, data)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	change := func(name string, value any) func(payload) { return func(p payload) { p[name] = value } }
	for _, tc := range []struct {
		name   string
		change func(payload)
		key    *token.Key
		typ    string
		ctype  string
		status int
		raw    string
		ok     bool
	}{
		{name: "good", ok: true},
		{name: "facts", change: change("facts", []payload{fact(1, "session"), fact(5, "everything")}), ok: true},
		{name: "content type with parameters", ctype: "application/revocations+jwt; charset=utf-8", ok: true},
		{name: "clock of the server 29 s ahead", change: func(p payload) { p["iat"], p["exp"] = now+29, now+59 }, ok: true},
		{name: "other key", key: stranger},
		{name: "a token's typ", typ: "JWT"},
		{name: "other content type", ctype: "application/jwt"},
		{name: "other issuer", change: change("iss", "https://other.example")},
		{name: "replayed", change: func(p payload) { p["iat"], p["exp"] = now-61, now-31 }},
		{name: "from the future", change: func(p payload) { p["iat"], p["exp"] = now+31, now+61 }},
		{name: "valid for ever", change: change("exp", now+1<<40)},
		{name: "no exp", change: change("exp", nil)},
		{name: "answer to another question", change: change("since", 4)},
		{name: "facts out of order", change: change("facts", []payload{fact(2, "session"), fact(1, "session")})},
		{name: "fact twice", change: change("facts", []payload{fact(2, "session"), fact(2, "session")})},
		{name: "fact above last", change: change("facts", []payload{fact(9, "session")})},
		{name: "fact 0", change: change("facts", []payload{fact(0, "session")})},
		{name: "unknown kind", change: change("facts", []payload{fact(1, "galaxy")})},
		{name: "negative last", change: change("last", -1)},
		{name: "last as text", change: change("last", "7")},
		{name: "not JSON", raw: "{}"},
		{name: "empty", raw: " "},
		{name: "error", status: 500},
		{name: "unauthorized", status: 401},
		{name: "304 to everything", status: 304},
	} {
		synctest.Test(t, func(t *testing.T) {
			var polls atomic.Int64
			c := verify.Config{
				Issuer: issuerURL, JWKS: jwks, Clock: func() time.Time { return clock },
				Revocations: &verify.Revocations{Authorization: verifytest.New(issuerURL, verifytest.Options{}).Authorization},
			}
			quiet(&c)
			c.HTTPClient = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
				polls.Add(1)
				since := r.URL.Query().Get("since")
				p := payload{"iss": issuerURL, "iat": now, "exp": now + 30, "since": json.Number(since), "last": 7, "full": since == "0", "facts": []payload{}}
				if tc.change != nil && since == "0" {
					tc.change(p)
				}
				k, typ, ctype, status := tc.key, "revocations+jwt", "application/revocations+jwt", 200
				if k == nil {
					k = key
				}
				if tc.typ != "" {
					typ = tc.typ
				}
				if tc.ctype != "" {
					ctype = tc.ctype
				}
				if tc.status != 0 {
					status = tc.status
				}
				body := tc.raw
				if body == "" {
					body = sign(k, typ, p)
				}
				return answerOf(status, ctype, body), nil
			})}
			v, err := verify.New(c)
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			raw, err := key.Sign(token.Header{Typ: "JWT"}, fmt.Appendf(nil,
				`{"iss":%q,"sub":"u","jti":"j","sid":"9-a","iat":%d,"exp":%d,"token_use":"access"}`, issuerURL, now, now+60))
			if err != nil {
				t.Fatal(err)
			}
			want := verify.ErrStale
			if tc.ok {
				want = nil
			}
			expect(t, v, tc.name, raw, want)
			time.Sleep(time.Minute)
			expect(t, v, tc.name+", later", raw, want)
			if n := polls.Load(); n > 80 {
				t.Errorf("%s: %d polls in a minute", tc.name, n)
			}
		})
	}
}

// TestAlwaysFull meets a server that says each time that its log starts over: it is obeyed, at a pace.
func TestAlwaysFull(t *testing.T) {
	bubbled(t, verifytest.Options{}, func(t *testing.T, issuer *verifytest.Issuer) {
		var polls atomic.Int64
		c := issuer.Config()
		quiet(&c)
		down := issuer.Client().Transport
		c.HTTPClient = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			if q := r.URL.Query(); strings.HasSuffix(r.URL.Path, "/revocations") {
				polls.Add(1)
				q.Set("wait", "0")
				if q.Get("since") != "0" {
					issuer.LoseRevocations(0)
				} else {
					issuer.RevokeSession("0-x")
				}
				r.URL.RawQuery = q.Encode()
			}
			return down.RoundTrip(r)
		})}
		v, err := verify.New(c)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		time.Sleep(time.Minute)
		expect(t, v, "obeyed", issuer.Mint(verifytest.Token{SessionID: "0-x"}), verify.ErrRevoked)
		if n := polls.Load(); n > 250 {
			t.Errorf("%d polls in a minute", n)
		}
	})
}
