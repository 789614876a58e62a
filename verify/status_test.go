package verify_test

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/internal/token"
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

// lister is an issuer whose status list a test writes itself.
type lister struct {
	key  *token.Key
	jwks []byte
	now  time.Time
}

const listURI = issuerURL + "/oauth2/status-lists/s0"

func newLister(t *testing.T) *lister {
	t.Helper()
	key, err := token.GenerateKey(token.ES256, "k")
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := key.JWK()
	if err != nil {
		t.Fatal(err)
	}
	return &lister{key, []byte(`{"keys":[` + string(jwk) + `]}`), time.Unix(1_800_000_000, 0)}
}

// token has a place in the list.
func (l *lister) token(t *testing.T, idx int) string {
	t.Helper()
	now := l.now.Unix()
	raw, err := l.key.Sign(token.Header{Typ: "JWT"}, fmt.Appendf(nil,
		`{"iss":%q,"sub":"u","jti":"j","sid":"9-a","iat":%d,"exp":%d,"token_use":"access","status":{"status_list":{"idx":%d,"uri":%q}}}`,
		issuerURL, now, now+600, idx, listURI))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (l *lister) sign(t *testing.T, key *token.Key, typ string, payload any) string {
	t.Helper()
	data, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := token.SignDocument(key, typ, data)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func packed(t testing.TB, list []byte) string {
	t.Helper()
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	if _, err := z.Write(list); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(b.Bytes())
}

// verifier asks f for the list.
func (l *lister) verifier(t *testing.T, f func(r *http.Request) (*http.Response, error), change ...func(*verify.Config)) *verify.Verifier {
	t.Helper()
	c := verify.Config{
		Issuer: issuerURL, JWKS: l.jwks, Clock: func() time.Time { return l.now }, StatusLists: &verify.StatusLists{},
		HTTPClient: &http.Client{Transport: transport(f)},
	}
	quiet(&c)
	for _, set := range change {
		set(&c)
	}
	v, err := verify.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// TestBadStatusList answers with lists that must not be used. Each case changes a good one.
func TestBadStatusList(t *testing.T) {
	type m = map[string]any
	l := newLister(t)
	stranger, err := token.GenerateKey(token.ES256, "k")
	if err != nil {
		t.Fatal(err)
	}
	now := l.now.Unix()
	lists := func(bits any, lst any) func(m) {
		return func(p m) { p["status_list"] = m{"bits": bits, "lst": lst} }
	}
	set := func(name string, value any) func(m) { return func(p m) { p[name] = value } }
	bomb := packed(t, make([]byte, 256<<20)) // 256 KiB that grow a thousandfold
	for _, tc := range []struct {
		name       string
		change     func(m)
		key        *token.Key
		typ, ctype string
		status     int
		raw        string
		ok         bool
	}{
		{name: "good", ok: true},
		{name: "without iss, exp and ttl", change: func(p m) { delete(p, "iss"); delete(p, "exp"); delete(p, "ttl") }, ok: true},
		{name: "ttl as fraction", change: set("ttl", 0.5), ok: true},
		{name: "a claim of others", change: set("x", m{}), ok: true},
		{name: "other key", key: stranger},
		{name: "a token's typ", typ: "JWT"},
		{name: "the feed's typ", typ: "revocations+jwt"},
		{name: "typ in another case", typ: "StatusList+jwt"},
		{name: "other content type", ctype: "application/jwt"},
		{name: "the list of another place", change: set("sub", listURI+"1")},
		{name: "no sub", change: set("sub", nil)},
		{name: "other issuer", change: set("iss", "https://other.example")},
		{name: "ended", change: func(p m) { p["iat"], p["exp"] = now-60, now }},
		{name: "from the future", change: func(p m) { p["iat"], p["exp"] = now+31, now+61 }},
		{name: "no iat", change: set("iat", nil)},
		{name: "iat as text", change: set("iat", "soon")},
		{name: "negative exp", change: set("exp", -1)},
		{name: "exp huge", change: set("exp", json.Number("1e999"))},
		{name: "negative ttl", change: set("ttl", -2)},
		{name: "three bits", change: lists(3, packed(t, make([]byte, 8)))},
		{name: "no bits", change: lists(0, packed(t, make([]byte, 8)))},
		{name: "256 bits", change: lists(256, packed(t, make([]byte, 8)))},
		{name: "lst no base64", change: lists(1, "!")},
		{name: "lst with padding", change: lists(1, packed(t, make([]byte, 9))+"=")},
		{name: "lst not packed", change: lists(1, "AAAAAAAAAAAA")},
		{name: "lst cut", change: lists(1, packed(t, make([]byte, 99))[:12])},
		{name: "lst a bomb", change: lists(1, bomb)},
		{name: "no list", change: set("status_list", nil)},
		{name: "not signed", raw: `{"sub":"` + listURI + `"}`},
		{name: "empty", raw: " "},
		{name: "not found", status: 404},
		{name: "304 to everything", status: 304},
		{name: "error", status: 500},
	} {
		synctest.Test(t, func(t *testing.T) {
			var reads atomic.Int64
			v := l.verifier(t, func(*http.Request) (*http.Response, error) {
				reads.Add(1)
				p := m{"iss": issuerURL, "sub": listURI, "iat": now, "exp": now + 30, "ttl": 2, "status_list": m{"bits": 1, "lst": packed(t, make([]byte, 8))}}
				if tc.change != nil {
					tc.change(p)
				}
				k, typ, ctype, status, body := tc.key, tc.typ, tc.ctype, tc.status, tc.raw
				if k == nil {
					k = l.key
				}
				if typ == "" {
					typ = "statuslist+jwt"
				}
				if ctype == "" {
					ctype = "application/statuslist+jwt"
				}
				if status == 0 {
					status = 200
				}
				if body == "" {
					body = l.sign(t, k, typ, p)
				}
				return answerOf(status, ctype, body), nil
			})
			want := verify.ErrStale
			if tc.ok {
				want = nil
			}
			raw := l.token(t, 5)
			expect(t, v, tc.name, raw, want)
			time.Sleep(20 * time.Second)
			expect(t, v, tc.name+", later", raw, want)
			if n := reads.Load(); n > 50 {
				t.Errorf("%s: %d fetches in 20 s", tc.name, n)
			}
		})
	}
}

// TestStatusBits reads places of each width: 0 is valid, everything else is not.
func TestStatusBits(t *testing.T) {
	for _, bits := range []int{1, 2, 4, 8} {
		synctest.Test(t, func(t *testing.T) {
			l := newLister(t)
			each := 8 / bits
			list := make([]byte, 512)
			values := make([]int, len(list)*each)
			for idx := range values {
				values[idx] = idx * 7 % 11 % (1 << bits)
				list[idx/each] |= byte(values[idx] << (idx % each * bits))
			}
			now := l.now.Unix()
			v := l.verifier(t, func(*http.Request) (*http.Response, error) {
				return answerOf(200, "application/statuslist+jwt", l.sign(t, l.key, "statuslist+jwt", map[string]any{
					"sub": listURI, "iat": now, "status_list": map[string]any{"bits": bits, "lst": packed(t, list)},
				})), nil
			})
			for idx := 0; idx < len(values); idx += 1 + len(values)/97 {
				want := verify.ErrRevoked
				if values[idx] == 0 {
					want = nil
				}
				expect(t, v, fmt.Sprintf("%d bits, place %d is %d", bits, idx, values[idx]), l.token(t, idx), want)
			}
			expect(t, v, "the last place", l.token(t, len(values)-1), map[bool]error{true: nil, false: verify.ErrRevoked}[values[len(values)-1] == 0])
			expect(t, v, "beyond", l.token(t, len(values)), verify.ErrClaims)
		})
	}
}

// TestStatusListGrows: a token may have a place that the list did not have a moment ago, and a list that lags does not
// bring a revoked token back.
func TestStatusListGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLister(t)
		now := l.now.Unix()
		var size, at, first, reads atomic.Int64
		size.Store(1)
		at.Store(now)
		v := l.verifier(t, func(*http.Request) (*http.Response, error) {
			reads.Add(1)
			list := make([]byte, size.Load())
			list[0] = byte(first.Load())
			return answerOf(200, "application/statuslist+jwt", l.sign(t, l.key, "statuslist+jwt", map[string]any{
				"sub": listURI, "iat": at.Load(), "exp": now + 1000, "status_list": map[string]any{"bits": 1, "lst": packed(t, list)},
			})), nil
		})
		expect(t, v, "the last place", l.token(t, 7), nil)
		expect(t, v, "beyond", l.token(t, 8), verify.ErrClaims)
		time.Sleep(1100 * time.Millisecond)
		size.Store(2)
		expect(t, v, "grown", l.token(t, 8), nil)
		before := reads.Load()
		for n := range 100 {
			expect(t, v, "beyond, many", l.token(t, 1000+n), verify.ErrClaims)
		}
		if n := reads.Load() - before; n > 1 {
			t.Errorf("100 tokens beyond the list caused %d fetches", n)
		}
		first.Store(1)
		at.Add(5)
		time.Sleep(3 * time.Second)
		expect(t, v, "revoked", l.token(t, 0), verify.ErrRevoked)
		first.Store(0)
		at.Add(-3)
		time.Sleep(10 * time.Second)
		expect(t, v, "an older list", l.token(t, 0), verify.ErrRevoked)
		// A server whose clock was set back is believed after a silence.
		time.Sleep(40 * time.Second)
		expect(t, v, "older for long", l.token(t, 0), nil)
	})
}

// TestStatusListRedirect: the list is fetched where the token says, or not at all.
func TestStatusListRedirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLister(t)
		v := l.verifier(t, func(r *http.Request) (*http.Response, error) {
			if r.URL.Host != "auth.example" {
				t.Errorf("asked %s", r.URL)
			}
			res := answerOf(302, "text/html", "")
			res.Header.Set("Location", "http://169.254.169.254/latest")
			return res, nil
		})
		expect(t, v, "redirected", l.token(t, 0), verify.ErrStale)
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
