package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/core"
)

// The audit log. A step writes its events with its own commit, but without
// their place in the node's hash chain: that would have to be locked until the
// commit, and each login of a node would wait for the one before it to reach
// the disk. A chore of the node gives places a moment later, many at once.
//
// The chain shows nothing less for it: it holds no secret, so who can write to
// the database can replace its end in any case; what it proves is that nothing
// before a hash that somebody kept was changed.

const auditColumns = `node, sequence, at, kind, actor, account, subject, session, mount, address, request_id, detail, prev_hash, hash`

// writeEvent writes an event that has no place in the chain yet.
func (t *tx) writeEvent(st stamped) error {
	e := readable(st.event)
	detail := "{}"
	if len(e.Detail) > 0 {
		b, err := json.Marshal(e.Detail)
		if err != nil {
			return err
		}
		detail = string(b)
	}
	_, err := t.exec(`INSERT INTO audit (node, at, kind, actor, account, subject, session, mount, address, request_id, detail)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		t.s.node, st.at, e.Kind, e.Actor, e.Account, e.Subject, e.Session, e.Mount, e.Address, e.RequestID, detail)
	return err
}

// readable makes every text of an event valid UTF-8 before it is hashed:
// JSON would change other bytes on their way, and the chain would not verify.
func readable(e core.Event) core.Event {
	for _, s := range []*string{&e.Kind, &e.Actor, &e.Account, &e.Subject, &e.Session, &e.Mount, &e.Address, &e.RequestID} {
		*s = cleanText(*s)
	}
	detail := make(map[string]string, len(e.Detail))
	for _, name := range slices.Sorted(maps.Keys(e.Detail)) {
		detail[strings.ToValidUTF8(name, "\uFFFD")] = strings.ToValidUTF8(e.Detail[name], "\uFFFD")
	}
	e.Detail = detail
	return e
}

// chainLoose gives this node's events their places, as long as there are some,
// and once at the end.
func (s *Store) chainLoose(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.loose:
		}
		if s.turnedAway() != nil {
			continue // until the ballast is back
		}
		part, cancel := s.bounded(ctx, 2*s.cfg.StatementTimeout)
		err := s.chain(part, s.node)
		cancel()
		if err != nil && ctx.Err() == nil {
			s.log.Warn("store: audit records wait for their place in the chain; it is tried again with the next", "err", err)
		}
		// Company arrives meanwhile, and shares the commit.
		select {
		case <-ctx.Done():
			return
		case <-time.After(chainPause):
		}
	}
}

const (
	chainPause = 200 * time.Millisecond
	chainPart  = 500 // events in one step
)

// chain gives all events of a node that wait for one their place. Anybody may
// do so for any node: the head of its chain is locked meanwhile.
func (s *Store) chain(ctx context.Context, node string) error {
	for {
		n := 0
		err := s.transact(ctx, func(t *tx) (err error) {
			n, err = t.chainPart(node)
			return err
		})
		if err != nil || n < chainPart {
			return err
		}
	}
}

func (t *tx) chainPart(node string) (int, error) {
	t.chore = true
	_, err := t.exec(`INSERT INTO audit_heads (node, sequence, hash) VALUES ($1, 0, $2) ON CONFLICT DO NOTHING`, node, make([]byte, 32))
	if err != nil {
		return 0, err
	}
	var sequence int64
	var hash [32]byte
	if err := t.row(`SELECT sequence, hash FROM audit_heads WHERE node = $1 FOR UPDATE`, node).Scan(&sequence, fixed(hash[:])); err != nil {
		return 0, err
	}
	type loose struct {
		id int64
		r  core.AuditRecord
	}
	all, err := collect(t.conn, func(row scanner) (l loose, err error) {
		l.r, err = scanAudit(row, &l.id)
		return l, err
	}, `SELECT node, 0::bigint, at, kind, actor, account, subject, session, mount, address, request_id, detail, $3::bytea, $3::bytea, id
		FROM audit WHERE node = $1 AND sequence IS NULL ORDER BY id LIMIT $2`, node, chainPart, make([]byte, 32))
	if err != nil || len(all) == 0 {
		return 0, err
	}
	ids, sequences := make([]int64, len(all)), make([]int64, len(all))
	before, after := make([][]byte, len(all)), make([][]byte, len(all))
	for i := range all {
		r := &all[i].r
		sequence++
		r.Sequence, r.PrevHash = sequence, hash
		hash = core.HashAudit(r)
		ids[i], sequences[i] = all[i].id, sequence
		before[i], after[i] = slices.Clone(r.PrevHash[:]), slices.Clone(hash[:])
	}
	_, err = t.exec(`UPDATE audit a SET sequence = q.sequence, prev_hash = q.prev_hash, hash = q.hash
		FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bytea[]) AS q (id, sequence, prev_hash, hash) WHERE a.id = q.id`,
		ids, sequences, before, after)
	if err != nil {
		return 0, err
	}
	_, err = t.exec(`UPDATE audit_heads SET sequence = $1, hash = $2 WHERE node = $3`, sequence, hash[:], node)
	return len(all), err
}

// AppendAudit implements core.Audit.
func (s *Store) AppendAudit(ctx context.Context, now int64, events []core.Event) error {
	return s.multi(ctx, func(t *tx) error {
		for _, e := range events {
			t.audit(now, e)
		}
		return nil
	})
}

// ListAudit implements core.Audit. Without a node it lists the chains one
// after the other. It first gives places to what has none: also to the events
// of nodes that ended before they did.
func (s *Store) ListAudit(ctx context.Context, q core.AuditQuery) ([]core.AuditRecord, error) {
	if err := s.chainAll(ctx); err != nil {
		s.log.Warn("store: the latest audit records are not listed; they have no place in the chain yet", "err", err)
	}
	f := filter{where: []string{"sequence IS NOT NULL"}}
	f.and("sequence >", q.After)
	f.text("node", q.Node)
	f.text("kind", q.Kind)
	f.text("subject", q.Subject)
	order := "ASC"
	if q.Newest {
		order = "DESC"
	}
	query := fmt.Sprintf(`SELECT %s FROM audit WHERE %s ORDER BY node %s, sequence %s LIMIT %s`, auditColumns, f.String(), order, order, f.arg(limitOf(q.Limit)))
	var records []core.AuditRecord
	err := s.view(ctx, func(c *conn) (err error) {
		records, err = collect(c, func(row scanner) (core.AuditRecord, error) { return scanAudit(row) }, query, f.args...)
		return err
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
	if err := s.chainAll(ctx); err != nil {
		return nil, err
	}
	err = s.view(ctx, func(c *conn) (err error) {
		heads, err = collect(c, func(row scanner) (core.AuditRecord, error) { return scanAudit(row) },
			`SELECT DISTINCT ON (node) `+auditColumns+` FROM audit WHERE sequence IS NOT NULL ORDER BY node, sequence DESC`)
		return err
	})
	if err != nil {
		return nil, err
	}
	return heads, nil
}

// PurgeAudit implements core.Audit.
func (s *Store) PurgeAudit(ctx context.Context, p *core.PurgeAuditParams) error {
	return s.multi(ctx, func(t *tx) error {
		_, err := t.exec(`DELETE FROM audit WHERE node = $1 AND sequence <= $2`, p.Node, p.Through)
		t.audit(p.Now, p.Event)
		return err
	})
}

func (s *Store) chainAll(ctx context.Context) error {
	var nodes []string
	err := s.view(ctx, func(c *conn) (err error) {
		nodes, err = collect(c, one[string], `SELECT DISTINCT node FROM audit WHERE sequence IS NULL`)
		return err
	})
	for _, node := range nodes {
		if err == nil {
			err = s.submit(ctx, func(ctx context.Context) error { return s.chain(ctx, node) })
		}
	}
	return err
}

func scanAudit(row scanner, more ...any) (r core.AuditRecord, err error) {
	var detail string
	e := &r.Event
	err = row.Scan(append([]any{
		&r.Node, &r.Sequence, &r.At, &e.Kind, &e.Actor, &e.Account, &e.Subject, &e.Session, &e.Mount,
		&e.Address, &e.RequestID, &detail, fixed(r.PrevHash[:]), fixed(r.Hash[:]),
	}, more...)...)
	if err == nil && detail != "{}" {
		err = json.Unmarshal([]byte(detail), &e.Detail)
	}
	return r, err
}
