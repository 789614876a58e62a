package clients

import (
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

// graceUsed is how long after a move the parent is still presented. The
// server's grace time is two minutes; later it would be reuse and end the
// session, as it should.
const graceUsed = 60 * time.Second

// olderDead is how many of the long dead each worker tries in each round.
const olderDead = 4

// check compares the servers with the worker's books. A connection error is a
// violation here: nobody does them harm now.
func (w *Worker) check(a *API) {
	if err := w.checkGenerations(a); err != nil {
		w.crew.Violate(Silent, "listing sessions after the fault: %v", err)
		return
	}
	if d := w.doubt; d != nil {
		w.doubt = nil
		d.settle(w, a)
		w.crew.Count("settled " + d.what)
	}
	w.bury()
	for _, c := range w.chains {
		w.must(w.checkLive(a, c), c)
	}
	for _, t := range w.tokens {
		w.must(w.callToken(a, t), t)
	}
	w.checkDead(a, func(endedIn int) bool { return endedIn == w.crew.Round }, olderDead)
}

func (w *Worker) must(err error, what any) {
	if err != nil {
		w.crew.Violate(Silent, "the server did not answer after the fault: %v\n  %s", err, what)
	}
}

// checkGenerations reads where the sessions stand, before anything is moved.
// An ancestor's token would be answered even if the row had gone back, because
// the server adopts what it lost; here it shows.
func (w *Worker) checkGenerations(a *API) error {
	stands := map[string]int64{}
	asked := map[*Subject]bool{}
	for _, c := range w.chains {
		if asked[c.subject] {
			continue
		}
		asked[c.subject] = true
		of, err := a.sessions(w.crew.ctx, c.subject.id)
		if err != nil {
			return err
		}
		maps.Copy(stands, of)
	}
	for _, c := range w.chains {
		if c.dead() || w.doubt != nil && w.doubt.spares != nil && !w.doubt.spares(c.subject) {
			continue
		}
		gen, there := stands[c.sid]
		moving := w.doubt != nil && w.doubt.chain == c && c.mount.rotates
		switch {
		case !there:
			w.crew.Violate(Lost, "an acknowledged session is gone after the fault\n  %s", c)
		case gen < c.gen:
			w.crew.Violate(Lost, "a session went back to generation %d\n  %s", gen, c)
		case gen > c.gen+1 || gen == c.gen+1 && !moving:
			w.crew.Violate(Odd, "a session stands at generation %d, ahead of everything asked for\n  %s", gen, c)
		}
		w.crew.Count("checked generation")
	}
	return nil
}

// checkLive presents the parent and the newest refresh token and the access
// token of a live session.
func (w *Worker) checkLive(a *API, c *chain) error {
	ctx := w.crew.ctx
	if c.mount.rotates && c.parent != "" && time.Since(c.movedAt) < graceUsed {
		r, err := c.mount.Refresh(a, ctx, c.parent)
		if err != nil {
			return err
		}
		if w.accepted(r, http.StatusOK, c, "presenting the parent within the grace time") && r.Text(c.mount.Renewed) != c.refresh {
			w.crew.Violate(Odd, "the parent did not yield the newest refresh token again, byte for byte: %s\n  %s", r, c)
		}
		w.crew.Count("checked parent")
	}
	r, err := a.Call(ctx, c.access)
	if err != nil {
		return err
	}
	w.accepted(r, http.StatusOK, c, "calling the API with an acknowledged access token")
	if r, err = c.mount.Refresh(a, ctx, c.refresh); err != nil {
		return err
	}
	if w.accepted(r, http.StatusOK, c, "presenting the acknowledged newest refresh token") {
		w.take(c, r, "refreshing after the fault")
	}
	w.crew.Count("checked session")
	return nil
}

func (w *Worker) callToken(a *API, t *appToken) error {
	r, err := a.Call(w.crew.ctx, t.text)
	if err == nil {
		w.accepted(r, http.StatusOK, t, "calling the API with an acknowledged application token")
		w.crew.Count("checked application token")
	}
	return err
}

// retryRefresh sends a refresh of unknown outcome again with the same token,
// as any client would.
func (w *Worker) retryRefresh(a *API, c *chain) {
	r, err := c.mount.Refresh(a, w.crew.ctx, c.refresh)
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
func (w *Worker) repeat(a *API, path string, in any, about any) {
	if _, err := a.post(w.crew.ctx, path, in, nil); err != nil && !gone(err) {
		w.crew.Violate(Odd, "repeating %s: %v\n  %s", path, err, about)
	}
}

// settleUser repeats a creation: either it is made now or it was made before,
// and then it is the same user.
func (w *Worker) settleUser(a *API, s *Subject, in admin.NewUser) {
	var made admin.User
	_, err := a.post(w.crew.ctx, "/users", in, &made)
	if gone(err) {
		err = a.get(w.crew.ctx, "/users/lookup", url.Values{"ref": {s.name}}, &made)
	}
	if err != nil {
		w.crew.Violate(Odd, "repeating the creation of a user: %v\n  %s", err, s)
		return
	}
	s.id = made.ID
	w.subjects = append(w.subjects, s)
}

// checkDead tries what must be refused: all that ended in the rounds wanted,
// and some more.
func (w *Worker) checkDead(a *API, wanted func(endedIn int) bool, more int) {
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
func (w *Worker) checkGone(a *API, c *chain) error {
	r, err := c.mount.Refresh(a, w.crew.ctx, c.refresh)
	if err != nil {
		return err
	}
	w.refusedAs(r, c.mount, c.mount.refreshed, "the refresh token of an ended session", c)
	if r, err = w.callEnded(a, c.access, c.endedAt()); err != nil {
		return err
	}
	w.refusedAs(r, c.mount, http.StatusUnauthorized, "the access token of an ended session", c)
	w.crew.Count("checked ended session")
	return nil
}

func (w *Worker) checkGoneToken(a *API, t *appToken) error {
	r, err := w.callEnded(a, t.text, t.endedAt())
	if err != nil {
		return err
	}
	w.refusedAs(r, ItemPath, http.StatusUnauthorized, "a dead application token", t)
	w.crew.Count("checked dead application token")
	return nil
}

// callEnded calls the API with a token that was ended, until it is refused or
// the time in which a node may not have heard of it is over.
func (w *Worker) callEnded(a *API, token string, ended time.Time) (*Answer, error) {
	for {
		late := time.Since(ended) >= a.Lag // read first: an answer counts for when it was asked
		r, err := a.Call(w.crew.ctx, token)
		if err != nil || late || r.Status >= http.StatusMultipleChoices {
			return r, err
		}
		time.Sleep(max(a.Pause, 10*time.Millisecond))
	}
}

func (w *Worker) refusedAs(r *Answer, m *Mount, status int, what string, about any) {
	switch {
	case r.NotNow():
		w.crew.Count("busy")
	case r.Status < 300:
		w.crew.Violate(Back, "%s was ACCEPTED: %s\n  %s", what, r, about)
	case !m.refused(r, status, m.refusal):
		w.crew.Violate(Odd, "%s was not refused in the words of %s (status %d, members %v): %s\n  %s", what, m.Name, status, m.refusal, r, about)
	}
}

// checkLogin logs one acknowledged user in, and tries one that was disabled.
func (w *Worker) checkLogin(a *API) {
	if s := pick(w, w.alive(isUser)); s != nil && s.id != "" {
		r, err := ItemPath.login(a, w.crew.ctx, s)
		if err != nil {
			w.must(err, s)
			return
		}
		w.accepted(r, http.StatusOK, s, "logging an acknowledged user in")
		w.crew.Count("checked login")
	}
	var ended []*Subject
	for _, s := range w.subjects {
		if s.ended != 0 {
			ended = append(ended, s)
		}
	}
	s := pick(w, ended)
	if s == nil {
		return
	}
	r, err := Netography.login(a, w.crew.ctx, s)
	if err != nil {
		w.must(err, s)
		return
	}
	w.refusedAs(r, Netography, http.StatusUnauthorized, "the login of a disabled "+s.String(), s)
	w.crew.Count("checked refused login")
}
