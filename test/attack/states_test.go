package attack_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/token"
)

// TestCrossing sends every good token everywhere: only the diagonal passes.
func TestCrossing(t *testing.T) {
	w := newWorld(t)
	w.arm()
	c := newWire(w)
	defer c.close()
	passed := 0
	for _, e := range endpoints() {
		for _, cred := range w.creds {
			res := c.do(e.send(cred.text, cred.sub))
			if e.accepts(cred) {
				passed++
				if res.status != http.StatusOK {
					t.Errorf("%s at %s: %s", cred.name(), e.name, res)
				}
				continue
			}
			w.judge(cred.name()+" at "+e.name, e, cred.text, res)
		}
	}
	if passed != 36 {
		t.Errorf("the diagonal has %d places, want 36", passed)
	}
}

// TestTransport writes the Authorization header otherwise. Two readings of one
// header are two tokens, so there must be one.
func TestTransport(t *testing.T) {
	w := newWorld(t)
	w.arm()
	var access, refresh string
	for _, c := range w.creds {
		switch c.name() {
		case "itempath/access":
			access = c.text
		case "itempath/refresh":
			refresh = c.text
		}
	}
	for _, e := range []struct{ line, tok string }{{"GET /api/stations", access}, {"POST /api/users/refresh", refresh}} {
		for _, c := range []struct {
			name, headers string
			pass          bool
		}{
			{"as it should be", "Authorization: Bearer TOK", true},
			{"scheme in lower case (RFC 9110 section 11.1)", "Authorization: bearer TOK", true},
			{"scheme in capitals", "AUTHORIZATION: BEARER TOK", true},
			{"outer blanks, which HTTP takes away", "Authorization:\t Bearer TOK \t", true},
			{"two spaces", "Authorization: Bearer  TOK", false},
			{"tab", "Authorization: Bearer\tTOK", false},
			{"no space", "Authorization: BearerTOK", false},
			{"colon", "Authorization: Bearer:TOK", false},
			{"quotes", `Authorization: Bearer "TOK"`, false},
			{"no scheme", "Authorization: TOK", false},
			{"Basic", "Authorization: Basic TOK", false},
			{"Token", "Authorization: Token TOK", false},
			{"JWT", "Authorization: JWT TOK", false},
			{"scheme alone", "Authorization: Bearer", false},
			{"empty", "Authorization: ", false},
			{"none", "X-Nothing: TOK", false},
			{"two headers", "Authorization: Bearer TOK\r\nAuthorization: Bearer TOK", false},
			{"two headers, one empty", "Authorization: Bearer TOK\r\nAuthorization: ", false},
			{"two schemes", "Authorization: Basic eDp5\r\nAuthorization: Bearer TOK", false},
			{"comma", "Authorization: Bearer TOK, Bearer TOK", false},
			{"comma behind", "Authorization: Bearer TOK,", false},
			{"comma before", "Authorization: Basic eDp5, Bearer TOK", false},
			{"parameter", "Authorization: Bearer TOK; a=b", false},
			{"parameter of the scheme", `Authorization: Bearer realm="x" TOK`, false},
			{"Bearer twice", "Authorization: Bearer Bearer TOK", false},
			{"folded, which net/http unfolds before anybody reads it", "Authorization: Bearer\r\n TOK", true},
			{"folded in the token", "Authorization: Bearer TOK\r\n x", false},
			{"blank before the colon", "Authorization : Bearer TOK", false},
			{"underscore", "Authorization_: Bearer TOK", false},
			{"Proxy-Authorization", "Proxy-Authorization: Bearer TOK", false},
			{"X-Authorization", "X-Authorization: Bearer TOK", false},
			{"cookie", "Cookie: access_token=TOK; token=TOK; Authorization=Bearer TOK", false},
			{"NUL", "Authorization: Bearer TOK\x00", false},
			{"bare CR", "Authorization: Bearer TOK\rx", false},
			{"no-break space", "Authorization: Bearer\u00a0TOK", false},
		} {
			wire := newWire(w)
			res := wire.do([]byte(e.line + " HTTP/1.1\r\nHost: test\r\n" + strings.ReplaceAll(c.headers, "TOK", e.tok) + "\r\nContent-Length: 0\r\n\r\n"))
			wire.close()
			if pass := res.status == http.StatusOK; pass != c.pass || res.status >= 500 || res.status == 0 {
				t.Errorf("%s, %s: %s", e.line, c.name, res)
			}
		}
	}
}

// TestTokenInURL puts good tokens where logs keep them.
func TestTokenInURL(t *testing.T) {
	w := newWorld(t)
	w.arm()
	c := newWire(w)
	defer c.close()
	before := w.forwarded.Load()
	for _, cred := range w.creds {
		if cred.kind != token.Access && cred.kind != token.Application {
			continue
		}
		for _, query := range []string{"access_token=TOK", "a=b&access_token=TOK", "access%5Ftoken=TOK", "ACCESS_TOKEN=TOK", "a;access_token=TOK"} {
			target := "/api/stations?" + strings.Replace(query, "=TOK", "="+cred.text, 1)
			for _, header := range []string{"", "Authorization: Bearer " + cred.text + "\r\n"} {
				res := c.do([]byte("GET " + target + " HTTP/1.1\r\nHost: test\r\n" + header + "\r\n"))
				if res.status != http.StatusUnauthorized && res.status != http.StatusBadRequest && res.status != http.StatusUnprocessableEntity {
					t.Errorf("%s by %s: %s", cred.name(), query, res)
				}
			}
		}
	}
	if n := w.forwarded.Load() - before; n != 0 {
		t.Errorf("%d requests with a token in the URL were forwarded", n)
	}
}

// TestReplay sends a request token again: at once it is a twin, later or from
// elsewhere a refusal; 50 at once open one session.
func TestReplay(t *testing.T) {
	w := newWorld(t)
	w.arm()
	e := endpoint{}
	for _, each := range endpoints() {
		if each.name == "netography exchange" {
			e = *each
		}
	}
	tok := w.requestToken("race")
	sessions := make([]string, 50)
	var all sync.WaitGroup
	for i := range sessions {
		all.Go(func() {
			sessions[i] = text(w.post(e.send(tok, "")), "session-state")
		})
	}
	all.Wait()
	for _, s := range sessions {
		if s == "" || s != sessions[0] {
			t.Fatalf("50 of one token opened several sessions: %q", sessions)
		}
	}
	c := newWire(w)
	defer c.close()
	w.pass(5*time.Second + time.Millisecond)
	w.judge("after the twin window", &e, tok, c.do(e.send(tok, "")))
	// Another signature of the same bytes is the same token.
	w.judge("padded", &e, tok, c.do(e.send(tok+"=", "")))
	w.pass(-10 * time.Second)
	w.judge("after the clock went back", &e, tok, c.do(e.send(tok, "")))
	w.pass(10*time.Second + 10*time.Minute)
	w.judge("after its window", &e, tok, c.do(e.send(tok, "")))
	w.pass(-10 * time.Minute)
	w.judge("after the clock went back into it", &e, tok, c.do(e.send(tok, "")))
	if res := c.do(e.send(w.requestToken("next"), "")); res.status != http.StatusOK {
		t.Errorf("control: %s", res)
	}
}

// TestLate ends tokens in every way there is.
func TestLate(t *testing.T) {
	ends := []struct {
		name string
		do   func(w *world)
		// spares lists kinds that it leaves alone.
		spares []token.Kind
	}{
		{"exp passed by one second", func(w *world) { w.pass(30*24*time.Hour + time.Second) }, []token.Kind{token.Application}},
		{"user disabled", func(w *world) { w.eachRobot(func(id string) { w.act("/users/"+id+"/disable", nil, nil) }) }, nil},
		{"password reset", func(w *world) {
			w.eachRobot(func(id string) {
				w.act("/users/"+id+"/password", map[string]any{"password": "another long demo phrase 18"}, nil)
			})
		}, nil},
		{"everything revoked", func(w *world) { w.act("/sessions/revoke", map[string]any{"everything": true}, nil) }, []token.Kind{token.Application}},
		{"user deleted", func(w *world) {
			w.eachRobot(func(id string) {
				if err := w.admin.Do(w.t.Context(), "DELETE", "/users/"+id, nil, nil, nil); err != nil {
					w.t.Fatal(err)
				}
			})
		}, nil},
		{"user compromised", func(w *world) { w.eachRobot(func(id string) { w.act("/users/"+id+"/compromised", nil, nil) }) }, nil},
	}
	for _, end := range ends {
		t.Run(end.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.arm()
			end.do(w)
			c := newWire(w)
			defer c.close()
			for _, cred := range w.creds {
				if cred.kind == token.Request || slices.Contains(end.spares, cred.kind) {
					continue
				}
				for _, e := range endpoints() {
					if e.accepts(cred) {
						w.judge(cred.name()+" at "+e.name, e, cred.text, c.do(e.send(cred.text, cred.sub)))
					}
				}
			}
		})
	}
}

// eachRobot does something to the user of each account.
func (w *world) eachRobot(do func(id string)) {
	w.t.Helper()
	var list admin.Page[admin.User]
	if err := w.admin.Get(w.t.Context(), "/users", nil, &list); err != nil || len(list.Items) != 2 {
		w.t.Fatal(err, list)
	}
	for _, u := range list.Items {
		do(u.ID)
	}
}

// TestRefreshRace refreshes one rotating token 50 times at once, later again
// within the grace time, and after it.
func TestRefreshRace(t *testing.T) {
	w := newWorld(t)
	w.arm()
	var e *endpoint
	for _, each := range endpoints() {
		if each.name == "netography refresh" {
			e = each
		}
	}
	first := ""
	for _, c := range w.creds {
		if c.name() == "netography/refresh" {
			first = c.text
		}
	}
	got := make([]string, 50)
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() { got[i] = text(w.post(e.send(first, "")), "refresh_token") })
	}
	all.Wait()
	for _, tok := range got {
		if tok != got[0] || tok == first || tok == "" {
			t.Fatalf("50 refreshes of one token gave several successors: %q", got)
		}
	}
	w.pass(119 * time.Second)
	if tok := text(w.post(e.send(first, "")), "refresh_token"); tok != got[0] {
		t.Errorf("a lost answer repeated within the grace time gives %q, want %q", tok, got[0])
	}
	c := newWire(w)
	defer c.close()
	w.pass(2 * time.Second)
	w.judge("its parent after the grace time", e, first, c.do(e.send(first, "")))
	w.judge("the successor, since the family is revoked", e, got[0], c.do(e.send(got[0], "")))
}
