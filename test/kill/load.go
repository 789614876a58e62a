package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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
	do     func(w *worker, a *api) error
}

// acts by weight. Logins hash for 30 ms in a slot that all share, so they are
// rare; sessions of API keys come cheap.
var acts = []act{
	{"rotate", 50, (*worker).rotate},
	{"refresh", 10, (*worker).renew},
	{"call", 8, (*worker).callAPI},
	{"exchange", 5, (*worker).exchange},
	{"login", 2, (*worker).login},
	{"mint", 3, (*worker).mint},
	{"call_app", 3, (*worker).callApp},
	{"revoke", 4, (*worker).revoke},
	{"revoke_app", 2, (*worker).revokeApp},
	{"disable", 1, (*worker).disable},
	{"new_user", 2, (*worker).newUser},
	{"new_key", 1, (*worker).newKey},
	{"probe_dead", 3, (*worker).probeDead},
}

// load acts until the server dies.
func (w *worker) load(ctx context.Context, a *api) {
	total := 0
	for i := range acts {
		total += acts[i].weight
	}
	for ctx.Err() == nil {
		n := w.rng.IntN(total)
		for i := range acts {
			if n -= acts[i].weight; n >= 0 {
				continue
			}
			if err := acts[i].do(w, a); err != nil {
				w.run.unknown(acts[i].name)
				return
			}
			break
		}
		w.bury()
	}
}

// accepted takes an answer that must be a success: false and a violation, or
// false alone when the server was busy.
func (w *worker) accepted(r *answer, status int, what any, doing string) bool {
	if r.status == status {
		return true
	}
	if r.busy() {
		w.run.count("busy")
		return false
	}
	w.run.violate("%s was refused: %s\n  %s", doing, r, what)
	return false
}

// take books the tokens of an answer to a refresh or login.
func (w *worker) take(c *chain, r *answer, doing string) {
	access := r.text(c.mount.access)
	if access == "" {
		w.run.violate("%s: the answer has no %s: %s\n  %s", doing, c.mount.access, r, c)
		return
	}
	c.access = access
	next := r.text(c.mount.renewed)
	if !c.mount.rotates && c.refresh != "" {
		if next != "" && next != c.refresh {
			w.run.violate("%s: a contract that does not rotate gave another refresh token\n  %s", doing, c)
		}
		return
	}
	cl, err := readClaims(next)
	if err != nil {
		w.run.violate("%s: %v\n  %s", doing, err, c)
		return
	}
	if c.refresh != "" && (cl.Gen != c.gen+1 || cl.SID != c.sid) {
		w.run.violate("%s: generation %d of session %s came after this, want the next one\n  %s", doing, cl.Gen, cl.SID, c)
	}
	c.parent, c.refresh, c.gen, c.sid = c.refresh, next, cl.Gen, cl.SID
	c.movedAt, c.moved = time.Now(), w.run.round
}

// move refreshes a chain.
func (w *worker) move(a *api, c *chain) error {
	if c == nil {
		return nil
	}
	r, err := c.mount.refresh(a, w.run.ctx, c.refresh)
	if err != nil {
		w.doubt = &doubt{what: "refresh", chain: c, settle: func(w *worker, a *api) { w.retryRefresh(a, c) }}
		return err
	}
	if w.accepted(r, http.StatusOK, c, "refreshing a live session") {
		w.take(c, r, "refreshing")
		w.run.count("refresh " + c.mount.name)
	}
	return nil
}

func (w *worker) chainOn(m *mount) *chain {
	var some []*chain
	for _, c := range w.chains {
		if c.mount == m {
			some = append(some, c)
		}
	}
	return pick(w, some)
}

func (w *worker) rotate(a *api) error { return w.move(a, w.chainOn(netography)) }
func (w *worker) renew(a *api) error  { return w.move(a, w.chainOn(itempath)) }

// open logs a subject in. A login in doubt may have opened a session that
// nobody knows; that is no harm.
func (w *worker) open(a *api, m *mount, s *subject) error {
	if s == nil || s.id == "" || s.logins >= loginsKept || len(w.chains) >= chainsKept {
		return nil
	}
	s.logins++
	r, err := m.login(a, w.run.ctx, s)
	if err != nil {
		w.doubt = &doubt{what: "login", settle: func(*worker, *api) {}}
		return err
	}
	if !w.accepted(r, http.StatusOK, s, "logging in") {
		return nil
	}
	c := &chain{mount: m, subject: s, made: w.run.round}
	w.take(c, r, "logging in")
	if c.refresh != "" {
		w.chains = append(w.chains, c)
		w.run.count("login " + m.name)
	}
	return nil
}

func (w *worker) exchange(a *api) error { return w.open(a, netography, pick(w, w.alive(isKey))) }

func (w *worker) login(a *api) error {
	if w.rng.IntN(3) == 0 {
		return w.open(a, netography, pick(w, w.alive(isUser)))
	}
	return w.open(a, itempath, pick(w, w.alive(isApp)))
}

func (w *worker) callAPI(a *api) error {
	c := pick(w, w.chains)
	if c == nil {
		return nil
	}
	r, err := a.call(w.run.ctx, c.access)
	if err != nil {
		w.doubt = nil // reading moves nothing
		return err
	}
	if w.accepted(r, http.StatusOK, c, "calling the API with a live access token") {
		w.run.count("call")
	}
	return nil
}

func (w *worker) callApp(a *api) error {
	t := pick(w, w.tokens)
	if t == nil {
		return nil
	}
	r, err := a.call(w.run.ctx, t.text)
	if err != nil {
		return err
	}
	if w.accepted(r, http.StatusOK, t, "calling the API with a live application token") {
		w.run.count("call application")
	}
	return nil
}

func (w *worker) mint(a *api) error {
	c := w.chainOn(itempath)
	if c == nil || !c.subject.app || len(w.tokens) >= tokensKept {
		return nil
	}
	r, err := a.mint(w.run.ctx, c.refresh)
	if err != nil {
		w.doubt = &doubt{what: "mint", settle: func(*worker, *api) {}}
		return err
	}
	if r.status != http.StatusOK && w.full(a, c.subject) {
		return nil
	}
	if !w.accepted(r, http.StatusOK, c, "minting an application token") {
		return nil
	}
	cl, err := readClaims(r.text("token"))
	if err != nil {
		w.run.violate("minting an application token: %v: %s", err, r)
		return nil
	}
	w.tokens = append(w.tokens, &appToken{subject: c.subject, id: cl.JTI, text: r.text("token"), made: w.run.round})
	w.run.count("mint")
	return nil
}

// full says whether a user has all the application tokens there may be:
// mintings in doubt leave tokens that nobody knows.
func (w *worker) full(a *api, s *subject) bool {
	var page admin.Page[admin.ApplicationToken]
	err := a.admin.Get(w.run.ctx, "/application-tokens", map[string][]string{"user": {s.id}}, &page)
	if err != nil || len(page.Items) < 10 {
		return false
	}
	s.app = false // mints no more
	return true
}

// post sends an administrative act. It answers whether it was acknowledged
// with success; an error is a doubt.
func (w *worker) post(a *api, path string, in, out any, doing string, about any) (bool, error) {
	err := a.admin.Post(w.run.ctx, path, in, out)
	var p *admin.Problem
	switch {
	case err == nil:
		return true, nil
	case !errors.As(err, &p):
		return false, err
	case p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests:
		w.run.count("busy")
	default:
		w.run.violate("%s: %v\n  %s", doing, err, about)
	}
	return false, nil
}

func (w *worker) revoke(a *api) error {
	c := pick(w, w.chains)
	if c == nil || len(w.chains) < chainsKept/2 {
		return nil
	}
	ok, err := w.post(a, "/sessions/revoke", admin.Revocation{Session: c.sid}, nil, "revoking a live session", c)
	if err != nil {
		w.doubt = &doubt{
			what: "revoke", spares: func(s *subject) bool { return s != c.subject },
			settle: func(w *worker, a *api) {
				w.repeat(a, "/sessions/revoke", admin.Revocation{Session: c.sid}, c)
				c.ended = w.run.round
			},
		}
		return err
	}
	if ok {
		c.ended = w.run.round
		w.run.count("revoke session")
	}
	return nil
}

func (w *worker) revokeApp(a *api) error {
	t := pick(w, w.tokens)
	if t == nil {
		return nil
	}
	path := "/application-tokens/" + t.id + "/revoke"
	ok, err := w.post(a, path, nil, nil, "revoking a live application token", t)
	if err != nil {
		w.doubt = &doubt{what: "revoke application token", settle: func(w *worker, a *api) {
			w.repeat(a, path, nil, t)
			t.ended = w.run.round
		}}
		return err
	}
	if ok {
		t.ended = w.run.round
		w.run.count("revoke application token")
	}
	return nil
}

// disable ends a user or key, mostly one of many so that some stay.
func (w *worker) disable(a *api) error {
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
			what: "disable", spares: func(other *subject) bool { return other != s },
			settle: func(w *worker, a *api) {
				w.repeat(a, s.path("disable"), nil, s)
				s.ended = w.run.round
			},
		}
		return err
	}
	if ok {
		s.ended = w.run.round
		w.run.count("disable")
	}
	return nil
}

func (s *subject) path(verb string) string {
	if s.key {
		return "/api-keys/" + s.id + "/" + verb
	}
	return "/users/" + s.id + "/" + verb
}

func (w *worker) freshName(kind string) string {
	w.names++
	return fmt.Sprintf("%s-%d-%d", kind, w.n, w.names)
}

// newUser makes one from an imported hash, which costs nothing, or, one time
// in four, from a password.
func (w *worker) newUser(a *api) error {
	if len(w.alive(isUser)) >= subjectsKept {
		return nil
	}
	s := &subject{name: w.freshName("user"), secret: secretOfAll, app: w.rng.IntN(2) == 0, made: w.run.round}
	in := admin.NewUser{Username: s.name, PasswordHash: w.run.hash}
	if s.app {
		in.Type = "application"
	}
	if w.rng.IntN(4) == 0 {
		in.PasswordHash, in.Password = "", secretOfAll
	}
	var made admin.User
	ok, err := w.post(a, "/users", in, &made, "creating a user", s)
	if err != nil {
		w.doubt = &doubt{what: "create user", settle: func(w *worker, a *api) { w.settleUser(a, s, in) }}
		return err
	}
	if ok {
		s.id = made.ID
		w.subjects = append(w.subjects, s)
		w.run.count("create user")
	}
	return nil
}

func (w *worker) newKey(a *api) error {
	if len(w.alive(isKey)) >= subjectsKept {
		return nil
	}
	s := &subject{key: true, name: w.freshName("app"), made: w.run.round}
	var made admin.APIKey
	ok, err := w.post(a, "/api-keys", admin.NewAPIKey{AppName: s.name}, &made, "creating an API key", s)
	if err != nil {
		w.doubt = &doubt{what: "create API key", settle: func(*worker, *api) {}} // its secret is lost with the answer
		return err
	}
	if ok {
		s.id, s.secret, s.appKey = made.ID, made.Secret, made.AppKey
		w.subjects = append(w.subjects, s)
		w.run.count("create API key")
	}
	return nil
}

func (w *worker) probeDead(a *api) error {
	if c := pick(w, w.gone); c != nil {
		return w.checkGone(a, c)
	}
	return nil
}
