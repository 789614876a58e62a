package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/internal/core"
)

// liveSession is true for rows that are neither revoked nor past their own
// deadline; $1 is the time.
const liveSession = `revoked_at = 0 AND $1 < refresh_expires AND (absolute_ms <= 0 OR $1 < created_at + absolute_ms)`

// notEnded is true for sessions s that no fact on everything, or on their
// account, ended without touching the row.
const notEnded = `s.epoch >= ` + everythingEnded + ` AND s.epoch >= (SELECT ended_fact FROM accounts WHERE accounts.id = s.account)`

// lastFact is the highest fact number committed. An SQL expression.
const lastFact = `(SELECT last FROM fact_counter)`

// noteLogin records the last login, if subject and account are what a core.Gate
// says. It is the gate's first half: it locks the subject's row, so that what
// changes a subject comes before the login, or after it and finds its session.
var noteLogin = map[core.SubjectKind]string{
	core.SubjectUser: `UPDATE users g SET last_login_at = $5, last_login_from = $6 FROM accounts a
		WHERE a.id = g.account AND g.id = $1 AND g.state = 'active' AND g.version = $2 AND a.id = $3 AND a.state = 'active' AND a.version = $4`,
	core.SubjectAPIKey: `UPDATE api_keys g SET last_login = $5, last_from = $6 FROM accounts a
		WHERE a.id = g.account AND g.id = $1 AND g.state = 'active' AND g.version = $2 AND a.id = $3 AND a.state = 'active' AND a.version = $4
		AND ` + ownerLive("g"),
}

const insertSession = `INSERT INTO sessions (key, epoch, issuer, generation, move0, move1, move2, move3, refresh_expires, created_at,
	last_used_at, grace_ms, idle_ms, absolute_ms, revoked_at, status, rotates, subject_kind, mount, account,
	subject, refresh_key, credential, login_name, revoked_reason, address, user_agent)
	VALUES ($1, ` + lastFact + `, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, $14, $15, $16, $17, $18, $19, $20, $21, $22, '', $23, $24)
	ON CONFLICT (key) DO NOTHING RETURNING epoch`

// OpenSession implements core.Sessions.
func (s *Store) OpenSession(ctx context.Context, p *core.OpenSessionParams) (*core.OpenResult, error) {
	var res *core.OpenResult
	err := s.multi(ctx, func(t *tx) (err error) {
		res, err = t.openSession(p)
		return err
	})
	if err != nil {
		return nil, err
	}
	return res, nil
}

func (t *tx) openSession(p *core.OpenSessionParams) (*core.OpenResult, error) {
	n, g := p.Session, &p.Gate
	note, ok := noteLogin[g.SubjectKind]
	if !ok {
		return nil, fmt.Errorf("%w: opening a session: unknown kind of subject %q", core.ErrStoreUnavailable, g.SubjectKind)
	}
	moved, err := t.exec(note, g.Subject, g.Version, g.Account, g.AccountVersion, p.Now, p.Session.Address)
	if err != nil {
		return nil, err
	}
	if moved == 0 {
		return t.opened(p, core.ErrStale)
	}
	err = t.row(insertSession, n.ID.Key, n.Issuer, n.Generation, n.Moves[0], n.Moves[1], n.Moves[2], n.Moves[3], n.RefreshExpires, n.CreatedAt,
		n.LastUsedAt, n.GraceMS, n.IdleMS, n.AbsoluteMS, n.Status, n.Rotates, string(g.SubjectKind), n.Mount, g.Account,
		g.Subject, n.RefreshKey, n.Credential, n.LoginName, n.Address, n.UserAgent).Scan(&n.ID.Epoch)
	if isNoRow(err) {
		return t.opened(p, fmt.Errorf("%w: the session was opened and is not there", core.ErrStoreUnavailable))
	}
	if err != nil {
		return nil, err
	}
	n.SubjectKind, n.Subject, n.Account = g.SubjectKind, g.Subject, g.Account
	n.RevokedAt, n.RevokedReason = 0, ""
	if err := t.capSessions(p, n.ID.Key); err != nil {
		return nil, err
	}
	if p.Attempt != nil {
		if err := settleAttempt(t.conn, p.Attempt); err != nil {
			return nil, err
		}
	}
	subj, err := loadSubject(t.conn, n.SubjectKind, n.Subject)
	if err != nil {
		return nil, err
	}
	event := p.Event
	if event.Session == "" {
		event.Session = n.ID.String() // the caller could not know the epoch
	}
	t.audit(p.Now, event)
	return &core.OpenResult{Session: &n, Subject: subj}, nil
}

// opened answers a step that is repeated: all is done. Else it is otherwise.
func (t *tx) opened(p *core.OpenSessionParams, otherwise error) (*core.OpenResult, error) {
	sess, subj, err := loadSession(t.conn, p.Session.ID.Key)
	if isNoRow(err) {
		return nil, otherwise
	}
	return &core.OpenResult{Session: sess, Subject: subj}, err
}

// ending says with which words something ends.
type ending struct {
	reason  string
	purgeAt int64
	now     int64
}

// capSessions ends the longest idle live sessions beyond the cap, sparing the
// one just opened.
func (t *tx) capSessions(p *core.OpenSessionParams, opened [16]byte) error {
	if p.MaxPerSubject <= 0 {
		return nil
	}
	_, err := t.endSessions(ending{reason: "too many sessions", purgeAt: p.FactPurgeAt, now: p.Now},
		`SELECT key FROM sessions WHERE subject = $2 AND key <> $3 AND `+liveSession+`
		ORDER BY last_used_at DESC, created_at DESC, key OFFSET $4`,
		p.Now, p.Gate.Subject, opened, p.MaxPerSubject-1)
	return err
}

// revokeRows revokes the unrevoked sessions whose keys a query gives, and tells
// which they were. They are locked in the order of their keys, as refreshes
// that come in groups do it.
func (t *tx) revokeRows(end ending, query string, args ...any) ([]core.SessionID, error) {
	keys, err := collect(t.conn, one[[16]byte], query, args...)
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	if len(keys) > 1 {
		if _, err := t.exec(`SELECT 1 FROM sessions WHERE key = ANY($1) ORDER BY key FOR NO KEY UPDATE`, keys); err != nil {
			return nil, err
		}
	}
	type ended struct {
		id     core.SessionID
		status int64
	}
	rows, err := collect(t.conn, func(row scanner) (e ended, err error) {
		return e, row.Scan(&e.id.Key, &e.id.Epoch, &e.status)
	}, `UPDATE sessions SET revoked_at = $1, revoked_reason = $2 WHERE key = ANY($3) AND revoked_at = 0 RETURNING key, epoch, status`,
		max(end.now, 1), end.reason, keys)
	if err != nil {
		return nil, err
	}
	ids := make([]core.SessionID, len(rows))
	for i, r := range rows {
		ids[i] = r.id
		t.statusChanged(core.StatusSessions, r.status)
	}
	return ids, nil
}

// endSessions is revokeRows with a fact for each.
func (t *tx) endSessions(end ending, query string, args ...any) ([]core.SessionID, error) {
	ids, err := t.revokeRows(end, query, args...)
	for _, id := range ids {
		t.addFact(core.Fact{Kind: core.FactSession, Subject: id.String(), Reason: end.reason, At: end.now, PurgeAt: end.purgeAt})
	}
	return ids, err
}

// endSubject revokes all sessions of a user or API key but one, under one fact
// on the subject.
func (t *tx) endSubject(kind core.FactKind, subject, spare string, end ending) error {
	_, err := t.revokeRows(end, `SELECT key FROM sessions WHERE subject = $1 AND revoked_at = 0 AND key <> $2`, subject, spareKey(spare))
	t.addFact(core.Fact{Kind: kind, Subject: subject, Spare: spare, Reason: end.reason, At: end.now, PurgeAt: end.purgeAt})
	return err
}

// spareKey is the key of a sid, or one that no row has: keys are random.
func spareKey(sid string) (none [16]byte) {
	id, err := core.ParseSessionID(sid)
	if err != nil {
		return none
	}
	return id.Key
}

// SessionByID implements core.Sessions.
func (s *Store) SessionByID(ctx context.Context, id core.SessionID) (sess *core.Session, subj *core.Subject, err error) {
	err = s.view(ctx, func(c *conn) (err error) {
		sess, subj, err = loadSession(c, id.Key)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if sess.ID != id {
		return nil, nil, core.ErrNoRow
	}
	return sess, subj, nil
}

// TouchSessions implements core.Sessions. The address of a touch is for the
// log: a session keeps the one that it was opened from.
func (s *Store) TouchSessions(ctx context.Context, _ int64, touches []core.Touch) error {
	latest := make(map[core.SessionID]int64, len(touches))
	for _, t := range touches {
		latest[t.ID] = max(latest[t.ID], t.At)
	}
	ids := make([]core.SessionID, 0, len(latest))
	for id := range latest {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b core.SessionID) int { return slices.Compare(a.Key[:], b.Key[:]) })
	for _, part := range chunks(ids, 100) {
		keys, epochs, times := make([][16]byte, len(part)), make([]int64, len(part)), make([]int64, len(part))
		for i, id := range part {
			keys[i], epochs[i], times[i] = id.Key, id.Epoch, latest[id]
		}
		err := s.single(ctx, true, func(c *conn) error {
			_, err := c.exec(`UPDATE sessions s SET last_used_at = q.at FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS q (key, epoch, at)
				WHERE s.key = q.key AND s.epoch = q.epoch AND s.last_used_at < q.at`, keys, epochs, times)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ListSessions implements core.Sessions.
func (s *Store) ListSessions(ctx context.Context, q core.SessionQuery) (all []*core.Session, err error) {
	f := filter{where: []string{liveSession, notEnded}, args: []any{q.Now}}
	f.text("s.account", q.Account)
	f.text("s.subject", q.Subject)
	f.text("s.mount", q.Mount)
	if q.Before > 0 {
		f.and("s.created_at <", q.Before)
	}
	query := fmt.Sprintf(`SELECT %s FROM sessions s WHERE %s ORDER BY s.created_at DESC, s.key LIMIT %s`, sessionColumns, f.String(), f.arg(limitOf(q.Limit)))
	err = s.view(ctx, func(c *conn) (err error) {
		all, err = collect(c, scanSession, query, f.args...)
		return err
	})
	return all, err
}

// RevokeSessions implements core.Sessions. Sessions past their deadline but
// not yet purged are ended too: access tokens of theirs may still live.
func (s *Store) RevokeSessions(ctx context.Context, p *core.RevokeSessionsParams) (int, error) {
	var n int
	err := s.ending(ctx, true, func(t *tx) error {
		end := ending{reason: p.Reason, purgeAt: p.FactPurgeAt, now: p.Now}
		var ended []core.SessionID
		var err error
		if p.ID != nil {
			ended, err = t.endSessions(end, `SELECT key FROM sessions WHERE key = $1 AND epoch = $2 AND ($3 = '' OR mount = $3) AND key <> $4 AND revoked_at = 0`,
				p.ID.Key, p.ID.Epoch, p.Mount, spareKey(p.Spare))
		} else {
			ended, err = t.endSessions(end, `SELECT key FROM sessions WHERE subject = $1 AND ($2 = '' OR mount = $2) AND key <> $3 AND revoked_at = 0`,
				p.Subject, p.Mount, spareKey(p.Spare))
		}
		if err != nil {
			return err
		}
		if n = len(ended); n > 0 {
			t.audit(p.Now, p.Event)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}
