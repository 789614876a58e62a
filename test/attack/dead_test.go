package attack_test

import (
	"net/url"
	"slices"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// deadToken was good once.
type deadToken struct {
	*credential
	why string
}

// grab logs a new user in everywhere and gives what he got.
func (w *world) grab(name string) (sub string, got []*credential) {
	w.t.Helper()
	keep := w.creds
	w.creds = nil
	sub = w.user("", name, "application")
	w.armContracts(name, sub)
	w.armOAuth(name, sub)
	got, w.creds = w.creds, keep
	return sub, got
}

// bury remembers what must count no more, but for kinds that it spares.
func (w *world) bury(why string, list []*credential, spare ...token.Kind) {
	for _, c := range list {
		spared := c.kind == token.ID // it opens nothing; as a hint an old one is good
		for _, k := range spare {
			spared = spared || c.kind == k
		}
		if !spared {
			w.dead = append(w.dead, deadToken{c, why})
		}
	}
}

// armDead makes tokens of all kinds and ends them, in every way there is.
func (w *world) armDead() {
	w.t.Helper()
	sub, old := w.grab("expired")
	w.bury("expired", old, token.Application)
	b := w.newBrowser()
	b.signIn(w.clients["app"], "expired")
	w.bury("expired", []*credential{{mount: "oauth", kind: kindCode, text: b.code(w.clients["app"]), sub: sub}})
	w.pass(91 * 24 * time.Hour)
	w.armEnded()

	for _, end := range []struct {
		why   string
		do    func(id string)
		spare []token.Kind
	}{
		{"user disabled", func(id string) { w.act("/users/"+id+"/disable", nil, nil) }, nil},
		{"password reset", func(id string) {
			w.act("/users/"+id+"/password", map[string]any{"password": "another long demo phrase 18"}, nil)
		}, nil},
		{"user compromised", func(id string) { w.act("/users/"+id+"/compromised", nil, nil) }, nil},
		{"sessions revoked", func(id string) { w.act("/sessions/revoke", admin.Revocation{Subject: id}, nil) }, []token.Kind{token.Application}},
		{"user deleted", func(id string) {
			if err := w.admin.Do(w.t.Context(), "DELETE", "/users/"+id, nil, nil, nil); err != nil {
				w.t.Fatal(err)
			}
		}, nil},
	} {
		id, list := w.grab(end.why[:4] + end.why[len(end.why)-4:])
		end.do(id)
		w.bury(end.why, list, end.spare...)
	}
	_, list := w.grab("keyless")
	w.dropKeys()
	// An application token counts by its row, whatever becomes of the key; the
	// key of held is the operator's.
	w.bury("key dropped", slices.DeleteFunc(list, func(c *credential) bool { return c.mount == "held" && c.kind == token.Access }), token.Application)
}

// armEnded makes a client and an API key that end before they are used.
func (w *world) armEnded() {
	w.t.Helper()
	c := w.newClient(admin.NewOAuthClient{Name: "ended", Grants: []string{core.GrantCredentials}, Scopes: []string{"reader"}})
	w.act("/clients/"+c.ID+"/disable", nil, nil)
	w.bury("client disabled", []*credential{{mount: "machine", kind: kindSecret, text: c.Secret, sub: c.ID}})
	delete(w.clients, "ended")
	var key admin.APIKey
	w.act("/api-keys", map[string]any{"appname": "ended", "roles": []string{"reader"}}, &key)
	n, err := core.DecodeNetosecret(key.Netosecret)
	if err != nil {
		w.t.Fatal(err)
	}
	good := w.key
	w.key = *n
	w.bury("API key disabled", []*credential{{mount: "netography", kind: token.Request, text: w.requestToken("ended")}})
	w.key = good
	w.act("/api-keys/"+key.ID+"/disable", nil, nil)
}

// dropKeys rotates and drops every key that is ours alone.
func (w *world) dropKeys() {
	w.t.Helper()
	var keys admin.Page[admin.SigningKey]
	if err := w.admin.Get(w.t.Context(), "/keys", url.Values{}, &keys); err != nil {
		w.t.Fatal(err)
	}
	for _, k := range keys.Items {
		if k.Class != "own" || k.State != "active" {
			continue
		}
		var done admin.Rotated
		w.act("/keys/rotate", admin.KeyRotation{KeySet: admin.KeySet{Mount: k.Mount, Kind: k.Kind}, Now: true}, &done)
		w.act("/keys/"+k.ID+"/drop", nil, nil)
	}
}

// lateDead presents what is over, where a good one of its kind is taken.
func lateDead(b *base) {
	for _, d := range b.w.dead {
		if d.mount == b.c.mount && d.kind == b.c.kind {
			b.out = append(b.out, mutation{name: d.why, text: d.text, sub: d.sub, revocable: true})
		}
	}
}

// staging are the credentials of another installation, which ends at once.
func (w *world) staging() []*credential {
	w.t.Helper()
	if w.stage == nil {
		other := newWorld(w.t)
		other.arm()
		other.stop()
		w.stage = other.creds
	}
	return w.stage
}
