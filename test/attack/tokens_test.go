package attack_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// Kinds of credentials beside those of package token.
const (
	kindCode      = token.Kind("code")
	kindCookie    = token.Kind("cookie")
	kindAssertion = token.Kind("assertion")
	kindKeyProof  = token.Kind("key-assertion")
	kindSecret    = token.Kind("secret")
)

// credential is a good token, or a good secret of another kind.
type credential struct {
	mount string
	kind  token.Kind
	text  string
	sub   string // of the user, for PathStack; of the client, for secrets
	set   core.KeySet
	key   *rawKey // what signed it; nil for what is no JWT
	// shared says that others hold the secret, so our own MAC stands in it.
	shared bool
	// foreign says that a key of others signed it: both spellings of an ECDSA
	// signature are theirs to choose.
	foreign bool
	// fresh mints another one; nil for what may be presented again and again.
	fresh func() string
}

func (c *credential) name() string { return c.mount + "/" + string(c.kind) }

// jwt reports whether there are segments to play with.
func (c *credential) jwt() bool { return c.key != nil }

// arm makes users, clients and keys and logs them in: one good token of every
// kind, and of every mount that has the kind.
func (w *world) arm() {
	w.t.Helper()
	w.act("/accounts", map[string]string{"shortname": "other"}, nil)
	w.act("/api-keys", map[string]any{"appname": "daemon", "roles": []string{"reader", core.RoleRevocations}}, &w.apiKey)
	n, err := core.DecodeNetosecret(w.apiKey.Netosecret)
	if err != nil {
		w.t.Fatal(err)
	}
	w.key = *n
	w.armClients()
	if w.withDead {
		w.armDead()
	}
	sub := w.user("", "robot", "application")
	w.user("other", "robot", "application")
	w.armContracts("robot", sub)
	w.armItemPath("other", "/other", "robot", sub)
	w.add("netography", token.Request, w.requestToken("1"), "").fresh = func() string {
		return w.requestToken(fmt.Sprint("n", w.next()))
	}
	w.browser = w.armOAuth("robot", sub)
	app := w.clients["app"]
	w.add("oauth", kindCode, w.browser.code(app), sub).fresh = func() string { return w.browser.code(app) }
	w.armMachine()
	w.copyKeys()
	for _, c := range w.creds {
		w.findKey(c)
	}
	w.armAssertions()
	for _, alg := range []string{"ES256", "RS256", "EdDSA"} {
		w.foreign = append(w.foreign, newRawKey(w.t, alg))
	}
	slices.SortFunc(w.creds, func(a, b *credential) int { return strings.Compare(a.name(), b.name()) })
	w.publicKeys()
}

func (w *world) add(mount string, kind token.Kind, text, sub string) *credential {
	w.t.Helper()
	if text == "" {
		w.t.Fatalf("%s %s: no credential", mount, kind)
	}
	c := &credential{mount: mount, kind: kind, text: text, sub: sub, set: core.KeySet{Mount: mount, Kind: kind}}
	w.creds = append(w.creds, c)
	return c
}

// cred finds a credential by its name.
func (w *world) cred(name string) *credential {
	w.t.Helper()
	for _, c := range w.creds {
		if c.name() == name {
			return c
		}
	}
	w.t.Fatalf("there is no credential %s", name)
	return nil
}

// armContracts logs a user of the default account in through every contract.
func (w *world) armContracts(name, sub string) {
	w.t.Helper()
	ps := w.login("/token", asJSON, name)
	data, _ := ps["data"].(map[string]any)
	w.add("pathstack", token.Access, text(data, "access_token"), sub)
	w.add("pathstack", token.Refresh, text(data, "refresh_token"), sub)
	w.armItemPath("itempath", "", name, sub)
	w.armItemPath("held", "/held", name, sub)
	dx := w.post(body("/dx/auth/login", asJSON, func(string, string) string {
		return `{"email":"` + name + `@x.example","password":"` + password + `"}`
	})("", ""))
	data, _ = dx["data"].(map[string]any)
	w.add("directus", token.Access, text(data, "access_token"), sub)
	w.add("directus", token.Refresh, text(data, "refresh_token"), sub)
	ng := w.login("/api/auth/bearer/token", asForm, name)
	w.add("netography", token.Access, text(ng, "access_token"), sub)
	w.add("netography", token.Refresh, text(ng, "refresh_token"), sub)
	w.add("netography", token.ID, text(ng, "id_token"), sub)
}

func (w *world) armItemPath(mount, prefix, name, sub string) {
	w.t.Helper()
	m := w.login(prefix+"/api/users/login", asJSON, name)
	w.add(mount, token.Access, text(m, "accessToken"), sub)
	w.add(mount, token.Refresh, text(m, "refreshToken"), sub)
	a := w.post(bearer("POST", prefix+"/api/users/application-token")(text(m, "refreshToken"), ""))
	w.add(mount, token.Application, text(a, "token"), sub)
}

// findKey finds what signed a credential.
func (w *world) findKey(c *credential) {
	w.t.Helper()
	switch {
	case c.kind == token.Request:
		c.key = &rawKey{alg: "HS256", secret: []byte(w.key.SharedSecret)}
	case c.mount == "held" && c.kind != token.Refresh:
		c.key, c.shared = &rawKey{alg: "HS256", secret: []byte(sharedSecret)}, true
	case strings.Count(c.text, ".") == 2:
		if c.key = w.signers[c.set]; c.key == nil {
			w.t.Fatalf("no key of %v, which signed %s", c.set, c.name())
		}
	}
}

// requestToken signs one with the API key, as a client does.
func (w *world) requestToken(jti string) string {
	return macWith([]byte(w.key.SharedSecret), `{"typ":"JWT","alg":"HS256"}`,
		fmt.Sprintf(`{"iat":%d,"jti":%q,"appname":%q,"appkey":%q,"shortname":%q}`, w.now(), jti, w.key.AppName, w.key.AppKey, w.key.Shortname))
}

// sign makes a token of any header and payload with the key that signed c.
func (w *world) sign(c *credential, header, payload string) string {
	if c.shared {
		payload = w.withMAC(c, header, payload)
	}
	return c.key.token(header, payload)
}

// withMAC puts our own MAC into a payload, as token.SignShared does.
func (w *world) withMAC(c *credential, header, payload string) string {
	open, ok := strings.CutSuffix(payload, "}")
	if !ok {
		return payload
	}
	key := w.keys.Derive(fmt.Sprintf("shared-mac/%q/%q", c.mount, string(c.kind)))
	sum := mac(key[:], "sallyport token under a shared secret v1\x00"+enc(header)+"."+open+"}")
	return open + `,"mac":"` + b64.EncodeToString(sum) + `"}`
}

func text(m map[string]any, name string) string {
	s, _ := m[name].(string)
	return s
}

func (w *world) login(path, ctype, name string) map[string]any {
	w.t.Helper()
	return w.post(body(path, ctype, func(string, string) string {
		if ctype == asForm {
			return url.Values{"username": {name}, "password": {password}}.Encode()
		}
		return `{"username":"` + name + `","password":"` + password + `"}`
	})("", ""))
}

func (w *world) post(raw []byte) map[string]any {
	w.t.Helper()
	c := newWire(w)
	defer c.close()
	res := c.do(raw)
	m := map[string]any{}
	if res.status != http.StatusOK || json.Unmarshal(res.body, &m) != nil {
		w.t.Fatalf("%.80q: %s", raw, res)
	}
	return m
}

// newClient registers an OAuth client.
func (w *world) newClient(in admin.NewOAuthClient) *admin.OAuthClient {
	w.t.Helper()
	var out admin.OAuthClient
	w.act("/clients", in, &out)
	w.clients[in.Name] = &out
	return &out
}
