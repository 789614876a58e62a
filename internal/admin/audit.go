package admin

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
)

// listAudit reads the log in order, the chain of one node after the other, or
// with newest=true the end of it. A cursor holds how far each chain was read,
// also when there was nothing more at that time: so one can follow the log.
func (a *api) listAudit(c *call) error {
	q, err := c.query("node", "kind", "subject", "newest", "limit", "cursor")
	if err != nil {
		return err
	}
	limit, err := pageLimit(q)
	if err != nil {
		return err
	}
	at, err := auditCursor(q)
	if err != nil {
		return err
	}
	heads, err := a.auditHeads(c.ctx, q.Get("node"))
	if err != nil {
		return err
	}
	query := core.AuditQuery{Kind: q.Get("kind"), Subject: q.Get("subject"), Limit: limit}
	var list []core.AuditRecord
	switch q.Get("newest") {
	case "", "false":
		list, err = a.auditAfter(c.ctx, query, heads, at)
	case "true":
		list, err = a.auditNewest(c.ctx, query, heads, at)
	default:
		return queryViolation(core.FieldInvalid, "value", "newest", "is true or false")
	}
	if err != nil {
		return err
	}
	page := Page[AuditRecord]{Items: []AuditRecord{}}
	for i := range list {
		page.Items = append(page.Items, AuditRecordOf(&list[i]))
	}
	var parts []string
	for _, node := range slices.Sorted(maps.Keys(at)) {
		parts = append(parts, node, strconv.FormatInt(at[node], 10))
	}
	if len(parts) > 0 {
		page.Next = encodeCursor(parts...)
	}
	return c.answer(http.StatusOK, page)
}

// auditCursor says how far the chain of each node was read.
func auditCursor(q url.Values) (map[string]int64, error) {
	at := map[string]int64{}
	if q.Get("cursor") == "" {
		return at, nil
	}
	parts, err := decodeCursor(q, -1)
	if err != nil || len(parts)%2 != 0 {
		return nil, badCursor()
	}
	for i := 0; i < len(parts); i += 2 {
		n, err := strconv.ParseInt(parts[i+1], 10, 64)
		if err != nil || n < 0 {
			return nil, badCursor()
		}
		at[parts[i]] = n
	}
	return at, nil
}

// auditHeads are the ends of all chains, or of one.
func (a *api) auditHeads(ctx context.Context, node string) ([]core.AuditRecord, error) {
	heads, err := a.svc.AuditHeads(ctx)
	if err != nil || node == "" {
		return heads, err
	}
	return slices.DeleteFunc(heads, func(r core.AuditRecord) bool { return r.Node != node }), nil
}

// auditAfter lists up to q.Limit records behind the places, and moves these on.
func (a *api) auditAfter(ctx context.Context, q core.AuditQuery, heads []core.AuditRecord, at map[string]int64) (all []core.AuditRecord, err error) {
	most := q.Limit
	for i := range heads {
		h := &heads[i]
		if at[h.Node] >= h.Sequence {
			continue
		}
		q.Node, q.After, q.Limit = h.Node, at[h.Node], most-len(all)
		if q.Limit == 0 {
			return all, nil
		}
		list, err := a.svc.ListAudit(ctx, q)
		if err != nil {
			return nil, err
		}
		if n := len(list); n > 0 {
			at[h.Node] = list[n-1].Sequence
		}
		if len(list) < q.Limit {
			at[h.Node] = max(at[h.Node], h.Sequence) // nothing else of it was asked for
		}
		all = append(all, list...)
	}
	return all, nil
}

// auditNewest lists the last q.Limit records by time, and says that all was read.
func (a *api) auditNewest(ctx context.Context, q core.AuditQuery, heads []core.AuditRecord, at map[string]int64) (all []core.AuditRecord, err error) {
	q.Newest = true
	for i := range heads {
		q.Node = heads[i].Node
		list, err := a.svc.ListAudit(ctx, q)
		if err != nil {
			return nil, err
		}
		at[q.Node] = heads[i].Sequence
		if n := len(list); n > 0 {
			at[q.Node] = max(at[q.Node], list[n-1].Sequence)
		}
		all = append(all, list...)
	}
	if len(heads) > 1 {
		slices.SortStableFunc(all, func(x, y core.AuditRecord) int { return cmp.Compare(x.At, y.At) })
	}
	return all[max(0, len(all)-q.Limit):], nil
}

// verifyAudit recomputes the hash chains of the log, a page at a time. Anchors,
// separated by commas, are records that must still be there.
func (a *api) verifyAudit(c *call) error {
	q, err := c.query("anchors")
	if err != nil {
		return err
	}
	var anchors []core.AuditAnchor
	for text := range strings.FieldsFuncSeq(q.Get("anchors"), func(r rune) bool { return r == ',' }) {
		anchor, err := core.ParseAuditAnchor(text)
		if err != nil {
			return queryViolation(core.FieldInvalid, "value", "anchors", "is wrong: "+err.Error())
		}
		anchors = append(anchors, anchor)
	}
	v := core.NewAuditVerifier(anchors)
	broken, err := a.verifyChains(c.ctx, v)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, AuditReportOf(v, broken))
}

func (a *api) verifyChains(ctx context.Context, v *core.AuditVerifier) (broken, err error) {
	heads, err := a.svc.AuditHeads(ctx)
	if err != nil {
		return nil, err
	}
	for i := range heads {
		q := core.AuditQuery{Node: heads[i].Node, Limit: storePage}
		for {
			list, err := a.svc.ListAudit(ctx, q)
			if err != nil {
				return nil, err
			}
			for j := range list {
				if broken := v.Add(&list[j]); broken != nil {
					return broken, nil
				}
			}
			if len(list) < storePage {
				break
			}
			q.After = list[len(list)-1].Sequence
		}
	}
	return v.Close(), nil
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
