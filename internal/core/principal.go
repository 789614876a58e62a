package core

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/token"
)

// Principal is who a verified token speaks for, as of now.
type Principal struct {
	Kind      token.Kind // Access or Application (Refresh where a route lists it)
	Mount     string
	TokenID   string // jti
	Session   SessionID
	Subject   Subject
	Scopes    []string // the subject's roles, narrowed where the token is
	IssuedAt  int64
	ExpiresAt int64    // 0 = never
	Networks  []string // CIDRs an application token is limited to
	Claims    []byte   // the token's payload, a JSON object
	// Of OAuth tokens alone.
	ClientID string   // the client, or the API key, that it was issued to
	Audience []string // aud
	AuthTime int64    // when the user logged in; 0 for machines
	Parent   string   // jti of the token that this one narrows

	Shared bool  // signed with a secret that others hold: it counts on its own mount and nowhere else
	Status int64 // number of the session in the status lists; 0 = none

	hash [32]byte // of an application token: finds its row again
}

// Scope is the roles joined by spaces, as the scope claim has them.
func (p *Principal) Scope() string { return strings.Join(p.Scopes, " ") }

// HasRole reports whether role is among the principal's roles.
func (p *Principal) HasRole(role string) bool { return slices.Contains(p.Roles(), role) }

// Roles are the scopes that are roles of the subject. The scopes of OpenID
// Connect are none: any client may be given "profile", and a rule that asks for
// a role of that name means something else.
func (p *Principal) Roles() []string {
	if p.ClientID == "" {
		return p.Scopes
	}
	var out []string
	for _, s := range p.Scopes {
		if slices.Contains(p.Subject.Roles, s) && (p.Subject.Kind != SubjectClient || !slices.Contains(OIDCScopes(), s)) {
			out = append(out, s)
		}
	}
	return out
}
