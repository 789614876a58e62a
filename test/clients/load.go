package clients

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

const (
	chainsKept   = 9  // live sessions of a worker
	tokensKept   = 4  // live application tokens of a worker
	subjectsKept = 6  // active subjects of a worker, by kind
	loginsKept   = 40 // sessions of a subject, beneath the server's cap of 200
)

// act is one thing a worker does. It returns an error when the outcome is
// unknown, having left a doubt, and ends the worker's load with it.
type act struct {
	name   string
	weight int
	do     func(w *Worker, a *API) error
}

// acts by weight. Logins hash for 30 ms in a slot that all share, so they are
// rare; sessions of API keys come cheap.
var acts = []act{
	{"rotate", 50, (*Worker).rotate},
	{"refresh", 10, (*Worker).renew},
	{"call", 8, (*Worker).callAPI},
	{"exchange", 5, (*Worker).exchange},
	{"login", 2, (*Worker).login},
	{"mint", 3, (*Worker).mint},
	{"call_app", 3, (*Worker).callApp},
	{"revoke", 4, (*Worker).revoke},
	{"revoke_app", 2, (*Worker).revokeApp},
	{"disable", 1, (*Worker).disable},
	{"new_user", 2, (*Worker).newUser},
	{"new_key", 1, (*Worker).newKey},
	{"probe_dead", 3, (*Worker).probeDead},
}

// rehearsal is what each worker has seen acknowledged before any harm is done,
// and the first one also what ends the most. Chance would leave something out,
// on a slow machine more of it, and what was never done is never checked.
var rehearsal = []struct {
	counts string
	do     func(w *Worker, a *API) error
	first  bool // by the first worker alone
}{
	{"refresh netography", (*Worker).rotate, false},
	{"refresh itempath", (*Worker).renew, false},
	{"call", (*Worker).callAPI, false},
	{"login netography", (*Worker).exchange, false},
	{"login itempath", (*Worker).login, true},
	{"mint", (*Worker).mint, false},
	{"call application", (*Worker).callApp, false},
	{"revoke application token", (*Worker).revokeApp, true},
	{"revoke session", (*Worker).revoke, false},
	{"create user", (*Worker).newUser, false},
	{"create API key", (*Worker).newKey, true},
	{"disable", (*Worker).disable, true},
	{"checked ended session", (*Worker).probeDead, true},
}

// rehearse does all of it, again where the server is busy or chance has it
// otherwise.
func (w *Worker) rehearse(a *API) error {
	for _, act := range rehearsal {
		if act.first && w.n > 0 {
			continue
		}
		before := w.crew.counted(act.counts)
		for begin := time.Now(); w.crew.counted(act.counts) == before; {
			if err := act.do(w, a); err != nil {
				return fmt.Errorf("rehearsing %q: %w", act.counts, err)
			}
			if w.bury(); time.Since(begin) > time.Minute {
				return fmt.Errorf("rehearsing: nothing was acknowledged for %q in a minute, though nobody does harm; violations: %q", act.counts, w.crew.Violations())
			}
		}
	}
	return nil
}

// load acts until it is told to stop, or, where clients try once, until a
// request goes unanswered.
func (w *Worker) load(ctx context.Context, a *API) {
	total := 0
	for i := range acts {
		total += acts[i].weight
	}
	for ctx.Err() == nil {
		if a.Pause > 0 {
			time.Sleep(a.Pause/2 + time.Duration(w.rng.Int64N(int64(a.Pause))))
		}
		n := w.rng.IntN(total)
		for i := range acts {
			if n -= acts[i].weight; n >= 0 {
				continue
			}
			if err := acts[i].do(w, a); err != nil {
				w.crew.unknown(acts[i].name)
				if a.Patience > 0 && w.crew.ctx.Err() == nil {
					w.crew.Violate(Silent, "worker %d: %s had no good answer (%s): %v", w.n, acts[i].name, a.manner(), err)
				}
				return
			}
			w.crew.Count("act under load")
			break
		}
		w.bury()
	}
}

// accepted takes an answer that must be a success: false and a violation, or
// false alone when the server was busy.
func (w *Worker) accepted(r *Answer, status int, what any, doing string) bool {
	if r.Status == status {
		return true
	}
	if r.NotNow() {
		w.crew.Count("busy")
		return false
	}
	w.crew.Violate(LoggedOut, "%s was refused: %s\n  %s", doing, r, what)
	return false
}

// take books the tokens of an answer to a refresh or login.
func (w *Worker) take(c *chain, r *Answer, doing string) {
	access := r.Text(c.mount.Access)
	if access == "" {
		w.crew.Violate(Odd, "%s: the answer has no %s: %s\n  %s", doing, c.mount.Access, r, c)
		return
	}
	c.access = access
	next := r.Text(c.mount.Renewed)
	if !c.mount.rotates && c.refresh != "" {
		if next != "" && next != c.refresh {
			w.crew.Violate(Odd, "%s: a contract that does not rotate gave another refresh token\n  %s", doing, c)
		}
		return
	}
	cl, err := ReadClaims(next)
	if err != nil {
		w.crew.Violate(Odd, "%s: %v\n  %s", doing, err, c)
		return
	}
	if c.refresh != "" && (cl.Gen != c.gen+1 || cl.SID != c.sid) {
		w.crew.Violate(Odd, "%s: generation %d of session %s came after this, want the next one\n  %s", doing, cl.Gen, cl.SID, c)
	}
	c.parent, c.refresh, c.gen, c.sid = c.refresh, next, cl.Gen, cl.SID
	c.movedAt, c.moved = time.Now(), w.crew.Round
}

// move refreshes a chain.
func (w *Worker) move(a *API, c *chain) error {
	if c == nil {
		return nil
	}
	begin := time.Now()
	r, err := c.mount.Refresh(a, w.crew.ctx, c.refresh)
	if err != nil {
		w.doubt = &doubt{what: "refresh", chain: c, settle: func(w *Worker, a *API) { w.retryRefresh(a, c) }}
		return err
	}
	if w.accepted(r, http.StatusOK, c, "refreshing a live session") {
		w.take(c, r, "refreshing")
		w.crew.Count("refresh " + c.mount.Name)
		if c.mount.rotates {
			w.crew.wrote(time.Since(begin))
		}
	}
	return nil
}

func (w *Worker) chainOn(m *Mount) *chain {
	var some []*chain
	for _, c := range w.chains {
		if c.mount == m {
			some = append(some, c)
		}
	}
	return pick(w, some)
}

func (w *Worker) rotate(a *API) error { return w.move(a, w.chainOn(Netography)) }
func (w *Worker) renew(a *API) error  { return w.move(a, w.chainOn(ItemPath)) }

// open logs a subject in. A login in doubt may have opened a session that
// nobody knows; that is no harm.
func (w *Worker) open(a *API, m *Mount, s *Subject) error {
	if s == nil || s.id == "" || s.logins >= loginsKept || len(w.chains) >= chainsKept {
		return nil
	}
	s.logins++
	r, err := m.login(a, w.crew.ctx, s)
	if err != nil {
		w.doubt = &doubt{what: "login", settle: func(*Worker, *API) {}}
		return err
	}
	if !w.accepted(r, http.StatusOK, s, "logging in") {
		return nil
	}
	c := &chain{mount: m, subject: s, made: w.crew.Round}
	w.take(c, r, "logging in")
	if c.refresh != "" {
		w.chains = append(w.chains, c)
		w.crew.Count("login " + m.Name)
	}
	return nil
}

func (w *Worker) exchange(a *API) error { return w.open(a, Netography, pick(w, w.alive(isKey))) }

func (w *Worker) login(a *API) error {
	if w.rng.IntN(3) == 0 {
		return w.open(a, Netography, pick(w, w.alive(isUser)))
	}
	return w.open(a, ItemPath, pick(w, w.alive(isApp)))
}

func (w *Worker) callAPI(a *API) error {
	c := pick(w, w.chains)
	if c == nil {
		return nil
	}
	r, err := a.Call(w.crew.ctx, c.access)
	if err != nil {
		w.doubt = nil // reading moves nothing
		return err
	}
	if w.accepted(r, http.StatusOK, c, "calling the API with a live access token") {
		w.crew.Count("call")
	}
	return nil
}

func (w *Worker) callApp(a *API) error {
	t := pick(w, w.tokens)
	if t == nil {
		return nil
	}
	r, err := a.Call(w.crew.ctx, t.text)
	if err != nil {
		return err
	}
	if w.accepted(r, http.StatusOK, t, "calling the API with a live application token") {
		w.crew.Count("call application")
	}
	return nil
}

func (w *Worker) mint(a *API) error {
	c := w.chainOn(ItemPath)
	if c == nil || !c.subject.app || len(w.tokens) >= tokensKept {
		return nil
	}
	r, err := a.mint(w.crew.ctx, c.refresh)
	if err != nil {
		w.doubt = &doubt{what: "mint", settle: func(*Worker, *API) {}}
		return err
	}
	if r.Status != http.StatusOK && w.full(a, c.subject) {
		return nil
	}
	if !w.accepted(r, http.StatusOK, c, "minting an application token") {
		return nil
	}
	cl, err := ReadClaims(r.Text("token"))
	if err != nil {
		w.crew.Violate(Odd, "minting an application token: %v: %s", err, r)
		return nil
	}
	w.tokens = append(w.tokens, &appToken{subject: c.subject, id: cl.JTI, text: r.Text("token"), made: w.crew.Round})
	w.crew.Count("mint")
	return nil
}

// full says whether a user has all the application tokens there may be:
// mintings in doubt leave tokens that nobody knows.
func (w *Worker) full(a *API, s *Subject) bool {
	var page admin.Page[admin.ApplicationToken]
	err := a.get(w.crew.ctx, "/application-tokens", url.Values{"user": {s.id}}, &page)
	if err != nil || len(page.Items) < 10 {
		return false
	}
	s.app = false // mints no more
	return true
}

// post sends an administrative act. It answers whether it was acknowledged
// with success; an error is a doubt. An act that was sent more than once and
// finds itself done counts as a success, though out stays empty.
func (w *Worker) post(a *API, path string, in, out any, doing string, about any) (bool, error) {
	tried, err := a.post(w.crew.ctx, path, in, out)
	var p *admin.Problem
	switch {
	case err == nil:
		return true, nil
	case !errors.As(err, &p):
		return false, err
	case tried && gone(err):
		w.crew.Count("done by an earlier try")
		return true, nil
	case notNow(p) && a.Patience > 0:
		return false, err
	case notNow(p):
		w.crew.Count("busy")
	default:
		w.crew.Violate(Odd, "%s: %v\n  %s", doing, err, about)
	}
	return false, nil
}

func (w *Worker) revoke(a *API) error {
	c := pick(w, w.chains)
	if c == nil || len(w.chains) < chainsKept/2 {
		return nil
	}
	ok, err := w.post(a, "/sessions/revoke", admin.Revocation{Session: c.sid}, nil, "revoking a live session", c)
	if err != nil {
		w.doubt = &doubt{
			what: "revoke", spares: func(s *Subject) bool { return s != c.subject },
			settle: func(w *Worker, a *API) {
				w.repeat(a, "/sessions/revoke", admin.Revocation{Session: c.sid}, c)
				c.end(w.crew.Round)
			},
		}
		return err
	}
	if ok {
		c.end(w.crew.Round)
		w.crew.Count("revoke session")
	}
	return nil
}

func (w *Worker) revokeApp(a *API) error {
	t := pick(w, w.tokens)
	if t == nil {
		return nil
	}
	path := "/application-tokens/" + t.id + "/revoke"
	ok, err := w.post(a, path, nil, nil, "revoking a live application token", t)
	if err != nil {
		w.doubt = &doubt{what: "revoke application token", settle: func(w *Worker, a *API) {
			w.repeat(a, path, nil, t)
			t.end(w.crew.Round)
		}}
		return err
	}
	if ok {
		t.end(w.crew.Round)
		w.crew.Count("revoke application token")
	}
	return nil
}

// disable ends a user or key, mostly one of many so that some stay.
func (w *Worker) disable(a *API) error {
	of := isUser
	if w.rng.IntN(2) == 0 {
		of = isKey
	}
	list := w.alive(of)
	if len(list) < 2 {
		return nil
	}
	s := list[0] // the oldest, which has most to lose
	if s.id == "" {
		return nil
	}
	ok, err := w.post(a, s.path("disable"), nil, nil, "disabling", s)
	if err != nil {
		w.doubt = &doubt{
			what: "disable", spares: func(other *Subject) bool { return other != s },
			settle: func(w *Worker, a *API) {
				w.repeat(a, s.path("disable"), nil, s)
				s.end(w.crew.Round)
			},
		}
		return err
	}
	if ok {
		s.end(w.crew.Round)
		w.crew.Count("disable")
	}
	return nil
}

func (s *Subject) path(verb string) string {
	if s.key {
		return "/api-keys/" + s.id + "/" + verb
	}
	return "/users/" + s.id + "/" + verb
}

func (w *Worker) freshName(kind string) string {
	w.names++
	return fmt.Sprintf("%s-%d-%d", kind, w.n, w.names)
}

// newUser makes one from an imported hash, which costs nothing, or, one time
// in four, from a password.
func (w *Worker) newUser(a *API) error {
	if len(w.alive(isUser)) >= subjectsKept {
		return nil
	}
	s := &Subject{name: w.freshName("user"), secret: Secret, app: w.rng.IntN(2) == 0, made: w.crew.Round}
	in := admin.NewUser{Username: s.name, PasswordHash: w.crew.Hash}
	if s.app {
		in.Type = "application"
	}
	if w.rng.IntN(4) == 0 {
		in.PasswordHash, in.Password = "", Secret
	}
	var made admin.User
	ok, err := w.post(a, "/users", in, &made, "creating a user", s)
	if err != nil {
		w.doubt = &doubt{what: "create user", settle: func(w *Worker, a *API) { w.settleUser(a, s, in) }}
		return err
	}
	if ok && made.ID == "" {
		w.settleUser(a, s, in)
		return nil
	}
	if ok {
		s.id = made.ID
		w.subjects = append(w.subjects, s)
		w.crew.Count("create user")
	}
	return nil
}

func (w *Worker) newKey(a *API) error {
	if len(w.alive(isKey)) >= subjectsKept {
		return nil
	}
	s := &Subject{key: true, name: w.freshName("app"), made: w.crew.Round}
	var made admin.APIKey
	ok, err := w.post(a, "/api-keys", admin.NewAPIKey{AppName: s.name}, &made, "creating an API key", s)
	if err != nil {
		w.doubt = &doubt{what: "create API key", settle: func(*Worker, *API) {}} // its secret is lost with the answer
		return err
	}
	if ok && made.ID != "" { // else its secret is lost with the answer
		s.id, s.secret, s.appKey = made.ID, made.Secret, made.AppKey
		w.subjects = append(w.subjects, s)
		w.crew.Count("create API key")
	}
	return nil
}

func (w *Worker) probeDead(a *API) error {
	if c := pick(w, w.gone); c != nil {
		return w.checkGone(a, c)
	}
	return nil
}
