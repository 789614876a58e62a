package admin

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/sallyport/sallyport/internal/core"
)

// listAudit reads the log in order, or with newest=true its end. A cursor
// continues after the last record read, also when there was nothing more at
// that time: so one can follow the log.
func (a *api) listAudit(c *call) error {
	q, err := c.query("node", "kind", "subject", "newest", "limit", "cursor")
	if err != nil {
		return err
	}
	limit, err := pageLimit(q)
	if err != nil {
		return err
	}
	at, err := decodeCursor(q, 2)
	if err != nil {
		return err
	}
	query := core.AuditQuery{Node: q.Get("node"), Kind: q.Get("kind"), Subject: q.Get("subject"), Limit: limit}
	if at[1] != "" {
		if query.After, err = strconv.ParseInt(at[1], 10, 64); err != nil || query.After < 0 {
			return badCursor()
		}
		query.Node = at[0]
	}
	switch q.Get("newest") {
	case "", "false":
	case "true":
		query.Newest = true
	default:
		return queryViolation(core.FieldInvalid, "value", "newest", "is true or false")
	}
	list, err := a.svc.ListAudit(c.ctx, query)
	if err != nil {
		return err
	}
	page := Page[AuditRecord]{Items: []AuditRecord{}, Next: q.Get("cursor")}
	for i := range list {
		page.Items = append(page.Items, auditRecordOf(&list[i]))
		page.Next = encodeCursor(list[i].Node, strconv.FormatInt(list[i].Sequence, 10))
	}
	return c.answer(http.StatusOK, page)
}

// verifyAudit recomputes the hash chain of the log, a page at a time.
func (a *api) verifyAudit(c *call) error {
	if _, err := c.query(); err != nil {
		return err
	}
	rep := AuditReport{OK: true}
	q := core.AuditQuery{Limit: storePage}
	var last []core.AuditRecord // the record before the page, which proves the page's first link
	for {
		list, err := a.svc.ListAudit(c.ctx, q)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return c.answer(http.StatusOK, rep)
		}
		if err := core.VerifyChain(append(last, list...)); err != nil {
			rep.OK, rep.Detail = false, err.Error()
			return c.answer(http.StatusOK, rep)
		}
		if rep.First == 0 {
			rep.First = list[0].Sequence
		}
		end := list[len(list)-1]
		rep.Records += int64(len(list))
		rep.Node, rep.Last, rep.Head = end.Node, end.Sequence, fmt.Sprintf("%x", end.Hash)
		q.Node, q.After, last = end.Node, end.Sequence, []core.AuditRecord{end}
	}
}

func (a *api) inspectToken(c *call) error {
	var in struct {
		Token string `json:"token"`
	}
	if err := c.body(&in); err != nil {
		return err
	}
	if in.Token == "" {
		return missing("token")
	}
	i, err := a.svc.InspectToken(c.ctx, in.Token)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, inspectionOf(i))
}

func (a *api) status(c *call) error {
	s, err := a.extras.Status(c.ctx)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, s)
}

func (a *api) confirmClock(c *call) error {
	if err := c.body(&struct{}{}); err != nil {
		return err
	}
	if err := a.extras.ConfirmClock(c.ctx, c.actor); err != nil {
		return err
	}
	return a.status(c)
}

func (a *api) explainRoute(c *call) error {
	q, err := c.query("method", "host", "path")
	if err != nil {
		return err
	}
	out, err := a.extras.ExplainRoute(c.ctx, RouteQuery{Method: q.Get("method"), Host: q.Get("host"), Path: q.Get("path")})
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, out)
}
