package admin

import (
	"context"
	"net/http"

	"github.com/sallyport/sallyport/internal/core"
)

// names finds short names of accounts, each once a request.
type names struct {
	svc  Service
	seen map[string]string
}

func (a *api) names() *names { return &names{svc: a.svc, seen: map[string]string{}} }

func (n *names) of(ctx context.Context, id string) (string, error) {
	if s, ok := n.seen[id]; ok || id == "" {
		return s, nil
	}
	acc, err := n.svc.AccountByID(ctx, id)
	if err != nil {
		return "", err
	}
	n.seen[id] = acc.Shortname
	return acc.Shortname, nil
}

// accountID turns the account parameter, a short name, into an id; "" is any.
func (a *api) accountID(ctx context.Context, shortname string) (string, error) {
	if shortname == "" {
		return "", nil
	}
	acc, err := a.svc.Account(ctx, shortname)
	if err != nil {
		return "", err
	}
	return acc.ID, nil
}

func (a *api) listAccounts(c *call) error {
	q, err := c.query("limit", "cursor")
	if err != nil {
		return err
	}
	limit, err := pageLimit(q)
	if err != nil {
		return err
	}
	after, err := decodeCursor(q, 1)
	if err != nil {
		return err
	}
	list, err := a.svc.ListAccounts(c.ctx, after[0], limit+1)
	if err != nil {
		return err
	}
	page := Page[Account]{Items: []Account{}}
	for i, acc := range list {
		if i == limit {
			page.Next = encodeCursor(list[i-1].Shortname)
			break
		}
		page.Items = append(page.Items, accountOf(acc))
	}
	return c.answer(http.StatusOK, page)
}

func (a *api) createAccount(c *call) error {
	var in struct {
		Shortname string `json:"shortname"`
	}
	if err := c.body(&in); err != nil {
		return err
	}
	if in.Shortname == "" {
		return missing("shortname")
	}
	acc, err := a.svc.CreateAccount(c.ctx, c.actor, in.Shortname)
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, accountOf(acc))
}

func (a *api) getAccount(c *call) error {
	acc, err := a.svc.Account(c.ctx, c.r.PathValue("shortname"))
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, accountOf(acc))
}

func (a *api) setAccountState(state core.State) endpoint {
	return func(c *call) error {
		if err := c.body(&struct{}{}); err != nil {
			return err
		}
		acc, err := a.svc.SetAccountState(c.ctx, c.actor, c.r.PathValue("shortname"), state)
		if err != nil {
			return err
		}
		return c.answer(http.StatusOK, accountOf(acc))
	}
}
