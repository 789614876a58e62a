package admin

import (
	"net/http"

	"github.com/sallyport/sallyport/internal/core"
)

// Revocation is the body that ends sessions: exactly one member.
type Revocation struct {
	Session    string `json:"session,omitempty"` // a sid
	Subject    string `json:"subject,omitempty"` // all sessions of a user or API key, by id
	Everything bool   `json:"everything,omitempty"`
}

// Revoked says how many sessions ended; -1 when all did and none was counted.
type Revoked struct {
	Revoked int `json:"revoked"`
}

func (a *api) listSessions(c *call) error {
	q, err := c.query("account", "subject", "mount", "limit", "cursor")
	if err != nil {
		return err
	}
	limit, err := pageLimit(q)
	if err != nil {
		return err
	}
	before, err := timeCursor(q)
	if err != nil {
		return err
	}
	account, err := a.accountID(c.ctx, q.Get("account"))
	if err != nil {
		return err
	}
	list, next, err := pageByTime(before, limit, func(before int64, n int) ([]*core.Session, error) {
		return a.svc.ListSessions(c.ctx, core.SessionQuery{
			Account: account, Subject: q.Get("subject"), Mount: q.Get("mount"), Before: before, Limit: n,
		})
	}, func(s *core.Session) int64 { return s.CreatedAt })
	if err != nil {
		return err
	}
	page, names := Page[Session]{Items: []Session{}, Next: next}, a.names()
	for _, s := range list {
		name, err := names.of(c.ctx, s.Account)
		if err != nil {
			return err
		}
		page.Items = append(page.Items, sessionOf(s, name))
	}
	return c.answer(http.StatusOK, page)
}

func (a *api) revokeSessions(c *call) error {
	var in Revocation
	if err := c.body(&in); err != nil {
		return err
	}
	given := 0
	for _, set := range []bool{in.Session != "", in.Subject != "", in.Everything} {
		if set {
			given++
		}
	}
	if given != 1 {
		return core.Errorf(core.FieldInvalid, "give exactly one of session, subject and everything")
	}
	out := Revoked{Revoked: 1}
	var err error
	switch {
	case in.Session != "":
		err = a.svc.RevokeSession(c.ctx, c.actor, in.Session)
	case in.Subject != "":
		out.Revoked, err = a.svc.RevokeSubjectSessions(c.ctx, c.actor, in.Subject)
	default:
		out.Revoked, err = -1, a.svc.RevokeEverything(c.ctx, c.actor)
	}
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, out)
}
