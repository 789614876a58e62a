package sqlite

import (
	"context"

	"github.com/sallyport/sallyport/internal/core"
)

// MetaGet implements core.Meta.
func (s *Store) MetaGet(ctx context.Context, name string) (value string, err error) {
	err = s.view(ctx, func(c *conn) error {
		return c.row(`SELECT value FROM meta WHERE name = ?`, name).Scan(&value)
	})
	return value, err
}

// MetaSetOnce implements core.Meta. It, AddIssuer and SyncMounts are what a
// start writes: on a full disk the ballast is given up for them, so that a
// server can be started that verifies.
func (s *Store) MetaSetOnce(ctx context.Context, name, value string) (string, error) {
	var inForce string
	err := s.ending(ctx, true, func(t *tx) error {
		if _, err := t.exec(`INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING`, name, value); err != nil {
			return err
		}
		return t.row(`SELECT value FROM meta WHERE name = ?`, name).Scan(&inForce)
	})
	if err != nil {
		return "", err
	}
	return inForce, nil
}

// MetaSet implements core.Meta.
func (s *Store) MetaSet(ctx context.Context, p *core.MetaSetParams) error {
	return s.single(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`, p.Name, p.Value)
		if err != nil {
			return err
		}
		t.audit(p.Now, p.Event)
		return nil
	})
}

// Issuers implements core.Meta.
func (s *Store) Issuers(ctx context.Context) (all []string, err error) {
	err = s.view(ctx, func(c *conn) error {
		return c.each(func(row scanner) error {
			var one string
			err := row.Scan(&one)
			all = append(all, one)
			return err
		}, `SELECT issuer FROM issuers ORDER BY number`)
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// AddIssuer implements core.Meta.
func (s *Store) AddIssuer(ctx context.Context, issuer string, now int64) (int64, error) {
	var number int64
	err := s.ending(ctx, true, func(t *tx) error {
		_, err := t.exec(`INSERT INTO issuers (number, issuer, created_at)
			SELECT coalesce(max(number), 0) + 1, ?, ? FROM issuers WHERE true ON CONFLICT DO NOTHING`, issuer, now)
		if err != nil {
			return err
		}
		t.news = true
		return t.row(`SELECT number FROM issuers WHERE issuer = ?`, issuer).Scan(&number)
	})
	if err != nil {
		return 0, err
	}
	return number, nil
}

// SyncMounts implements core.Meta.
func (s *Store) SyncMounts(ctx context.Context, now int64, mounts []core.MountRow) ([]core.MountRow, error) {
	var all []core.MountRow
	err := s.ending(ctx, true, func(t *tx) error {
		all = nil
		for i := range mounts {
			m := &mounts[i]
			_, err := t.exec(`INSERT INTO mounts (id, contract, host, prefix, account, first_seen_at, seen_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
				ON CONFLICT DO UPDATE SET contract = excluded.contract, host = excluded.host, prefix = excluded.prefix,
					account = excluded.account, seen_at = excluded.seen_at`, m.ID, m.Contract, m.Host, m.Prefix, m.Account, now)
			if err != nil {
				return err
			}
		}
		return t.each(func(row scanner) error {
			var m core.MountRow
			err := row.Scan(&m.ID, &m.Contract, &m.Host, &m.Prefix, &m.Account, &m.SeenAt)
			all = append(all, m)
			return err
		}, `SELECT id, contract, host, prefix, account, seen_at FROM mounts ORDER BY id`)
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}
