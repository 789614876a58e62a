package admin

import (
	"context"
	"net/http"

	"github.com/sallyport/sallyport/internal/core"
)

func (a *api) listApplicationTokens(c *call) error {
	q, err := c.query("account", "user", "limit", "cursor")
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
	list, next, err := pageByTime(before, limit, func(before int64, n int) ([]*core.ApplicationToken, error) {
		return a.svc.ListApplicationTokens(c.ctx, core.ApplicationTokenQuery{
			Account: account, User: q.Get("user"), Before: before, Limit: n,
		})
	}, func(t *core.ApplicationToken) int64 { return t.CreatedAt })
	if err != nil {
		return err
	}
	page := Page[ApplicationToken]{Items: []ApplicationToken{}, Next: next}
	owners := owners{svc: a.svc, seen: map[string]*core.UserRecord{}}
	for _, t := range list {
		u, err := owners.of(c.ctx, t.User)
		if err != nil {
			return err
		}
		page.Items = append(page.Items, applicationTokenOf(t, u.AccountShortname, u.Username))
	}
	return c.answer(http.StatusOK, page)
}

// owners finds the users of tokens, each once a request.
type owners struct {
	svc  Service
	seen map[string]*core.UserRecord
}

func (o *owners) of(ctx context.Context, id string) (*core.UserRecord, error) {
	if u := o.seen[id]; u != nil {
		return u, nil
	}
	u, err := o.svc.FindUser(ctx, "", id)
	if core.CodeOf(err) == core.NotFound {
		u, err = &core.UserRecord{}, nil // deleted between the two reads
	}
	if err != nil {
		return nil, err
	}
	o.seen[id] = u
	return u, nil
}

func (a *api) changeApplicationToken(action core.ApplicationTokenAction) endpoint {
	return func(c *call) error {
		if err := c.body(&struct{}{}); err != nil {
			return err
		}
		t, err := a.svc.ChangeApplicationToken(c.ctx, c.actor, c.r.PathValue("id"), action)
		if err != nil {
			return err
		}
		owners := owners{svc: a.svc, seen: map[string]*core.UserRecord{}}
		u, err := owners.of(c.ctx, t.User)
		if err != nil {
			return err
		}
		return c.answer(http.StatusOK, applicationTokenOf(t, u.AccountShortname, u.Username))
	}
}
