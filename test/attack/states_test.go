package attack_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/token"
)

// TestReplay sends a request token again: at once it is a twin, later or from
// elsewhere a refusal; 50 at once open one session.
func TestReplay(t *testing.T) {
	w := newWorld(t)
	w.arm()
	e := find(endpoints(w), "netography exchange")
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
	w.judge("after the twin window", e, tok, c.do(e.send(tok, "")))
	// Another signature of the same bytes is the same token.
	w.judge("padded", e, tok, c.do(e.send(tok+"=", "")))
	w.pass(-10 * time.Second)
	w.judge("after the clock went back", e, tok, c.do(e.send(tok, "")))
	w.pass(10*time.Second + 10*time.Minute)
	w.judge("after its window", e, tok, c.do(e.send(tok, "")))
	w.pass(-10 * time.Minute)
	w.judge("after the clock went back into it", e, tok, c.do(e.send(tok, "")))
	if res := c.do(e.send(w.requestToken("next"), "")); res.status != http.StatusOK {
		t.Errorf("control: %s", res)
	}
	w.watch.check()
}

// TestReplayElsewhere sends what counts once again: from another address, where
// a request token is no twin, and after a restart.
func TestReplayElsewhere(t *testing.T) {
	w := newWorld(t)
	w.arm()
	es := endpoints(w)
	here, there := newWire(w), newWire(w)
	defer here.close()
	defer there.close()
	there.from = "127.0.0.2"
	for _, cred := range w.creds {
		if cred.fresh == nil || cred.kind == kindCode {
			continue
		}
		for _, e := range es {
			if !e.accepts(cred) {
				continue
			}
			used := cred.fresh()
			if res := here.do(e.send(used, cred.sub)); !e.passed(res) {
				t.Errorf("control: %s at %s: %s", cred.name(), e.name, res)
			}
			w.judge(cred.name()+" from another address at "+e.name, e, used, there.do(e.send(used, cred.sub)))
			cred.text = used
		}
	}
	here.close()
	there.close()
	w.pass(6 * time.Second) // after the time of honest twins
	w.restart()
	for _, cred := range w.creds {
		for _, e := range es {
			if cred.fresh == nil || cred.kind == kindCode || !e.accepts(cred) {
				continue
			}
			w.judge(cred.name()+" after a restart at "+e.name, e, cred.text, here.do(e.send(cred.text, cred.sub)))
		}
	}
	// The restart has cost nobody what is good for longer than once.
	for _, cred := range w.creds {
		if cred.fresh == nil && cred.kind != token.ID {
			w.control(here, es, cred, "after a restart")
		}
	}
	w.watch.check()
}

// TestCodeTwice redeems a code twice: the second use ends what the first gave.
func TestCodeTwice(t *testing.T) {
	w := newWorld(t)
	w.arm()
	es := endpoints(w)
	c := newWire(w)
	defer c.close()
	e, code := find(es, "oauth code"), w.cred("oauth/code").text
	got := w.post(e.send(code, ""))
	w.judge("a code used twice", e, code, c.do(e.send(code, "")))
	for name, tok := range map[string]string{"oauth refresh": text(got, "refresh_token"), "gateway": text(got, "access_token")} {
		at := find(es, name)
		w.judge("what it gave, at "+name, at, tok, c.do(at.send(tok, "")))
	}
}

// TestRefreshRace refreshes one rotating token 50 times at once, later again
// within the grace time, and after it.
func TestRefreshRace(t *testing.T) {
	w := newWorld(t)
	w.arm()
	e := find(endpoints(w), "netography refresh")
	first := w.cred("netography/refresh").text
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
