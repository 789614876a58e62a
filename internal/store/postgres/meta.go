package postgres

import (
	"context"

	"github.com/sallyport/sallyport/internal/core"
)

// MetaGet implements core.Meta. The node is this process, whichever store it
// shares with others.
func (s *Store) MetaGet(ctx context.Context, name string) (value string, err error) {
	if name == core.MetaNode {
		return s.node, nil
	}
	err = s.view(ctx, func(c *conn) error {
		return c.row(`SELECT value FROM meta WHERE name = $1`, name).Scan(&value)
	})
	return value, err
}

// MetaSetOnce implements core.Meta.
func (s *Store) MetaSetOnce(ctx context.Context, name, value string) (string, error) {
	var inForce string
	err := s.ending(ctx, true, func(t *tx) error {
		// Who sets the same name meanwhile is waited for, and then seen.
		if _, err := t.exec(`INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING`, name, value); err != nil {
			return err
		}
		return t.row(`SELECT value FROM meta WHERE name = $1`, name).Scan(&inForce)
	})
	if err != nil {
		return "", err
	}
	return inForce, nil
}

// MetaSet implements core.Meta.
func (s *Store) MetaSet(ctx context.Context, p *core.MetaSetParams) error {
	return s.multi(ctx, func(t *tx) error {
		t.audit(p.Now, p.Event)
		return t.setMeta(p.Name, p.Value)
	})
}

func (t *tx) setMeta(name, value string) error {
	_, err := t.exec(`INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
	return err
}

// Issuers implements core.Meta.
func (s *Store) Issuers(ctx context.Context) (all []string, err error) {
	err = s.view(ctx, func(c *conn) (err error) {
		all, err = collect(c, one[string], `SELECT issuer FROM issuers ORDER BY number`)
		return err
	})
	return all, err
}

// AddIssuer implements core.Meta.
func (s *Store) AddIssuer(ctx context.Context, issuer string, now int64) (int64, error) {
	var number int64
	err := s.ending(ctx, true, func(t *tx) error {
		err := t.row(`SELECT number FROM issuers WHERE issuer = $1`, issuer).Scan(&number)
		if !isNoRow(err) {
			return err
		}
		// Numbers have no gaps, so two that add are one after the other.
		if _, err := t.exec(`LOCK TABLE issuers IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return err
		}
		_, err = t.exec(`INSERT INTO issuers (number, issuer, created_at)
			SELECT coalesce(max(number), 0) + 1, $1, $2 FROM issuers ON CONFLICT (issuer) DO NOTHING`, issuer, now)
		if err != nil {
			return err
		}
		t.news = newsRows
		return t.row(`SELECT number FROM issuers WHERE issuer = $1`, issuer).Scan(&number)
	})
	if err != nil {
		return 0, err
	}
	return number, nil
}

// SyncMounts implements core.Meta.
func (s *Store) SyncMounts(ctx context.Context, now int64, mounts []core.MountRow) ([]core.MountRow, error) {
	var all []core.MountRow
	err := s.ending(ctx, true, func(t *tx) (err error) {
		for i := range mounts {
			m := &mounts[i]
			_, err := t.exec(`INSERT INTO mounts (id, contract, host, prefix, account, first_seen_at, seen_at) VALUES ($1, $2, $3, $4, $5, $6, $6)
				ON CONFLICT (id) DO UPDATE SET contract = excluded.contract, host = excluded.host, prefix = excluded.prefix,
					account = excluded.account, seen_at = excluded.seen_at`, m.ID, m.Contract, m.Host, m.Prefix, m.Account, now)
			if err != nil {
				return err
			}
		}
		all, err = collect(t.conn, func(row scanner) (m core.MountRow, err error) {
			return m, row.Scan(&m.ID, &m.Contract, &m.Host, &m.Prefix, &m.Account, &m.SeenAt)
		}, `SELECT id, contract, host, prefix, account, seen_at FROM mounts ORDER BY id`)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}
