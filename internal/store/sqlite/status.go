package sqlite

import (
	"context"
	"database/sql"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
)

// ReserveStatus implements core.Statuses.
func (s *Store) ReserveStatus(ctx context.Context, p *core.ReserveStatusParams) (first int64, err error) {
	err = s.multi(ctx, func(t *tx) error {
		// The first reservation ever is no leap.
		err := t.row(`UPDATE status_counters SET incarnation = ?1, next = ?2 +
				CASE WHEN incarnation IN ('', ?1) THEN next ELSE (next / ?3 + 1) * ?3 END
			WHERE space = ?4 RETURNING next - ?2`, p.Incarnation, p.Count, core.StatusLeap, string(p.Space)).Scan(&first)
		if err != nil {
			return noRow(err)
		}
		_, err = t.exec(`INSERT INTO status_blocks (space, first, count, reserved_at) VALUES (?, ?, ?, ?)`,
			string(p.Space), first, p.Count, p.Now)
		if err != nil {
			return err
		}
		for list := first / core.StatusListSize; list <= (first+int64(p.Count)-1)/core.StatusListSize; list++ {
			_, err := t.exec(`INSERT INTO status_lists (space, list, version) VALUES (?, ?, 1) ON CONFLICT DO NOTHING`, string(p.Space), list)
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
	const live = `key = ?1 AND epoch = ?2 AND revoked_at = 0`
	_, err := t.exec(`INSERT INTO status_burnt (number, at) SELECT status, ?3 FROM sessions WHERE `+live+` AND status > 0 ON CONFLICT DO NOTHING`,
		r.Session.Key[:], r.Session.Epoch, now)
	if err != nil {
		return err
	}
	_, err = t.exec(`UPDATE sessions SET status = ?3 WHERE `+live, r.Session.Key[:], r.Session.Epoch, r.Status)
	return err
}

// tokenCounts is true for a row t of app_tokens that counts, joined to its user
// u and account a.
const tokenCounts = `t.revoked_at = 0 AND t.suspended = 0 AND u.state = 'active' AND u.type = 'application' AND a.state = 'active'`

// everythingEnded is the number of the last fact on everything, 0 for none.
const everythingEnded = `coalesce((SELECT max(number) FROM facts WHERE kind = 'everything'), 0)`

// heldNumbers reads which of the numbers from ?1, ?2 of them, are held by rows
// that count, and which by others, as offsets with commas between: one value
// costs the driver less than 65,536.
var heldNumbers = map[core.StatusSpace]string{
	// The index has it all. Sessions of an ended account, which follow in small
	// steps, are looked for apart.
	core.StatusSessions: `SELECT group_concat(status - ?1) FILTER (WHERE counts), group_concat(status - ?1) FILTER (WHERE NOT counts)
		FROM (SELECT status, revoked_at = 0 AND epoch >= ` + everythingEnded + ` AS counts
			FROM sessions WHERE status > 0 AND status >= ?1 AND status < ?1 + ?2)`,
	core.StatusTokens: `SELECT group_concat(status - ?1) FILTER (WHERE counts), group_concat(status - ?1) FILTER (WHERE NOT counts)
		FROM (SELECT t.status, ` + tokenCounts + ` AS counts
			FROM app_tokens t JOIN users u ON u.id = t.user JOIN accounts a ON a.id = t.account
			WHERE t.status > 0 AND t.status >= ?1 AND t.status < ?1 + ?2)`,
}

// burntNumbers were taken from a session that lives on under another.
const burntNumbers = `SELECT group_concat(number - ?1) FROM status_burnt WHERE number >= ?1 AND number < ?1 + ?2`

// endedByAccount are sessions that an account's end has not reached yet.
const endedByAccount = `SELECT group_concat(s.status - ?1) FROM accounts a CROSS JOIN sessions s ON s.account = a.id
	WHERE a.ended_fact > 0 AND s.revoked_at = 0 AND s.epoch < a.ended_fact AND s.status > 0 AND s.status >= ?1 AND s.status < ?1 + ?2`

// StatusList implements core.Statuses.
func (s *Store) StatusList(ctx context.Context, q core.StatusQuery) (*core.StatusList, error) {
	var l core.StatusList
	err := s.snapshot(ctx, func(c *conn) error {
		err := c.row(`SELECT version FROM status_lists WHERE space = ? AND list = ?`, string(q.Space), q.List).Scan(&l.Version)
		if err != nil {
			return noRow(err)
		}
		if l.Version == q.Known {
			return nil
		}
		from := q.List * core.StatusListSize
		b := statusBits{dead: make([]byte, core.StatusListSize/8)}
		if err := b.open(c, q, from); err != nil {
			return err
		}
		var alive, dead, ended, burnt sql.NullString
		if err := c.row(heldNumbers[q.Space], from, core.StatusListSize).Scan(&alive, &dead); err != nil {
			return err
		}
		if q.Space == core.StatusSessions {
			if err := c.row(endedByAccount, from, core.StatusListSize).Scan(&ended); err != nil {
				return err
			}
			if err := c.row(burntNumbers, from, core.StatusListSize).Scan(&burnt); err != nil {
				return err
			}
		}
		b.set(alive.String, false)
		for _, numbers := range []string{dead.String, ended.String, burnt.String} {
			b.set(numbers, true)
		}
		l.Dead = b.dead
		return b.err
	})
	if err != nil {
		return nil, err
	}
	return &l, nil
}

// statusBits is a list being put together. The first mistake sticks.
type statusBits struct {
	dead []byte
	err  error
}

// open marks all numbers dead but those that may still be given.
func (b *statusBits) open(c *conn, q core.StatusQuery, from int64) error {
	var next int64
	if err := c.row(`SELECT next FROM status_counters WHERE space = ?`, string(q.Space)).Scan(&next); err != nil {
		return err
	}
	for i := range b.dead {
		b.dead[i] = 0xff
	}
	b.alive(next-from, core.StatusListSize)
	return c.each(func(row scanner) error {
		var first, count int64
		err := row.Scan(&first, &count)
		b.alive(first-from, first-from+count)
		return err
	}, `SELECT first, count FROM status_blocks WHERE space = ? AND reserved_at > ? AND first < ? AND first + count > ?`,
		string(q.Space), q.Now-core.StatusOpenMS, from+core.StatusListSize, from)
}

// alive clears the bits of a range, as far as it lies in the list.
func (b *statusBits) alive(from, to int64) {
	for i := max(from, 0); i < min(to, core.StatusListSize); i++ {
		b.dead[i/8] &^= 1 << (i % 8)
	}
}

// set sets or clears the bits at offsets with commas between.
func (b *statusBits) set(offsets string, dead bool) {
	for offsets != "" {
		var one string
		one, offsets, _ = strings.Cut(offsets, ",")
		i, err := strconv.ParseUint(one, 10, 16)
		if err != nil {
			b.err = err
			return
		}
		if dead {
			b.dead[i/8] |= 1 << (i % 8)
		} else {
			b.dead[i/8] &^= 1 << (i % 8)
		}
	}
}

// liveLists finds the lists with a live number, by a look into an index each.
var liveLists = map[core.StatusSpace]string{
	core.StatusSessions: `SELECT list FROM status_lists l WHERE space = 'sessions' AND EXISTS (SELECT 1 FROM sessions
		WHERE status > 0 AND status >= l.list * ?1 AND status < (l.list + 1) * ?1 AND revoked_at = 0) ORDER BY list`,
	core.StatusTokens: `SELECT list FROM status_lists l WHERE space = 'tokens' AND EXISTS (SELECT 1 FROM app_tokens
		WHERE status > 0 AND status >= l.list * ?1 AND status < (l.list + 1) * ?1 AND revoked_at = 0) ORDER BY list`,
}

// StatusLists implements core.Statuses.
func (s *Store) StatusLists(ctx context.Context, space core.StatusSpace) (all []int64, err error) {
	err = s.view(ctx, func(c *conn) error {
		return c.each(func(row scanner) error {
			var n int64
			err := row.Scan(&n)
			all = append(all, n)
			return err
		}, liveLists[space], core.StatusListSize)
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// settleTokens brings the facts on application tokens into step with their
// rows, after a change to those that a condition on t selects. Facts on tokens of
// sessions are none of theirs, though the jti be the same.
func (t *tx) settleTokens(reason string, now int64, where string, args ...any) error {
	type change struct {
		id     string
		counts bool
	}
	var changes []change
	err := t.each(func(row scanner) error {
		var c change
		err := row.Scan(&c.id, &c.counts)
		changes = append(changes, c)
		return err
	}, `SELECT id, counts FROM (SELECT t.id, `+tokenCounts+` AS counts
			FROM app_tokens t JOIN users u ON u.id = t.user JOIN accounts a ON a.id = t.account WHERE `+where+`)
		WHERE counts <> coalesce((SELECT f.spare = f.subject FROM facts f WHERE f.kind = 'token' AND f.subject = id AND f.spare IN ('', f.subject) ORDER BY f.number DESC LIMIT 1), 1)`,
		args...)
	if err != nil {
		return err
	}
	for _, c := range changes {
		f := core.Fact{Kind: core.FactToken, Subject: c.id, Reason: reason, At: now, PurgeAt: core.FactForever}
		if c.counts {
			f.Spare = c.id
		}
		if _, err := t.exec(`DELETE FROM facts WHERE kind = 'token' AND subject = ? AND spare IN ('', subject)`, c.id); err != nil {
			return err
		}
		if _, err := t.addFact(f); err != nil {
			return err
		}
	}
	return nil
}
