package attack_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/token"
)

// judge holds a refusal to what every refusal must be.
func (w *world) judge(where string, e *endpoint, tok string, res response) {
	w.t.Helper()
	switch {
	case e.passed(res):
		w.t.Errorf("%s: ACCEPTED: %s", where, res)
	case e.header && res.status == 0 && len(tok) > 12_000:
		// Closed in the middle of a header above the cap.
	case res.status == 0 || res.status >= 500:
		w.t.Errorf("%s: answered %s", where, res)
	case e.header && res.status == http.StatusRequestHeaderFieldsTooLarge && len(tok) > 8_000:
		// net/http has refused it before anything of ours ran.
	case e.header && res.status == http.StatusBadRequest && strings.ContainsFunc(tok, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }):
		// as above
	default:
		if err := e.refused(res); err != nil {
			w.t.Errorf("%s: %d, %v", where, res.status, err)
		}
	}
	if len(tok) > 20 && strings.Contains(string(res.body), tok) {
		w.t.Errorf("%s: the refusal repeats the token", where)
	}
}

// control sends the untouched credential where it belongs: if it does not
// pass, refusing what was made of it proves nothing. One that can be used once
// is used, and another takes its place.
func (w *world) control(c *wire, es []*endpoint, cred *credential, when string) {
	w.t.Helper()
	var places []*endpoint
	for _, e := range es {
		if e.accepts(cred) && !e.scarce {
			places = append(places, e)
		}
	}
	if len(places) == 0 && cred.name() != "netography/id" {
		w.t.Errorf("no endpoint takes %s", cred.name())
	}
	if when != "at first" && *inputs <= 50_000 && len(places) > 1 {
		// In a short run one place after the other, by turns.
		at := int(w.next()) % len(places)
		places = places[at : at+1]
	}
	for _, e := range places {
		if e.mints() {
			continue
		}
		res := c.do(e.send(cred.text, cred.sub))
		if !e.passed(res) {
			w.t.Errorf("control %s: %s at %s: %s", when, cred.name(), e.name, res)
		}
		if cred.fresh != nil {
			cred.text = cred.fresh()
		}
	}
}

// mints reports an endpoint of which a user has only ten tokens.
func (e *endpoint) mints() bool { return strings.HasSuffix(e.name, "application token") }

// TestCrossing sends every good credential everywhere: only the diagonal
// passes, and what is refused changes nothing.
func TestCrossing(t *testing.T) {
	w := newWorld(t)
	w.arm()
	es := endpoints(w)
	c := newWire(w)
	defer c.close()
	passed, refused := 0, 0
	before := w.rows()
	for _, e := range es {
		for _, cred := range w.creds {
			// Revoking is what the holder of a token may do: it would end the rest.
			if e.accepts(cred) || e.name == "revocation" && cred.kind != token.ID && cred.kind != kindCode {
				continue
			}
			refused++
			w.judge(cred.name()+" at "+e.name, e, cred.text, c.do(e.send(cred.text, cred.sub)))
		}
	}
	w.unchanged(before, "crossing")
	for _, e := range es {
		for _, cred := range w.creds {
			if !e.accepts(cred) {
				continue
			}
			passed++
			if res := c.do(e.send(cred.text, cred.sub)); !e.passed(res) {
				t.Errorf("%s at %s: %s", cred.name(), e.name, res)
			}
			if cred.fresh != nil {
				cred.text = cred.fresh()
			}
		}
	}
	t.Logf("%d credentials at %d endpoints: %d pass, %d are refused", len(w.creds), len(es), passed, refused)
	w.watch.check()
}
