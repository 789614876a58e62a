package admin

import (
	"encoding/json"
	"net/http"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
	"github.com/sallyport/sallyport/internal/token"
)

// OAuthClient is a program that gets tokens by OAuth. Lifetimes are seconds.
type OAuthClient struct {
	ID                     string          `json:"id"`
	Account                string          `json:"account"`
	Name                   string          `json:"name"`
	Type                   string          `json:"type"`
	Auth                   string          `json:"token_endpoint_auth_method"`
	Secrets                []APISecret     `json:"secrets"`
	JWKS                   json.RawMessage `json:"jwks"` // null without keys
	RedirectURIs           []string        `json:"redirect_uris"`
	PostLogoutRedirectURIs []string        `json:"post_logout_redirect_uris"`
	Grants                 []string        `json:"grant_types"`
	Scopes                 []string        `json:"scopes"`
	Audiences              []string        `json:"audiences"`
	IDTokenAlg             string          `json:"id_token_signed_response_alg"`
	RequireConsent         bool            `json:"require_consent"`
	IntrospectAll          bool            `json:"introspect_all"`
	AccessLifetime         int64           `json:"access_lifetime"`
	RefreshLifetime        int64           `json:"refresh_lifetime"`
	SessionLifetime        int64           `json:"session_lifetime"` // 0 = none
	State                  string          `json:"state"`
	CreatedAt              Time            `json:"created_at"`
	UpdatedAt              Time            `json:"updated_at"`
	// Secret is set once, in the answer that made it.
	Secret string `json:"secret,omitempty"`
}

func oauthClientOf(c *core.OAuthClient, account string) OAuthClient {
	secrets := make([]APISecret, len(c.Secrets))
	for i, s := range c.Secrets {
		secrets[i] = APISecret{Number: s.Number, CreatedAt: Time(s.CreatedAt), ExpiresAt: Time(s.ExpiresAt)}
	}
	return OAuthClient{
		ID: c.ID, Account: account, Name: c.Name, Type: string(c.Type), Auth: string(c.Auth), Secrets: secrets, JWKS: rawOrNull(string(c.JWKS)),
		RedirectURIs: orEmpty(c.RedirectURIs), PostLogoutRedirectURIs: orEmpty(c.PostLogoutRedirectURIs), Grants: orEmpty(c.Grants),
		Scopes: orEmpty(c.Scopes), Audiences: orEmpty(c.Audiences), IDTokenAlg: string(c.IDTokenAlg),
		RequireConsent: c.RequireConsent, IntrospectAll: c.IntrospectAll,
		AccessLifetime: c.AccessMS / 1000, RefreshLifetime: c.RefreshIdleMS / 1000, SessionLifetime: c.SessionMS / 1000,
		State: string(c.State), CreatedAt: Time(c.CreatedAt), UpdatedAt: Time(c.UpdatedAt),
	}
}

// NewOAuthClient is the body that makes a client. What is left out has a
// default: a confidential client with client_secret_basic, ES256, and the
// lifetimes that docs/oauth.md lists.
type NewOAuthClient struct {
	Account                string          `json:"account,omitempty"` // short name; "" = default
	Name                   string          `json:"name"`
	Type                   string          `json:"type,omitempty"`
	Auth                   string          `json:"token_endpoint_auth_method,omitempty"`
	JWKS                   json.RawMessage `json:"jwks,omitempty"`
	RedirectURIs           []string        `json:"redirect_uris,omitempty"`
	PostLogoutRedirectURIs []string        `json:"post_logout_redirect_uris,omitempty"`
	Grants                 []string        `json:"grant_types,omitempty"`
	Scopes                 []string        `json:"scopes,omitempty"`
	Audiences              []string        `json:"audiences,omitempty"`
	IDTokenAlg             string          `json:"id_token_signed_response_alg,omitempty"`
	RequireConsent         bool            `json:"require_consent,omitempty"`
	IntrospectAll          bool            `json:"introspect_all,omitempty"`
	AccessLifetime         int64           `json:"access_lifetime,omitempty"`
	RefreshLifetime        int64           `json:"refresh_lifetime,omitempty"`
	SessionLifetime        *int64          `json:"session_lifetime,omitempty"`
}

// OAuthClientChange is the body that changes a client; members left out stay
// as they are, lists are replaced whole.
type OAuthClientChange struct {
	Name                   *string          `json:"name,omitempty"`
	JWKS                   *json.RawMessage `json:"jwks,omitempty"`
	RedirectURIs           *[]string        `json:"redirect_uris,omitempty"`
	PostLogoutRedirectURIs *[]string        `json:"post_logout_redirect_uris,omitempty"`
	Grants                 *[]string        `json:"grant_types,omitempty"`
	Scopes                 *[]string        `json:"scopes,omitempty"`
	Audiences              *[]string        `json:"audiences,omitempty"`
	IDTokenAlg             *string          `json:"id_token_signed_response_alg,omitempty"`
	RequireConsent         *bool            `json:"require_consent,omitempty"`
	IntrospectAll          *bool            `json:"introspect_all,omitempty"`
	AccessLifetime         *int64           `json:"access_lifetime,omitempty"`
	RefreshLifetime        *int64           `json:"refresh_lifetime,omitempty"`
	SessionLifetime        *int64           `json:"session_lifetime,omitempty"`
}

// Overlap is the body that gives a client another secret.
type Overlap struct {
	OverlapSeconds int64 `json:"overlap_seconds,omitempty"`
}

// mostSeconds keeps a product with 1000 in range; the core says what is sensible.
const mostSeconds = 1 << 40

func milliseconds(field string, seconds int64) (int64, error) {
	if seconds < 0 || seconds > mostSeconds {
		return 0, core.Errorf(core.FieldInvalid, "%s is out of range", field)
	}
	return seconds * 1000, nil
}

func (n *NewOAuthClient) core() (authserver.NewClient, error) {
	out := authserver.NewClient{Account: n.Account, OAuthClient: core.OAuthClient{
		Name: n.Name, Type: core.ClientType(n.Type), Auth: core.ClientAuth(n.Auth), JWKS: jwksText(n.JWKS), RedirectURIs: n.RedirectURIs,
		PostLogoutRedirectURIs: n.PostLogoutRedirectURIs, Grants: n.Grants, Scopes: n.Scopes, Audiences: n.Audiences,
		IDTokenAlg: token.Algorithm(n.IDTokenAlg), RequireConsent: n.RequireConsent, IntrospectAll: n.IntrospectAll,
	}}
	var err error
	if out.AccessMS, err = milliseconds("access_lifetime", n.AccessLifetime); err != nil {
		return out, err
	}
	if out.RefreshIdleMS, err = milliseconds("refresh_lifetime", n.RefreshLifetime); err != nil {
		return out, err
	}
	if n.SessionLifetime != nil {
		if out.SessionMS, err = milliseconds("session_lifetime", *n.SessionLifetime); out.SessionMS == 0 {
			out.SessionMS = -1 // asked for: no bound
		}
	}
	return out, err
}

// jwksText is a JWK Set as it was sent; null is none.
func jwksText(raw json.RawMessage) []byte {
	if string(raw) == "null" {
		return nil
	}
	return raw
}

func (in *OAuthClientChange) core() (authserver.ClientPatch, error) {
	p := authserver.ClientPatch{
		Name: in.Name, RedirectURIs: in.RedirectURIs, PostLogoutRedirectURIs: in.PostLogoutRedirectURIs, Grants: in.Grants,
		Scopes: in.Scopes, Audiences: in.Audiences, RequireConsent: in.RequireConsent, IntrospectAll: in.IntrospectAll,
	}
	if in.JWKS != nil {
		text := string(jwksText(*in.JWKS))
		p.JWKS = &text
	}
	if in.IDTokenAlg != nil {
		alg := token.Algorithm(*in.IDTokenAlg)
		p.IDTokenAlg = &alg
	}
	for _, t := range []struct {
		name string
		from *int64
		into **int64
	}{{"access_lifetime", in.AccessLifetime, &p.AccessMS}, {"refresh_lifetime", in.RefreshLifetime, &p.RefreshIdleMS}, {"session_lifetime", in.SessionLifetime, &p.SessionMS}} {
		if t.from == nil {
			continue
		}
		ms, err := milliseconds(t.name, *t.from)
		if err != nil {
			return p, err
		}
		*t.into = &ms
	}
	return p, nil
}

func (a *api) listClients(c *call) error {
	return listInAccounts(a, c, func(account, after string, n int) ([]*core.ClientRecord, error) {
		return a.clients.ListClients(c.ctx, core.ClientQuery{Account: account, After: after, Limit: n})
	}, func(o *core.ClientRecord, shortname string) (OAuthClient, string) {
		return oauthClientOf(&o.OAuthClient, shortname), o.ID
	})
}

func (a *api) createClient(c *call) error {
	var in NewOAuthClient
	if err := c.body(&in); err != nil {
		return err
	}
	if in.Name == "" {
		return missing("name")
	}
	n, err := in.core()
	if err != nil {
		return err
	}
	made, err := a.clients.CreateClient(c.ctx, c.actor, n)
	if err != nil {
		return err
	}
	out := oauthClientOf(made.Client, made.Account)
	out.Secret = made.Secret
	return c.answer(http.StatusCreated, out)
}

func (a *api) lookupClient(c *call) error {
	q, err := c.query("account", "ref")
	if err != nil {
		return err
	}
	rec, err := a.clients.LookupClient(c.ctx, q.Get("account"), q.Get("ref"))
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, oauthClientOf(&rec.OAuthClient, rec.AccountShortname))
}

func (a *api) getClient(c *call) error {
	rec, err := a.clients.FindClient(c.ctx, c.r.PathValue("id"))
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, oauthClientOf(&rec.OAuthClient, rec.AccountShortname))
}

func (a *api) updateClient(c *call) error {
	var in OAuthClientChange
	if err := c.body(&in); err != nil {
		return err
	}
	patch, err := in.core()
	if err != nil {
		return err
	}
	rec, err := a.clients.FindClient(c.ctx, c.r.PathValue("id"))
	if err != nil {
		return err
	}
	after, err := a.clients.UpdateClient(c.ctx, c.actor, rec.ID, patch)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, oauthClientOf(after, rec.AccountShortname))
}

func (a *api) rotateClient(c *call) error {
	var in Overlap
	if err := c.body(&in); err != nil {
		return err
	}
	ms, err := milliseconds("overlap_seconds", in.OverlapSeconds)
	if err != nil {
		return err
	}
	made, err := a.clients.RotateClientSecret(c.ctx, c.actor, c.r.PathValue("id"), ms)
	if err != nil {
		return err
	}
	out := oauthClientOf(made.Client, made.Account)
	out.Secret = made.Secret
	return c.answer(http.StatusOK, out)
}

func (a *api) setClientState(state core.State) endpoint {
	return func(c *call) error {
		if err := c.body(&struct{}{}); err != nil {
			return err
		}
		rec, err := a.clients.FindClient(c.ctx, c.r.PathValue("id"))
		if err != nil {
			return err
		}
		after, err := a.clients.SetClientState(c.ctx, c.actor, rec.ID, state)
		if err != nil {
			return err
		}
		return c.answer(http.StatusOK, oauthClientOf(after, rec.AccountShortname))
	}
}

func (a *api) deleteClient(c *call) error {
	if err := a.clients.DeleteClient(c.ctx, c.actor, c.r.PathValue("id")); err != nil {
		return err
	}
	return c.noContent()
}
