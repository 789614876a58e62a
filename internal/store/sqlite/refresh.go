package sqlite

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/internal/core"
)

// moveRow writes the columns that a move changes, by the row's number.
const moveRow = `UPDATE sessions SET generation = ?, move0 = ?, move1 = ?, move2 = ?, move3 = ?, last_used_at = ?,
	refresh_key = ?, refresh_expires = ?, rotates = ?, grace_ms = ?, idle_ms = ?, absolute_ms = ? WHERE rowid = ?`

// RefreshSession implements core.Sessions. Where the policy does not rotate,
// no verdict writes and a reader answers; else the writer does. There is no
// other who could change the row between its reading and its writing, so the
// writer asks the rule, and needs no conditional statement that says the same
// in SQL: one reading and one writing by the row's number are cheaper.
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
			res, _, err = judge(c, p)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	return res, nil
}

// judge reads session and subject and asks the rule. It gives the number of the
// session's row too.
func judge(c *conn, p *core.RefreshParams) (*core.RefreshResult, int64, error) {
	f, err := findSession(c, &p.ID.Key)
	if err != nil && !errors.Is(err, core.ErrNoRow) {
		return nil, 0, err
	}
	res := &core.RefreshResult{Verdict: core.JudgeRefresh(f.session, f.subject, p), Session: f.session, Subject: f.subject}
	if res.Verdict == core.RefreshNoSession {
		res.Session, res.Subject = nil, nil
	}
	return res, f.row, nil
}

func (t *tx) refresh(p *core.RefreshParams) (*core.RefreshResult, error) {
	res, row, err := judge(t.conn, p)
	if err != nil {
		return nil, err
	}
	switch res.Verdict {
	case core.RefreshReused:
		return res, t.reused(p, res)
	case core.RefreshBehind, core.RefreshMoved:
		return res, t.move(row, p, res)
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
func (t *tx) move(row int64, p *core.RefreshParams, res *core.RefreshResult) error {
	n := core.NextMove(res.Session, p)
	_, err := t.exec(moveRow,
		&n.Generation, &n.Moves[0], &n.Moves[1], &n.Moves[2], &n.Moves[3], &n.LastUsedAt,
		&n.RefreshKey, &n.RefreshExpires, flag(n.Rotates), &n.GraceMS, &n.IdleMS, &n.AbsoluteMS, row)
	if err != nil {
		return err
	}
	res.Session = n
	if res.Verdict == core.RefreshBehind {
		t.audit(p.Now, p.BehindEvent)
	}
	return nil
}
