package core

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/token"
)

// NewClient is what CreateClient needs. Zero values have defaults: a
// confidential client with client_secret_basic, the default lifetimes, ES256. A
// negative SessionMS asks for sessions without a bound by age.
type NewClient struct {
	Account string // short name; "" = default
	OAuthClient
}

// MadeClient is a client with its secret, which is shown this once; "" for
// clients without.
type MadeClient struct {
	Client  *OAuthClient
	Account string // short name
	Secret  string
}

// secretPrefix lets scanners of source code find a client secret that got into
// a repository.
const secretPrefix = "spcs_"

// CreateClient adds an OAuth client. *Error: FieldInvalid, NotFound (account).
func (s *Service) CreateClient(ctx context.Context, actor Actor, n NewClient) (*MadeClient, error) {
	account, err := s.Account(ctx, n.Account)
	if err != nil {
		return nil, err
	}
	now := s.now()
	c := n.OAuthClient
	c.ID, c.Account, c.State, c.Version, c.CreatedAt, c.UpdatedAt, c.Secrets = NewID(ClientIDPrefix), account.ID, Active, 1, now, now, nil
	fillClient(&c)
	if err := checkClient(&c); err != nil {
		return nil, err
	}
	made := &MadeClient{Account: account.Shortname}
	if hasSecret(&c) {
		var secret ClientSecret
		made.Secret, secret = newClientSecret(1, now)
		c.Secrets = []ClientSecret{secret}
	}
	if err := s.ensureIDKey(ctx, &c); err != nil {
		return nil, err
	}
	ev := clientEvent(actor, "client.create", &c)
	made.Client, err = s.store.CreateClient(ctx, &CreateClientParams{Client: c, Now: now, Event: ev})
	if err != nil {
		return nil, StoreError(err)
	}
	return made, s.noteLifetimes(ctx, &c)
}

// noteLifetimes remembers how long tokens of a client may live, before the
// first of them is issued.
func (s *Service) noteLifetimes(ctx context.Context, c *OAuthClient) error {
	if ms := max(c.RefreshIdleMS, c.SessionMS); ms > s.longest.Load() {
		s.raiseLongest(ms)
		return s.RememberLifetimes(ctx)
	}
	return nil
}

func clientEvent(actor Actor, kind string, c *OAuthClient) Event {
	ev := actor.Event(kind)
	ev.Account, ev.Subject = c.Account, c.ID
	ev.Detail = map[string]string{"name": c.Name}
	return ev
}

func hasSecret(c *OAuthClient) bool { return c.Auth == AuthSecretBasic || c.Auth == AuthSecretPost }

// fillClient sets what was left out.
func fillClient(c *OAuthClient) {
	if c.Type == "" {
		c.Type = ClientConfidential
		if c.Auth == AuthNone {
			c.Type = ClientPublic
		}
	}
	if c.Auth == "" {
		c.Auth = AuthSecretBasic
		if c.Type == ClientPublic {
			c.Auth = AuthNone
		}
	}
	if c.IDTokenAlg == "" {
		c.IDTokenAlg = token.ES256
	}
	if c.AccessMS == 0 {
		c.AccessMS = DefaultAccessMS
	}
	if c.RefreshIdleMS == 0 {
		c.RefreshIdleMS = max(DefaultRefreshIdleMS, c.AccessMS)
	}
	switch {
	case c.SessionMS == 0:
		c.SessionMS = DefaultSessionMS
	case c.SessionMS < 0:
		c.SessionMS = 0
	}
}

func newClientSecret(number, now int64) (string, ClientSecret) {
	var b [32]byte
	_, _ = rand.Read(b[:])
	text := secretPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	return text, ClientSecret{Number: number, Hash: sha256.Sum256([]byte(text)), CreatedAt: now}
}

// FindClient finds a client that is not deleted by its id. *Error: NotFound.
func (s *Service) FindClient(ctx context.Context, id string) (*ClientRecord, error) {
	c, err := s.clientByID(ctx, id)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, Errorf(NotFound, "there is no client %q; `sallyport client list` shows those there are", Clip(id))
	}
	return c, nil
}

// ListClients lists clients.
func (s *Service) ListClients(ctx context.Context, q ClientQuery) ([]*ClientRecord, error) {
	list, err := s.store.ListClients(ctx, q)
	return list, StoreError(err)
}

// ClientPatch says what changes; nil leaves a member as it is. Type and
// authentication stay: a client that needs others is another client.
type ClientPatch struct {
	Name, JWKS                                                      *string
	RedirectURIs, PostLogoutRedirectURIs, Grants, Scopes, Audiences *[]string
	IDTokenAlg                                                      *token.Algorithm
	RequireConsent, IntrospectAll                                   *bool
	AccessMS, RefreshIdleMS, SessionMS                              *int64
}

func (p *ClientPatch) apply(c *OAuthClient) {
	set(&c.Name, p.Name)
	set(&c.RedirectURIs, p.RedirectURIs)
	set(&c.PostLogoutRedirectURIs, p.PostLogoutRedirectURIs)
	set(&c.Grants, p.Grants)
	set(&c.Scopes, p.Scopes)
	set(&c.Audiences, p.Audiences)
	set(&c.IDTokenAlg, p.IDTokenAlg)
	set(&c.RequireConsent, p.RequireConsent)
	set(&c.IntrospectAll, p.IntrospectAll)
	set(&c.AccessMS, p.AccessMS)
	set(&c.RefreshIdleMS, p.RefreshIdleMS)
	set(&c.SessionMS, p.SessionMS)
	if p.JWKS != nil {
		c.JWKS = []byte(*p.JWKS)
	}
}

func set[T any](into, from *T) {
	if from != nil {
		*into = *from
	}
}

// UpdateClient changes a client. Sessions go on: a scope or grant taken away
// is missed at their next refresh. *Error: NotFound, FieldInvalid, Conflict.
func (s *Service) UpdateClient(ctx context.Context, actor Actor, id string, patch ClientPatch) (*OAuthClient, error) {
	rec, err := s.FindClient(ctx, id)
	if err != nil {
		return nil, err
	}
	c := rec.OAuthClient
	patch.apply(&c)
	if err := checkClient(&c); err != nil {
		return nil, err
	}
	if err := s.ensureIDKey(ctx, &c); err != nil {
		return nil, err
	}
	if err := s.noteLifetimes(ctx, &c); err != nil {
		return nil, err
	}
	return s.changeClient(ctx, &ChangeClientParams{Client: c, IfVersion: rec.Version, Event: clientEvent(actor, "client.update", &c)})
}

// RotateClientSecret gives a client another secret; the old one stays good for
// overlapMS. *Error: NotFound, FieldInvalid, Conflict.
func (s *Service) RotateClientSecret(ctx context.Context, actor Actor, id string, overlapMS int64) (*MadeClient, error) {
	rec, err := s.FindClient(ctx, id)
	if err != nil {
		return nil, err
	}
	if overlapMS < 0 || overlapMS > 90*24*3600*1000 {
		return nil, InvalidField("overlap", "the old secret may stay good for 0 to 90 days")
	}
	c := rec.OAuthClient
	if !hasSecret(&c) {
		return nil, Errorf(Conflict, "this client authenticates with %s and has no secret", c.Auth)
	}
	now := s.now()
	number, old := int64(1), slices.Clone(c.Secrets)
	if len(old) > 0 {
		number = old[0].Number + 1
	}
	text, secret := newClientSecret(number, now)
	c.Secrets = []ClientSecret{secret}
	if overlapMS > 0 && len(old) > 0 {
		old[0].ExpiresAt = now + overlapMS
		c.Secrets = append(c.Secrets, old[0])
	}
	if err := s.note(ctx, NoteSecret, c.ID, now); err != nil {
		return nil, err
	}
	changed, err := s.changeClient(ctx, &ChangeClientParams{Client: c, IfVersion: rec.Version, Event: clientEvent(actor, "client.rotate", &c)})
	if err != nil {
		return nil, err
	}
	return &MadeClient{Client: changed, Account: rec.AccountShortname, Secret: text}, nil
}

// SetClientState disables or enables a client. Disabling ends its sessions and
// every token of its own.
func (s *Service) SetClientState(ctx context.Context, actor Actor, id string, state State) (*OAuthClient, error) {
	if state != Active && state != Disabled {
		return nil, InvalidField("state", "the state of a client is active or disabled")
	}
	return s.setClientState(ctx, actor, id, state, "client."+stateVerb(state))
}

// DeleteClient ends a client for good; its id is never given again.
func (s *Service) DeleteClient(ctx context.Context, actor Actor, id string) error {
	_, err := s.setClientState(ctx, actor, id, Deleted, "client.delete")
	return err
}

func (s *Service) setClientState(ctx context.Context, actor Actor, id string, state State, kind string) (*OAuthClient, error) {
	rec, err := s.FindClient(ctx, id)
	if err != nil {
		return nil, err
	}
	c := rec.OAuthClient
	c.State = state
	return s.changeClient(ctx, &ChangeClientParams{Client: c, IfVersion: rec.Version, EndSessions: state != Active, Event: clientEvent(actor, kind, &c)})
}

func (s *Service) changeClient(ctx context.Context, p *ChangeClientParams) (*OAuthClient, error) {
	p.Now = s.now()
	p.Client.UpdatedAt = p.Now
	p.FactPurgeAt = s.factPurgeAt(p.Now)
	c, err := s.store.ChangeClient(ctx, p)
	s.cache.drop()
	switch {
	case errors.Is(err, ErrNoRow):
		return nil, Errorf(NotFound, "this client does not exist any more")
	case errors.Is(err, ErrStale):
		return nil, Errorf(Conflict, "the client changed meanwhile; repeat")
	case err != nil:
		return nil, StoreError(err)
	}
	return c, s.catchUp(ctx)
}

// Consented reports whether a user has given a client at least the scope.
func (s *Service) Consented(ctx context.Context, user, client string, scope []string) (bool, error) {
	c, err := s.store.ConsentOf(ctx, user, client)
	if errors.Is(err, ErrNoRow) {
		return false, nil
	}
	if err != nil {
		return false, StoreError(err)
	}
	return subset(scope, c.Scope), nil
}

// Consent records a user's word, beside what was given before.
func (s *Service) Consent(ctx context.Context, b *BrowserLogin, client *ClientRecord, scope []string, from *Client) error {
	now := s.now()
	c := Consent{User: b.Subject.ID, Client: client.ID, Scope: slices.Clone(scope), CreatedAt: now, UpdatedAt: now}
	ev := from.Event("consent.give")
	ev.Actor, ev.Account, ev.Subject = "user:"+c.User, b.Subject.Account, c.User
	ev.Detail = map[string]string{"client": c.Client, "scope": strings.Join(scope, " ")}
	return StoreError(s.store.PutConsent(ctx, &PutConsentParams{Consent: c, Now: now, Event: ev}))
}

// WithdrawConsent takes it back and ends the sessions it carried. *Error:
// NotFound.
func (s *Service) WithdrawConsent(ctx context.Context, actor Actor, user, client string) error {
	now := s.now()
	ev := actor.Event("consent.withdraw")
	ev.Subject, ev.Detail = user, map[string]string{"client": client}
	err := s.store.DeleteConsent(ctx, &DeleteConsentParams{User: user, Client: client, FactPurgeAt: s.sessionFactPurgeAt(now), Now: now, Event: ev})
	if errors.Is(err, ErrNoRow) {
		return Errorf(NotFound, "this user has not given consent to that client")
	}
	if err != nil {
		return StoreError(err)
	}
	s.cache.drop()
	return s.catchUp(ctx)
}

// LookupClient finds a client by its id, or by its name within an account if
// one alone has it. *Error: NotFound, Conflict.
func (s *Service) LookupClient(ctx context.Context, account, ref string) (*ClientRecord, error) {
	if c, err := s.clientByID(ctx, ref); err != nil || c != nil {
		return c, err
	}
	a, err := s.Account(ctx, account)
	if err != nil {
		return nil, err
	}
	var found *ClientRecord
	for after := ""; ; {
		list, err := s.store.ListClients(ctx, ClientQuery{Account: a.ID, After: after, Limit: 500})
		if err != nil {
			return nil, StoreError(err)
		}
		for _, c := range list {
			after = c.ID
			if c.Name != ref {
				continue
			}
			if found != nil {
				return nil, Errorf(Conflict, "several clients are named %q; give the id, which `sallyport client list` shows", Clip(ref))
			}
			found = c
		}
		if len(list) < 500 {
			break
		}
	}
	if found == nil {
		return nil, Errorf(NotFound, "there is no client %q in account %q; `sallyport client list` shows those there are", Clip(ref), a.Shortname)
	}
	return found, nil
}
