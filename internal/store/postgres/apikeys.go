package postgres

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
	return &k, err
}

// loadSecrets fills in the sealed secrets of keys, newest first.
func loadSecrets(c *conn, keys ...*core.APIKey) error {
	byID := make(map[string]*core.APIKey, len(keys))
	ids := make([]string, len(keys))
	for i, k := range keys {
		byID[k.ID], ids[i] = k, k.ID
	}
	_, err := collect(c, func(row scanner) (struct{}, error) {
		var id string
		var one core.APISecret
		err := row.Scan(&id, &one.Number, &one.Sealed, &one.CreatedAt, &one.ExpiresAt)
		if k := byID[id]; k != nil {
			k.Secrets = append(k.Secrets, one)
		}
		return struct{}{}, err
	}, `SELECT key, number, sealed, created_at, expires_at FROM api_secrets WHERE key = ANY($1) ORDER BY number DESC`, ids)
	return err
}

// storeSecrets replaces the secrets of a key.
func (t *tx) storeSecrets(k *core.APIKey) error {
	if _, err := t.exec(`DELETE FROM api_secrets WHERE key = $1`, k.ID); err != nil {
		return err
	}
	for _, one := range k.Secrets {
		_, err := t.exec(`INSERT INTO api_secrets (key, number, sealed, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)`,
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
			created_at, updated_at, last_login, last_from) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
			k.ID, k.Account, k.AppName, k.AppKey, k.Description, encodeList(k.Roles), string(k.State), k.Version, k.Owner,
			k.CreatedAt, k.UpdatedAt, k.LastLogin, k.LastFrom)
		if err != nil {
			return taken(err)
		}
		t.audit(p.Now, p.Event)
		t.news = newsRows
		return t.storeSecrets(&k)
	})
	if err != nil {
		return nil, err
	}
	return &k, nil
}

// APIKeyByName implements core.APIKeys.
func (s *Store) APIKeyByName(ctx context.Context, accountShortname, appName string) (*core.APIKeyRecord, error) {
	return s.apiKey(ctx, s.snapshot, apiKeySelect+`WHERE a.shortname = $1 AND k.app_name = $2 AND k.state <> 'deleted'`, accountShortname, appName)
}

// APIKeyByID implements core.APIKeys. That a key is gone is confirmed, as in
// UserByID.
func (s *Store) APIKeyByID(ctx context.Context, id string) (*core.APIKeyRecord, error) {
	query := apiKeySelect + `WHERE k.id = $1`
	k, err := s.apiKey(ctx, s.snapshot, query, id)
	if err == nil && k.State == core.Deleted {
		return s.apiKey(ctx, s.viewConfirmed, query, id)
	}
	return k, err
}

func (s *Store) apiKey(ctx context.Context, read reading, query string, args ...any) (k *core.APIKeyRecord, err error) {
	err = read(ctx, func(c *conn) (err error) {
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
	f := filter{where: []string{"k.state <> 'deleted'"}}
	f.text("k.account", q.Account)
	if q.After != "" {
		f.and("k.app_name >", q.After)
	}
	query := apiKeySelect + `WHERE ` + f.String() + ` ORDER BY k.account, k.app_name LIMIT ` + f.arg(limitOf(q.Limit))
	err = s.snapshot(ctx, func(c *conn) (err error) {
		if all, err = collect(c, scanAPIKey, query, f.args...); err != nil || len(all) == 0 {
			return err
		}
		keys := make([]*core.APIKey, len(all))
		for i, k := range all {
			keys[i] = &k.APIKey
		}
		return loadSecrets(c, keys...)
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
		rec, err := scanAPIKey(t.row(apiKeySelect+`WHERE k.id = $1 AND k.state <> 'deleted' FOR NO KEY UPDATE OF k`, p.ID))
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
		t.audit(p.Now, p.Event)
		t.news = newsRows
		return t.storeAPIKey(&k)
	})
	if err != nil {
		return nil, err
	}
	return &k, nil
}

func (t *tx) storeAPIKey(k *core.APIKey) error {
	_, err := t.exec(`UPDATE api_keys SET description = $1, roles = $2, state = $3, version = $4, updated_at = $5 WHERE id = $6`,
		k.Description, encodeList(k.Roles), string(k.State), k.Version, k.UpdatedAt, k.ID)
	if err != nil {
		return err
	}
	return t.storeSecrets(k)
}

// deleteKeysOfOwner deletes the API keys that a user created, each with its
// sessions and a fact.
func (t *tx) deleteKeysOfOwner(owner string, end ending) error {
	ids, err := collect(t.conn, one[string], `UPDATE api_keys SET state = 'deleted', version = version + 1, updated_at = $1
		WHERE owner = $2 AND owner <> '' AND state <> 'deleted' RETURNING id`, end.now, owner)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if _, err := t.exec(`DELETE FROM api_secrets WHERE key = $1`, id); err != nil {
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
	ids, err := collect(t.conn, one[string], `SELECT id FROM api_keys WHERE owner = $1 AND owner <> '' AND state <> 'deleted'
		ORDER BY id FOR NO KEY UPDATE`, owner)
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
