package verify_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/verify"
	"github.com/sallyport/sallyport/verify/verifytest"
)

// listsOnly is a configuration that hears of revocations by status lists alone.
func listsOnly(c *verify.Config) { c.Revocations = nil }

// TestStatusLists revokes and sees who is refused, and how soon.
func TestStatusLists(t *testing.T) {
	bubbled(t, verifytest.Options{StatusLists: true}, func(t *testing.T, issuer *verifytest.Issuer) {
		v := issuer.Verifier(t, listsOnly, func(c *verify.Config) { c.AllowApplicationTokens = true })
		session := issuer.Mint(verifytest.Token{SessionID: "0-a"})
		again := issuer.Mint(verifytest.Token{SessionID: "0-a"})
		other := issuer.Mint(verifytest.Token{SessionID: "0-b"})
		app := issuer.Mint(verifytest.Token{Application: true, ID: "app"})
		look := func(step string, a, b, c error) {
			t.Helper()
			time.Sleep(5 * time.Second)
			expect(t, v, step+": session", session, a)
			expect(t, v, step+": its other token", again, a)
			expect(t, v, step+": another session", other, b)
			expect(t, v, step+": application token", app, c)
		}
		look("before", nil, nil, nil)
		issuer.RevokeSession("0-a")
		look("session", verify.ErrRevoked, nil, nil)
		issuer.RevokeToken("app")
		look("application token", verify.ErrRevoked, nil, verify.ErrRevoked)
		issuer.ResumeToken("app")
		look("resumed", verify.ErrRevoked, nil, nil)
		issuer.RevokeEverything()
		look("everything", verify.ErrRevoked, verify.ErrRevoked, nil)
	})
}

// TestStatusListSilence lets the issuer fall silent: what is known stays in use for a while, and then nothing is
// accepted.
func TestStatusListSilence(t *testing.T) {
	bubbled(t, verifytest.Options{StatusLists: true}, func(t *testing.T, issuer *verifytest.Issuer) {
		strict := issuer.Verifier(t, listsOnly, quiet)
		lax := issuer.Verifier(t, listsOnly, quiet, func(c *verify.Config) { c.StatusLists.StaleOK = true })
		raw := issuer.Mint(verifytest.Token{SessionID: "0-a"})
		both := func(step string, want error) {
			t.Helper()
			expect(t, strict, step, raw, want)
			expect(t, lax, step+", StaleOK", raw, nil)
		}
		both("at first", nil)
		issuer.SetDown(true)
		time.Sleep(25 * time.Second)
		both("silent for less than 30 s", nil)
		time.Sleep(10 * time.Second)
		both("silent for more", verify.ErrStale)
		issuer.RevokeSession("0-a")
		issuer.SetDown(false)
		time.Sleep(6 * time.Second)
		expect(t, strict, "revoked meanwhile", raw, verify.ErrRevoked)
		expect(t, lax, "revoked meanwhile", raw, verify.ErrRevoked)
		fresh := issuer.Mint(verifytest.Token{})
		expect(t, strict, "back", fresh, nil)
		// The list's own exp is an end too, however lately it was heard.
		issuer.SetDown(true)
		issuer.Advance(31 * time.Second)
		expect(t, strict, "after exp", fresh, verify.ErrStale)
		expect(t, lax, "after exp", fresh, nil)
		issuer.SetDown(false)
		time.Sleep(6 * time.Second)
		expect(t, strict, "a new list", fresh, nil)
	})
}

// TestStatusListCold starts while nothing answers: refused, and soon asked again.
func TestStatusListCold(t *testing.T) {
	bubbled(t, verifytest.Options{StatusLists: true}, func(t *testing.T, issuer *verifytest.Issuer) {
		v := issuer.Verifier(t, listsOnly, quiet)
		raw := issuer.Mint(verifytest.Token{})
		issuer.SetDown(true)
		before := issuer.ListReads()
		for range 100 {
			expect(t, v, "down", raw, verify.ErrStale)
		}
		if n := issuer.ListReads() - before; n > 1 {
			t.Errorf("100 tokens caused %d fetches", n)
		}
		issuer.SetDown(false)
		time.Sleep(5 * time.Second)
		expect(t, v, "up", raw, nil)
	})
}

// TestStatusListOnce: many tokens at once cause one fetch, and a list that nobody names is fetched no more.
func TestStatusListOnce(t *testing.T) {
	bubbled(t, verifytest.Options{StatusLists: true}, func(t *testing.T, issuer *verifytest.Issuer) {
		v := issuer.Verifier(t, listsOnly)
		var all sync.WaitGroup
		for range 50 {
			raw := issuer.Mint(verifytest.Token{})
			all.Go(func() { expect(t, v, "at once", raw, nil) })
		}
		all.Wait()
		if n := issuer.ListReads(); n != 1 {
			t.Errorf("%d fetches for 50 tokens at once", n)
		}
		time.Sleep(9 * time.Minute)
		synctest.Wait()
		if n := issuer.ListReads(); n < 200 || n > 400 {
			t.Errorf("%d fetches in nine minutes", n)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		n := issuer.ListReads()
		time.Sleep(time.Hour)
		if more := issuer.ListReads() - n; more != 0 {
			t.Errorf("%d fetches of a list that no token names", more)
		}
		expect(t, v, "named again", issuer.Mint(verifytest.Token{}), nil)
	})
}

// TestStatusRequired: what names no list.
func TestStatusRequired(t *testing.T) {
	bubbled(t, verifytest.Options{StatusLists: true}, func(t *testing.T, issuer *verifytest.Issuer) {
		none := map[string]any{"status": nil}
		access := issuer.Mint(verifytest.Token{Claims: none})
		app := issuer.Mint(verifytest.Token{Application: true, Claims: none})
		other := issuer.Mint(verifytest.Token{Claims: map[string]any{"status": map[string]any{"another_way": 1}}})
		lists := issuer.Verifier(t, listsOnly, func(c *verify.Config) { c.AllowApplicationTokens = true })
		expect(t, lists, "access token", access, nil)
		expect(t, lists, "another mechanism", other, nil)
		expect(t, lists, "application token", app, verify.ErrClaims)
		need := issuer.Verifier(t, listsOnly, func(c *verify.Config) { c.StatusLists.Require = true })
		expect(t, need, "access token, required", access, verify.ErrClaims)
		expect(t, need, "another mechanism, required", other, verify.ErrClaims)
		expect(t, need, "access token with a place, required", issuer.Mint(verifytest.Token{}), nil)
		both := issuer.Verifier(t, func(c *verify.Config) { c.AllowApplicationTokens = true })
		expect(t, both, "application token, with the feed", app, nil)
	})
}

// TestStatusListPlaces: tokens that send the verifier elsewhere cause no request at all.
func TestStatusListPlaces(t *testing.T) {
	const good = issuerURL + "/oauth2/status-lists/s0"
	type m = map[string]any
	status := func(idx any, uri any) m { return m{"status": m{"status_list": m{"idx": idx, "uri": uri}}} }
	bubbled(t, verifytest.Options{StatusLists: true}, func(t *testing.T, issuer *verifytest.Issuer) {
		var asked atomic.Int64
		v := issuer.Verifier(t, listsOnly, quiet, func(c *verify.Config) {
			down := issuer.Client().Transport
			c.HTTPClient = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
				if r.URL.Path != "/.well-known/jwks.json" && r.URL.Path != "/oauth2/status-lists/s0" {
					asked.Add(1)
				}
				return down.RoundTrip(r)
			})}
		})
		expect(t, v, "negative control", issuer.Mint(verifytest.Token{Claims: status(7, good)}), nil)
		for name, claims := range map[string]m{
			"another host":           status(1, "https://evil.example/oauth2/status-lists/s0"),
			"a longer host":          status(1, "https://auth.example.evil.example/s0"),
			"the host as user":       status(1, "https://auth.example@evil.example/s0"),
			"a user":                 status(1, "https://u:p@auth.example/oauth2/status-lists/s0"),
			"another port":           status(1, "https://auth.example:8443/oauth2/status-lists/s0"),
			"the metadata service":   status(1, "http://169.254.169.254/latest/meta-data"),
			"this machine":           status(1, "http://127.0.0.1/x"),
			"a file":                 status(1, "file:///etc/passwd"),
			"plain HTTP":             status(1, "http://auth.example/oauth2/status-lists/s0"),
			"the issuer alone":       status(1, issuerURL),
			"no URL":                 status(1, "://"),
			"relative":               status(1, "/oauth2/status-lists/s0"),
			"without scheme":         status(1, "//auth.example/oauth2/status-lists/s0"),
			"dot segments":           status(1, issuerURL+"/oauth2/../../admin"),
			"encoded dot segments":   status(1, issuerURL+"/oauth2/%2e%2e/admin"),
			"encoded slash":          status(1, issuerURL+"/oauth2%2fs0"),
			"backslash":              status(1, issuerURL+`\@evil.example/s0`),
			"query":                  status(1, good+"?a=b"),
			"empty query":            status(1, good+"?"),
			"fragment":               status(1, good+"#x"),
			"line feed":              status(1, good+"\n"),
			"empty":                  status(1, ""),
			"long":                   status(1, issuerURL+"/"+strings.Repeat("a", 2000)),
			"number as uri":          status(1, 5),
			"negative index":         status(-1, good),
			"fraction as index":      status(1.5, good),
			"text as index":          status("1", good),
			"no index":               {"status": m{"status_list": m{"uri": good}}},
			"list as array":          {"status": m{"status_list": []any{1, good}}},
			"status as text":         {"status": good},
			"status as array":        {"status": []any{}},
			"index beyond the list":  status(65536, good),
			"index far beyond":       status(int64(1)<<53, good),
			"list null":              {"status": m{"status_list": nil}},
			"index as huge exponent": {"status": m{"status_list": m{"idx": json.Number("1e400"), "uri": good}}},
		} {
			expect(t, v, name, issuer.Mint(verifytest.Token{Claims: claims}), verify.ErrClaims)
		}
		if n := asked.Load(); n != 0 {
			t.Errorf("%d requests to where no list is", n)
		}
	})
}

// TestStatusListBounds: no more lists than allowed.
func TestStatusListBounds(t *testing.T) {
	bubbled(t, verifytest.Options{StatusLists: true}, func(t *testing.T, issuer *verifytest.Issuer) {
		v := issuer.Verifier(t, listsOnly, func(c *verify.Config) { c.StatusLists.MaxLists, c.AllowApplicationTokens = 1, true })
		expect(t, v, "first list", issuer.Mint(verifytest.Token{}), nil)
		expect(t, v, "second list", issuer.Mint(verifytest.Token{Application: true}), verify.ErrStale)
	})
}

func TestStatusListConfig(t *testing.T) {
	for _, tc := range []struct {
		name string
		c    verify.Config
		says string
	}{
		{"no issuer", verify.Config{Issuers: []string{"x"}, JWKSURL: "https://x.example", StatusLists: &verify.StatusLists{}}, "needs Issuer"},
		{"too often", verify.Config{Issuer: issuerURL, StatusLists: &verify.StatusLists{Every: time.Millisecond}}, "Every"},
		{"too rarely", verify.Config{Issuer: issuerURL, StatusLists: &verify.StatusLists{Every: time.Minute}}, "StaleAfter"},
		{"negative", verify.Config{Issuer: issuerURL, StatusLists: &verify.StatusLists{MaxBytes: -1}}, "negative"},
		{
			"no exp and silence",
			verify.Config{Issuer: issuerURL, AllowApplicationTokens: true, StatusLists: &verify.StatusLists{StaleOK: true}},
			"StaleOK",
		},
	} {
		v, err := verify.New(tc.c)
		if !errors.Is(err, verify.ErrConfig) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want one that says %q", tc.name, err, tc.says)
		}
		if v != nil {
			v.Close()
		}
	}
}
