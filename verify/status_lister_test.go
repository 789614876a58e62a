package verify_test

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/internal/token"
	"github.com/sallyport/sallyport/verify"
)

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
