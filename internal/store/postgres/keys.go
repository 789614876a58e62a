package postgres

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/internal/core"
)

// InsertKey implements core.KeyRows.
func (s *Store) InsertKey(ctx context.Context, p *core.InsertKeyParams) error {
	return s.multi(ctx, func(t *tx) error {
		k := &p.Key
		_, err := t.exec(`INSERT INTO signing_keys (id, mount, kind, class, algorithm, state, sealed, public, master_key,
			created_at, activated_at, retired_at, dropped_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
			k.ID, k.Set.Mount, string(k.Set.Kind), string(k.Class), string(k.Algorithm), string(k.State), k.Sealed, k.Public, k.MasterKey,
			k.CreatedAt, k.ActivatedAt, k.RetiredAt, k.DroppedAt)
		t.audit(p.Now, p.Event)
		t.news = newsKeys
		return taken(err)
	})
}

// ListKeys implements core.KeyRows.
func (s *Store) ListKeys(ctx context.Context) (all []core.KeyRow, err error) {
	// A key that the next failover takes away must sign nothing.
	err = s.viewConfirmed(ctx, func(c *conn) (err error) {
		all, err = collect(c, func(row scanner) (k core.KeyRow, err error) {
			return k, row.Scan(&k.ID, &k.Set.Mount, (*string)(&k.Set.Kind), (*string)(&k.Class), (*string)(&k.Algorithm), (*string)(&k.State),
				&k.Sealed, &k.Public, &k.MasterKey, &k.CreatedAt, &k.ActivatedAt, &k.RetiredAt, &k.DroppedAt)
		}, `SELECT id, mount, kind, class, algorithm, state, sealed, public, master_key, created_at, activated_at, retired_at, dropped_at
			FROM signing_keys WHERE state <> 'dropped' ORDER BY created_at, id`)
		return err
	})
	return all, err
}

// ChangeKey implements core.KeyRows. A key that becomes active retires the one
// that was, in the same step, so that a set is never without.
func (s *Store) ChangeKey(ctx context.Context, p *core.ChangeKeyParams) error {
	var column string
	switch p.To {
	case core.KeyActive:
		column = "activated_at = $2"
	case core.KeyVerifyOnly:
		column = "retired_at = $2"
	case core.KeyDropped:
		column = "dropped_at = $2, sealed = NULL"
	default:
		return fmt.Errorf("%w: no key goes to the state %q", core.ErrStoreUnavailable, p.To)
	}
	return s.ending(ctx, p.To == core.KeyDropped, func(t *tx) error {
		var mount, kind string
		err := t.row(`SELECT mount, kind FROM signing_keys WHERE id = $1 AND state = $2 FOR UPDATE`, p.ID, string(p.From)).Scan(&mount, &kind)
		if isNoRow(err) {
			return core.ErrStale
		}
		if err != nil {
			return err
		}
		if p.To == core.KeyActive {
			_, err := t.exec(`UPDATE signing_keys SET state = 'verify-only', retired_at = $1 WHERE mount = $2 AND kind = $3 AND state = 'active' AND id <> $4`,
				p.Now, mount, kind, p.ID)
			if err != nil {
				return err
			}
		}
		if _, err := t.exec(`UPDATE signing_keys SET state = $1, `+column+` WHERE id = $3`, string(p.To), p.Now, p.ID); err != nil {
			return err
		}
		t.audit(p.Now, p.Event)
		t.news = newsKeys
		return nil
	})
}

// Rewrap implements core.KeyRows.
func (s *Store) Rewrap(ctx context.Context, p *core.RewrapParams) error {
	return s.multi(ctx, func(t *tx) error {
		var inForce string
		if err := t.row(`SELECT value FROM meta WHERE name = $1 FOR UPDATE`, core.MetaMasterKeyID).Scan(&inForce); err != nil {
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
		for _, m := range [][2]string{{core.MetaMasterKeyCheck, p.Check}, {core.MetaMasterFormer, p.Former}, {core.MetaMasterKeyID, p.To}} {
			if err := t.setMeta(m[0], m[1]); err != nil {
				return err
			}
		}
		t.audit(p.Now, p.Event)
		t.news = newsKeys
		return nil
	})
}

func (t *tx) rewrapKeys(p *core.RewrapParams) error {
	rows, err := collect(t.conn, func(row scanner) (k core.KeyRow, err error) {
		return k, row.Scan(&k.ID, &k.Set.Mount, (*string)(&k.Set.Kind), (*string)(&k.Class), (*string)(&k.Algorithm), &k.Sealed)
	}, `SELECT id, mount, kind, class, algorithm, sealed FROM signing_keys WHERE sealed IS NOT NULL ORDER BY id FOR UPDATE`)
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
		if _, err := t.exec(`UPDATE signing_keys SET sealed = $1, master_key = $2 WHERE id = $3`, sealed, p.To, rows[i].ID); err != nil {
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
	all, err := collect(t.conn, func(row scanner) (s secret, err error) {
		return s, row.Scan(&s.key, &s.account, &s.number, &s.sealed)
	}, `SELECT s.key, k.account, s.number, s.sealed FROM api_secrets s JOIN api_keys k ON k.id = s.key ORDER BY s.key, s.number FOR UPDATE OF s`)
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
		if _, err := t.exec(`UPDATE api_secrets SET sealed = $1 WHERE key = $2 AND number = $3`, sealed, one.key, one.number); err != nil {
			return err
		}
	}
	return nil
}
