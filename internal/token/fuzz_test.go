package token

import (
	"errors"
	"math"
	"strings"
	"testing"
)

// FuzzClaims signs any payload with the right key: what is accepted obeys every rule, and no refusal is of no kind.
func FuzzClaims(f *testing.F) {
	key, err := NewHMAC("k1", []byte(strings.Repeat("s", 32)))
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{
		accessClaims, with(accessClaims, "exp", "1e999"), with(accessClaims, "aud", `["api","x"]`), with(accessClaims, "type", `"refresh"`),
		with(accessClaims, "iat", `"1"`), with(accessClaims, "scope", `" a"`), "{}", "[]", `{"a":{"a":[1,2]}}`, `{"exp":1,"exp":2}`,
	} {
		f.Add(s, nowMs)
	}
	f.Add(accessClaims, int64(math.MaxInt64))
	f.Add(accessClaims, int64(math.MinInt64))
	rules := accessRules()
	f.Fuzz(func(t *testing.T, payload string, now int64) {
		now = max(min(now, 1<<60), -1<<60) // clocks end there
		raw, err := key.Sign(Header{}, []byte(payload))
		if err != nil {
			return
		}
		c, err := Verify(raw, []*Key{key}, rules, now)
		if err != nil {
			if progress(err) < progress(ErrClaims) {
				t.Fatalf("%q: %v", payload, err)
			}
			if (c != nil) != errors.Is(err, ErrExpired) {
				t.Fatalf("%q: claims %v with %v", payload, c, err)
			}
			return
		}
		kind, _ := c.Text("type")
		switch {
		case kind != "access", c.Issuer != rules.Issuers[0] && c.Issuer != rules.Issuers[1],
			len(c.Audience) != 1 || c.Audience[0] != "api", c.SessionID == "",
			c.IssuedAt < 0 || c.ExpiresAt < c.IssuedAt || c.ExpiresAt > c.IssuedAt+900,
			now >= c.ExpiresAt*1000, c.IssuedAt*1000 > now+Skew, c.NotBefore*1000 > now+Skew:
			t.Fatalf("accepted %q at %d", payload, now)
		}
	})
}

// FuzzVerify: nothing but the bytes that were signed is accepted.
func FuzzVerify(f *testing.F) {
	key, err := NewHMAC("k1", []byte(strings.Repeat("s", 32)))
	if err != nil {
		f.Fatal(err)
	}
	good, err := key.Sign(Header{Typ: "JWT"}, []byte(accessClaims))
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{good, good + "A", good[:len(good)-1], strings.ToLower(good), "", "..", "a.b.c", strings.Repeat(".", 300)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		_, err := Verify(raw, []*Key{key}, accessRules(), nowMs)
		if (err == nil) != (raw == good) {
			t.Fatalf("%q: %v", raw, err)
		}
	})
}

// FuzzShared: whatever payload a holder of the shared secret signs, it lacks our MAC.
func FuzzShared(f *testing.F) {
	key, err := NewHMAC("k1", []byte(strings.Repeat("s", 32)))
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{
		accessClaims, strings.TrimSuffix(accessClaims, "}") + `,"mac":"` + strings.Repeat("A", 43) + `"}`, `{"mac":""}`, "{}",
		`,"mac":"` + strings.Repeat("A", 43) + `"}`,
	} {
		f.Add(s)
	}
	groups := []KeyGroup{{Keys: []*Key{key}, MACKey: macKey}}
	f.Fuzz(func(t *testing.T, payload string) {
		raw, err := key.Sign(Header{}, []byte(payload))
		if err != nil {
			return
		}
		if _, err := VerifyGroups(raw, groups, accessRules(), nowMs); !errors.Is(err, ErrSignature) && !errors.Is(err, ErrClaims) {
			t.Fatalf("%q: %v", payload, err)
		}
		ours, err := SignShared(key, Header{}, []byte(payload), macKey)
		if err != nil {
			return
		}
		if _, err := VerifyGroups(ours, groups, accessRules(), nowMs); errors.Is(err, ErrSignature) || errors.Is(err, ErrMalformed) {
			t.Fatalf("signed by us and refused: %q: %v", payload, err)
		}
	})
}

// FuzzRequest: what is read from a request token is in range, and is written and read again as the same.
func FuzzRequest(f *testing.F) {
	key, err := NewRequestKey(requestSecret)
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{
		`{"iat":1700000000,"jti":"x","appname":"a","appkey":"b","shortname":"c"}`,
		`{"iat":"1700000000","jti":7,"appname":"a","appkey":"b","shortname":"c","exp":1,"nbf":"2"}`,
		"{\n\t\"iat\": \"x\"}", "[]", "{}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		req, err := ParseRequest(clientToken("{\n\t\"alg\":\"HS256\"}", payload, requestSecret))
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrClaims) {
				t.Fatalf("%q: %v", payload, err)
			}
			return
		}
		if err := req.Verify(key); err != nil {
			t.Fatalf("%q: %v", payload, err)
		}
		if req.IssuedAt < 0 || req.IssuedAt > maxTime || req.AppName == "" || req.AppKey == "" || req.ShortName == "" {
			t.Fatalf("%q: %+v", payload, req)
		}
		raw, err := MintRequest(key, req)
		if err != nil {
			t.Fatalf("%q: %v", payload, err)
		}
		again, err := ParseRequest(raw)
		if err != nil || again.AppName != req.AppName || again.ID != req.ID || again.IssuedAt != req.IssuedAt {
			t.Fatalf("%q: %+v written and read as %+v, %v", payload, req, again, err)
		}
	})
}
