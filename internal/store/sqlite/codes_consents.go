package sqlite

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/internal/core"
)

const consentSelect = `SELECT user, client, scope, created_at, updated_at FROM oauth_consents `

func scanConsent(row scanner) (*core.Consent, error) {
	var c core.Consent
	err := row.Scan(&c.User, &c.Client, list{&c.Scope}, &c.CreatedAt, &c.UpdatedAt)
	if err != nil {
		return nil, noRow(err)
	}
	return &c, nil
}

// PutConsent implements core.Consents.
func (s *Store) PutConsent(ctx context.Context, p *core.PutConsentParams) error {
	c := p.Consent
	return s.multi(ctx, func(t *tx) error {
		before, err := scanConsent(t.row(consentSelect+`WHERE user = ? AND client = ?`, c.User, c.Client))
		switch {
		case err == nil:
			c.Scope = core.WiderScope(c.Scope, before.Scope)
		case !errors.Is(err, core.ErrNoRow):
			return err
		}
		_, err = t.exec(`INSERT INTO oauth_consents (user, client, scope, created_at, updated_at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (user, client) DO UPDATE SET scope = excluded.scope, updated_at = excluded.updated_at`,
			c.User, c.Client, encodeList(c.Scope), c.CreatedAt, c.UpdatedAt)
		if err != nil {
			return err
		}
		t.audit(p.Now, p.Event)
		return nil
	})
}

// ConsentOf implements core.Consents.
func (s *Store) ConsentOf(ctx context.Context, user, client string) (c *core.Consent, err error) {
	err = s.view(ctx, func(conn *conn) (err error) {
		c, err = scanConsent(conn.row(consentSelect+`WHERE user = ? AND client = ?`, user, client))
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// ListConsents implements core.Consents.
func (s *Store) ListConsents(ctx context.Context, user string) (all []*core.Consent, err error) {
	err = s.view(ctx, func(c *conn) error {
		return c.each(func(row scanner) error {
			one, err := scanConsent(row)
			all = append(all, one)
			return err
		}, consentSelect+`WHERE user = ? ORDER BY client`, user)
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// DeleteConsent implements core.Consents.
func (s *Store) DeleteConsent(ctx context.Context, p *core.DeleteConsentParams) error {
	return s.ending(ctx, true, func(t *tx) error {
		n, err := t.exec(`DELETE FROM oauth_consents WHERE user = ? AND client = ?`, p.User, p.Client)
		if err != nil {
			return err
		}
		if n == 0 {
			return core.ErrNoRow
		}
		_, err = t.endGrants(ending{reason: "consent withdrawn", purgeAt: p.FactPurgeAt, now: p.Now}, p.Client, p.User)
		if err != nil {
			return err
		}
		// A code on its way would open a session that nobody agrees to any more.
		if _, err := t.exec(`DELETE FROM oauth_codes WHERE subject = ? AND client = ? AND used_at = 0`, p.User, p.Client); err != nil {
			return err
		}
		t.audit(p.Now, p.Event)
		return nil
	})
}
