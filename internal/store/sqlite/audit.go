package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
)

// chainHead is where the node's audit chain stands.
type chainHead struct {
	node     string
	sequence int64
	hash     [32]byte
}

func loadChain(c *conn) (h chainHead, err error) {
	if err := c.row(`SELECT value FROM meta WHERE name=?`, core.MetaNode).Scan(&h.node); err != nil {
		return h, err
	}
	err = c.row(`SELECT sequence, hash FROM audit WHERE node=? ORDER BY sequence DESC LIMIT 1`, h.node).
		Scan(&h.sequence, fixed(h.hash[:]))
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return h, err
}

// appendAudit writes the next record of the chain and moves head on.
func appendAudit(c *conn, head *chainHead, st stamped) error {
	r := core.AuditRecord{
		Node: head.node, Sequence: head.sequence + 1, At: st.at,
		Event: readable(st.event), PrevHash: head.hash,
	}
	r.Hash = core.HashAudit(&r)
	detail := "{}"
	if len(r.Event.Detail) > 0 {
		b, err := json.Marshal(r.Event.Detail)
		if err != nil {
			return err
		}
		detail = string(b)
	}
	e := &r.Event
	_, err := c.exec(`INSERT INTO audit (node, sequence, at, kind, actor, account, subject, session, mount, address, request_id, detail, prev_hash, hash)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		r.Node, r.Sequence, r.At, e.Kind, e.Actor, e.Account, e.Subject, e.Session, e.Mount, e.Address, e.RequestID,
		detail, r.PrevHash[:], r.Hash[:])
	if err != nil {
		return err
	}
	head.sequence, head.hash = r.Sequence, r.Hash
	return nil
}

// readable makes every text of an event valid UTF-8 before it is hashed:
// JSON would change other bytes on their way, and the chain would not verify.
func readable(e core.Event) core.Event {
	for _, s := range []*string{&e.Kind, &e.Actor, &e.Account, &e.Subject, &e.Session, &e.Mount, &e.Address, &e.RequestID} {
		*s = strings.ToValidUTF8(*s, "\uFFFD")
	}
	detail := make(map[string]string, len(e.Detail))
	for _, name := range slices.Sorted(maps.Keys(e.Detail)) {
		detail[strings.ToValidUTF8(name, "\uFFFD")] = strings.ToValidUTF8(e.Detail[name], "\uFFFD")
	}
	e.Detail = detail
	return e
}

// AppendAudit implements core.Audit.
func (s *Store) AppendAudit(ctx context.Context, now int64, events []core.Event) error {
	return s.single(ctx, func(t *tx) error {
		for _, e := range events {
			t.audit(now, e)
		}
		return nil
	})
}

// ListAudit implements core.Audit. Without a node it lists the chains one
// after the other.
func (s *Store) ListAudit(ctx context.Context, q core.AuditQuery) ([]core.AuditRecord, error) {
	var f filter
	f.and("sequence > ?", q.After)
	f.text("node", q.Node)
	f.text("kind", q.Kind)
	f.text("subject", q.Subject)
	order := "ASC"
	if q.Newest {
		order = "DESC"
	}
	query := fmt.Sprintf(`SELECT node, sequence, at, kind, actor, account, subject, session, mount, address, request_id, detail, prev_hash, hash
		FROM audit WHERE %s ORDER BY node %s, sequence %s LIMIT ?`, f.String(), order, order)
	var records []core.AuditRecord
	err := s.view(ctx, func(c *conn) error {
		return c.each(func(row scanner) error {
			r, err := scanAudit(row)
			records = append(records, r)
			return err
		}, query, append(f.args, limitOf(q.Limit))...)
	})
	if err != nil {
		return nil, err
	}
	if q.Newest {
		slices.Reverse(records)
	}
	return records, nil
}

// AuditHeads implements core.Audit.
func (s *Store) AuditHeads(ctx context.Context) (heads []core.AuditRecord, err error) {
	err = s.view(ctx, func(c *conn) error {
		return c.each(func(row scanner) error {
			r, err := scanAudit(row)
			heads = append(heads, r)
			return err
		}, `SELECT a.node, a.sequence, a.at, a.kind, a.actor, a.account, a.subject, a.session, a.mount, a.address, a.request_id, a.detail, a.prev_hash, a.hash
			FROM (SELECT node, max(sequence) AS last FROM audit GROUP BY node) h JOIN audit a ON a.node = h.node AND a.sequence = h.last ORDER BY a.node`)
	})
	if err != nil {
		return nil, err
	}
	return heads, nil
}

// PurgeAudit implements core.Audit.
func (s *Store) PurgeAudit(ctx context.Context, p *core.PurgeAuditParams) error {
	return s.single(ctx, func(t *tx) error {
		_, err := t.exec(`DELETE FROM audit WHERE node = ? AND sequence <= ?`, p.Node, p.Through)
		t.audit(p.Now, p.Event)
		return err
	})
}

func scanAudit(row scanner) (r core.AuditRecord, err error) {
	var detail string
	e := &r.Event
	err = row.Scan(&r.Node, &r.Sequence, &r.At, &e.Kind, &e.Actor, &e.Account, &e.Subject, &e.Session, &e.Mount,
		&e.Address, &e.RequestID, &detail, fixed(r.PrevHash[:]), fixed(r.Hash[:]))
	if err == nil && detail != "{}" {
		err = json.Unmarshal([]byte(detail), &e.Detail)
	}
	return r, err
}
