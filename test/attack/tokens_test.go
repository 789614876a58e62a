package attack_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

var (
	inputs = flag.Int("inputs", 4000, "about how many hostile requests TestHostileTokens sends")
	seed   = flag.Uint64("seed", 1, "where its choices start")
)

// arm makes users and keys and logs them in: one good token of every kind.
func (w *world) arm() {
	w.t.Helper()
	w.act("/accounts", map[string]string{"shortname": "other"}, nil)
	sub := w.user("", "robot", "application")
	w.user("other", "robot", "application")
	var key admin.APIKey
	w.act("/api-keys", map[string]any{"appname": "daemon", "roles": []string{"reader"}}, &key)
	n, err := core.DecodeNetosecret(key.Netosecret)
	if err != nil {
		w.t.Fatal(err)
	}
	w.key = *n
	add := func(mount string, kind token.Kind, text string) {
		if strings.Count(text, ".") != 2 {
			w.t.Fatalf("%s %s: %q is no token", mount, kind, text)
		}
		w.creds = append(w.creds, &credential{mount: mount, kind: kind, text: text, sub: sub})
	}
	ps := w.login("/token", asJSON, "robot")
	data, _ := ps["data"].(map[string]any)
	add("pathstack", token.Access, text(data, "access_token"))
	add("pathstack", token.Refresh, text(data, "refresh_token"))
	for mount, prefix := range map[string]string{"itempath": "", "other": "/other", "held": "/held"} {
		m := w.login(prefix+"/api/users/login", asJSON, "robot")
		add(mount, token.Access, text(m, "accessToken"))
		add(mount, token.Refresh, text(m, "refreshToken"))
		a := w.post(bearer("POST", prefix+"/api/users/application-token")(text(m, "refreshToken"), ""))
		add(mount, token.Application, text(a, "token"))
	}
	ng := w.login("/api/auth/bearer/token", asForm, "robot")
	add("netography", token.Access, text(ng, "access_token"))
	add("netography", token.Refresh, text(ng, "refresh_token"))
	add("netography", token.ID, text(ng, "id_token"))
	add("netography", token.Request, w.requestToken("1"))
	slices.SortFunc(w.creds, func(a, b *credential) int { return strings.Compare(a.name(), b.name()) })
	w.copyKeys()
	w.publicKeys()
}

// requestToken signs one with the API key, as a client does.
func (w *world) requestToken(jti string) string {
	return macWith([]byte(w.key.SharedSecret), `{"typ":"JWT","alg":"HS256"}`,
		fmt.Sprintf(`{"iat":%d,"jti":%q,"appname":%q,"appkey":%q,"shortname":%q}`, w.now(), jti, w.key.AppName, w.key.AppKey, w.key.Shortname))
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

// judge holds a refusal to what every refusal must be.
func (w *world) judge(where string, e *endpoint, tok string, res response) {
	w.t.Helper()
	switch {
	case res.status >= 200 && res.status < 300:
		w.t.Errorf("%s: ACCEPTED: %s", where, res)
	case e.header && res.status == 0 && len(tok) > 12_000:
		// Closed in the middle of a header above the cap.
	case res.status == 0 || res.status >= 500 || res.status < 400:
		w.t.Errorf("%s: answered %s", where, res)
	case e.header && res.status == http.StatusRequestHeaderFieldsTooLarge && len(tok) > 12_000:
		// net/http has refused it before anything of ours ran.
	case e.header && res.status == http.StatusBadRequest && strings.ContainsFunc(tok, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }):
		// as above
	case e.bare:
		if res.status != http.StatusUnauthorized {
			w.t.Errorf("%s: nginx knows 401 alone: %s", where, res)
		}
	default:
		if err := e.shape(res); err != nil {
			w.t.Errorf("%s: %d, %v", where, res.status, err)
		}
	}
	if strings.Contains(string(res.body), tok) && len(tok) > 20 {
		w.t.Errorf("%s: the refusal repeats the token", where)
	}
}

// control sends the untouched token where it belongs.
func (w *world) control(c *wire, es []*endpoint, cred *credential, when string) {
	w.t.Helper()
	for _, e := range es {
		if !e.accepts(cred) || e.mints() {
			continue
		}
		if res := c.do(e.send(cred.text, cred.sub)); res.status != http.StatusOK {
			w.t.Errorf("control %s: %s at %s: %s", when, cred.name(), e.name, res)
		}
	}
}

// TestHostileTokens sends variants of good tokens to everything that reads one.
func TestHostileTokens(t *testing.T) {
	w := newWorld(t)
	w.arm()
	es := endpoints()
	c := newWire(w)
	defer c.close()
	share := max(2, *inputs/(len(rows)*len(w.creds)*3))
	sent := 0
	for _, row := range rows {
		for _, cred := range w.creds {
			w.control(c, es, cred, "before "+row.name)
		}
		before, forwarded := w.rows(), w.forwarded.Load()
		w.passed = map[string]int64{}
		for _, cred := range w.creds {
			h := fnv.New64a()
			_, _ = h.Write([]byte(row.name + cred.name())) // a hash takes everything
			r := rand.New(rand.NewPCG(*seed, h.Sum64()))
			vs := row.make(w, r, cred)
			if len(vs) == 0 {
				t.Errorf("%s makes nothing of %s", row.name, cred.name())
			}
			r.Shuffle(len(vs), func(i, j int) { vs[i], vs[j] = vs[j], vs[i] })
			for _, v := range vs[:min(len(vs), share)] {
				sent += w.try(c, r, es, row.name, cred, v)
			}
		}
		if n := w.forwarded.Load() - forwarded - w.passed["gateway"]; n != 0 {
			t.Errorf("%s: %d hostile requests reached the upstream", row.name, n)
		}
		for name, sum := range w.rows() {
			if before[name] != sum && w.passed["grant"] == 0 {
				t.Errorf("%s: hostile tokens changed %s", row.name, name)
			}
		}
		for _, cred := range w.creds {
			w.control(c, es, cred, "after "+row.name)
		}
	}
	if n := w.dialled.Load(); n != 0 {
		t.Errorf("the server made %d connections to an address in a token", n)
	}
	t.Logf("%d hostile requests, seed %d", sent, *seed)
}

// try sends one variant where the good token belongs, and to one place more.
func (w *world) try(c *wire, r *rand.Rand, es []*endpoint, row string, cred *credential, v variant) int {
	w.t.Helper()
	extra, n := r.IntN(len(es)), 0
	for i, e := range es {
		if !e.accepts(cred) && i != extra {
			continue
		}
		if e.header && strings.Trim(v.text, " \t\r\n") == cred.text {
			continue // HTTP takes outer blanks away: the same token arrives
		}
		if v.may && e.mints() {
			continue
		}
		n++
		res := c.do(e.send(v.text, cred.sub))
		where := fmt.Sprintf("%s, %s of %s at %s", row, v.name, cred.name(), e.name)
		if v.may && res.status == http.StatusOK && e.accepts(cred) {
			where, _, _ := strings.Cut(e.name, " ")
			if strings.HasSuffix(e.name, "refresh") || strings.HasSuffix(e.name, "exchange") {
				where = "grant"
			}
			w.passed[where]++
			continue
		}
		w.judge(where, e, v.text, res)
	}
	return n
}
