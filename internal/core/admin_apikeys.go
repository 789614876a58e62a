package core

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// NewAPIKey is what CreateAPIKey needs.
type NewAPIKey struct {
	Account     string // shortname; "" = default
	AppName     string
	Description string
	Roles       []string
	Owner       string // user id, "" for an operator
	URL         string // base URL for the NETOSECRET; "" = the issuer
}

// MadeAPIKey is a key with its secret, which is shown this once.
type MadeAPIKey struct {
	Key        *APIKey
	Account    string // shortname
	Secret     string
	Netosecret string
}

// CreateAPIKey makes a key. *Error: FieldInvalid, Conflict, NotFound (account).
func (s *Service) CreateAPIKey(ctx context.Context, actor Actor, n NewAPIKey) (*MadeAPIKey, error) {
	account, err := s.Account(ctx, n.Account)
	if err != nil {
		return nil, err
	}
	if err := checkAppName(n.AppName); err != nil {
		return nil, err
	}
	if len(n.Description) > 500 {
		return nil, InvalidField("description", "a description has at most 500 bytes")
	}
	if err := checkRoles(n.Roles); err != nil {
		return nil, err
	}
	now := s.now()
	k := APIKey{
		ID: NewID(apiKeyIDPrefix), Account: account.ID, AppName: n.AppName, AppKey: NewID(""), Description: n.Description,
		Roles: n.Roles, State: Active, Version: 1, Owner: n.Owner, CreatedAt: now, UpdatedAt: now,
	}
	secret, sealed, err := s.newAPISecret(&k, 1, now)
	if err != nil {
		return nil, err
	}
	k.Secrets = []APISecret{sealed}
	ev := actor.Event("apikey.create")
	ev.Account, ev.Subject = k.Account, k.ID
	ev.Detail = map[string]string{"appname": k.AppName}
	made, err := s.store.CreateAPIKey(ctx, &CreateAPIKeyParams{Key: k, Now: now, Event: ev})
	if errors.Is(err, ErrExists) {
		return nil, Errorf(Conflict, "account %q has an API key named %q already", account.Shortname, n.AppName)
	}
	if err != nil {
		return nil, StoreError(err)
	}
	return s.madeAPIKey(made, account.Shortname, secret, n.URL), nil
}

func checkAppName(name string) error {
	if name == "" || len(name) > 100 || strings.TrimSpace(name) != name {
		return InvalidField("appname", "an app name has 1 to 100 bytes and no space at either end")
	}
	for _, r := range name {
		if r < 0x20 || r == 0x7f || r == 0xfffd {
			return InvalidField("appname", "an app name has no control characters and is valid UTF-8")
		}
	}
	return nil
}

// newAPISecret makes a secret of 256 bits, as the text clients use raw as
// their HMAC key, and its sealed form.
func (s *Service) newAPISecret(k *APIKey, number, now int64) (string, APISecret, error) {
	var b [32]byte
	_, _ = rand.Read(b[:])
	secret := hex.EncodeToString(b[:])
	sealed, err := s.keys.Seal(SealAPISecret, sealBinding(k, number), []byte(secret))
	if err != nil {
		return "", APISecret{}, err
	}
	return secret, APISecret{Number: number, Sealed: sealed, CreatedAt: now}, nil
}

// sealBinding ties a sealed secret to table, row, secret number and account,
// so that whoever can write the database cannot move a secret he knows under
// a key of somebody else.
func sealBinding(k *APIKey, number int64) string {
	return fmt.Sprintf("api_keys|%s|%d|%s", k.ID, number, k.Account)
}

func (s *Service) madeAPIKey(k *APIKey, account, secret, base string) *MadeAPIKey {
	if base == "" {
		base = s.issuer
	}
	ns := Netosecret{
		URL: strings.TrimRight(base, "/") + "/api/v1", AppName: k.AppName, AppKey: k.AppKey,
		Shortname: account, SharedSecret: secret,
	}
	return &MadeAPIKey{Key: k, Account: account, Secret: secret, Netosecret: ns.Encode()}
}

// FindAPIKey finds a live key by id or app name. *Error: NotFound.
func (s *Service) FindAPIKey(ctx context.Context, account, ref string) (*APIKeyRecord, error) {
	a, err := s.Account(ctx, account)
	if err != nil {
		return nil, err
	}
	k, err := s.store.APIKeyByName(ctx, a.Shortname, ref)
	if errors.Is(err, ErrNoRow) {
		k, err = s.store.APIKeyByID(ctx, ref)
	}
	if errors.Is(err, ErrNoRow) || err == nil && (k.State == Deleted || account != "" && k.Account != a.ID) {
		return nil, Errorf(NotFound, "there is no API key %q in account %q; `sallyport apikey list` shows those there are", Clip(ref), a.Shortname)
	}
	return k, StoreError(err)
}

// ListAPIKeys lists live keys.
func (s *Service) ListAPIKeys(ctx context.Context, q APIKeyQuery) ([]*APIKeyRecord, error) {
	list, err := s.store.ListAPIKeys(ctx, q)
	return list, StoreError(err)
}

// RotateAPIKey adds a new secret; the old one stays good for overlapMS, so
// that clients can be moved one by one. A key has at most two live secrets.
// *Error: NotFound, Conflict.
func (s *Service) RotateAPIKey(ctx context.Context, actor Actor, id string, overlapMS int64, base string) (*MadeAPIKey, error) {
	rec, err := s.apiKeyByID(ctx, id)
	if err != nil {
		return nil, err
	}
	if overlapMS < 0 || overlapMS > 90*24*3600*1000 {
		return nil, InvalidField("overlap", "the old secret may stay good for 0 to 90 days")
	}
	now := s.now()
	k := rec.APIKey
	var newest APISecret // none in a store restored in parts
	if len(k.Secrets) > 0 {
		newest = k.Secrets[0]
	}
	secret, sealed, err := s.newAPISecret(&k, newest.Number+1, now)
	if err != nil {
		return nil, err
	}
	secrets := []APISecret{sealed}
	if overlapMS > 0 && newest.Number > 0 {
		newest.ExpiresAt = now + overlapMS
		secrets = append(secrets, newest)
	}
	if err := s.note(ctx, NoteSecret, k.ID, now); err != nil {
		return nil, err
	}
	ev := actor.Event("apikey.rotate")
	ev.Account, ev.Subject = k.Account, k.ID
	made, err := s.changeAPIKey(ctx, &ChangeAPIKeyParams{ID: id, IfVersion: rec.Version, Patch: APIKeyPatch{Secrets: &secrets}, Now: now, Event: ev})
	if err != nil {
		return nil, err
	}
	return s.madeAPIKey(made, rec.AccountShortname, secret, base), nil
}

// DeleteAPIKey ends the key and every session opened with it.
func (s *Service) DeleteAPIKey(ctx context.Context, actor Actor, id string) error {
	return s.setAPIKeyState(ctx, actor, id, Deleted, "apikey.delete")
}

// SetAPIKeyState disables or enables a key; disabling ends its sessions.
func (s *Service) SetAPIKeyState(ctx context.Context, actor Actor, id string, state State) error {
	if state != Active && state != Disabled {
		return InvalidField("state", "the state of an API key is active or disabled")
	}
	return s.setAPIKeyState(ctx, actor, id, state, "apikey."+stateVerb(state))
}

func (s *Service) setAPIKeyState(ctx context.Context, actor Actor, id string, state State, kind string) error {
	rec, err := s.apiKeyByID(ctx, id)
	if err != nil {
		return err
	}
	ev := actor.Event(kind)
	ev.Account, ev.Subject = rec.Account, rec.ID
	ev.Detail = map[string]string{"appname": rec.AppName}
	_, err = s.changeAPIKey(ctx, &ChangeAPIKeyParams{
		ID: id, Patch: APIKeyPatch{State: &state}, EndSessions: state != Active, Now: s.now(), Event: ev,
	})
	return err
}

func (s *Service) apiKeyByID(ctx context.Context, id string) (*APIKeyRecord, error) {
	rec, err := s.store.APIKeyByID(ctx, id)
	if errors.Is(err, ErrNoRow) || err == nil && rec.State == Deleted {
		return nil, Errorf(NotFound, "there is no API key with id %q", Clip(id))
	}
	return rec, StoreError(err)
}

func (s *Service) changeAPIKey(ctx context.Context, p *ChangeAPIKeyParams) (*APIKey, error) {
	p.FactPurgeAt = s.factPurgeAt(p.Now)
	k, err := s.store.ChangeAPIKey(ctx, p)
	s.cache.drop()
	switch {
	case errors.Is(err, ErrNoRow):
		return nil, Errorf(NotFound, "this API key does not exist any more")
	case errors.Is(err, ErrStale):
		return nil, Errorf(Conflict, "the API key changed meanwhile; repeat")
	case err != nil:
		return nil, StoreError(err)
	}
	return k, s.catchUp(ctx)
}
