package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sallyport/sallyport/internal/core"
)

// moveIfCurrent is the hot statement: core.JudgeRefresh's way to RefreshMoved
// and core.NextMove in one conditional update, and the rows after it with
// their subjects. The suite compares it with the rule. from gives the rows of
// q: number, key, epoch, mount, presented, subject, now, refresh_key, grace,
// idle, absolute.
//
// Under READ COMMITTED an update that waited for another one's row asks all
// its conditions again of the row as it then is, so of two steps that present
// the same generation one moves it.
func moveIfCurrent(from string) string {
	return `WITH s AS (UPDATE sessions s SET generation = s.generation + 1,
		move3 = s.move2, move2 = s.move1, move1 = s.move0, move0 = q.now, last_used_at = q.now,
		refresh_key = q.refresh_key, rotates = true, grace_ms = q.grace, idle_ms = q.idle, absolute_ms = q.absolute,
		refresh_expires = (CASE WHEN q.absolute > 0 THEN least(q.now + q.idle, s.created_at + q.absolute) ELSE q.now + q.idle END) / 1000 * 1000
	FROM ` + from + ` AS q (number, key, epoch, mount, presented, subject, now, refresh_key, grace, idle, absolute)
	WHERE s.key = q.key AND s.epoch = q.epoch AND s.mount = q.mount AND s.generation = q.presented AND s.revoked_at = 0
		AND (q.subject = '' OR s.subject = q.subject)
		AND q.now < s.refresh_expires
		AND (s.absolute_ms <= 0 OR q.now < s.created_at + s.absolute_ms)
		AND (q.absolute <= 0 OR q.now < s.created_at + q.absolute)
		AND (q.idle <= 0 OR q.now < s.move0 + q.idle)
		AND CASE s.subject_kind
			WHEN 'user' THEN EXISTS (SELECT 1 FROM users u JOIN accounts a ON a.id = u.account
				WHERE u.id = s.subject AND u.state = 'active' AND a.state = 'active')
			ELSE EXISTS (SELECT 1 FROM api_keys k JOIN accounts a ON a.id = k.account
				WHERE k.id = s.subject AND k.state = 'active' AND a.state = 'active' AND ` + ownerLive("k") + `) END
	RETURNING q.number, ` + sessionColumns + `)
	SELECT s.number, ` + sessionColumns + `, ` + subjectColumns + ` FROM s JOIN ` + subjectRow + ` ON true`
}

var (
	moveOne = moveIfCurrent(`(VALUES (0, $1::uuid, $2::bigint, $3::text, $4::bigint, $5::text, $6::bigint, $7::text, $8::bigint, $9::bigint, $10::bigint))`)
	// The arrays are sorted by key, so that all groups lock rows in one order.
	moveMany = moveIfCurrent(`unnest($1::int[], $2::uuid[], $3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::bigint[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[])`)
)

// scanMoved reads a row of moveIfCurrent and its number.
func scanMoved(row scanner) (int, *core.RefreshResult, error) {
	res := &core.RefreshResult{Verdict: core.RefreshMoved, Session: &core.Session{}, Subject: &core.Subject{}}
	var number int
	err := row.Scan(append(append([]any{&number}, sessionTargets(res.Session)...), subjectTargets(res.Subject)...)...)
	res.Subject.Kind, res.Subject.ID = res.Session.SubjectKind, res.Session.Subject
	return number, res, err
}

// RefreshSession implements core.Sessions. Where the policy does not rotate,
// no verdict writes and a reader answers.
func (s *Store) RefreshSession(ctx context.Context, p *core.RefreshParams) (*core.RefreshResult, error) {
	var res *core.RefreshResult
	err := s.turnedAway()
	switch {
	case !p.Policy.Rotates:
		err = s.view(ctx, func(c *conn) (err error) {
			res, err = judge(c, p)
			return err
		})
	case err != nil:
	case s.group != nil:
		res, err = s.group.refresh(ctx, p)
	default:
		err = s.submit(ctx, func(ctx context.Context) (err error) {
			res, err = s.refreshAlone(ctx, p)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	return res, nil
}

// refreshAlone is a refresh as a statement of its own.
func (s *Store) refreshAlone(ctx context.Context, p *core.RefreshParams) (*core.RefreshResult, error) {
	var res *core.RefreshResult
	err := s.attemptSingle(ctx, func(c *conn) (err error) {
		_, res, err = scanMoved(c.row(moveOne, p.ID.Key, p.ID.Epoch, p.Mount, p.Presented, p.Subject, p.Now, p.RefreshKey,
			p.Policy.GraceMS, p.Policy.IdleMS, p.Policy.AbsoluteMS))
		return err
	})
	switch {
	case err == nil:
		return res, nil
	case errors.Is(err, core.ErrNoRow):
		return s.unmoved(ctx, p)
	case inDoubt(err):
		return s.perhapsMoved(ctx, p)
	}
	return nil, err
}

// perhapsMoved settles a move whose outcome is unknown, by doing it once more:
// if the row waits for the first one's end, so does the update. When the row
// stands where only this step can have put it, it was this step.
func (s *Store) perhapsMoved(ctx context.Context, p *core.RefreshParams) (*core.RefreshResult, error) {
	var res *core.RefreshResult
	err := s.transact(ctx, func(t *tx) error {
		sess, subj, err := t.lockSession(p.ID.Key, `FOR NO KEY UPDATE`)
		if err != nil && !isNoRow(err) {
			return err
		}
		if sess != nil && subj != nil && sess.ID == p.ID && sess.Generation == p.Presented+1 && sess.Moves[0] == p.Now &&
			sess.RefreshKey == p.RefreshKey && sess.RevokedAt == 0 {
			res = &core.RefreshResult{Verdict: core.RefreshMoved, Session: sess, Subject: subj}
			return nil
		}
		res, err = t.settle(p, sess, subj)
		return err
	})
	if err != nil {
		return nil, err
	}
	return res, nil
}

// unmoved finds out what becomes of a refresh that the hot statement left
// alone. Most are repetitions or refusals, for which reading is enough, once
// what was read is confirmed: it is the answer.
func (s *Store) unmoved(ctx context.Context, p *core.RefreshParams) (*core.RefreshResult, error) {
	var res *core.RefreshResult
	err := s.again(ctx, s.pool, func(c *pgxpool.Conn) error {
		sess, subj, err := loadSessionConfirmed(&conn{ctx: ctx, q: c}, p.ID.Key)
		if err = s.outcome(c, err); err != nil && !isNoRow(err) {
			return err
		}
		res = verdict(p, sess, subj)
		return nil
	})
	if err != nil {
		return nil, err
	}
	switch res.Verdict {
	case core.RefreshReused, core.RefreshBehind, core.RefreshMoved:
	default:
		return res, nil
	}
	carryOut := s.transact
	if res.Verdict == core.RefreshReused {
		carryOut = s.transactEnding
	}
	err = carryOut(ctx, func(t *tx) error {
		sess, subj, err := t.lockSession(p.ID.Key, `FOR NO KEY UPDATE`)
		if err != nil && !isNoRow(err) {
			return err
		}
		res, err = t.settle(p, sess, subj)
		return err
	})
	if err != nil {
		return nil, err
	}
	return res, nil
}

// judge reads session and subject and asks the rule.
func judge(c *conn, p *core.RefreshParams) (*core.RefreshResult, error) {
	sess, subj, err := loadSession(c, p.ID.Key)
	if err != nil && !isNoRow(err) {
		return nil, err
	}
	return verdict(p, sess, subj), nil
}

func verdict(p *core.RefreshParams, sess *core.Session, subj *core.Subject) *core.RefreshResult {
	res := &core.RefreshResult{Verdict: core.JudgeRefresh(sess, subj, p), Session: sess, Subject: subj}
	if res.Verdict == core.RefreshNoSession {
		res.Session, res.Subject = nil, nil
	}
	return res
}

// settle does what the rule says to a row that is locked.
func (t *tx) settle(p *core.RefreshParams, sess *core.Session, subj *core.Subject) (*core.RefreshResult, error) {
	res := verdict(p, sess, subj)
	switch res.Verdict {
	case core.RefreshReused:
		_, err := t.endSessions(ending{reason: "reused", purgeAt: p.FactPurgeAt, now: p.Now},
			`SELECT key FROM sessions WHERE key = $1 AND revoked_at = 0`, p.ID.Key)
		if err != nil {
			return nil, err
		}
		res.Session.RevokedAt, res.Session.RevokedReason = max(p.Now, 1), "reused"
		t.audit(p.Now, p.ReuseEvent)
	case core.RefreshBehind, core.RefreshMoved:
		return res, t.move(p, res)
	}
	return res, nil
}

// move writes the row that core.NextMove gives.
func (t *tx) move(p *core.RefreshParams, res *core.RefreshResult) error {
	n := core.NextMove(res.Session, p)
	_, err := t.exec(`UPDATE sessions SET generation = $1, move0 = $2, move1 = $3, move2 = $4, move3 = $5, last_used_at = $6,
		refresh_key = $7, refresh_expires = $8, rotates = $9, grace_ms = $10, idle_ms = $11, absolute_ms = $12 WHERE key = $13`,
		n.Generation, n.Moves[0], n.Moves[1], n.Moves[2], n.Moves[3], n.LastUsedAt,
		n.RefreshKey, n.RefreshExpires, n.Rotates, n.GraceMS, n.IdleMS, n.AbsoluteMS, n.ID.Key)
	if err != nil {
		return err
	}
	res.Session = n
	if res.Verdict == core.RefreshBehind {
		t.audit(p.Now, p.BehindEvent)
	}
	return nil
}
