package verify_test

import (
	"crypto/rand"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/verify"
	"github.com/sallyport/sallyport/verify/verifytest"
)

// TestKinds holds every kind of token against every way of accepting some: each way takes its own and nothing else.
func TestKinds(t *testing.T) {
	type m = map[string]any
	issuer := verifytest.Start(t, verifytest.Options{Audience: "api"})
	none := m{"token_use": nil}
	tokens := map[string]verifytest.Token{
		"contract access":                   {},
		"OAuth access":                      {OAuth: true},
		"OAuth access, long typ":            {OAuth: true, Type: "application/at+jwt"},
		"OAuth access, case of typ":         {OAuth: true, Type: "AT+JWT"},
		"contract access as at+jwt":         {Type: "at+jwt", ClientID: "c"},
		"OAuth access as JWT":               {OAuth: true, Type: "JWT"},
		"neither":                           {Claims: none},
		"neither, with client":              {ClientID: "c", Claims: none},
		"both signs":                        {OAuth: true, Claims: m{"token_use": "access"}},
		"at+jwt, another kind's claim":      {OAuth: true, Claims: m{"token_use": "refresh"}},
		"at+jwt, kind null":                 {OAuth: true, Claims: m{"token_use": json.RawMessage("null")}},
		"id token of a contract":            {Kind: "id"},
		"id token of OAuth":                 {ClientID: "c", Claims: m{"token_use": nil, "nonce": "n", "at_hash": "h"}},
		"refresh token of a contract":       {Kind: "refresh"},
		"refresh token of OAuth":            {Claims: m{"token_use": nil, "gen": 1}},
		"application token":                 {Application: true},
		"application token as at+jwt":       {Application: true, Type: "at+jwt", ClientID: "c"},
		"application token of the ItemPath": {Application: true, Kind: "access"},
		"OAuth without exp":                 {OAuth: true, Claims: m{"exp": nil}},
		"logout token":                      {Type: "logout+jwt", Claims: m{"token_use": nil, "events": m{"http://schemas.openid.net/event/backchannel-logout": m{}}}},
		"logout token, kind access":         {Type: "logout+jwt"},
		"status list":                       {Type: "statuslist+jwt", Claims: none},
		"feed":                              {Type: "revocations+jwt", Claims: none},
		"request token":                     {Type: "oauth-authz-req+jwt", ClientID: "c", Claims: none},
		"client assertion":                  {Subject: "c", ClientID: "c", Claims: none},
		"no typ":                            {Type: " "},
		"OAuth without client":              {OAuth: true, Claims: m{"client_id": nil}},
		"OAuth without jti":                 {OAuth: true, Claims: m{"jti": nil}},
		"OAuth without sub":                 {OAuth: true, Claims: m{"sub": nil}},
		"OAuth for another":                 {OAuth: true, Audience: "other"},
		"OAuth for several":                 {OAuth: true, Claims: m{"aud": []string{"other", "api"}}},
		"OAuth for several others":          {OAuth: true, Claims: m{"aud": []string{"other", "api2"}}},
	}
	contract := []string{"contract access"}
	oauth := []string{"OAuth access", "OAuth access, long typ", "OAuth access, case of typ"}
	for _, tc := range []struct {
		name   string
		change func(*verify.Config)
		takes  []string
	}{
		{"contract", func(*verify.Config) {}, contract},
		{"contract by name", func(c *verify.Config) { c.Accept = verify.ContractTokens }, contract},
		{"OAuth", func(c *verify.Config) { c.Accept = verify.OAuthTokens }, oauth},
		{"both", func(c *verify.Config) { c.Accept = verify.ContractTokens | verify.OAuthTokens }, append(oauth, contract...)},
		{"contract with a typ", func(c *verify.Config) { c.Type = "at+jwt" }, []string{"contract access as at+jwt", "both signs"}},
		{
			"OAuth, shared audience",
			func(c *verify.Config) { c.Accept, c.SharedAudience = verify.OAuthTokens, true }, append(oauth, "OAuth for several"),
		},
		{
			"application tokens too",
			func(c *verify.Config) { c.AllowApplicationTokens = true }, append(contract, "application token"),
		},
		{
			"application tokens in ItemPath's words",
			func(c *verify.Config) { c.AllowApplicationTokens, c.ApplicationKindValue = true, "access" },
			append(contract, "application token of the ItemPath"),
		},
		{
			"everything", func(c *verify.Config) {
				c.Accept, c.AllowApplicationTokens = verify.ContractTokens|verify.OAuthTokens, true
			}, append(oauth, "contract access", "application token"),
		},
	} {
		v := issuer.Verifier(t, tc.change)
		for name, tok := range tokens {
			_, err := v.Verify(t.Context(), issuer.Mint(tok))
			want := false
			for _, k := range tc.takes {
				want = want || k == name
			}
			if (err == nil) != want {
				t.Errorf("%s at %q: %v, accepted should be %v", name, tc.name, err, want)
			}
		}
	}
	// A verifier without an audience for contracts, whose tokens name none, and one for OAuth.
	plain := verifytest.Start(t, verifytest.Options{})
	v := plain.Verifier(t, func(c *verify.Config) {
		c.Accept, c.OAuthAudience = verify.ContractTokens|verify.OAuthTokens, plain.URL()
	})
	expect(t, v, "contract without audience", plain.Mint(verifytest.Token{}), nil)
	expect(t, v, "contract with OAuth's audience", plain.Mint(verifytest.Token{Audience: plain.URL()}), verify.ErrAudience)
	expect(t, v, "OAuth", plain.Mint(verifytest.Token{OAuth: true}), nil)
}

// TestSecretAndOAuth: a contract under a secret beside OAuth. Each kind counts under its own key alone, and the
// contract's tokens need no network.
func TestSecretAndOAuth(t *testing.T) {
	secret := []byte(rand.Text() + rand.Text())
	issuer := verifytest.New(issuerURL, verifytest.Options{Secret: secret, Audience: "api"})
	published := verifytest.New(issuerURL, verifytest.Options{Audience: "api"})
	both := func(c *verify.Config) { feedless(c); quiet(c); c.Accept = verify.ContractTokens | verify.OAuthTokens }
	v := issuer.Verifier(t, both)
	expect(t, v, "contract", issuer.Mint(verifytest.Token{}), nil)
	oauth := issuer.Mint(verifytest.Token{OAuth: true})
	expect(t, v, "OAuth", oauth, nil)
	expect(t, v, "OAuth, seen before", oauth, nil)
	expect(t, v, "contract under a stranger's key", published.Mint(verifytest.Token{}), verify.ErrSignature)
	forger := verifytest.New(issuerURL, verifytest.Options{Secret: secret, Audience: "api"})
	expect(t, v, "OAuth under the secret", forger.Mint(verifytest.Token{Type: "at+jwt", ClientID: "c", Claims: map[string]any{"token_use": nil}}), verify.ErrKind)

	given := issuer.Verifier(t, both, func(c *verify.Config) { c.JWKS = issuer.JWKS() })
	expect(t, given, "contract, keys given", issuer.Mint(verifytest.Token{}), nil)
	expect(t, given, "OAuth, keys given", oauth, nil)
	expect(t, given, "stranger, keys given", published.Mint(verifytest.Token{OAuth: true}), verify.ErrSignature)

	issuer.SetDown(true)
	c := issuer.Config()
	both(&c)
	cold, err := verify.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer cold.Close()
	expect(t, cold, "contract, no keys", issuer.Mint(verifytest.Token{}), nil)
	expect(t, cold, "OAuth, no keys", oauth, verify.ErrKeys)
	stranger := verifytest.New(issuerURL, verifytest.Options{Secret: []byte(rand.Text() + rand.Text()), Audience: "api"})
	expect(t, cold, "another secret, no keys", stranger.Mint(verifytest.Token{}), verify.ErrSignature)
}

// TestSecrets replaces a secret: tokens under the old one live on, where it is still listed.
func TestSecrets(t *testing.T) {
	old, fresh := []byte(rand.Text()+rand.Text()), []byte(rand.Text()+rand.Text())
	issuer := verifytest.Start(t, verifytest.Options{Secret: old})
	before := issuer.Mint(verifytest.Token{})
	issuer.SetSecret(fresh)
	after := issuer.Mint(verifytest.Token{})
	for name, tc := range map[string]struct {
		set           func(*verify.Config)
		before, after error
	}{
		"old":             {func(c *verify.Config) { c.Secret = old }, nil, verify.ErrSignature},
		"new":             {func(c *verify.Config) { c.Secret = fresh }, verify.ErrSignature, nil},
		"new, then old":   {func(c *verify.Config) { c.Secret, c.Secrets = fresh, [][]byte{old} }, nil, nil},
		"a list of both":  {func(c *verify.Config) { c.Secret, c.Secrets = nil, [][]byte{old, fresh} }, nil, nil},
		"twice, then old": {func(c *verify.Config) { c.Secret, c.Secrets = fresh, [][]byte{fresh, old} }, nil, nil},
	} {
		v := issuer.Verifier(t, feedless, tc.set)
		expect(t, v, name+": before", before, tc.before)
		expect(t, v, name+": after", after, tc.after)
	}
}

// TestLogs follows a feed whose log becomes another one.
func TestLogs(t *testing.T) {
	bubbled(t, verifytest.Options{PageSize: 3}, func(t *testing.T, issuer *verifytest.Issuer) {
		for range 7 {
			issuer.RevokeSession("0-x")
		}
		issuer.RevokeSession("0-a")
		v := issuer.Verifier(t, quiet)
		dead := issuer.Mint(verifytest.Token{SessionID: "0-a"})
		later := issuer.Mint(verifytest.Token{SessionID: "0-b"})
		expect(t, v, "before", dead, verify.ErrRevoked)
		expect(t, v, "before", later, nil)
		// The store comes back from a backup, and has gone as far again: by the numbers alone nobody could tell.
		issuer.LoseRevocations(7)
		issuer.RevokeSession("0-b")
		issuer.NewLog()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		expect(t, v, "in the new log", later, verify.ErrRevoked)
		expect(t, v, "not in the new log", dead, nil)
		issuer.RevokeSession("0-a")
		synctest.Wait()
		expect(t, v, "followed on", dead, verify.ErrRevoked)
		for range 3 {
			issuer.NewLog()
		}
		polls := issuer.Polls()
		time.Sleep(time.Minute)
		if n := issuer.Polls() - polls; n > 20 {
			t.Errorf("%d polls in a minute", n)
		}
		expect(t, v, "read again", dead, verify.ErrRevoked)
	})
}

// TestResumed: an application token that was suspended comes back.
func TestResumed(t *testing.T) {
	bubbled(t, verifytest.Options{}, func(t *testing.T, issuer *verifytest.Issuer) {
		v := issuer.Verifier(t, func(c *verify.Config) { c.AllowApplicationTokens = true })
		app := issuer.Mint(verifytest.Token{Application: true, ID: "app", Subject: "u", Claims: map[string]any{"acct": "ac_1"}})
		expect(t, v, "at first", app, nil)
		for range 3 {
			issuer.RevokeToken("app")
			synctest.Wait()
			expect(t, v, "suspended", app, verify.ErrRevoked)
			issuer.ResumeToken("app")
			synctest.Wait()
			expect(t, v, "resumed", app, nil)
		}
		issuer.RevokeUser("u", "")
		issuer.RevokeAccount("ac_1")
		issuer.RevokeEverything()
		synctest.Wait()
		expect(t, v, "facts that are about sessions", app, nil)
		// One that starts now reads the whole story.
		expect(t, issuer.Verifier(t, func(c *verify.Config) { c.AllowApplicationTokens = true }), "afterwards", app, nil)
	})
}

// TestSubjectClaims: tokens whose sub is the contract's own are found by uid, and neither uid nor acct that a contract
// filled otherwise hides a token from what concerns it.
func TestSubjectClaims(t *testing.T) {
	type m = map[string]any
	bubbled(t, verifytest.Options{}, func(t *testing.T, issuer *verifytest.Issuer) {
		v := issuer.Verifier(t, func(c *verify.Config) { c.Revocations.Account = "ac_default" })
		mint := func(sub string, claims m) string { return issuer.Mint(verifytest.Token{Subject: sub, Claims: claims}) }
		own := mint("ann@example.com", m{"uid": "id-ann"})
		odd := mint("id-bob", m{"uid": "bob"})
		account := mint("id-cat", m{"acct": "default"})
		elsewhere := mint("id-dan", m{"acct": "ac_other"})
		number := mint("id-eve", m{"uid": 5, "acct": 6})
		step := func(name string, dead ...string) {
			t.Helper()
			synctest.Wait()
			for _, raw := range []string{own, odd, account, elsewhere, number} {
				want := error(nil)
				for _, d := range dead {
					if d == raw {
						want = verify.ErrRevoked
					}
				}
				expect(t, v, name, raw, want)
			}
		}
		step("at first")
		issuer.RevokeUser("id-ann", "")
		step("by uid", own)
		issuer.RevokeUser("id-bob", "")
		step("by sub beside a uid", own, odd)
		issuer.RevokeAccount("ac_default")
		step("the configured account", own, odd, account, number)
		issuer.RevokeAccount("ac_other")
		step("the account it names", own, odd, account, number, elsewhere)
	})
}
