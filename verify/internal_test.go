package verify

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/token"
)

func TestFreshFor(t *testing.T) {
	for _, tc := range []struct {
		control, age string
		want         time.Duration
	}{
		{"", "", 5 * time.Minute},
		{"public, max-age=300", "", 5 * time.Minute},
		{"Max-Age=\"600\"", "", 10 * time.Minute},
		{"max-age=600", "590", 10 * time.Second},
		{"max-age=600", "60", 9 * time.Minute},
		{"max-age=600", "-60", 10 * time.Minute},
		{"max-age=600", "999999", 10 * time.Second},
		{"max-age=0", "", 10 * time.Second},
		{"max-age=-5", "", 10 * time.Second},
		{"no-cache, max-age=600", "", 10 * time.Second},
		{"max-age=600, no-store", "", 10 * time.Second},
		{"max-age=999999999", "", 24 * time.Hour},
		{"max-age=99999999999999999999", "", 5 * time.Minute},
		{"max-age=x", "", 5 * time.Minute},
		{"s-maxage=600", "", 5 * time.Minute},
	} {
		h := http.Header{}
		if tc.control != "" {
			h.Set("Cache-Control", tc.control)
		}
		if tc.age != "" {
			h.Set("Age", tc.age)
		}
		if got := freshFor(h); got != tc.want {
			t.Errorf("%q, Age %q: %s, want %s", tc.control, tc.age, got, tc.want)
		}
	}
}

func TestBackoff(t *testing.T) {
	for n, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 6: 32 * time.Second, 7: time.Minute, 1 << 40: time.Minute} {
		for range 100 {
			if got := backoff(n, time.Second, time.Minute); got < want/2 || got > want {
				t.Fatalf("failure %d: %s, want %s to %s", n, got, want/2, want)
			}
		}
	}
}

// TestCacheBound floods the cache and sees that it neither grows nor loses what is in use.
func TestCacheBound(t *testing.T) {
	c := newCache(100)
	used := &entry{}
	c.put("used", used)
	for n := range 10_000 {
		c.put(fmt.Sprint(n), &entry{})
		if n%40 == 0 && c.get("used") != used {
			t.Fatalf("what is in use was forgotten after %d", n)
		}
		if got := len(c.young) + len(c.old); got > 101 {
			t.Fatalf("%d entries", got)
		}
	}
	if c.get("0") != nil || c.get("9999") == nil {
		t.Error("the oldest should be gone and the newest there")
	}
	var none *cache
	none.put("x", used)
	if newCache(-1) != nil || none.get("x") != nil {
		t.Error("a cache that is off remembers")
	}
}

// FuzzEpoch: a session id has an epoch if the server could have written it so, and then it is that one.
func FuzzEpoch(f *testing.F) {
	for _, s := range []string{"0-abc", "12-abc", "012-abc", "+1-a", "-1-a", "1-", "-", "", "999999999999999999999-a", "１-a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sid string) {
		n, ok := epochOf(sid)
		if ok && (n < 0 || !strings.HasPrefix(sid, fmt.Sprint(n)+"-") || sid == fmt.Sprint(n)+"-") {
			t.Fatalf("%q: %d", sid, n)
		}
	})
}

// FuzzAnswer: an accepted answer keeps its word about numbers, kinds and times, and goes into memory.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"iss":"i","iat":1000,"exp":1030,"since":3,"last":5,"facts":[{"n":4,"k":"user","s":"u","x":"1-a","p":2000},{"n":5,"k":"everything"}]}`))
	f.Add([]byte(`{"iss":"i","iat":1000,"exp":1030,"since":3,"last":2,"full":true,"facts":[{"n":1,"k":"session","s":"1-a"}]}`))
	f.Add([]byte(`{"iss":"i","iat":1000,"exp":1030,"since":3,"last":3}`))
	f.Add([]byte(`{"iss":"i","iat":1000,"exp":1030,"log":"in_2","since":0,"last":2,"full":true,"facts":[{"n":1,"k":"token","s":"j"},{"n":2,"k":"token","s":"j","x":"j"}]}`))
	f.Add([]byte(`{"facts":[{"n":-1}]}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		var a answer
		if json.Unmarshal(payload, &a) != nil || a.check("i", 3, "", 1000) != nil {
			return
		}
		last := int64(0)
		for _, x := range a.Facts {
			if x.Number <= last || x.Number > a.Last || !x.known() {
				t.Fatalf("%+v", a)
			}
			last = x.Number
		}
		if a.Issuer != "i" || a.Since != 3 && !a.restarts(3, "") || a.ExpiresAt+feedSkew <= 1000 || a.IssuedAt > 1000+feedSkew {
			t.Fatalf("%+v", a)
		}
		known := newFacts(1)
		known.add(a.Facts, a.Last)
		if known.size() > len(a.Facts) || known.last != a.Last {
			t.Fatalf("%+v: %d facts up to %d", a, known.size(), known.last)
		}
		known.purge(1<<62, false)
	})
}

// TestFactsOnTokensOfSessions: a fact that names a session ends the token of that session and no other with the same
// jti, and hides none of the facts that name no session.
func TestFactsOnTokensOfSessions(t *testing.T) {
	of := func(jti, sid, parent string) *Claims {
		c := &Claims{c: token.Claims{ID: jti, SessionID: sid}, epoch: noEpoch, parent: parent}
		if epoch, ok := epochOf(sid); ok {
			c.epoch = epoch
		}
		return c
	}
	f := newFacts(1)
	f.add([]fact{
		{1, "token", "a", "5-x", 100},
		{2, "token", "b", "", 100},
		{3, "token", "b", "5-x", 100}, // signed with another mount's key
		{4, "token", "c", "", 0},
		{5, "token", "c", "5-x", 100},
		{6, "token", "c", "c", 0},
		{7, "token", "d", "", 0},
		{8, "token", "d", "5-x", 100},
	}, 8)
	check := func(want bool, c *Claims) {
		t.Helper()
		if f.dead(c, "") != want {
			t.Errorf("jti %q, sid %q, parent %q: dead is %v", c.c.ID, c.c.SessionID, c.parent, !want)
		}
	}
	check(true, of("a", "5-x", ""))
	check(true, of("narrowed", "5-x", "a"))
	check(false, of("a", "5-y", ""))
	check(false, of("a", "", ""))
	check(false, of("narrowed", "5-y", "a"))
	check(true, of("b", "5-y", ""))
	check(true, of("narrowed", "5-y", "b"))
	check(false, of("c", "", "")) // an application token, resumed
	check(true, of("d", "", ""))
	if f.size() != 6 {
		t.Errorf("%d facts", f.size())
	}
	f.purge(100, true)
	check(false, of("a", "5-x", ""))
	check(true, of("d", "", ""))
}
