package authserver

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// NewClient is what CreateClient needs. Zero values have defaults: a
// confidential client with client_secret_basic, the default lifetimes, ES256. A
// negative SessionMS asks for sessions without a bound by age.
type NewClient struct {
	Account string // short name; "" = default
	core.OAuthClient
}

// MadeClient is a client with its secret, which is shown this once; "" for
// clients without.
type MadeClient struct {
	Client  *core.OAuthClient
	Account string // short name
	Secret  string
}

// secretPrefix lets scanners of source code find a client secret that got into
// a repository.
const secretPrefix = "spcs_"

// CreateClient adds an OAuth client. *Error: FieldInvalid, NotFound (account).
func (s *Server) CreateClient(ctx context.Context, actor core.Actor, n NewClient) (*MadeClient, error) {
	account, err := s.service.Account(ctx, n.Account)
	if err != nil {
		return nil, err
	}
	now := s.now()
	c := n.OAuthClient
	c.ID, c.Account, c.State, c.Version, c.CreatedAt, c.UpdatedAt, c.Secrets = core.NewID(core.ClientIDPrefix), account.ID, core.Active, 1, now, now, nil
	fillClient(&c)
	if err := checkClient(&c); err != nil {
		return nil, err
	}
	made := &MadeClient{Account: account.Shortname}
	if hasSecret(&c) {
		var secret core.ClientSecret
		made.Secret, secret = newClientSecret(1, now)
		c.Secrets = []core.ClientSecret{secret}
	}
	if err := s.ensureIDKey(ctx, &c); err != nil {
		return nil, err
	}
	ev := core.ClientEvent(actor, "client.create", &c)
	made.Client, err = s.store.CreateClient(ctx, &core.CreateClientParams{Client: c, Now: now, Event: ev})
	if err != nil {
		return nil, core.StoreError(err)
	}
	return made, s.noteLifetimes(ctx, &c)
}

// noteLifetimes remembers how long tokens of a client may live, before the
// first of them is issued.
func (s *Server) noteLifetimes(ctx context.Context, c *core.OAuthClient) error {
	if s.engine.RaiseLongest(max(c.RefreshIdleMS, c.SessionMS)) {
		return s.service.RememberLifetimes(ctx)
	}
	return nil
}

func hasSecret(c *core.OAuthClient) bool {
	return c.Auth == core.AuthSecretBasic || c.Auth == core.AuthSecretPost
}

// fillClient sets what was left out.
func fillClient(c *core.OAuthClient) {
	if c.Type == "" {
		c.Type = core.ClientConfidential
		if c.Auth == core.AuthNone {
			c.Type = core.ClientPublic
		}
	}
	if c.Auth == "" {
		c.Auth = core.AuthSecretBasic
		if c.Type == core.ClientPublic {
			c.Auth = core.AuthNone
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

func newClientSecret(number, now int64) (string, core.ClientSecret) {
	var b [32]byte
	_, _ = rand.Read(b[:])
	text := secretPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	return text, core.ClientSecret{Number: number, Hash: sha256.Sum256([]byte(text)), CreatedAt: now}
}

// FindClient finds a client that is not deleted by its id. *Error: NotFound.
func (s *Server) FindClient(ctx context.Context, id string) (*core.ClientRecord, error) {
	c, err := s.clientByID(ctx, id)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, core.Errorf(core.NotFound, "there is no client %q; `sallyport client list` shows those there are", core.Clip(id))
	}
	return c, nil
}

// ListClients lists clients.
func (s *Server) ListClients(ctx context.Context, q core.ClientQuery) ([]*core.ClientRecord, error) {
	list, err := s.store.ListClients(ctx, q)
	return list, core.StoreError(err)
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

func (p *ClientPatch) apply(c *core.OAuthClient) {
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
func (s *Server) UpdateClient(ctx context.Context, actor core.Actor, id string, patch ClientPatch) (*core.OAuthClient, error) {
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
	return s.changeClient(ctx, &core.ChangeClientParams{Client: c, IfVersion: rec.Version, Event: core.ClientEvent(actor, "client.update", &c)})
}

// RotateClientSecret gives a client another secret; the old one stays good for
// overlapMS. *Error: NotFound, FieldInvalid, Conflict.
func (s *Server) RotateClientSecret(ctx context.Context, actor core.Actor, id string, overlapMS int64) (*MadeClient, error) {
	rec, err := s.FindClient(ctx, id)
	if err != nil {
		return nil, err
	}
	if overlapMS < 0 || overlapMS > 90*24*3600*1000 {
		return nil, core.InvalidField("overlap", "the old secret may stay good for 0 to 90 days")
	}
	c := rec.OAuthClient
	if !hasSecret(&c) {
		return nil, core.Errorf(core.Conflict, "this client authenticates with %s and has no secret", c.Auth)
	}
	now := s.now()
	number, old := int64(1), slices.Clone(c.Secrets)
	if len(old) > 0 {
		number = old[0].Number + 1
	}
	text, secret := newClientSecret(number, now)
	c.Secrets = []core.ClientSecret{secret}
	if overlapMS > 0 && len(old) > 0 {
		old[0].ExpiresAt = now + overlapMS
		c.Secrets = append(c.Secrets, old[0])
	}
	if err := s.engine.Note(ctx, core.NoteSecret, c.ID, now); err != nil {
		return nil, err
	}
	changed, err := s.changeClient(ctx, &core.ChangeClientParams{Client: c, IfVersion: rec.Version, Event: core.ClientEvent(actor, "client.rotate", &c)})
	if err != nil {
		return nil, err
	}
	return &MadeClient{Client: changed, Account: rec.AccountShortname, Secret: text}, nil
}

// SetClientState disables or enables a client. Disabling ends its sessions and
// every token of its own.
func (s *Server) SetClientState(ctx context.Context, actor core.Actor, id string, state core.State) (*core.OAuthClient, error) {
	if state != core.Active && state != core.Disabled {
		return nil, core.InvalidField("state", "the state of a client is active or disabled")
	}
	kind := "client.enable"
	if state == core.Disabled {
		kind = "client.disable"
	}
	return s.setClientState(ctx, actor, id, state, kind)
}

// DeleteClient ends a client for good; its id is never given again.
func (s *Server) DeleteClient(ctx context.Context, actor core.Actor, id string) error {
	_, err := s.setClientState(ctx, actor, id, core.Deleted, "client.delete")
	return err
}

func (s *Server) setClientState(ctx context.Context, actor core.Actor, id string, state core.State, kind string) (*core.OAuthClient, error) {
	rec, err := s.FindClient(ctx, id)
	if err != nil {
		return nil, err
	}
	c := rec.OAuthClient
	c.State = state
	return s.changeClient(ctx, &core.ChangeClientParams{Client: c, IfVersion: rec.Version, EndSessions: state != core.Active, Event: core.ClientEvent(actor, kind, &c)})
}

func (s *Server) changeClient(ctx context.Context, p *core.ChangeClientParams) (*core.OAuthClient, error) {
	p.Now = s.now()
	p.Client.UpdatedAt = p.Now
	p.FactPurgeAt = s.engine.FactPurgeAt(core.FactClient, p.Now)
	c, err := s.store.ChangeClient(ctx, p)
	switch err = s.engine.Applied(ctx, err); {
	case errors.Is(err, core.ErrNoRow):
		return nil, core.Errorf(core.NotFound, "this client does not exist any more")
	case errors.Is(err, core.ErrStale):
		return nil, core.Errorf(core.Conflict, "the client changed meanwhile; repeat")
	}
	return c, err
}

// LookupClient finds a client by its id, or by its name within an account if
// one alone has it. *Error: NotFound, Conflict.
func (s *Server) LookupClient(ctx context.Context, account, ref string) (*core.ClientRecord, error) {
	if c, err := s.clientByID(ctx, ref); err != nil || c != nil {
		return c, err
	}
	a, err := s.service.Account(ctx, account)
	if err != nil {
		return nil, err
	}
	var found *core.ClientRecord
	for after := ""; ; {
		list, err := s.store.ListClients(ctx, core.ClientQuery{Account: a.ID, After: after, Limit: 500})
		if err != nil {
			return nil, core.StoreError(err)
		}
		for _, c := range list {
			after = c.ID
			if c.Name != ref {
				continue
			}
			if found != nil {
				return nil, core.Errorf(core.Conflict, "several clients are named %q; give the id, which `sallyport client list` shows", core.Clip(ref))
			}
			found = c
		}
		if len(list) < 500 {
			break
		}
	}
	if found == nil {
		return nil, core.Errorf(core.NotFound, "there is no client %q in account %q; `sallyport client list` shows those there are", core.Clip(ref), a.Shortname)
	}
	return found, nil
}

// clientName is the name of a client, also of a disabled one; its id when it
// is gone.
func (s *Server) clientName(ctx context.Context, id string) (string, error) {
	c, err := s.store.ClientByID(ctx, id)
	if errors.Is(err, core.ErrNoRow) {
		return id, nil
	}
	if err != nil {
		return "", core.StoreError(err)
	}
	return c.Name, nil
}
