package core

import (
	"net/netip"

	"github.com/sallyport/sallyport/internal/token"
)

// Client is where a request came from; edges fill it in.
type Client struct {
	Address             netip.Addr // the client's, after trusted proxies
	UserAgent           string
	RequestID           string
	ForwardedByUnlisted bool // an unlisted peer sent forwarding headers: its address is not one network (SECURITY 50)
}

// Actor is the client as one who acts, under a name.
func (c *Client) Actor(name string) Actor {
	return Actor{Name: name, Address: addressText(c.Address), RequestID: c.RequestID}
}

// LoginRequest asks for a session by user name and password.
type LoginRequest struct {
	Mount          *Mount
	Account        string // shortname; used only where the mount serves any account
	Username       string // user name or e-mail, as typed
	Password       string
	WithoutRefresh bool   // the contract's answer has no refresh token
	Variant        string // of the mount's policy, "" = none; the session remembers it
	Client         Client
}

// RefreshRequest presents a refresh token.
type RefreshRequest struct {
	Mount   *Mount
	Token   string
	Subject string // where the contract asks for it: must be the token's subject
	Variant string // whose access and id tokens this answer has; "" = the session's
	Client  Client
}

// RenewRequest exchanges a live access token for a new one in its session.
type RenewRequest struct {
	Mount   *Mount
	Token   string
	Variant string // whose access and id tokens this answer has; "" = the session's
	Client  Client
}

// ExchangeRequest presents a request token signed with an API key.
type ExchangeRequest struct {
	Mount   *Mount
	Token   string
	Variant string // of the mount's policy, "" = none; the session remembers it
	Client  Client
}

// How long after a login application tokens may be minted, in milliseconds. A
// token that never expires is not to be had by whoever finds a refresh token
// that is a month old.
const (
	DefaultMintAgeMS int64 = 5 * 60 * 1000
	// AnyAge is for vendors' contracts whose clients never log in again.
	AnyAge int64 = -1
)

// MintRequest asks for an application token, by refresh token (vendor
// contracts) or by access token.
type MintRequest struct {
	Mount *Mount
	Token string
	Kinds []token.Kind // kinds accepted as the credential
	// MaxAgeMS is how long ago the credential of the token's session may have
	// been checked (SECURITY 46); 0 is DefaultMintAgeMS, AnyAge asks for nothing.
	MaxAgeMS int64
	Label    string
	Networks []string
	Scopes   []string
	Client   Client
}

// VerifyRequest asks whether a token is good, and whose it is. Nothing moves.
type VerifyRequest struct {
	Mount  *Mount
	Token  string
	Kinds  []token.Kind
	Client Client
}

// LogoutScope says which sessions a logout ends.
type LogoutScope string

// The scopes.
const (
	LogoutThis   LogoutScope = "this"
	LogoutOthers LogoutScope = "others"
	LogoutAll    LogoutScope = "all"
)

// LogoutRequest ends sessions of the token's subject.
type LogoutRequest struct {
	Mount  *Mount
	Token  string
	Kinds  []token.Kind // e.g. Refresh, Access
	Scope  LogoutScope
	Client Client
}

// AuthenticateRequest is the gateway's question: may this token pass here?
type AuthenticateRequest struct {
	Mounts  []*Mount     // whose tokens the rule accepts, in order of preference
	Kinds   []token.Kind // default: Access and Application
	Token   string
	Roles   []string // any of these is needed; empty = none
	Account string   // shortname the principal must belong to, "" = any
	Client  Client
}

// Granted is the answer of every grant. Tokens not issued are "".
type Granted struct {
	Now              int64
	AccessToken      string
	AccessExpires    int64
	RefreshToken     string
	RefreshExpires   int64
	IDToken          string
	IDExpires        int64
	ApplicationToken string
	ApplicationID    string
	Session          *Session
	Subject          *Subject
	Verdict          string // e.g. "moved", "replayed": for logs
}
