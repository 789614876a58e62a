package postgres

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/internal/core"
)

const codeSelect = `SELECT hash, client, client_version, redirect_uri, challenge, nonce, scope, audience, subject, subject_version,
	account, account_version, auth_time, browser, login_name, created_at, expires_at, used_at, session FROM oauth_codes WHERE hash = $1 `

func loadCode(c *conn, hash [32]byte, how string) (*core.AuthCode, error) {
	var a core.AuthCode
	err := c.row(codeSelect+how, hash[:]).Scan(fixed(a.Hash[:]), &a.Client, &a.ClientVersion, &a.RedirectURI, &a.Challenge, &a.Nonce,
		list{&a.Scope}, list{&a.Audience}, &a.Subject, &a.SubjectVersion, &a.Account, &a.AccountVersion,
		&a.AuthTime, &a.Browser, &a.LoginName, &a.CreatedAt, &a.ExpiresAt, &a.UsedAt, &a.Session)
	return &a, err
}

// codeGate is true when user, account and client are active and at their
// versions. It keeps the user's row until the step is over: what withdraws the
// consent locks that too, and then finds the code.
const codeGate = `SELECT 1 FROM users g JOIN accounts a ON a.id = g.account JOIN oauth_clients c ON c.id = $5
	WHERE g.id = $1 AND g.state = 'active' AND g.version = $2 AND a.id = $3 AND a.state = 'active' AND a.version = $4
	AND c.version = $6 AND c.state = 'active' FOR SHARE OF g, c`

// CreateCode implements core.AuthCodes.
func (s *Store) CreateCode(ctx context.Context, p *core.CreateCodeParams) error {
	a := p.Code
	return s.multi(ctx, func(t *tx) error {
		if lives, err := t.browserLives(a.Browser, a.Subject, p.Now); err != nil {
			return err
		} else if !lives {
			return core.ErrStale
		}
		n, err := t.exec(codeGate, a.Subject, a.SubjectVersion, a.Account, a.AccountVersion, a.Client, a.ClientVersion)
		if err != nil {
			return err
		}
		if n > 0 && p.Consent {
			n, err = t.exec(`SELECT 1 FROM oauth_consents WHERE user_id = $1 AND client = $2`, a.Subject, a.Client)
			if err != nil {
				return err
			}
		}
		if n == 0 {
			return core.ErrStale
		}
		_, err = t.exec(`INSERT INTO oauth_codes (hash, client, client_version, redirect_uri, challenge, nonce, scope, audience, subject, subject_version,
			account, account_version, auth_time, browser, login_name, created_at, expires_at, used_at, session)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, 0, $18)`,
			a.Hash[:], a.Client, a.ClientVersion, a.RedirectURI, a.Challenge, a.Nonce, encodeList(a.Scope), encodeList(a.Audience), a.Subject, a.SubjectVersion,
			a.Account, a.AccountVersion, a.AuthTime, a.Browser, a.LoginName, a.CreatedAt, a.ExpiresAt, [16]byte{})
		return taken(err)
	})
}

// browserLives reports whether the login that a code comes from has not been
// ended, and keeps it from being ended before the step is over: a logout that
// comes meanwhile waits, and finds what the step made. A code without a login
// needs none.
func (t *tx) browserLives(sid, subject string, now int64) (bool, error) {
	if sid == "" {
		return true, nil
	}
	id, err := core.ParseSessionID(sid)
	if err != nil {
		return false, nil // no session has it
	}
	sess, _, err := t.lockSession(id.Key, `FOR SHARE`)
	if isNoRow(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return sess.ID == id && sess.Subject == subject && sess.RevokedAt == 0 && now < sess.Deadline(nil), nil
}

// CodeByHash implements core.AuthCodes.
func (s *Store) CodeByHash(ctx context.Context, hash [32]byte) (a *core.AuthCode, err error) {
	err = s.view(ctx, func(c *conn) (err error) {
		a, err = loadCode(c, hash, "")
		return err
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// RedeemCode implements core.AuthCodes.
func (s *Store) RedeemCode(ctx context.Context, p *core.RedeemCodeParams) (*core.RedeemCodeResult, error) {
	var res *core.RedeemCodeResult
	err := s.multi(ctx, func(t *tx) (err error) {
		res, err = t.redeem(p)
		return err
	})
	if errors.Is(err, core.ErrStale) {
		return &core.RedeemCodeResult{Verdict: core.CodeStale}, nil
	}
	if err != nil {
		return nil, err
	}
	return res, nil
}

func (t *tx) redeem(p *core.RedeemCodeParams) (*core.RedeemCodeResult, error) {
	code, err := loadCode(t.conn, p.Hash, `FOR UPDATE`)
	if isNoRow(err) {
		code, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	lives := false
	if code != nil {
		if lives, err = t.browserLives(code.Browser, code.Subject, p.Open.Now); err != nil {
			return nil, err
		}
	}
	res := &core.RedeemCodeResult{Verdict: core.JudgeCode(code, p.Client, p.ClientVersion, lives, p.Open.Now)}
	switch res.Verdict {
	case core.CodeRedeemed:
		return res, t.firstUse(p, res)
	case core.CodeReplayed:
		event := p.ReplayEvent
		ended, err := t.endSessions(ending{reason: "code used twice", purgeAt: p.Open.FactPurgeAt, now: p.Open.Now},
			`SELECT key FROM sessions WHERE key = $1 AND revoked_at = 0`, code.Session)
		if err != nil {
			return nil, err
		}
		if len(ended) > 0 {
			event.Session = ended[0].String()
		}
		t.audit(p.Open.Now, event)
	}
	return res, nil
}

// firstUse marks the code and opens its session; the code is locked.
func (t *tx) firstUse(p *core.RedeemCodeParams, res *core.RedeemCodeResult) error {
	alive, err := t.exec(`SELECT 1 FROM oauth_clients WHERE id = $1 AND version = $2 AND state = 'active' FOR SHARE`, p.Client, p.ClientVersion)
	if err != nil {
		return err
	}
	if alive == 0 {
		return core.ErrStale
	}
	open, err := t.openSession(&p.Open)
	if err != nil {
		return err
	}
	key := p.Open.Session.ID.Key
	g := &p.Grant
	_, err = t.exec(`INSERT INTO oauth_sessions (key, client, scope, audience, auth_time, nonce, browser) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		key, g.Client, encodeList(g.Scope), encodeList(g.Audience), g.AuthTime, g.Nonce, g.Browser)
	if err != nil {
		return err
	}
	if _, err := t.exec(`UPDATE oauth_codes SET used_at = $1, session = $2 WHERE hash = $3`, max(p.Open.Now, 1), key, p.Hash[:]); err != nil {
		return err
	}
	res.Session, res.Subject = open.Session, open.Subject
	return nil
}

// GrantOf implements core.AuthCodes.
func (s *Store) GrantOf(ctx context.Context, key [16]byte) (*core.SessionGrant, error) {
	var g core.SessionGrant
	err := s.view(ctx, func(c *conn) error {
		return c.row(`SELECT client, scope, audience, auth_time, nonce, browser FROM oauth_sessions WHERE key = $1`, key).
			Scan(&g.Client, list{&g.Scope}, list{&g.Audience}, &g.AuthTime, &g.Nonce, &g.Browser)
	})
	if err != nil {
		return nil, err
	}
	return &g, nil
}

// RevokeGrants implements core.AuthCodes.
func (s *Store) RevokeGrants(ctx context.Context, p *core.RevokeGrantsParams) (int, error) {
	var n int
	err := s.ending(ctx, true, func(t *tx) error {
		end := ending{reason: p.Reason, purgeAt: p.FactPurgeAt, now: p.Now}
		var ended []core.SessionID
		var err error
		if p.Browser != "" {
			ended, err = t.endSessions(end, `SELECT s.key FROM oauth_sessions g JOIN sessions s ON s.key = g.key
				WHERE g.browser = $1 AND s.revoked_at = 0`, p.Browser)
		} else {
			ended, err = t.endGrants(end, p.Client, p.Subject)
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

// MoveGrants implements core.AuthCodes.
func (s *Store) MoveGrants(ctx context.Context, p *core.MoveGrantsParams) error {
	return s.multi(ctx, func(t *tx) error {
		if lives, err := t.browserLives(p.To.String(), p.Subject, p.Now); err != nil {
			return err
		} else if !lives {
			return core.ErrStale
		}
		ended, err := t.endSessions(ending{reason: p.Reason, purgeAt: p.FactPurgeAt, now: p.Now},
			`SELECT key FROM sessions WHERE key = $1 AND epoch = $2 AND mount = $3 AND subject = $4 AND revoked_at = 0`, p.From.Key, p.From.Epoch, p.Mount, p.Subject)
		if err != nil {
			return err
		}
		_, err = t.exec(`UPDATE oauth_sessions g SET browser = $1 WHERE g.browser = $2
			AND EXISTS (SELECT 1 FROM sessions s WHERE s.key = g.key AND s.subject = $3)`, p.To.String(), p.From.String(), p.Subject)
		if err != nil {
			return err
		}
		if len(ended) > 0 {
			t.audit(p.Now, p.Event)
		}
		return nil
	})
}

// endGrants revokes the sessions of a client for a subject.
func (t *tx) endGrants(end ending, client, subject string) ([]core.SessionID, error) {
	return t.endSessions(end, `SELECT s.key FROM sessions s JOIN oauth_sessions g ON g.key = s.key
		WHERE s.subject = $1 AND g.client = $2 AND s.revoked_at = 0`, subject, client)
}
