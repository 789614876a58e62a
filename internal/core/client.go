package core

import (
	"context"
	"slices"

	"github.com/sallyport/sallyport/internal/token"
)

// The mounts of our own. OAuth's sessions are rows like any contract's, so one
// gate issues and one engine rotates; a browser's login is a session without
// refreshes, whose cookie is its refresh token.
const (
	OAuthMount   = "oauth"
	BrowserMount = "browser"
)

// MaxAccessMS is the longest that access and id tokens of a client live, in
// milliseconds.
const MaxAccessMS int64 = 24 * 3600 * 1000

// Scopes of OpenID Connect Core section 5.4 and 11. They are no roles: every
// user may grant them.
const (
	ScopeOpenID  = "openid"
	ScopeProfile = "profile"
	ScopeEmail   = "email"
	ScopeOffline = "offline_access"
)

// OIDCScopes lists them.
func OIDCScopes() []string { return []string{ScopeOpenID, ScopeProfile, ScopeEmail, ScopeOffline} }

// ClientType says whether a client can keep a secret (RFC 6749 section 2.1).
type ClientType string

// The types.
const (
	ClientConfidential ClientType = "confidential"
	ClientPublic       ClientType = "public"
)

// ClientAuth is how a client proves who it is at the token endpoint, by the
// names of OpenID Connect Core section 9. A client has exactly one.
type ClientAuth string

// The ways.
const (
	AuthSecretBasic ClientAuth = "client_secret_basic"
	AuthSecretPost  ClientAuth = "client_secret_post"
	AuthPrivateKey  ClientAuth = "private_key_jwt"
	AuthNone        ClientAuth = "none"
)

// The grants a client may be given, as grant_type names them.
const (
	GrantCode        = "authorization_code"
	GrantRefresh     = "refresh_token"
	GrantCredentials = "client_credentials"
	GrantAssertion   = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	GrantExchange    = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// ClientIDPrefix begins every client id: no user id (a UUID) can equal one, so
// sub says without doubt who it is.
const ClientIDPrefix = "client_"

// OAuthClient is a program that gets tokens by the OAuth endpoints. It belongs
// to one account and serves the users of that account.
type OAuthClient struct {
	ID      string // client_…
	Account string // account id
	Name    string // shown on the consent page
	Type    ClientType
	Auth    ClientAuth
	Secrets []ClientSecret // newest first; two while rotating
	// JWKS are the public keys that verify its assertions, inline. A jwks_uri
	// is never fetched: the server would call addresses that others choose, and
	// a login would hang on somebody else's web server.
	JWKS []byte
	// RedirectURIs are compared exactly; of a loopback one the port varies
	// (RFC 8252 section 7.3).
	RedirectURIs           []string
	PostLogoutRedirectURIs []string
	Grants                 []string
	Scopes                 []string // what it may ask for; for client_credentials its own roles
	Audiences              []string // aud of its access tokens; none = the issuer
	IDTokenAlg             token.Algorithm
	RequireConsent         bool
	// IntrospectAll lets it introspect and revoke tokens of every account, not
	// of its own alone.
	IntrospectAll bool

	AccessMS      int64 // lifetime of access and id tokens
	RefreshIdleMS int64 // a refresh token unused this long is dead
	SessionMS     int64 // a session ends this long after the login; 0 = never by age

	State     State
	Version   int64 // raised by every change
	CreatedAt int64
	UpdatedAt int64
}

// ClientSecret is one secret: 256 random bits, so its SHA-256 is enough.
type ClientSecret struct {
	Number    int64    `json:"number"`
	Hash      [32]byte `json:"hash"`
	CreatedAt int64    `json:"created_at"`
	ExpiresAt int64    `json:"expires_at"` // 0 = none
}

// MayUse reports whether the client was given the grant.
func (c *OAuthClient) MayUse(grant string) bool { return slices.Contains(c.Grants, grant) }

// ClientEvent starts an audit event about a client.
func ClientEvent(actor Actor, kind string, c *OAuthClient) Event {
	ev := actor.Event(kind)
	ev.Account, ev.Subject = c.Account, c.ID
	ev.Detail = map[string]string{"name": c.Name}
	return ev
}

// ClientRecord is a client and what must be known of its account.
type ClientRecord struct {
	OAuthClient
	AccountShortname string
	AccountState     State
	AccountVersion   int64
}

// Live reports whether client and account may be given tokens.
func (c *ClientRecord) Live() bool { return c.State == Active && c.AccountState == Active }

// Clients is the part of Store that knows OAuth clients.
type Clients interface {
	// CreateClient adds p.Client. ErrExists for a taken id, ErrNoRow for an
	// unknown account.
	CreateClient(ctx context.Context, p *CreateClientParams) (*OAuthClient, error)
	// ClientByID returns deleted clients too. ErrNoRow.
	ClientByID(ctx context.Context, id string) (*ClientRecord, error)
	// ListClients returns clients that are not deleted, by (account, id).
	ListClients(ctx context.Context, q ClientQuery) ([]*ClientRecord, error)
	// ChangeClient replaces the row by p.Client if it is at p.IfVersion, and
	// raises the version. With p.EndSessions it ends all sessions of the client
	// under one fact on it. ErrNoRow, ErrStale.
	ChangeClient(ctx context.Context, p *ChangeClientParams) (*OAuthClient, error)
	// Machine returns a client or API key as a subject, and the highest fact
	// number of the same moment: the epoch of tokens that have no session row.
	// ErrNoRow.
	Machine(ctx context.Context, id string) (*Subject, int64, error)
	// AcceptAssertion remembers the hash of an assertion. ErrExists when it is
	// remembered already.
	AcceptAssertion(ctx context.Context, p *AssertionParams) error
}

// ClientQuery selects clients. Zero values mean "any".
type ClientQuery struct {
	Account string // account id
	After   string // id to start after, within Account
	Limit   int
}

// CreateClientParams is one step.
type CreateClientParams struct {
	Client OAuthClient
	Now    int64
	Event  Event
}

// ChangeClientParams is one step. Deleting is Client.State=Deleted: the secrets
// and keys go from the row.
type ChangeClientParams struct {
	Client      OAuthClient
	IfVersion   int64
	EndSessions bool
	FactPurgeAt int64
	Now         int64
	Event       Event
}

// AssertionParams is one step.
type AssertionParams struct {
	Hash  [32]byte // of issuer and jti
	Until int64    // may be forgotten then
	Now   int64
}
