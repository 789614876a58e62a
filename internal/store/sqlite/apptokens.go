package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/internal/core"
)

const appTokenColumns = `id, hash, user, account, mount, session, label, networks, scopes, created_at, created_by,
	last_used, last_from, revoked_at, suspended, status`

func scanAppToken(row scanner) (*core.ApplicationToken, error) {
	var a core.ApplicationToken
	err := row.Scan(&a.ID, fixed(a.Hash[:]), &a.User, &a.Account, &a.Mount, &a.Session, &a.Label, list{&a.Networks}, list{&a.Scopes},
		&a.CreatedAt, &a.CreatedBy, &a.LastUsed, &a.LastFrom, &a.RevokedAt, &a.Suspended, &a.Status)
	if err != nil {
		return nil, noRow(err)
	}
	return &a, nil
}

// insertAppToken holds the whole gate: versions, type, the minting session
// alive, its own and on the mount, and room under the cap.
var insertAppToken = `INSERT INTO app_tokens (` + appTokenColumns + `)
	SELECT ?5, ?6, ?1, ?3, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 0, '', 0, 0, ?18
	WHERE ` + gateHolds(core.SubjectUser) + `
	AND EXISTS (SELECT 1 FROM users WHERE id = ?1 AND type = 'application')
	AND EXISTS (SELECT 1 FROM sessions s WHERE s.key = ?14 AND s.epoch = ?15 AND s.subject = ?1 AND s.mount = ?7
		AND s.revoked_at = 0 AND ?16 < s.refresh_expires AND (s.absolute_ms <= 0 OR ?16 < s.created_at + s.absolute_ms))
	AND (?17 <= 0 OR ` + liveTokens + ` < ?17)`

// liveTokens counts the tokens of user ?1 that stand against the cap.
const liveTokens = `(SELECT count(*) FROM app_tokens WHERE user = ?1 AND revoked_at = 0)`

// MintApplicationToken implements core.ApplicationTokens.
func (s *Store) MintApplicationToken(ctx context.Context, p *core.MintParams) (core.MintVerdict, error) {
	var verdict core.MintVerdict
	err := s.multi(ctx, func(t *tx) (err error) {
		verdict, err = t.mint(p)
		return err
	})
	if err != nil {
		return "", err
	}
	return verdict, nil
}

func (t *tx) mint(p *core.MintParams) (core.MintVerdict, error) {
	var hash [32]byte
	err := noRow(t.row(`SELECT hash FROM app_tokens WHERE id = ?`, p.Token.ID).Scan(fixed(hash[:])))
	if err == nil {
		if bytes.Equal(hash[:], p.Token.Hash[:]) {
			return core.MintRepeat, nil
		}
		return "", fmt.Errorf("%w: application token %s", core.ErrExists, p.Token.ID)
	}
	if !errors.Is(err, core.ErrNoRow) {
		return "", err
	}
	a, g := &p.Token, &p.Gate
	if g.SubjectKind != core.SubjectUser || a.User != g.Subject || a.Account != g.Account {
		return core.MintType, nil
	}
	n, err := t.exec(insertAppToken, g.Subject, g.Version, g.Account, g.AccountVersion,
		a.ID, a.Hash[:], a.Mount, a.Session, a.Label, encodeList(a.Networks), encodeList(a.Scopes), a.CreatedAt, a.CreatedBy,
		p.Session.Key[:], p.Session.Epoch, p.Now, p.MaxPerUser, a.Status)
	if err != nil {
		return "", taken(err)
	}
	if n == 0 {
		return t.whyNotMinted(p)
	}
	if _, err := t.exec(`UPDATE users SET had_app_token = 1 WHERE id = ? AND NOT had_app_token`, g.Subject); err != nil {
		return "", err
	}
	t.audit(p.Now, p.Event)
	return core.Minted, nil
}

// whyNotMinted names the part of the gate that refused.
func (t *tx) whyNotMinted(p *core.MintParams) (core.MintVerdict, error) {
	var kind string
	var live int
	err := noRow(t.row(`SELECT type, `+liveTokens+` FROM users WHERE id = ?1`, p.Gate.Subject).Scan(&kind, &live))
	switch {
	case errors.Is(err, core.ErrNoRow):
		return core.MintStale, nil
	case err != nil:
		return "", err
	case kind != string(core.TypeApplication):
		return core.MintType, nil
	}
	var holds bool
	err = t.row(`SELECT `+gateHolds(core.SubjectUser), p.Gate.Subject, p.Gate.Version, p.Gate.Account, p.Gate.AccountVersion).Scan(&holds)
	if err != nil {
		return "", err
	}
	if holds && p.MaxPerUser > 0 && live >= p.MaxPerUser {
		return core.MintTooMany, nil
	}
	return core.MintStale, nil
}

// ApplicationTokenByHash implements core.ApplicationTokens.
func (s *Store) ApplicationTokenByHash(ctx context.Context, hash [32]byte) (a *core.ApplicationToken, subj *core.Subject, err error) {
	err = s.snapshot(ctx, func(c *conn) (err error) {
		if a, err = scanAppToken(c.row(`SELECT `+appTokenColumns+` FROM app_tokens WHERE hash = ?`, hash[:])); err != nil {
			return err
		}
		subj, err = loadSubject(c, core.SubjectUser, a.User)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return a, subj, nil
}

// ListApplicationTokens implements core.ApplicationTokens.
func (s *Store) ListApplicationTokens(ctx context.Context, q core.ApplicationTokenQuery) (all []*core.ApplicationToken, err error) {
	f := filter{where: []string{"revoked_at = 0"}}
	f.text("account", q.Account)
	f.text("user", q.User)
	if q.Before != 0 {
		f.and("created_at < ?", q.Before)
	}
	query := `SELECT ` + appTokenColumns + ` FROM app_tokens WHERE ` + f.String() + ` ORDER BY created_at DESC, id LIMIT ?`
	err = s.view(ctx, func(c *conn) error {
		return c.each(func(row scanner) error {
			a, err := scanAppToken(row)
			all = append(all, a)
			return err
		}, query, append(f.args, limitOf(q.Limit))...)
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// ChangeApplicationToken implements core.ApplicationTokens.
func (s *Store) ChangeApplicationToken(ctx context.Context, p *core.ChangeApplicationTokenParams) (*core.ApplicationToken, error) {
	var change string
	var value int64
	switch p.Action {
	case core.TokenRevoke:
		change, value = "revoked_at", max(p.Now, 1)
	case core.TokenSuspend:
		change, value = "suspended", 1
	case core.TokenResume:
		change, value = "suspended", 0
	default:
		return nil, fmt.Errorf("%w: unknown action %q on an application token", core.ErrStoreUnavailable, p.Action)
	}
	query := `UPDATE app_tokens SET ` + change + ` = ? WHERE id = ? AND revoked_at = 0 RETURNING ` + appTokenColumns
	var a *core.ApplicationToken
	err := s.ending(ctx, p.Action != core.TokenResume, func(t *tx) (err error) {
		if a, err = scanAppToken(t.row(query, value, p.ID)); err != nil {
			return err
		}
		if err := t.settleTokens(string(p.Action), p.Now, `t.id = ?`, p.ID); err != nil {
			return err
		}
		t.audit(p.Now, p.Event)
		t.news = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// revokeTokensOfUser revokes all application tokens of a user. Their facts are
// settled with what else the step does to the user.
func (t *tx) revokeTokensOfUser(user string, end ending) error {
	_, err := t.exec(`UPDATE app_tokens SET revoked_at = ? WHERE user = ? AND revoked_at = 0`, max(end.now, 1), user)
	return err
}

// suspendTokensOfLiveSessions suspends the application tokens that were minted
// in sessions of the user which are about to end.
func (t *tx) suspendTokensOfLiveSessions(user, spare string) error {
	var sids []string
	err := t.each(func(row scanner) error {
		var id core.SessionID
		err := row.Scan(fixed(id.Key[:]), &id.Epoch)
		sids = append(sids, id.String())
		return err
	}, `SELECT key, epoch FROM sessions WHERE subject = ? AND revoked_at = 0 AND key <> ?`, user, spareKey(spare))
	if err != nil {
		return err
	}
	_, err = t.exec(`UPDATE app_tokens SET suspended = 1 WHERE user = ?1 AND revoked_at = 0 AND NOT suspended
		AND session IN (SELECT value FROM json_each(?2))`, user, encodeList(sids))
	return err
}

// TouchApplicationTokens implements core.ApplicationTokens.
func (s *Store) TouchApplicationTokens(ctx context.Context, touches []core.TokenTouch) error {
	for _, part := range chunks(touches, 100) {
		err := s.multi(ctx, func(t *tx) error {
			for i := range part {
				_, err := t.exec(`UPDATE app_tokens SET last_used = ?1, last_from = ?2 WHERE id = ?3 AND last_used <= ?1`,
					part[i].At, part[i].Address, part[i].ID)
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
