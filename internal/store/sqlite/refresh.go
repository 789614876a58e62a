package sqlite

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/internal/core"
)

// moveIfCurrent is the hot statement: core.JudgeRefresh's way to RefreshMoved
// and core.NextMove in one conditional update. The suite compares the two.
var moveIfCurrent = `UPDATE sessions SET generation = generation + 1,
	move3 = move2, move2 = move1, move1 = move0, move0 = ?1, last_used_at = ?1,
	refresh_key = ?2, rotates = 1, grace_ms = ?3, idle_ms = ?4, absolute_ms = ?5,
	refresh_expires = (CASE WHEN ?5 > 0 THEN min(?1 + ?4, created_at + ?5) ELSE ?1 + ?4 END) / 1000 * 1000
WHERE key = ?6 AND epoch = ?7 AND mount = ?8 AND generation = ?9 AND revoked_at = 0
	AND (?10 = '' OR subject = ?10)
	AND ?1 < refresh_expires
	AND (absolute_ms <= 0 OR ?1 < created_at + absolute_ms)
	AND (?5 <= 0 OR ?1 < created_at + ?5)
	AND (?4 <= 0 OR ?1 < move0 + ?4)
	AND CASE subject_kind
		WHEN 'user' THEN EXISTS (SELECT 1 FROM users u JOIN accounts a ON a.id = u.account
			WHERE u.id = sessions.subject AND u.state = 'active' AND a.state = 'active')
		ELSE EXISTS (SELECT 1 FROM api_keys k JOIN accounts a ON a.id = k.account
			WHERE k.id = sessions.subject AND k.state = 'active' AND a.state = 'active' AND ` + ownerLive("k") + `) END
RETURNING ` + sessionRow + `, ` + subjectOfSession

// RefreshSession implements core.Sessions. Where the policy does not rotate,
// no verdict writes and a reader answers; else the writer does, where most
// refreshes are one conditional update alone.
func (s *Store) RefreshSession(ctx context.Context, p *core.RefreshParams) (*core.RefreshResult, error) {
	var res *core.RefreshResult
	var err error
	if p.Policy.Rotates {
		err = s.single(ctx, func(t *tx) (err error) {
			res, err = t.refresh(p)
			return err
		})
	} else {
		err = s.view(ctx, func(c *conn) (err error) {
			res, err = judge(c, p)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	return res, nil
}

// judge reads session and subject and asks the rule.
func judge(c *conn, p *core.RefreshParams) (*core.RefreshResult, error) {
	sess, subj, err := loadSession(c, p.ID.Key)
	if err != nil && !errors.Is(err, core.ErrNoRow) {
		return nil, err
	}
	res := &core.RefreshResult{Verdict: core.JudgeRefresh(sess, subj, p), Session: sess, Subject: subj}
	if res.Verdict == core.RefreshNoSession {
		res.Session, res.Subject = nil, nil
	}
	return res, nil
}

func (t *tx) refresh(p *core.RefreshParams) (*core.RefreshResult, error) {
	sess, subj, err := scanSessionAndSubject(t.row(moveIfCurrent, p.Now, p.RefreshKey, p.Policy.GraceMS, p.Policy.IdleMS, p.Policy.AbsoluteMS,
		p.ID.Key[:], p.ID.Epoch, p.Mount, p.Presented, p.Subject))
	if err == nil {
		return &core.RefreshResult{Verdict: core.RefreshMoved, Session: sess, Subject: subj}, nil
	}
	if !errors.Is(err, core.ErrNoRow) {
		return nil, err
	}
	res, err := judge(t.conn, p)
	if err != nil {
		return nil, err
	}
	switch res.Verdict {
	case core.RefreshReused:
		return res, t.reused(p, res)
	case core.RefreshBehind, core.RefreshMoved:
		// RefreshMoved would mean that the statement above is stricter than the
		// rule. The rule is right.
		return res, t.move(p, res)
	default:
		return res, nil
	}
}

// reused revokes the session of a refresh token that came late again.
func (t *tx) reused(p *core.RefreshParams, res *core.RefreshResult) error {
	if err := t.savepoint(); err != nil {
		return err
	}
	_, err := t.endSessions(ending{reason: "reused", purgeAt: p.FactPurgeAt, now: p.Now},
		`SELECT key FROM sessions WHERE key = ? AND revoked_at = 0`, p.ID.Key[:])
	if err != nil {
		return err
	}
	res.Session.RevokedAt, res.Session.RevokedReason = max(p.Now, 1), "reused"
	t.audit(p.Now, p.ReuseEvent)
	return nil
}

// move writes the row that core.NextMove gives.
func (t *tx) move(p *core.RefreshParams, res *core.RefreshResult) error {
	n := core.NextMove(res.Session, p)
	_, err := t.exec(`UPDATE sessions SET generation = ?, move0 = ?, move1 = ?, move2 = ?, move3 = ?, last_used_at = ?,
		refresh_key = ?, refresh_expires = ?, rotates = ?, grace_ms = ?, idle_ms = ?, absolute_ms = ? WHERE key = ?`,
		n.Generation, n.Moves[0], n.Moves[1], n.Moves[2], n.Moves[3], n.LastUsedAt,
		n.RefreshKey, n.RefreshExpires, flag(n.Rotates), n.GraceMS, n.IdleMS, n.AbsoluteMS, n.ID.Key[:])
	if err != nil {
		return err
	}
	res.Session = n
	if res.Verdict == core.RefreshBehind {
		t.audit(p.Now, p.BehindEvent)
	}
	return nil
}
