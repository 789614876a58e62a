package postgres

import (
	"context"

	"github.com/sallyport/sallyport/internal/core"
)

const consentSelect = `SELECT user_id, client, scope, created_at, updated_at FROM oauth_consents `

// lockUser puts what changes a user's consents in one order with each other and
// with the making of codes.
const lockUser = `SELECT 1 FROM users WHERE id = $1 FOR NO KEY UPDATE`

func scanConsent(row scanner) (*core.Consent, error) {
	var c core.Consent
	return &c, row.Scan(&c.User, &c.Client, list{&c.Scope}, &c.CreatedAt, &c.UpdatedAt)
}

// PutConsent implements core.Consents.
func (s *Store) PutConsent(ctx context.Context, p *core.PutConsentParams) error {
	c := p.Consent
	return s.multi(ctx, func(t *tx) error {
		// What withdraws it waits, or came first.
		if _, err := t.exec(lockUser, c.User); err != nil {
			return err
		}
		before, err := scanConsent(t.row(consentSelect+`WHERE user_id = $1 AND client = $2`, c.User, c.Client))
		switch {
		case err == nil:
			c.Scope = core.WiderScope(c.Scope, before.Scope)
		case !isNoRow(err):
			return err
		}
		_, err = t.exec(`INSERT INTO oauth_consents (user_id, client, scope, created_at, updated_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (user_id, client) DO UPDATE SET scope = excluded.scope, updated_at = excluded.updated_at`,
			c.User, c.Client, encodeList(c.Scope), c.CreatedAt, c.UpdatedAt)
		t.audit(p.Now, p.Event)
		return err
	})
}

// ConsentOf implements core.Consents.
func (s *Store) ConsentOf(ctx context.Context, user, client string) (c *core.Consent, err error) {
	err = s.view(ctx, func(conn *conn) (err error) {
		c, err = scanConsent(conn.row(consentSelect+`WHERE user_id = $1 AND client = $2`, user, client))
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// ListConsents implements core.Consents.
func (s *Store) ListConsents(ctx context.Context, user string) (all []*core.Consent, err error) {
	err = s.view(ctx, func(c *conn) (err error) {
		all, err = collect(c, scanConsent, consentSelect+`WHERE user_id = $1 ORDER BY client`, user)
		return err
	})
	return all, err
}

// DeleteConsent implements core.Consents.
func (s *Store) DeleteConsent(ctx context.Context, p *core.DeleteConsentParams) error {
	return s.ending(ctx, true, func(t *tx) error {
		// Codes that are being made, or redeemed, for this user come first.
		if _, err := t.exec(lockUser, p.User); err != nil {
			return err
		}
		n, err := t.exec(`DELETE FROM oauth_consents WHERE user_id = $1 AND client = $2`, p.User, p.Client)
		if err != nil {
			return err
		}
		if n == 0 {
			return core.ErrNoRow
		}
		// A code on its way would open a session that nobody agrees to any more.
		if _, err := t.exec(`DELETE FROM oauth_codes WHERE subject = $1 AND client = $2 AND used_at = 0`, p.User, p.Client); err != nil {
			return err
		}
		if _, err := t.endGrants(ending{reason: "consent withdrawn", purgeAt: p.FactPurgeAt, now: p.Now}, p.Client, p.User); err != nil {
			return err
		}
		t.audit(p.Now, p.Event)
		return nil
	})
}
