package attack_test

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/token"
)

// run is one run of the generator.
type run struct {
	w    *world
	es   []*endpoint
	wire *wire
	cost *cost
	// turn goes round the endpoints that a credential is not for.
	turn map[*credential]int
	// let counts what was free to pass and reached the upstream.
	let int64
	// sent counts by mutator and kind; passed what passed as it may.
	sent, passed map[string]map[string]int
	total        int
	began        time.Time
}

// TestHostileTokens sends mutations of good credentials to everything that
// reads one.
func TestHostileTokens(t *testing.T) {
	w := newWorld(t)
	w.withDead = true
	w.arm()
	w.staging()
	x := &run{
		w: w, es: endpoints(w), wire: newWire(w), cost: newCost(), began: time.Now(),
		turn: map[*credential]int{}, sent: map[string]map[string]int{}, passed: map[string]map[string]int{},
	}
	defer x.wire.close()
	for _, cred := range w.creds {
		w.control(x.wire, x.es, cred, "at first")
		x.reSigned(cred)
	}
	scarce(x, "at first")
	x.row(&mutators[0], 200) // what stays for good is made now
	start := settled()
	for i := range mutators {
		if *only != "" && !strings.Contains(mutators[i].name, *only) {
			continue
		}
		x.row(&mutators[i], max(1, *inputs/len(mutators)))
	}
	end := settled()
	scarce(x, "at the end")
	w.watch.check()
	x.report(start, end)
}

// row turns one mutator on every credential.
func (x *run) row(m *mutator, quota int) {
	w := x.w
	w.t.Helper()
	creds := slices.DeleteFunc(slices.Clone(w.creds), func(c *credential) bool { return !m.opaque && !c.jwt() })
	before, forwarded := w.rows(), w.forwarded.Load()
	x.let = 0
	for _, cred := range creds {
		x.credential(m, cred, max(1, quota/len(creds)))
	}
	if n := w.forwarded.Load() - forwarded - x.let; n != 0 {
		w.t.Errorf("%s: %d hostile requests reached the upstream", m.name, n)
	}
	w.unchanged(before, m.name)
	for _, cred := range w.creds {
		w.control(x.wire, x.es, cred, "after "+m.name)
	}
}

// credential sends about quota mutations of one credential: all that the
// mutator lists, or some of them by chance, or more of them round by round.
func (x *run) credential(m *mutator, cred *credential, quota int) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(m.name + cred.name())) // a hash takes everything
	r := rand.New(rand.NewPCG(*seed, h.Sum64()))
	for round := 0; quota > 0; round++ {
		list := mutate(m, x.w, r, cred, round)
		if len(list) == 0 {
			return
		}
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		left := quota
		for i := range list {
			if quota <= 0 {
				return
			}
			quota -= x.mutation(m, r, cred, &list[i], round)
		}
		if quota == left || round > 0 && strings.HasPrefix(m.name, "late") {
			return // there is nothing more of it
		}
	}
}

// mutation sends one text where the good one belongs (two of these places, if
// there are more) and to one where it does not.
func (x *run) mutation(m *mutator, r *rand.Rand, cred *credential, v *mutation, round int) int {
	text := v.text
	if v.lazy != nil {
		text = v.lazy()
	}
	// An id token opens nothing: as a hint an old one is as good, whoever it is
	// for and whichever of our keys for id tokens signed it.
	may := v.may || cred.kind == token.ID && v.hint
	if round > 0 && !may && r.IntN(4) == 0 {
		text = tweak(r, text)
	}
	if text == "" || text == cred.text {
		return 0
	}
	var home, away []*endpoint
	for _, e := range x.es {
		if e.accepts(cred) {
			home = append(home, e)
		} else {
			away = append(away, e)
		}
	}
	r.Shuffle(len(home), func(i, j int) { home[i], home[j] = home[j], home[i] })
	n := 0
	for _, e := range home[:min(2, len(home))] {
		n += x.send(m, cred, e, v, text, may)
	}
	if v.homeOnly {
		return n
	}
	x.turn[cred]++
	return n + x.send(m, cred, away[x.turn[cred]%len(away)], v, text, may)
}

// cutAt is the text before the first sep: a semicolon ends a cookie.
func cutAt(text string, sep byte) string {
	before, _, _ := strings.Cut(text, string(sep))
	return before
}

// tweak changes one character of what is hostile already.
func tweak(r *rand.Rand, text string) string {
	if text == "" || len(text) > 100_000 {
		return text
	}
	at := r.IntN(len(text))
	ch := string(alphabet[r.IntN(64)])
	switch r.IntN(3) {
	case 0:
		return text[:at] + ch + text[at:]
	case 1:
		return text[:at] + text[at+1:]
	}
	return text[:at] + ch + text[at+1:]
}

func (x *run) send(m *mutator, cred *credential, e *endpoint, v *mutation, text string, may bool) int {
	w := x.w
	w.t.Helper()
	here := e.accepts(cred)
	sub := cred.sub
	if v.sub != "" {
		sub = v.sub
	}
	switch {
	case e.header && strings.Trim(text, " \t\r\n") == cred.text:
		return 0 // HTTP takes outer blanks away: the same token arrives
	case e.header && strings.ContainsAny(text, "\r\n"):
		return 0 // this would be another request: transport_test.go sends those
	case e.cookie && strings.Trim(cutAt(text, ';'), `" `) == cred.text:
		return 0 // quotes around a cookie's value are no part of it (RFC 6265 section 4.1.1)
	case v.told && (strings.HasPrefix(e.name, "introspection") || strings.HasPrefix(e.name, "userinfo") || e.name == "oauth exchange"):
		may = true // OAuth's own endpoints take its tokens whomever they are for
	case (v.revocable || v.told) && e.name == "revocation":
		return 0 // whoever holds it may end what is left of it
	case may && (e.writes || here && e.scarce):
		return 0 // it would do what its holder may do, and change rows
	}
	raw := e.send(text, sub)
	res := x.cost.do(x.wire, m, e, v.name, raw, v.ours)
	x.count(x.sent, m, cred)
	// A hint reads the id tokens of all our keys, whichever the client asks for.
	if (here || e.hint && v.hint && cred.kind == token.ID) && may && e.passed(res) {
		x.count(x.passed, m, cred)
		if strings.HasPrefix(e.name, "gateway") && res.status == http.StatusOK {
			x.let++
		}
		return 1
	}
	w.judge(fmt.Sprintf("%s, %s of %s at %s", m.name, v.name, cred.name(), e.name), e, text, res)
	return 1
}

// count counts, and tells now and then how far a long run is.
func (x *run) count(of map[string]map[string]int, m *mutator, cred *credential) {
	if of[m.name] == nil {
		of[m.name] = map[string]int{}
	}
	of[m.name][string(cred.kind)]++
	if x.total++; x.total%50_000 == 0 {
		fmt.Fprintf(os.Stderr, "attack: %d inputs, %s, now %q\n", x.total, time.Since(x.began).Round(time.Second), m.name)
	}
}

// reSigned signs the good claims again with the same key: if that does not
// pass, what is said about texts behind a good signature proves nothing.
func (x *run) reSigned(cred *credential) {
	x.w.t.Helper()
	if !cred.jwt() {
		return
	}
	for _, e := range x.es {
		if !e.accepts(cred) || e.mints() || e.scarce {
			continue
		}
		c := *cred
		if c.fresh != nil {
			c.text = c.fresh()
		}
		b := newBase(x.w, nil, &c, 0)
		tok := x.w.sign(&c, b.header, b.payload)
		// Of an application token the whole text is known, signature and all.
		want := cred.kind != "application" || tok == cred.text
		if res := x.wire.do(e.send(tok, cred.sub)); e.passed(res) != want {
			x.w.t.Errorf("control: %s signed anew at %s: %s", cred.name(), e.name, res)
		}
	}
}

// scarce sends good ones to the endpoints that bear only a few.
func scarce(x *run, when string) {
	x.w.t.Helper()
	for _, e := range x.es {
		for _, cred := range x.w.creds {
			if !e.scarce || !e.accepts(cred) {
				continue
			}
			if res := x.wire.do(e.send(cred.text, cred.sub)); !e.passed(res) {
				x.w.t.Errorf("control %s: %s at %s: %s", when, cred.name(), e.name, res)
			}
		}
	}
}
