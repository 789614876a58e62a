package postgres

import (
	"context"

	"github.com/sallyport/sallyport/internal/core"
)

// ReserveStatus implements core.Statuses.
func (s *Store) ReserveStatus(ctx context.Context, p *core.ReserveStatusParams) (int64, error) {
	var first int64
	err := s.multi(ctx, func(t *tx) error {
		// The first reservation ever is no leap.
		err := t.row(`UPDATE status_counters SET incarnation = $1, next = $2::bigint +
				CASE WHEN incarnation IN ('', $1) THEN next ELSE (next / $3::bigint + 1) * $3::bigint END
			WHERE space = $4 RETURNING next - $2::bigint`, p.Incarnation, p.Count, int64(core.StatusLeap), string(p.Space)).Scan(&first)
		if err != nil {
			return err
		}
		_, err = t.exec(`INSERT INTO status_blocks (space, first, count, reserved_at) VALUES ($1, $2, $3, $4)`,
			string(p.Space), first, p.Count, p.Now)
		if err != nil {
			return err
		}
		for list := first / core.StatusListSize; list <= (first+int64(p.Count)-1)/core.StatusListSize; list++ {
			_, err := t.exec(`INSERT INTO status_lists (space, list, version) VALUES ($1, $2, 1) ON CONFLICT DO NOTHING`, string(p.Space), list)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return first, nil
}

// renumber gives a session a new status number. The old one, which no row holds
// then, is remembered while its block may be open.
func (t *tx) renumber(r *core.Renumbering, now int64) error {
	var before int64
	err := t.row(`SELECT status FROM sessions WHERE key = $1 AND epoch = $2 AND revoked_at = 0 FOR NO KEY UPDATE`, r.Session.Key, r.Session.Epoch).Scan(&before)
	if isNoRow(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if before > 0 {
		t.statusChanged(core.StatusSessions, before)
		t.statusChanged(core.StatusSessions, r.Status)
		if _, err := t.exec(`INSERT INTO status_burnt (number, at) VALUES ($1, $2) ON CONFLICT DO NOTHING`, before, now); err != nil {
			return err
		}
	}
	_, err = t.exec(`UPDATE sessions SET status = $1 WHERE key = $2`, r.Status, r.Session.Key)
	return err
}

// tokenCounts is true for a row t of app_tokens that counts, joined to its user
// u and account a.
const tokenCounts = `(t.revoked_at = 0 AND NOT t.suspended AND u.state = 'active' AND u.type = 'application' AND a.state = 'active')`

// everythingEnded is the number of the last fact on everything, 0 for none.
const everythingEnded = `coalesce((SELECT max(number) FROM facts WHERE kind = 'everything'), 0)`

// heldNumbers reads which of the numbers from $1, $2 of them, are held by rows
// that count, and which by others, as offsets.
var heldNumbers = map[core.StatusSpace]string{
	// The index has it all. Sessions of an ended account, which follow in small
	// steps, are looked for apart.
	core.StatusSessions: `SELECT array_agg((status - $1)::int) FILTER (WHERE counts), array_agg((status - $1)::int) FILTER (WHERE NOT counts)
		FROM (SELECT status, revoked_at = 0 AND epoch >= ` + everythingEnded + ` AS counts
			FROM sessions WHERE status > 0 AND status >= $1 AND status < $1 + $2) x`,
	core.StatusTokens: `SELECT array_agg((status - $1)::int) FILTER (WHERE counts), array_agg((status - $1)::int) FILTER (WHERE NOT counts)
		FROM (SELECT t.status, ` + tokenCounts + ` AS counts
			FROM app_tokens t JOIN users u ON u.id = t.user_id JOIN accounts a ON a.id = t.account
			WHERE t.status > 0 AND t.status >= $1 AND t.status < $1 + $2) x`,
}

// endedElsewhere are sessions that an account's end has not reached yet, and
// numbers that were taken from a session that lives on under another.
const endedElsewhere = `SELECT (s.status - $1)::int FROM accounts a JOIN sessions s ON s.account = a.id
	WHERE a.ended_fact > 0 AND s.revoked_at = 0 AND s.epoch < a.ended_fact AND s.status > 0 AND s.status >= $1 AND s.status < $1 + $2
	UNION ALL SELECT (number - $1)::int FROM status_burnt WHERE number >= $1 AND number < $1 + $2`

// StatusList implements core.Statuses.
func (s *Store) StatusList(ctx context.Context, q core.StatusQuery) (*core.StatusList, error) {
	var l core.StatusList
	err := s.snapshot(ctx, func(c *conn) error {
		l = core.StatusList{}
		err := c.row(`SELECT version FROM status_lists WHERE space = $1 AND list = $2`, string(q.Space), q.List).Scan(&l.Version)
		if err != nil || l.Version == q.Known {
			return err
		}
		from := q.List * core.StatusListSize
		b := statusBits(make([]byte, core.StatusListSize/8))
		if err := b.open(c, q, from); err != nil {
			return err
		}
		var alive, dead, ended []int32
		if err := c.row(heldNumbers[q.Space], from, int64(core.StatusListSize)).Scan(&alive, &dead); err != nil {
			return err
		}
		if q.Space == core.StatusSessions {
			if ended, err = collect(c, one[int32], endedElsewhere, from, int64(core.StatusListSize)); err != nil {
				return err
			}
		}
		for _, i := range alive {
			b.alive(int64(i), int64(i)+1)
		}
		for _, i := range append(dead, ended...) {
			b[i/8] |= 1 << (i % 8)
		}
		l.Dead = b
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &l, nil
}

// statusBits is a list being put together.
type statusBits []byte

// open marks all numbers dead but those that may still be given.
func (b statusBits) open(c *conn, q core.StatusQuery, from int64) error {
	var next int64
	if err := c.row(`SELECT next FROM status_counters WHERE space = $1`, string(q.Space)).Scan(&next); err != nil {
		return err
	}
	for i := range b {
		b[i] = 0xff
	}
	b.alive(next-from, core.StatusListSize)
	_, err := collect(c, func(row scanner) (struct{}, error) {
		var first, count int64
		err := row.Scan(&first, &count)
		b.alive(first-from, first-from+count)
		return struct{}{}, err
	}, `SELECT first, count FROM status_blocks WHERE space = $1 AND reserved_at > $2 AND first < $3 AND first + count > $4`,
		string(q.Space), q.Now-core.StatusOpenMS, from+core.StatusListSize, from)
	return err
}

// alive clears the bits of a range, as far as it lies in the list.
func (b statusBits) alive(from, to int64) {
	for i := max(from, 0); i < min(to, core.StatusListSize); i++ {
		b[i/8] &^= 1 << (i % 8)
	}
}

// liveLists finds the lists with a live number, by a look into an index each.
var liveLists = map[core.StatusSpace]string{
	core.StatusSessions: `SELECT list FROM status_lists l WHERE space = 'sessions' AND EXISTS (SELECT 1 FROM sessions
		WHERE status > 0 AND status >= l.list * $1 AND status < (l.list + 1) * $1 AND revoked_at = 0) ORDER BY list`,
	core.StatusTokens: `SELECT list FROM status_lists l WHERE space = 'tokens' AND EXISTS (SELECT 1 FROM app_tokens
		WHERE status > 0 AND status >= l.list * $1 AND status < (l.list + 1) * $1 AND revoked_at = 0) ORDER BY list`,
}

// StatusLists implements core.Statuses.
func (s *Store) StatusLists(ctx context.Context, space core.StatusSpace) (all []int64, err error) {
	err = s.view(ctx, func(c *conn) (err error) {
		all, err = collect(c, one[int64], liveLists[space], int64(core.StatusListSize))
		return err
	})
	return all, err
}

// settleTokens brings the facts on application tokens into step with their
// rows, after a change to those that a condition on t selects. Facts on tokens of
// sessions are none of theirs, though the jti be the same.
func (t *tx) settleTokens(reason string, now int64, where string, args ...any) error {
	type change struct {
		id     string
		counts bool
	}
	changes, err := collect(t.conn, func(row scanner) (c change, err error) {
		return c, row.Scan(&c.id, &c.counts)
	}, `SELECT id, counts FROM (SELECT t.id, `+tokenCounts+` AS counts
			FROM app_tokens t JOIN users u ON u.id = t.user_id JOIN accounts a ON a.id = t.account WHERE `+where+`) x
		WHERE counts <> coalesce((SELECT f.spare = f.subject FROM facts f WHERE f.kind = 'token' AND f.subject = x.id AND f.spare IN ('', f.subject) ORDER BY f.number DESC LIMIT 1), true)
		ORDER BY id`, args...)
	if err != nil {
		return err
	}
	for _, c := range changes {
		f := core.Fact{Kind: core.FactToken, Subject: c.id, Reason: reason, At: now, PurgeAt: core.FactForever}
		if c.counts {
			f.Spare = c.id
		}
		if _, err := t.exec(`DELETE FROM facts WHERE kind = 'token' AND subject = $1 AND spare IN ('', subject)`, c.id); err != nil {
			return err
		}
		t.addFact(f)
	}
	return nil
}
