package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/sallyport/sallyport/internal/admin"
)

// enumerate asks whether a refused login tells who exists.
type enumerate struct {
	*stand
	pairs int
	mixed bool
	known bool // no other kind

	wire   wire
	page   *loginPage
	rep    enumerateReport
	guess  int
	unlike map[string]bool
}

// poolSize is how many users there are of each kind: more than pairs over a
// budget of strangers, so that none is locked but those who shall be.
const poolSize = 300

// bcryptCost of the brought half of a mixed store.
const bcryptCost = 8

func enumerateFlags(fs *flag.FlagSet, st *stand, quick *bool) func(context.Context) (report, error) {
	e := &enumerate{stand: st, unlike: map[string]bool{}}
	st.args = func() []string {
		if *quick {
			e.pairs = min(e.pairs, 200)
		}
		return []string{"--limits-stranger-failures", fmt.Sprint(e.lockAfter())}
	}
	fs.IntVar(&e.pairs, "pairs", 10_000, "pairs of a known and an unknown name; of each other kind a tenth")
	fs.BoolVar(&e.known, "known", false, "known names against unknown ones and no other kind")
	fs.BoolVar(&e.mixed, "mixed", false, "half the users have a brought bcrypt hash")
	return e.run
}

// kinds of name beside the unknown, which is the other of each pair. Whatever
// would let a name in is sent with the right password: only the state refuses.
var kinds = []struct {
	name  string
	right bool // the password
	typ   string
}{
	{"locked", true, "user"}, // first: ten minutes later there is another try
	{"known", false, "user"},
	{"disabled", true, "user"},
	{"no password", true, "user"},
	{"application user", false, "application"},
}

var places = []string{"pathstack", "itempath", "netography", "login page"}

// enumerateReport is what was found. Times are milliseconds.
type enumerateReport struct {
	Mixed   bool     `json:"mixed"`
	Lines   []line   `json:"lines"`
	Unalike []string `json:"answers_unalike"`
}

// line compares a kind of name with unknown names.
type line struct {
	Kind    string  `json:"kind"`
	Place   string  `json:"place"` // "all": over every place
	Pairs   int     `json:"pairs"`
	Unknown float64 `json:"unknown_median_ms"`
	Kind50  float64 `json:"kind_median_ms"`
	Gap     float64 `json:"median_gap_ms"`
	AUC     float64 `json:"auc"`

	unknown, kind []time.Duration
}

func (e *enumerate) run(ctx context.Context) (report, error) {
	if err := e.prepare(ctx); err != nil {
		return nil, err
	}
	e.rep.Mixed = e.mixed
	for i := range kinds {
		n := e.pairs
		switch {
		case kinds[i].name == "known":
		case e.known:
			continue
		default:
			n = max(e.pairs/10, len(places))
		}
		if err := e.measureKind(ctx, i, n); err != nil {
			return nil, err
		}
	}
	for what := range e.unlike {
		e.rep.Unalike = append(e.rep.Unalike, what)
	}
	slices.Sort(e.rep.Unalike)
	return &e.rep, nil
}

// prepare makes the users of every kind, and spends the locked ones' budget.
func (e *enumerate) prepare(ctx context.Context) error {
	e.wire.addr = e.address()
	old := make([]byte, 0, 60)
	if e.mixed {
		var err error
		if old, err = bcrypt.GenerateFromPassword([]byte(rightPassword), bcryptCost); err != nil {
			return err
		}
	}
	for k, kind := range kinds {
		e.say("adding users: %s", kind.name)
		for i := range poolSize {
			hash := ""
			if e.mixed && i%2 == 0 {
				hash = string(old)
			}
			id, err := e.addUser(ctx, subject(k, i), kind.typ, hash)
			if err != nil {
				return err
			}
			switch kind.name {
			case "disabled":
				err = e.server.Admin().Post(ctx, "/users/"+id+"/disable", struct{}{}, nil)
			case "no password":
				err = e.server.Admin().Post(ctx, "/users/"+id+"/compromised", struct{}{}, nil)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", kind.name, err)
			}
		}
	}
	if err := e.lock(); err != nil {
		return err
	}
	return e.openPage(ctx)
}

// lockedPool is how many of the locked kind are used: locking one takes as
// many guesses as the server allows strangers.
const lockedPool = 4

func (e *enumerate) lock() error {
	for k := range kinds {
		if kinds[k].name != "locked" {
			continue
		}
		for i := range lockedPool {
			e.say("locking user %d of %d", i+1, lockedPool)
			for range e.lockAfter() {
				if _, err := e.ask("netography", subject(k, i), e.wrong()); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// lockAfter is what the server is told to allow strangers: more than any known
// name is asked, so that none is locked but those who shall be.
func (e *enumerate) lockAfter() int { return max(6, e.pairs*3/2/poolSize) }

func subject(kind, i int) string { return fmt.Sprintf("subject-%d-%06d", kind, i) }

// nobody is a name like the others.
func nobody(kind int) string { return fmt.Sprintf("subject-%d-%06d", kind, 500_000+rand.IntN(400_000)) }

func (e *enumerate) wrong() string {
	e.guess++
	return fmt.Sprintf("wrong guess number %08d", e.guess)
}

// measureKind sends n pairs, the two of each in random order, in turn to every
// place, from a new network each.
func (e *enumerate) measureKind(ctx context.Context, k, n int) error {
	all := line{Kind: kinds[k].name, Place: "all"}
	by := make([]line, len(places))
	pool := poolSize
	if all.Kind == "locked" {
		pool = lockedPool
	}
	for i := range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		if i%100 == 0 {
			e.say("%s against unknown: pair %d of %d", all.Kind, i, n)
		}
		p := i % len(places)
		known, other := subject(k, (i/len(places))%pool), nobody(k)
		pw := e.wrong()
		if kinds[k].right {
			pw = rightPassword
		}
		var tookKnown, tookOther time.Duration
		var a, b answer
		var err error
		askKnown := func() { a, err = e.ask(places[p], known, pw); tookKnown = a.took }
		if rand.IntN(2) == 0 {
			askKnown()
		}
		if err == nil {
			b, err = e.ask(places[p], other, pw)
			tookOther = b.took
		}
		if err == nil && tookKnown == 0 {
			askKnown()
		}
		if err != nil {
			return err
		}
		e.compare(kinds[k].name, places[p], &a, &b, known, other)
		for _, l := range []*line{&all, &by[p]} {
			l.kind, l.unknown = append(l.kind, tookKnown), append(l.unknown, tookOther)
		}
	}
	for p := range by {
		by[p].Kind, by[p].Place = all.Kind, places[p]
		e.rep.Lines = append(e.rep.Lines, by[p].done())
	}
	e.rep.Lines = append(e.rep.Lines, all.done())
	return nil
}

func (l line) done() line {
	u, k := median(l.unknown), median(l.kind)
	l.Pairs, l.Unknown, l.Kind50 = len(l.kind), ms(u), ms(k)
	l.Gap, l.AUC = ms(k-u), areaUnderROC(l.unknown, l.kind)
	l.unknown, l.kind = nil, nil
	return l
}

// ask sends one login from a network that was not heard of before.
func (e *enumerate) ask(place, name, pw string) (answer, error) {
	from := fmt.Sprintf("10.%d.%d.9", rand.IntN(256), rand.IntN(256))
	raw := login(place, name, pw, from)
	if place == "login page" {
		raw = e.page.post(name, pw, from)
	}
	a, err := e.wire.ask(raw)
	if err == nil && (a.status < 400 || a.status >= 500 || a.status == 429) {
		err = fmt.Errorf("%s: a login that must be refused got status %d: %.300s", place, a.status, a.body)
	}
	return a, err
}

// compare holds two refusals against each other, the name and what is drawn
// for each answer apart.
func (e *enumerate) compare(kind, place string, a, b *answer, known, other string) {
	plain := func(x *answer, name string) string {
		var s strings.Builder
		fmt.Fprintf(&s, "%d\n", x.status)
		for _, h := range slices.Sorted(headerNames(x.header)) {
			v := x.header.Get(h)
			if h == "Date" || h == "X-Request-Id" || h == "Set-Cookie" || h == "Content-Security-Policy" {
				v = "…"
			}
			fmt.Fprintf(&s, "%s: %s\n", h, v)
		}
		s.WriteString(hiddenField.ReplaceAllString(strings.ReplaceAll(string(x.body), name, "NAME"), `value="…"`))
		return s.String()
	}
	if x, y := plain(a, known), plain(b, other); x != y {
		e.unlike[fmt.Sprintf("%s, %s: %.400q, unknown: %.400q", kind, place, x, y)] = true
	}
}

func (r *enumerateReport) broken() (list []string) {
	for _, l := range r.Lines {
		if l.Kind != "known" || l.Place != "all" {
			continue
		}
		if l.Gap <= -1 || l.Gap >= 1 {
			list = append(list, fmt.Sprintf("the medians of known and unknown names are less than 1 ms apart: %.3f", l.Gap))
		}
		if l.AUC < 0.45 || l.AUC > 0.55 {
			list = append(list, fmt.Sprintf("time tells known from unknown names no better than 0.45 to 0.55: %.3f", l.AUC))
		}
	}
	for _, u := range r.Unalike {
		list = append(list, "refusals are alike: "+u)
	}
	return list
}

func (r *enumerateReport) table(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "against unknown\twhere\tpairs\tunknown\tthis\tgap of medians\tAUC (promised: 0.45–0.55)")
	for _, l := range r.Lines {
		fmt.Fprintf(t, "%s\t%s\t%d\t%.2f ms\t%.2f ms\t%+.3f ms\t%.3f\n", l.Kind, l.Place, l.Pairs, l.Unknown, l.Kind50, l.Gap, l.AUC)
	}
	_ = t.Flush() // the writer is the terminal or a buffer
	if len(r.Unalike) == 0 {
		fmt.Fprintln(w, "Status, headers and body were alike in every pair.")
	}
}

// makeClient is the OAuth client whose login page is asked.
func (e *enumerate) makeClient(ctx context.Context) (string, error) {
	var c admin.OAuthClient
	err := e.server.Admin().Post(ctx, "/clients", admin.NewOAuthClient{
		Name: "guess", Type: "public", Auth: "none", RedirectURIs: []string{callback}, Grants: []string{"authorization_code"},
	}, &c)
	return c.ID, err
}
