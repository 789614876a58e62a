package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
)

// liveSession is true for rows that are neither revoked nor past their own
// deadline; ?1 is the time.
const liveSession = `revoked_at = 0 AND ?1 < refresh_expires AND (absolute_ms <= 0 OR ?1 < created_at + absolute_ms)`

// notEnded is true for sessions that no fact on everything, or on their account,
// ended without touching the row.
const notEnded = `epoch >= ` + everythingEnded + ` AND epoch >= (SELECT ended_fact FROM accounts WHERE accounts.id = sessions.account)`

// gateHolds is true when subject and account are active and at the versions of
// a core.Gate; its parameters are ?1 subject, ?2 version, ?3 account, ?4
// account version.
func gateHolds(kind core.SubjectKind) string {
	table, more := "users", ""
	if kind == core.SubjectAPIKey {
		table, more = "api_keys", " AND "+ownerLive("g")
	}
	return `EXISTS (SELECT 1 FROM ` + table + ` g JOIN accounts a ON a.id = g.account
		WHERE g.id = ?1 AND g.state = 'active' AND g.version = ?2 AND a.id = ?3 AND a.state = 'active' AND a.version = ?4` + more + `)`
}

// ownerLive is true for an API key of an operator, or of a user who is active:
// a disabled user's credentials do not count.
func ownerLive(key string) string {
	return `(` + key + `.owner = '' OR EXISTS (SELECT 1 FROM users o WHERE o.id = ` + key + `.owner AND o.state = 'active'))`
}

var insertSession = map[core.SubjectKind]string{
	core.SubjectUser:   insertSessionIf(core.SubjectUser),
	core.SubjectAPIKey: insertSessionIf(core.SubjectAPIKey),
}

func insertSessionIf(kind core.SubjectKind) string {
	return `INSERT INTO sessions (key, epoch, mount, account, subject_kind, subject, credential, login_name, issuer,
		generation, move0, move1, move2, move3, refresh_key, refresh_expires, created_at, last_used_at,
		rotates, grace_ms, idle_ms, absolute_ms, revoked_at, revoked_reason, address, user_agent, status)
	SELECT ?5, ` + lastFact + `, ?6, ?3, '` + string(kind) + `', ?1, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
		?19, ?20, ?21, ?22, 0, '', ?23, ?24, ?25
	WHERE ` + gateHolds(kind) + ` RETURNING epoch`
}

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
	if before, subj, err := loadSession(t.conn, p.Session.ID.Key); err == nil {
		return &core.OpenResult{Session: before, Subject: subj}, nil // repeated: all is done
	} else if !errors.Is(err, core.ErrNoRow) {
		return nil, err
	}
	n, g := p.Session, &p.Gate
	insert, ok := insertSession[g.SubjectKind]
	if !ok {
		return nil, fmt.Errorf("opening a session: unknown kind of subject %q", g.SubjectKind)
	}
	err := t.row(insert, g.Subject, g.Version, g.Account, g.AccountVersion,
		n.ID.Key[:], n.Mount, n.Credential, n.LoginName, n.Issuer,
		n.Generation, n.Moves[0], n.Moves[1], n.Moves[2], n.Moves[3], n.RefreshKey, n.RefreshExpires, n.CreatedAt, n.LastUsedAt,
		flag(n.Rotates), n.GraceMS, n.IdleMS, n.AbsoluteMS, n.Address, n.UserAgent, n.Status).Scan(&n.ID.Epoch)
	if err = noRow(err); errors.Is(err, core.ErrNoRow) {
		return nil, core.ErrStale
	} else if err != nil {
		return nil, err
	}
	n.SubjectKind, n.Subject, n.Account = g.SubjectKind, g.Subject, g.Account
	n.RevokedAt, n.RevokedReason = 0, ""
	if err := t.capSessions(p, n.ID.Key); err != nil {
		return nil, err
	}
	if p.Attempt != nil {
		if err := t.settleAttempt(p.Attempt); err != nil {
			return nil, err
		}
	}
	if err := t.noteLogin(p); err != nil {
		return nil, err
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

// noteLogin records the last login on the subject.
func (t *tx) noteLogin(p *core.OpenSessionParams) error {
	query := `UPDATE users SET last_login_at = ?, last_login_from = ? WHERE id = ?`
	if p.Gate.SubjectKind == core.SubjectAPIKey {
		query = `UPDATE api_keys SET last_login = ?, last_from = ? WHERE id = ?`
	}
	_, err := t.exec(query, p.Now, p.Session.Address, p.Gate.Subject)
	return err
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
		`SELECT key FROM sessions WHERE subject = ?2 AND key <> ?3 AND `+liveSession+`
		ORDER BY last_used_at DESC, created_at DESC, key LIMIT -1 OFFSET ?4`,
		p.Now, p.Gate.Subject, opened[:], p.MaxPerSubject-1)
	return err
}

// endSessions revokes the unrevoked sessions whose keys a query gives, adds a
// fact for each, and tells which they were.
func (t *tx) endSessions(end ending, query string, args ...any) ([]core.SessionID, error) {
	var ended []core.SessionID
	err := t.each(func(row scanner) error {
		var key [16]byte
		err := row.Scan(fixed(key[:]))
		ended = append(ended, core.SessionID{Key: key})
		return err
	}, query, args...)
	if err != nil {
		return nil, err
	}
	n := 0
	for _, id := range ended {
		err := noRow(t.row(`UPDATE sessions SET revoked_at = ?, revoked_reason = ? WHERE key = ? AND revoked_at = 0 RETURNING epoch`,
			max(end.now, 1), end.reason, id.Key[:]).Scan(&id.Epoch))
		if errors.Is(err, core.ErrNoRow) {
			continue
		}
		if err == nil {
			_, err = t.addFact(core.Fact{Kind: core.FactSession, Subject: id.String(), Reason: end.reason, At: end.now, PurgeAt: end.purgeAt})
		}
		if err != nil {
			return nil, err
		}
		ended[n] = id
		n++
	}
	return ended[:n], nil
}

// endSubject revokes all sessions of a user or API key but one, under one fact
// on the subject.
func (t *tx) endSubject(kind core.FactKind, subject, spare string, end ending) error {
	_, err := t.exec(`UPDATE sessions SET revoked_at = ?, revoked_reason = ? WHERE subject = ? AND revoked_at = 0 AND key <> ?`,
		max(end.now, 1), end.reason, subject, spareKey(spare))
	if err != nil {
		return err
	}
	_, err = t.addFact(core.Fact{Kind: kind, Subject: subject, Spare: spare, Reason: end.reason, At: end.now, PurgeAt: end.purgeAt})
	return err
}

// spareKey is the key of a sid, or an empty one, which no row has.
func spareKey(sid string) []byte {
	id, err := core.ParseSessionID(sid)
	if err != nil {
		return []byte{}
	}
	return id.Key[:]
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
	for _, part := range chunks(touches, 100) {
		err := s.multi(ctx, func(t *tx) error {
			for i := range part {
				_, err := t.exec(`UPDATE sessions SET last_used_at = ?1 WHERE key = ?2 AND epoch = ?3 AND last_used_at < ?1`,
					part[i].At, part[i].ID.Key[:], part[i].ID.Epoch)
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// chunks cuts a slice into parts short enough for one step each.
func chunks[T any](all []T, size int) [][]T {
	var parts [][]T
	for len(all) > size {
		parts, all = append(parts, all[:size]), all[size:]
	}
	if len(all) > 0 {
		parts = append(parts, all)
	}
	return parts
}

// ListSessions implements core.Sessions.
func (s *Store) ListSessions(ctx context.Context, q core.SessionQuery) (all []*core.Session, err error) {
	where, args := []string{liveSession, notEnded}, []any{q.Now}
	for _, f := range []struct{ column, value string }{{"account", q.Account}, {"subject", q.Subject}, {"mount", q.Mount}} {
		if f.value != "" {
			args = append(args, f.value)
			where = append(where, fmt.Sprintf("%s = ?%d", f.column, len(args)))
		}
	}
	if q.Before > 0 {
		args = append(args, q.Before)
		where = append(where, fmt.Sprintf("created_at < ?%d", len(args)))
	}
	args = append(args, limitOf(q.Limit))
	query := fmt.Sprintf(`SELECT %s FROM sessions WHERE %s ORDER BY created_at DESC, key LIMIT ?%d`,
		sessionColumns, strings.Join(where, " AND "), len(args))
	err = s.view(ctx, func(c *conn) error {
		return c.each(func(row scanner) error {
			one := new(core.Session)
			err := row.Scan(sessionTargets(one)...)
			all = append(all, one)
			return err
		}, query, args...)
	})
	if err != nil {
		return nil, err
	}
	return all, nil
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
			ended, err = t.endSessions(end, `SELECT key FROM sessions WHERE key = ?1 AND epoch = ?2 AND (?3 = '' OR mount = ?3) AND key <> ?4 AND revoked_at = 0`,
				p.ID.Key[:], p.ID.Epoch, p.Mount, spareKey(p.Spare))
		} else {
			ended, err = t.endSessions(end, `SELECT key FROM sessions WHERE subject = ?1 AND (?2 = '' OR mount = ?2) AND key <> ?3 AND revoked_at = 0`,
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
