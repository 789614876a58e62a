package core

import (
	"context"

	"github.com/sallyport/sallyport/internal/token"
)

// AnyAccount as Mount.Account means that the mount serves every account: the
// request names it (a shortname), else it is the default one.
const AnyAccount = "any"

// Mount is a contract put on the listener, as far as the core must know it.
// Its values are constants once registered.
type Mount struct {
	ID       string // stable over restarts; sessions and key sets belong to it
	Contract string // name of the contract
	Account  string // shortname of the account it serves, or AnyAccount
	Policy   Policy
}

// serves reports whether subjects of an account may use the mount: also those
// whose tokens it issued while it was configured for another one.
func (m *Mount) serves(account string) bool { return m.Account == AnyAccount || m.Account == account }

// Policy is what a contract says about its tokens.
type Policy struct {
	Rotation Rotation
	// Access tokens always (but not of browser logins, which open no API); the
	// others are nil when the contract has none.
	Access      *TokenSpec
	Refresh     *TokenSpec
	ID          *TokenSpec
	Application *TokenSpec
	// RequestWindowMS is how far a request token's iat may be from now.
	RequestWindowMS int64
	// PerClient is set where each client has lifetimes and audiences of its own,
	// as with OAuth: those of the policy are bounds then, and the header's typ is
	// demanded.
	PerClient *PerClient
	// Variants are ways to log in with lifetimes or claims of their own, by name.
	// Sessions remember theirs. nil = none.
	Variants map[string]*Variant
	// NoStatusList leaves the status claim out of tokens: their sessions and
	// application tokens get no status number.
	NoStatusList bool
	// KindClaim is the claim that says a token's kind ("type", "token_use");
	// each TokenSpec has the value.
	KindClaim string
}

// PerClient is what a mount needs on which clients differ.
type PerClient struct {
	// Principal says who an access, id or refresh token of the mount speaks for,
	// and refuses one that claims what its client or session was never given. It
	// need not ask for facts: the core does, on all that the principal names.
	Principal func(ctx context.Context, id *Identified, now int64) (*Principal, error)
	// IDKeys are further sets whose keys sign id tokens of the mount: a set has
	// one algorithm, and clients may ask for several.
	IDKeys []KeySet
}

// Spec gives the spec of a kind, nil when the contract has none.
func (p *Policy) Spec(kind token.Kind) *TokenSpec {
	switch kind {
	case token.Access:
		return p.Access
	case token.Refresh:
		return p.Refresh
	case token.ID:
		return p.ID
	case token.Application:
		return p.Application
	}
	return nil
}

// TokenSpec says how one kind of token is made. The core writes the claims
// that verification and revocation stand on (iss, sub, aud, sid, jti, iat,
// exp, gen and the kind claim; acct and status in access and application
// tokens); Claims adds the contract's own members.
type TokenSpec struct {
	Kind       token.Kind
	LifetimeMS int64 // 0 = never expires (application tokens alone)
	Algorithm  token.Algorithm
	Header     token.Header
	KindValue  string // value of Policy.KindClaim
	Audience   string // "" = no aud claim
	Issuer     string // "" = the service's issuer; else this constant
	NotBefore  bool   // write nbf = iat
	OwnSubject bool   // Claims writes sub itself; access and application tokens have uid besides
	Own        OwnClaims
	Claims     Claims // nil = none
}

// OwnClaims are names that the contract gives to claims of its own: ours of
// that name is left out, and what follows revocations by it cannot use it.
type OwnClaims struct {
	Account bool // acct
	UserID  bool // uid
	Status  bool // status
}

// Claims renders a contract's own members of a token payload: `"a":1,"b":2`
// without braces, or nothing. Templates of refresh tokens may use only
// constants and TokenValues.Session, so that a token can be made again byte
// for byte from its row.
type Claims interface {
	AppendMembers(dst []byte, v *TokenValues) ([]byte, error)
}

// TokenValues is what a template may draw from. Times are Unix milliseconds.
type TokenValues struct {
	Kind      token.Kind
	TokenID   string // jti
	Issuer    string
	IssuedAt  int64
	ExpiresAt int64 // 0 = never
	Session   *Session
	Subject   *Subject // nil for refresh tokens
	Status    int64    // number in the status lists; 0 = none
	// Narrowed roles of an application token; nil = the subject's.
	Scopes []string
}
