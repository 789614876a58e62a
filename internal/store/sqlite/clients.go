package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

const clientSelect = `SELECT c.id, c.account, c.name, c.type, c.auth, c.secrets, c.jwks, c.redirect_uris, c.logout_uris, c.grants,
	c.scopes, c.audiences, c.id_token_alg, c.require_consent, c.introspect_all, c.access_ms, c.refresh_idle_ms, c.session_ms,
	c.state, c.version, c.created_at, c.updated_at, a.shortname, a.state, a.version
	FROM oauth_clients c JOIN accounts a ON a.id = c.account `

func scanClient(row scanner) (*core.ClientRecord, error) {
	var c core.ClientRecord
	var secrets, jwks, alg string
	err := row.Scan(&c.ID, &c.Account, &c.Name, (*string)(&c.Type), (*string)(&c.Auth), &secrets, &jwks,
		list{&c.RedirectURIs}, list{&c.PostLogoutRedirectURIs}, list{&c.Grants}, list{&c.Scopes}, list{&c.Audiences},
		&alg, &c.RequireConsent, &c.IntrospectAll, &c.AccessMS, &c.RefreshIdleMS, &c.SessionMS,
		(*string)(&c.State), &c.Version, &c.CreatedAt, &c.UpdatedAt, &c.AccountShortname, (*string)(&c.AccountState), &c.AccountVersion)
	if err != nil {
		return nil, noRow(err)
	}
	c.IDTokenAlg = token.Algorithm(alg)
	if jwks != "" {
		c.JWKS = []byte(jwks)
	}
	if err := json.Unmarshal([]byte(secrets), &c.Secrets); err != nil {
		return nil, fmt.Errorf("the secrets of a client in the store are damaged: %w", err)
	}
	return &c, nil
}

func encodeSecrets(all []core.ClientSecret) string {
	if len(all) == 0 {
		return "[]"
	}
	b, _ := json.Marshal(all) // numbers and byte arrays always marshal
	return string(b)
}

// clientValues are the columns that a change may set, in the order of the
// statements below.
func clientValues(c *core.OAuthClient) []any {
	return []any{
		c.Name, string(c.Type), string(c.Auth), encodeSecrets(c.Secrets), string(c.JWKS), encodeList(c.RedirectURIs),
		encodeList(c.PostLogoutRedirectURIs), encodeList(c.Grants), encodeList(c.Scopes), encodeList(c.Audiences),
		string(c.IDTokenAlg), flag(c.RequireConsent), flag(c.IntrospectAll), c.AccessMS, c.RefreshIdleMS, c.SessionMS,
		string(c.State), c.UpdatedAt,
	}
}

// CreateClient implements core.Clients.
func (s *Store) CreateClient(ctx context.Context, p *core.CreateClientParams) (*core.OAuthClient, error) {
	c := p.Client
	err := s.single(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO oauth_clients (name, type, auth, secrets, jwks, redirect_uris, logout_uris, grants, scopes, audiences,
			id_token_alg, require_consent, introspect_all, access_ms, refresh_idle_ms, session_ms, state, updated_at,
			id, account, version, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			append(clientValues(&c), c.ID, c.Account, c.Version, c.CreatedAt)...)
		if err != nil {
			return taken(err)
		}
		t.audit(p.Now, p.Event)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &c, nil
}

// ClientByID implements core.Clients.
func (s *Store) ClientByID(ctx context.Context, id string) (c *core.ClientRecord, err error) {
	err = s.view(ctx, func(conn *conn) (err error) {
		c, err = scanClient(conn.row(clientSelect+`WHERE c.id = ?`, id))
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// ListClients implements core.Clients.
func (s *Store) ListClients(ctx context.Context, q core.ClientQuery) (all []*core.ClientRecord, err error) {
	err = s.view(ctx, func(c *conn) error {
		return c.each(func(row scanner) error {
			one, err := scanClient(row)
			all = append(all, one)
			return err
		}, clientSelect+`WHERE (?1 = '' OR c.account = ?1) AND c.id > ?2 AND c.state <> 'deleted' ORDER BY c.account, c.id LIMIT ?3`,
			q.Account, q.After, limitOf(q.Limit))
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// ChangeClient implements core.Clients.
func (s *Store) ChangeClient(ctx context.Context, p *core.ChangeClientParams) (*core.OAuthClient, error) {
	c := p.Client
	err := s.ending(ctx, p.EndSessions, func(t *tx) error {
		if c.State == core.Deleted {
			c.Secrets, c.JWKS = nil, nil
		}
		err := noRow(t.row(`UPDATE oauth_clients SET name = ?, type = ?, auth = ?, secrets = ?, jwks = ?, redirect_uris = ?, logout_uris = ?,
			grants = ?, scopes = ?, audiences = ?, id_token_alg = ?, require_consent = ?, introspect_all = ?, access_ms = ?,
			refresh_idle_ms = ?, session_ms = ?, state = ?, updated_at = ?, version = version + 1
			WHERE id = ? AND version = ? RETURNING version`, append(clientValues(&c), c.ID, p.IfVersion)...).Scan(&c.Version))
		if errors.Is(err, core.ErrNoRow) {
			return t.staleOrGone(c.ID)
		}
		if err != nil {
			return err
		}
		if p.EndSessions {
			if err := t.endClient(&c, ending{reason: core.ReasonClient + string(c.State), purgeAt: p.FactPurgeAt, now: p.Now}); err != nil {
				return err
			}
		}
		t.audit(p.Now, p.Event)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &c, nil
}

func (t *tx) staleOrGone(id string) error {
	var n int
	if err := t.row(`SELECT count(*) FROM oauth_clients WHERE id = ?`, id).Scan(&n); err != nil {
		return err
	}
	if n == 0 {
		return core.ErrNoRow
	}
	return core.ErrStale
}

// endClient revokes all sessions of a client under one fact on it.
func (t *tx) endClient(c *core.OAuthClient, end ending) error {
	_, err := t.exec(`UPDATE sessions SET revoked_at = ?, revoked_reason = ? WHERE revoked_at = 0
		AND key IN (SELECT key FROM oauth_sessions WHERE client = ?)`, max(end.now, 1), end.reason, c.ID)
	if err != nil {
		return err
	}
	if c.State == core.Deleted {
		if _, err := t.exec(`DELETE FROM oauth_consents WHERE client = ?`, c.ID); err != nil {
			return err
		}
	}
	_, err = t.addFact(core.Fact{Kind: core.FactClient, Subject: c.ID, Reason: end.reason, At: end.now, PurgeAt: end.purgeAt})
	return err
}

// Machine implements core.Clients.
func (s *Store) Machine(ctx context.Context, id string) (subj *core.Subject, epoch int64, err error) {
	err = s.snapshot(ctx, func(c *conn) error {
		if err := c.row(`SELECT ` + lastFact).Scan(&epoch); err != nil {
			return err
		}
		if !strings.HasPrefix(id, core.ClientIDPrefix) {
			subj, err = loadSubject(c, core.SubjectAPIKey, id)
			return err
		}
		rec, err := scanClient(c.row(clientSelect+`WHERE c.id = ?`, id))
		if err != nil {
			return err
		}
		subj = rec.Subject()
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return subj, epoch, nil
}

// AcceptAssertion implements core.Clients.
func (s *Store) AcceptAssertion(ctx context.Context, p *core.AssertionParams) error {
	return s.single(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO oauth_assertions (hash, remember_until) VALUES (?, ?)`, p.Hash[:], p.Until)
		return taken(err)
	})
}
