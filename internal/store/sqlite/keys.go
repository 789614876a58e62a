package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/internal/core"
)

// InsertKey implements core.KeyRows.
func (s *Store) InsertKey(ctx context.Context, p *core.InsertKeyParams) error {
	return s.single(ctx, func(t *tx) error {
		k := &p.Key
		_, err := t.exec(`INSERT INTO signing_keys (id, mount, kind, class, algorithm, state, sealed, public, master_key,
			created_at, activated_at, retired_at, dropped_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			k.ID, k.Set.Mount, string(k.Set.Kind), string(k.Class), string(k.Algorithm), string(k.State), k.Sealed, k.Public, k.MasterKey,
			k.CreatedAt, k.ActivatedAt, k.RetiredAt, k.DroppedAt)
		if err != nil {
			return taken(err)
		}
		t.audit(p.Now, p.Event)
		t.news = true
		return nil
	})
}

// ListKeys implements core.KeyRows.
func (s *Store) ListKeys(ctx context.Context) (all []core.KeyRow, err error) {
	err = s.view(ctx, func(c *conn) error {
		return c.each(func(row scanner) error {
			var k core.KeyRow
			err := row.Scan(&k.ID, &k.Set.Mount, (*string)(&k.Set.Kind), (*string)(&k.Class), (*string)(&k.Algorithm), (*string)(&k.State),
				&k.Sealed, &k.Public, &k.MasterKey, &k.CreatedAt, &k.ActivatedAt, &k.RetiredAt, &k.DroppedAt)
			all = append(all, k)
			return err
		}, `SELECT id, mount, kind, class, algorithm, state, sealed, public, master_key, created_at, activated_at, retired_at, dropped_at
			FROM signing_keys WHERE state <> 'dropped' ORDER BY created_at, id`)
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// ChangeKey implements core.KeyRows. A key that becomes active retires the one
// that was, in the same step, so that a set is never without.
func (s *Store) ChangeKey(ctx context.Context, p *core.ChangeKeyParams) error {
	return s.ending(ctx, p.To == core.KeyDropped, func(t *tx) error {
		var mount, kind string
		err := noRow(t.row(`SELECT mount, kind FROM signing_keys WHERE id = ? AND state = ?`, p.ID, string(p.From)).Scan(&mount, &kind))
		if errors.Is(err, core.ErrNoRow) {
			return core.ErrStale
		}
		if err != nil {
			return err
		}
		if p.To == core.KeyActive {
			_, err := t.exec(`UPDATE signing_keys SET state = 'verify-only', retired_at = ? WHERE mount = ? AND kind = ? AND state = 'active' AND id <> ?`,
				p.Now, mount, kind, p.ID)
			if err != nil {
				return err
			}
		}
		var column string
		switch p.To {
		case core.KeyActive:
			column = "activated_at = ?2"
		case core.KeyVerifyOnly:
			column = "retired_at = ?2"
		case core.KeyDropped:
			column = "dropped_at = ?2, sealed = NULL"
		default:
			return fmt.Errorf("%w: no key goes to the state %q", core.ErrStoreUnavailable, p.To)
		}
		if _, err := t.exec(`UPDATE signing_keys SET state = ?1, `+column+` WHERE id = ?3`, string(p.To), p.Now, p.ID); err != nil {
			return err
		}
		t.audit(p.Now, p.Event)
		t.news = true
		return nil
	})
}

// Rewrap implements core.KeyRows.
func (s *Store) Rewrap(ctx context.Context, p *core.RewrapParams) error {
	return s.multi(ctx, func(t *tx) error {
		var inForce string
		if err := t.row(`SELECT value FROM meta WHERE name = ?`, core.MetaMasterKeyID).Scan(&inForce); err != nil {
			return err
		}
		if inForce != p.From {
			return core.ErrStale
		}
		if err := t.rewrapKeys(p); err != nil {
			return err
		}
		if err := t.rewrapSecrets(p); err != nil {
			return err
		}
		for name, value := range map[string]string{
			core.MetaMasterKeyID: p.To, core.MetaMasterKeyCheck: p.Check, core.MetaMasterFormer: p.Former,
		} {
			_, err := t.exec(`INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`, name, value)
			if err != nil {
				return err
			}
		}
		t.audit(p.Now, p.Event)
		t.news = true
		return nil
	})
}

func (t *tx) rewrapKeys(p *core.RewrapParams) error {
	var rows []core.KeyRow
	err := t.each(func(row scanner) error {
		var k core.KeyRow
		err := row.Scan(&k.ID, &k.Set.Mount, (*string)(&k.Set.Kind), (*string)(&k.Class), (*string)(&k.Algorithm), &k.Sealed)
		rows = append(rows, k)
		return err
	}, `SELECT id, mount, kind, class, algorithm, sealed FROM signing_keys WHERE sealed IS NOT NULL`)
	if err != nil {
		return err
	}
	for i := range rows {
		sealed, err := p.Key(&rows[i])
		if err != nil {
			return err
		}
		if sealed == nil {
			continue
		}
		if _, err := t.exec(`UPDATE signing_keys SET sealed = ?, master_key = ? WHERE id = ?`, sealed, p.To, rows[i].ID); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) rewrapSecrets(p *core.RewrapParams) error {
	type secret struct {
		key, account string
		number       int64
		sealed       []byte
	}
	var all []secret
	err := t.each(func(row scanner) error {
		var one secret
		err := row.Scan(&one.key, &one.account, &one.number, &one.sealed)
		all = append(all, one)
		return err
	}, `SELECT s.key, k.account, s.number, s.sealed FROM api_secrets s JOIN api_keys k ON k.id = s.key`)
	if err != nil {
		return err
	}
	for _, one := range all {
		sealed, err := p.Secret(core.APISecretBinding(one.key, one.account, one.number), one.sealed)
		if err != nil {
			return err
		}
		if sealed == nil {
			continue
		}
		if _, err := t.exec(`UPDATE api_secrets SET sealed = ? WHERE key = ? AND number = ?`, sealed, one.key, one.number); err != nil {
			return err
		}
	}
	return nil
}
