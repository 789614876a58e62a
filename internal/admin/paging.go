package admin

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/sallyport/sallyport/internal/core"
)

// listInAccounts answers a page of what is ordered within an account. list reads
// at most n rows of one account after a cursor; show gives a row's wire form and
// its place in the order.
func listInAccounts[R, W any](a *api, c *call, list func(account, after string, n int) ([]R, error), show func(row R, shortname string) (W, string)) error {
	q, err := c.query("account", "limit", "cursor")
	if err != nil {
		return err
	}
	limit, err := pageLimit(q)
	if err != nil {
		return err
	}
	page := Page[W]{Items: []W{}}
	page.Next, err = a.walkAccounts(c.ctx, q, limit, func(acc *core.Account, after string, n int) (int, string, error) {
		rows, err := list(acc.ID, after, n)
		for _, row := range rows {
			var item W
			item, after = show(row, acc.Shortname)
			page.Items = append(page.Items, item)
		}
		return len(rows), after, err
	})
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, page)
}

// walkAccounts lists what is ordered within an account, over the one that the
// account parameter names or over all, and gives the cursor of the next page.
// read lists at most n things of one account after a name; it tells how many
// came and the name of the last.
func (a *api) walkAccounts(ctx context.Context, q url.Values, limit int, read func(acc *core.Account, after string, n int) (int, string, error)) (next string, err error) {
	at, err := decodeCursor(q, 2)
	if err != nil {
		return "", err
	}
	name, after := at[0], at[1]
	only := q.Get("account")
	if only != "" {
		if name != "" && name != only {
			return "", badCursor()
		}
		name = only
	}
	acc, err := a.accountFrom(ctx, name, after != "" || only != "")
	for ; err == nil && acc != nil; acc, err = a.accountAfter(ctx, acc.Shortname) {
		n, last, err := read(acc, after, limit)
		if err != nil {
			return "", err
		}
		if limit -= n; limit <= 0 {
			return encodeCursor(acc.Shortname, last), nil
		}
		if after = ""; only != "" {
			return "", nil
		}
	}
	return "", err
}

// accountFrom is the account called name when exact, else the first one.
func (a *api) accountFrom(ctx context.Context, name string, exact bool) (*core.Account, error) {
	if exact {
		return a.svc.Account(ctx, name)
	}
	return a.accountAfter(ctx, "")
}

func (a *api) accountAfter(ctx context.Context, name string) (*core.Account, error) {
	list, err := a.svc.ListAccounts(ctx, name, 1)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list[0], nil
}

// storePage is the most that a store lists at once.
const storePage = 1000

// pageByTime cuts a list that is ordered newest first and paged by "before".
// read lists up to n things created before a time (0 = now). Several may have
// been created in the same millisecond, so a page ends where the time changes;
// otherwise those beyond the cut would be in no page.
func pageByTime[T any](before int64, limit int, read func(before int64, n int) ([]T, error), createdAt func(T) int64) (items []T, next string, err error) {
	list, err := read(before, limit+1)
	if err != nil || len(list) <= limit {
		return list, "", err
	}
	cut := limit
	for cut > 0 && createdAt(list[cut-1]) == createdAt(list[limit]) {
		cut--
	}
	if cut == 0 {
		// A whole page of one millisecond: take as much of it as the store gives.
		if list, err = read(before, storePage); err != nil {
			return nil, "", err
		}
		first := createdAt(list[0])
		for cut < len(list) && createdAt(list[cut]) == first {
			cut++
		}
		return list[:cut], encodeCursor(strconv.FormatInt(first, 10)), nil
	}
	return list[:cut], encodeCursor(strconv.FormatInt(createdAt(list[cut-1]), 10)), nil
}
