package sqlite

import (
	"context"

	"github.com/sallyport/sallyport/internal/core"
)

const apiKeySelect = `SELECT k.id, k.account, k.app_name, k.app_key, k.description, k.roles, k.state, k.version, k.owner,
	k.created_at, k.updated_at, k.last_login, k.last_from, a.shortname, a.state, a.version
	FROM api_keys k JOIN accounts a ON a.id = k.account `

func scanAPIKey(row scanner) (*core.APIKeyRecord, error) {
	var k core.APIKeyRecord
	err := row.Scan(&k.ID, &k.Account, &k.AppName, &k.AppKey, &k.Description, list{&k.Roles}, (*string)(&k.State), &k.Version, &k.Owner,
		&k.CreatedAt, &k.UpdatedAt, &k.LastLogin, &k.LastFrom, &k.AccountShortname, (*string)(&k.AccountState), &k.AccountVersion)
	if err != nil {
		return nil, noRow(err)
	}
	return &k, nil
}

// loadSecrets fills in the sealed secrets of a key, newest first.
func loadSecrets(c *conn, k *core.APIKey) error {
	return c.each(func(row scanner) error {
		var one core.APISecret
		err := row.Scan(&one.Number, &one.Sealed, &one.CreatedAt, &one.ExpiresAt)
		k.Secrets = append(k.Secrets, one)
		return err
	}, `SELECT number, sealed, created_at, expires_at FROM api_secrets WHERE key = ? ORDER BY number DESC`, k.ID)
}

// storeSecrets replaces the secrets of a key.
func (t *tx) storeSecrets(k *core.APIKey) error {
	if _, err := t.exec(`DELETE FROM api_secrets WHERE key = ?`, k.ID); err != nil {
		return err
	}
	for _, one := range k.Secrets {
		_, err := t.exec(`INSERT INTO api_secrets (key, number, sealed, created_at, expires_at) VALUES (?, ?, ?, ?, ?)`,
			k.ID, one.Number, one.Sealed, one.CreatedAt, one.ExpiresAt)
		if err != nil {
			return err
		}
	}
	return nil
}

// CreateAPIKey implements core.APIKeys.
func (s *Store) CreateAPIKey(ctx context.Context, p *core.CreateAPIKeyParams) (*core.APIKey, error) {
	k := p.Key
	err := s.multi(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO api_keys (id, account, app_name, app_key, description, roles, state, version, owner,
			created_at, updated_at, last_login, last_from) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			k.ID, k.Account, k.AppName, k.AppKey, k.Description, encodeList(k.Roles), string(k.State), k.Version, k.Owner,
			k.CreatedAt, k.UpdatedAt, k.LastLogin, k.LastFrom)
		if err != nil {
			return taken(err)
		}
		if err := t.storeSecrets(&k); err != nil {
			return err
		}
		t.audit(p.Now, p.Event)
		t.news = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &k, nil
}

// APIKeyByName implements core.APIKeys.
func (s *Store) APIKeyByName(ctx context.Context, accountShortname, appName string) (*core.APIKeyRecord, error) {
	return s.apiKey(ctx, apiKeySelect+`WHERE a.shortname = ? AND k.app_name = ? AND k.state <> 'deleted'`, accountShortname, appName)
}

// APIKeyByID implements core.APIKeys.
func (s *Store) APIKeyByID(ctx context.Context, id string) (*core.APIKeyRecord, error) {
	return s.apiKey(ctx, apiKeySelect+`WHERE k.id = ?`, id)
}

func (s *Store) apiKey(ctx context.Context, query string, args ...any) (k *core.APIKeyRecord, err error) {
	err = s.snapshot(ctx, func(c *conn) (err error) {
		if k, err = scanAPIKey(c.row(query, args...)); err != nil {
			return err
		}
		return loadSecrets(c, &k.APIKey)
	})
	if err != nil {
		return nil, err
	}
	return k, nil
}

// ListAPIKeys implements core.APIKeys.
func (s *Store) ListAPIKeys(ctx context.Context, q core.APIKeyQuery) (all []*core.APIKeyRecord, err error) {
	err = s.snapshot(ctx, func(c *conn) error {
		err := c.each(func(row scanner) error {
			k, err := scanAPIKey(row)
			all = append(all, k)
			return err
		}, apiKeySelect+`WHERE k.state <> 'deleted' AND (?1 = '' OR k.account = ?1) AND (?2 = '' OR k.app_name > ?2)
			ORDER BY k.account, k.app_name LIMIT ?3`, q.Account, q.After, limitOf(q.Limit))
		for _, k := range all {
			if err == nil {
				err = loadSecrets(c, &k.APIKey)
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// ChangeAPIKey implements core.APIKeys.
func (s *Store) ChangeAPIKey(ctx context.Context, p *core.ChangeAPIKeyParams) (*core.APIKey, error) {
	var k core.APIKey
	err := s.ending(ctx, p.EndSessions, func(t *tx) error {
		rec, err := scanAPIKey(t.row(apiKeySelect+`WHERE k.id = ? AND k.state <> 'deleted'`, p.ID))
		if err != nil {
			return err
		}
		k = rec.APIKey
		if p.IfVersion != 0 && p.IfVersion != k.Version {
			return core.ErrStale
		}
		if err := loadSecrets(t.conn, &k); err != nil {
			return err
		}
		var reason string
		if k, reason = p.Apply(&k); reason != "" {
			if err := t.endSubject(core.FactAPIKey, k.ID, "", ending{reason: reason, purgeAt: p.FactPurgeAt, now: p.Now}); err != nil {
				return err
			}
		}
		if err := t.storeAPIKey(&k); err != nil {
			return err
		}
		t.audit(p.Now, p.Event)
		t.news = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &k, nil
}

func (t *tx) storeAPIKey(k *core.APIKey) error {
	_, err := t.exec(`UPDATE api_keys SET description = ?, roles = ?, state = ?, version = ?, updated_at = ? WHERE id = ?`,
		k.Description, encodeList(k.Roles), string(k.State), k.Version, k.UpdatedAt, k.ID)
	if err != nil {
		return err
	}
	return t.storeSecrets(k)
}

// deleteKeysOfOwner deletes the API keys that a user created, each with its
// sessions and a fact.
func (t *tx) deleteKeysOfOwner(owner string, end ending) error {
	var ids []string
	err := t.each(func(row scanner) error {
		var id string
		err := row.Scan(&id)
		ids = append(ids, id)
		return err
	}, `UPDATE api_keys SET state = 'deleted', version = version + 1, updated_at = ? WHERE owner = ? AND owner <> '' AND state <> 'deleted' RETURNING id`,
		end.now, owner)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if _, err := t.exec(`DELETE FROM api_secrets WHERE key = ?`, id); err != nil {
			return err
		}
		if err := t.endSubject(core.FactAPIKey, id, "", end); err != nil {
			return err
		}
	}
	return nil
}

// endKeySessionsOfOwner ends the sessions of the API keys that a user created,
// with a fact on each key; the keys remain, for when the user is back.
func (t *tx) endKeySessionsOfOwner(owner string, end ending) error {
	var ids []string
	err := t.each(func(row scanner) error {
		var id string
		err := row.Scan(&id)
		ids = append(ids, id)
		return err
	}, `SELECT id FROM api_keys WHERE owner = ? AND owner <> '' AND state <> 'deleted'`, owner)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := t.endSubject(core.FactAPIKey, id, "", end); err != nil {
			return err
		}
	}
	return nil
}
