package verify_test

import (
	"encoding/base64"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/verify"
)

const (
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeAccess    = "urn:ietf:params:oauth:token-type:access_token"
)

// everything is one of each kind of thing that the server signs or gives out, by name.
func (w *world) everything() map[string]string {
	w.t.Helper()
	type m = map[string]string
	w.user("ann", "user")
	w.user("scanner", "application")
	all := map[string]string{}

	login := w.post("/token", "", m{"username": "ann", "password": password})["data"].(map[string]any)
	all["pathstack access"], all["pathstack refresh"] = text(login, "access_token"), text(login, "refresh_token")

	login = w.post("/api/users/login", "", m{"username": "scanner", "password": password})
	all["itempath access"], all["itempath refresh"] = text(login, "accessToken"), text(login, "refreshToken")
	all["itempath application"] = text(w.post("/api/users/application-token", all["itempath refresh"], nil), "token")

	login = w.post("/api/auth/bearer/token", "", url.Values{"username": {"ann"}, "password": {password}})
	for _, kind := range []string{"access", "refresh", "id"} {
		all["netography "+kind] = text(login, kind+"_token")
	}
	request, err := w.apiKey("flows").RequestToken(time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	login = w.post("/api/v1/auth/token", "", m{"jwt": request})
	all["netography access of an API key"], all["request token"] = text(login, "access_token"), request

	c := w.client(&admin.NewOAuthClient{
		Name: "app", Grants: []string{"authorization_code", "refresh_token", grantExchange}, RedirectURIs: []string{callback},
		Scopes: []string{"openid", "read", "offline_access"}, Audiences: []string{w.url},
	})
	login = w.login(c, "ann", "openid read offline_access")
	for _, kind := range []string{"access", "refresh", "id"} {
		all["OAuth "+kind] = text(login, kind+"_token")
	}
	all["OAuth access by refresh"] = text(w.post("/oauth2/token", c.ID+":"+c.Secret, url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {all["OAuth refresh"]},
	}), "access_token")
	all["OAuth access by exchange"] = text(w.post("/oauth2/token", c.ID+":"+c.Secret, url.Values{
		"grant_type": {grantExchange}, "subject_token": {all["OAuth access"]}, "subject_token_type": {typeAccess}, "scope": {"read"},
	}), "access_token")
	all["authorization code"] = w.code(c, "ann", "openid")
	machine := w.client(&admin.NewOAuthClient{Name: "machine", Grants: []string{"client_credentials"}, Scopes: []string{"read"}})
	all["OAuth access of a client"] = text(w.post("/oauth2/token", machine.ID+":"+machine.Secret, url.Values{"grant_type": {"client_credentials"}}), "access_token")

	reader, err := w.reader()(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	all["the feed"] = w.get("/_sallyport/revocations?since=0&wait=0", reader)
	for name, raw := range all {
		if raw == "" {
			w.t.Fatalf("there is no %s", name)
		}
	}
	return all
}

// TestKinds holds everything that a real server gives out against every way of accepting access tokens: each accepts
// its own and nothing else.
func TestKinds(t *testing.T) {
	w := serve(t)
	all := w.everything()
	feed := &verify.Revocations{Authorization: w.reader(), Account: "ac_default"}
	netography := []string{"netography access", "netography access of an API key"}
	oauth := []string{"OAuth access", "OAuth access by refresh", "OAuth access by exchange", "OAuth access of a client"}
	for _, tc := range []struct {
		name  string
		c     verify.Config
		takes []string
	}{
		{"netography", verify.Config{}, netography},
		{"netography, with the feed", verify.Config{Revocations: feed}, netography},
		{"OAuth", verify.Config{Accept: verify.OAuthTokens, Audience: w.url}, oauth},
		{"OAuth, with the feed", verify.Config{Accept: verify.OAuthTokens, Audience: w.url, Revocations: feed}, oauth},
		{"OAuth for another API", verify.Config{Accept: verify.OAuthTokens, Audience: "https://api.example"}, nil},
		{
			"netography and OAuth",
			verify.Config{Accept: verify.ContractTokens | verify.OAuthTokens, OAuthAudience: w.url},
			slices.Concat(netography, oauth),
		},
		{"pathstack", verify.Config{Secret: w.pathstack}, []string{"pathstack access"}},
		{"pathstack, in ItemPath's words", verify.Config{Secret: w.pathstack, KindClaim: "type"}, nil},
		{"itempath", verify.Config{Secret: w.itempath, KindClaim: "type"}, []string{"itempath access"}},
		{
			"itempath with application tokens",
			verify.Config{Secret: w.itempath, KindClaim: "type", AllowApplicationTokens: true, ApplicationKindValue: "access", Revocations: feed},
			[]string{"itempath access", "itempath application"},
		},
		{
			"itempath and OAuth",
			verify.Config{Secret: w.itempath, KindClaim: "type", Accept: verify.ContractTokens | verify.OAuthTokens, OAuthAudience: w.url},
			append(slices.Clone(oauth), "itempath access"),
		},
		{"both secrets", verify.Config{Secrets: [][]byte{w.itempath, w.pathstack}}, []string{"pathstack access"}},
	} {
		v := w.verifier(tc.c)
		for _, name := range slices.Sorted(maps.Keys(all)) {
			_, err := v.Verify(t.Context(), all[name])
			if want := slices.Contains(tc.takes, name); (err == nil) != want {
				t.Errorf("%s at %q: %v, accepted should be %v", name, tc.name, err, want)
			}
		}
		if len(tc.takes) == 0 {
			continue
		}
		// What is good for one is cut, stretched and changed.
		raw := all[tc.takes[0]]
		for n := range raw {
			for _, bad := range []string{raw[:n], raw[:n] + swapCase(raw[n]) + raw[n+1:]} {
				if bad == raw {
					continue
				}
				if _, err := v.Verify(t.Context(), bad); err == nil {
					t.Fatalf("%s: changed at byte %d it is accepted", tc.name, n)
				}
			}
		}
	}
}

func swapCase(c byte) string {
	switch {
	case 'a' <= c && c <= 'z':
		return strings.ToUpper(string(c))
	case 'A' <= c && c <= 'Z':
		return strings.ToLower(string(c))
	}
	return string(c)
}

// TestClaims: what a resource server reads from a token of OAuth.
func TestClaims(t *testing.T) {
	w := serve(t)
	id := w.user("ann", "user")
	c := w.client(&admin.NewOAuthClient{
		Name: "app", Grants: []string{"authorization_code"}, RedirectURIs: []string{callback}, Scopes: []string{"openid", "read"},
		Audiences: []string{w.url, "https://api.example"},
	})
	raw := text(w.login(c, "ann", "openid read"), "access_token")
	if _, err := w.verifier(verify.Config{Accept: verify.OAuthTokens, Audience: w.url}).Verify(t.Context(), raw); err == nil {
		t.Error("a token for two is accepted where it should be for one")
	}
	v := w.verifier(verify.Config{Accept: verify.OAuthTokens, Audience: "https://api.example", SharedAudience: true, Scopes: []string{"read"}})
	claims, err := v.Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	if claims.Subject() != id || claims.ClientID() != c.ID || !claims.HasScope("openid") || len(claims.Audiences()) != 2 || claims.SessionID() == "" {
		t.Errorf("%s", claims.Payload())
	}
	header, _, _ := strings.Cut(raw, ".")
	if h, err := base64.RawURLEncoding.DecodeString(header); err != nil || !strings.Contains(string(h), `"at+jwt"`) {
		t.Errorf("header %s, %v", h, err)
	}
}
