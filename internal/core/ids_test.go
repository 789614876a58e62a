package core_test

import (
	"encoding/base64"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
)

var (
	uuidPattern = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	idPattern   = regexp.MustCompile(`^x_[a-z2-7]{26}$`)
)

// TestSecurity18_IDs: version 4 UUIDs (RFC 9562), 128 bits in other ids, and no two alike.
func TestSecurity18_IDs(t *testing.T) {
	seen := map[string]bool{}
	for range 2000 {
		u, id, sid := core.NewUUID(), core.NewID("x_"), core.SessionID{Epoch: 7, Key: core.NewSessionKey()}.String()
		if !uuidPattern.MatchString(u) || !idPattern.MatchString(id) || !strings.HasPrefix(sid, "7-") {
			t.Fatalf("%q %q %q", u, id, sid)
		}
		for _, s := range []string{u, id, sid} {
			if seen[s] {
				t.Fatalf("%q twice", s)
			}
			seen[s] = true
		}
	}
}

// TestTokenIDs: the jti of every kind is a UUID, also the derived one of a
// refresh token, which differs from move to move.
func TestTokenIDs(t *testing.T) {
	m := everyKind("all", core.DefaultAccount)
	w := newWorld(t, m)
	u := w.user("robot", application)
	g := w.in(m, "robot")
	app := w.minted(m, g.RefreshToken)
	next := w.refreshed(m, g.RefreshToken)
	seen := map[string]bool{}
	for _, tok := range []string{g.AccessToken, g.RefreshToken, g.IDToken, app.ApplicationToken, next.AccessToken, next.RefreshToken} {
		p := payload(t, tok)
		jti, _ := p["jti"].(string)
		if !uuidPattern.MatchString(jti) || seen[jti] {
			t.Fatalf("jti %q", jti)
		}
		seen[jti] = true
		if p["sub"] != u.ID || !uuidPattern.MatchString(u.ID) || p["iss"] != issuer {
			t.Fatalf("claims %v", p)
		}
	}
	if payload(t, app.ApplicationToken)["sid"] != nil {
		t.Fatal("an application token carries the sid of a session that it outlives")
	}
}

// TestParseSessionID: the one spelling, and nothing that could dodge a fact.
func TestParseSessionID(t *testing.T) {
	good := core.SessionID{Epoch: 12, Key: core.NewSessionKey()}
	s := good.String()
	if got, err := core.ParseSessionID(s); err != nil || got != good {
		t.Fatalf("%v %v", got, err)
	}
	key := s[3:]
	for _, bad := range []string{
		"", "-", "12", "12-", key, "-" + key, "012-" + key, "+12-" + key, "-12-" + key, " 12-" + key, "12-" + key + " ",
		"12-" + strings.ToUpper(key), "12-" + key[:25], "12-" + key + "a", "12--" + key[1:], "12-" + key[:25] + "=",
		"12-" + key[:25] + "\n", "12-" + key[:25] + "b", "12-" + key[:25] + "1", "9223372036854775808-" + key, "1e1-" + key, "0x0c-" + key,
		strings.Repeat("1", 100) + "-" + key,
	} {
		if id, err := core.ParseSessionID(bad); err == nil && id.String() != bad {
			t.Errorf("%q is taken for %q", bad, id)
		} else if err == nil && bad != "12-"+key[:25]+"b" {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// FuzzParseSessionID: what is accepted is printed again as it was.
func FuzzParseSessionID(f *testing.F) {
	for _, s := range []string{
		"0-aaaaaaaaaaaaaaaaaaaaaaaaaa", "12-abcdefghijklmnopqrstuvwxy4", "9223372036854775807-77777777777777777777777774",
		"1-aaaaaaaaaaaaaaaaaaaaaaaaab", "01-aaaaaaaaaaaaaaaaaaaaaaaaaa", "1-aaaaaaaaaaaaaaaaaaaaaaa\r\na",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := core.ParseSessionID(s)
		if err != nil {
			if id != (core.SessionID{}) && strings.Contains(err.Error(), s) && len(s) > 48 {
				t.Fatal("an error repeats a long text")
			}
			return
		}
		if id.String() != s || id.Epoch < 0 {
			t.Fatalf("%q was read and is printed as %q", s, id.String())
		}
	})
}

// TestNetosecret: one spelling out, every spelling of the field in.
func TestNetosecret(t *testing.T) {
	w := newWorld(t, netography("net", core.DefaultAccount))
	k, err := w.svc.CreateAPIKey(w.ctx, admin, core.NewAPIKey{AppName: "dä mon & <co>", URL: "https://api.example/"})
	w.must(err)
	want := core.Netosecret{URL: "https://api.example/api/v1", AppName: "dä mon & <co>", AppKey: k.Key.AppKey, Shortname: "default", SharedSecret: k.Secret}
	raw, err := base64.StdEncoding.Strict().DecodeString(k.Netosecret)
	if err != nil || strings.ContainsAny(string(raw), "\n\t ") && !strings.Contains(want.AppName, " ") {
		t.Fatalf("not strict base64 of compact JSON: %v %s", err, raw)
	}
	// Pretty-printed, and with bytes that use the two letters in which the
	// alphabets differ.
	pretty := "{\n\t\"url\": \"https://api.example/api/v1\",\r\n  \"appname\": \"dä mon & <co>\", \"more\": [\"???>>>\", 1],\n\"appkey\": \"" + want.AppKey +
		"\",\n\"shortname\": \"default\",\n\"sharedsecret\": \"" + want.SharedSecret + "\" }\n"
	std := base64.StdEncoding.EncodeToString([]byte(pretty))
	for name, s := range map[string]string{
		"ours": k.Netosecret, "without padding": strings.TrimRight(k.Netosecret, "="), "pretty": std,
		"url-safe": base64.URLEncoding.EncodeToString([]byte(pretty)), "url-safe raw": base64.RawURLEncoding.EncodeToString([]byte(pretty)),
		"lines": "\n " + std[:40] + "\r\n" + std[40:80] + "\n\t" + std[80:] + "\n",
	} {
		got, err := core.DecodeNetosecret(s)
		if err != nil || *got != want {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
	for _, bad := range []string{"", "%%%", "bnVsbA==", base64.StdEncoding.EncodeToString([]byte(`{"appname":"a"}`)), base64.StdEncoding.EncodeToString([]byte(`[]`)), k.Secret} {
		if n, err := core.DecodeNetosecret(bad); err == nil {
			t.Errorf("%q: %+v", bad, n)
		} else if k.Secret != "" && strings.Contains(err.Error(), k.Secret) {
			t.Errorf("the error repeats a secret: %v", err)
		}
	}
}

// FuzzDecodeNetosecret: what is read is complete and survives being written
// and read again.
func FuzzDecodeNetosecret(f *testing.F) {
	full := core.Netosecret{URL: "https://x/api/v1", AppName: "a", AppKey: "k", Shortname: "default", SharedSecret: "s"}
	f.Add(full.Encode())
	f.Add(strings.TrimRight(full.Encode(), "="))
	f.Add(base64.URLEncoding.EncodeToString([]byte(`{"appname":"ÿÿ>?","appkey":"k","shortname":"d","sharedsecret":"s"}`)))
	f.Add("bnVsbA==")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := core.DecodeNetosecret(s)
		if err != nil {
			return
		}
		if n.AppName == "" || n.AppKey == "" || n.Shortname == "" || n.SharedSecret == "" {
			t.Fatalf("incomplete: %+v", n)
		}
		again, err := core.DecodeNetosecret(n.Encode())
		if err != nil || *again != *n {
			t.Fatalf("%+v became %+v, %v", n, again, err)
		}
	})
}
