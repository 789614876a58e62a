package main

import (
	"errors"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

// graceUsed is how long after a move the parent is still presented. The
// server's grace time is two minutes; later it would be reuse and end the
// session, as it should.
const graceUsed = 60 * time.Second

// olderDead is how many of the long dead each worker tries in each round.
const olderDead = 4

// check compares the server with the worker's books. A connection error is a
// violation here: nobody kills the server now.
func (w *worker) check(a *api) {
	if err := w.checkGenerations(a); err != nil {
		w.run.violate("listing sessions after the restart: %v", err)
		return
	}
	if d := w.doubt; d != nil {
		w.doubt = nil
		d.settle(w, a)
		w.run.count("settled " + d.what)
	}
	w.bury()
	for _, c := range w.chains {
		w.must(w.checkLive(a, c), c)
	}
	for _, t := range w.tokens {
		w.must(w.callToken(a, t), t)
	}
	w.checkDead(a, func(endedIn int) bool { return endedIn == w.run.round }, olderDead)
}

func (w *worker) must(err error, what any) {
	if err != nil {
		w.run.violate("the server did not answer after the restart: %v\n  %s", err, what)
	}
}

// checkGenerations reads where the sessions stand, before anything is moved.
// An ancestor's token would be answered even if the row had gone back, because
// the server adopts what it lost; here it shows.
func (w *worker) checkGenerations(a *api) error {
	stands := map[string]int64{}
	asked := map[*subject]bool{}
	for _, c := range w.chains {
		if asked[c.subject] {
			continue
		}
		asked[c.subject] = true
		q := map[string][]string{"subject": {c.subject.id}}
		for s, err := range admin.List[admin.Session](w.run.ctx, a.admin, "/sessions", q) {
			if err != nil {
				return err
			}
			stands[s.ID] = s.Generation
		}
	}
	for _, c := range w.chains {
		if c.dead() || w.doubt != nil && w.doubt.spares != nil && !w.doubt.spares(c.subject) {
			continue
		}
		gen, there := stands[c.sid]
		moving := w.doubt != nil && w.doubt.chain == c && c.mount.rotates
		switch {
		case !there:
			w.run.violate("an acknowledged session is gone after the restart\n  %s", c)
		case gen < c.gen:
			w.run.violate("a session went back to generation %d\n  %s", gen, c)
		case gen > c.gen+1 || gen == c.gen+1 && !moving:
			w.run.violate("a session stands at generation %d, ahead of everything asked for\n  %s", gen, c)
		}
		w.run.count("checked generation")
	}
	return nil
}

// checkLive presents the parent and the newest refresh token and the access
// token of a live session.
func (w *worker) checkLive(a *api, c *chain) error {
	ctx := w.run.ctx
	if c.mount.rotates && c.parent != "" && time.Since(c.movedAt) < graceUsed {
		r, err := c.mount.refresh(a, ctx, c.parent)
		if err != nil {
			return err
		}
		if w.accepted(r, http.StatusOK, c, "presenting the parent within the grace time") && r.text(c.mount.renewed) != c.refresh {
			w.run.violate("the parent did not yield the newest refresh token again, byte for byte: %s\n  %s", r, c)
		}
		w.run.count("checked parent")
	}
	r, err := a.call(ctx, c.access)
	if err != nil {
		return err
	}
	w.accepted(r, http.StatusOK, c, "calling the API with an acknowledged access token")
	if r, err = c.mount.refresh(a, ctx, c.refresh); err != nil {
		return err
	}
	if w.accepted(r, http.StatusOK, c, "presenting the acknowledged newest refresh token") {
		w.take(c, r, "refreshing after the restart")
	}
	w.run.count("checked session")
	return nil
}

func (w *worker) callToken(a *api, t *appToken) error {
	r, err := a.call(w.run.ctx, t.text)
	if err == nil {
		w.accepted(r, http.StatusOK, t, "calling the API with an acknowledged application token")
		w.run.count("checked application token")
	}
	return err
}

// retryRefresh sends a refresh of unknown outcome again with the same token,
// as any client would.
func (w *worker) retryRefresh(a *api, c *chain) {
	r, err := c.mount.refresh(a, w.run.ctx, c.refresh)
	if err != nil {
		w.must(err, c)
		return
	}
	if w.accepted(r, http.StatusOK, c, "a refresh of unknown outcome, sent again with the same token,") {
		w.take(c, r, "retrying a refresh")
	}
}

// repeat sends a revocation of unknown outcome again; that there is nothing
// left to revoke is an answer too.
func (w *worker) repeat(a *api, path string, in any, about any) {
	err := a.admin.Post(w.run.ctx, path, in, nil)
	var p *admin.Problem
	if err != nil && !(errors.As(err, &p) && (p.Status == http.StatusNotFound || p.Status == http.StatusConflict)) {
		w.run.violate("repeating %s: %v\n  %s", path, err, about)
	}
}

// settleUser repeats a creation: either it is made now or it was made before,
// and then it is the same user.
func (w *worker) settleUser(a *api, s *subject, in admin.NewUser) {
	var made admin.User
	err := a.admin.Post(w.run.ctx, "/users", in, &made)
	var p *admin.Problem
	if errors.As(err, &p) && p.Status == http.StatusConflict {
		err = a.admin.Get(w.run.ctx, "/users/lookup", map[string][]string{"ref": {s.name}}, &made)
	}
	if err != nil {
		w.run.violate("repeating the creation of a user: %v\n  %s", err, s)
		return
	}
	s.id = made.ID
	w.subjects = append(w.subjects, s)
}

// checkDead tries what must be refused: all that ended in the rounds wanted,
// and some more.
func (w *worker) checkDead(a *api, wanted func(endedIn int) bool, more int) {
	for _, c := range w.gone {
		if wanted(c.endedIn()) {
			w.must(w.checkGone(a, c), c)
		}
	}
	for _, t := range w.goneTok {
		if wanted(t.endedIn()) {
			w.must(w.checkGoneToken(a, t), t)
		}
	}
	for range more {
		if c := pick(w, w.gone); c != nil {
			w.must(w.checkGone(a, c), c)
		}
		if t := pick(w, w.goneTok); t != nil {
			w.must(w.checkGoneToken(a, t), t)
		}
	}
}

// checkGone presents the tokens of an ended session.
func (w *worker) checkGone(a *api, c *chain) error {
	r, err := c.mount.refresh(a, w.run.ctx, c.refresh)
	if err != nil {
		return err
	}
	w.refusedAs(r, c.mount, c.mount.refreshed, "the refresh token of an ended session", c)
	if r, err = a.call(w.run.ctx, c.access); err != nil {
		return err
	}
	w.refusedAs(r, c.mount, http.StatusUnauthorized, "the access token of an ended session", c)
	w.run.count("checked ended session")
	return nil
}

func (w *worker) checkGoneToken(a *api, t *appToken) error {
	r, err := a.call(w.run.ctx, t.text)
	if err != nil {
		return err
	}
	w.refusedAs(r, itempath, http.StatusUnauthorized, "a dead application token", t)
	w.run.count("checked dead application token")
	return nil
}

func (w *worker) refusedAs(r *answer, m *mount, status int, what string, about any) {
	switch {
	case r.busy():
		w.run.count("busy")
	case r.status < 300:
		w.run.violate("%s was ACCEPTED: %s\n  %s", what, r, about)
	case !m.refused(r, status, m.refusal):
		w.run.violate("%s was not refused in the words of %s (status %d, members %v): %s\n  %s", what, m.name, status, m.refusal, r, about)
	}
}

// checkLogin logs one acknowledged user in, and tries one that was disabled.
func (w *worker) checkLogin(a *api) {
	if s := pick(w, w.alive(isUser)); s != nil && s.id != "" {
		r, err := itempath.login(a, w.run.ctx, s)
		if err != nil {
			w.must(err, s)
			return
		}
		w.accepted(r, http.StatusOK, s, "logging an acknowledged user in")
		w.run.count("checked login")
	}
	var ended []*subject
	for _, s := range w.subjects {
		if s.ended != 0 {
			ended = append(ended, s)
		}
	}
	s := pick(w, ended)
	if s == nil {
		return
	}
	r, err := netography.login(a, w.run.ctx, s)
	if err != nil {
		w.must(err, s)
		return
	}
	w.refusedAs(r, netography, http.StatusUnauthorized, "the login of a disabled "+s.String(), s)
	w.run.count("checked refused login")
}
