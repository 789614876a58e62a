package contract

import (
	"github.com/sallyport/sallyport/internal/token"
)

// grantKind is one way from a credential to an answer.
type grantKind struct {
	name     string
	needs    []string // each of these inputs
	oneOf    []string // exactly one of these
	may      []string // these, if the route has them
	scope    scope    // what its answers may name
	kinds    bool     // the route may list token kinds
	defaults map[string][]token.Kind
	about    string
}

var grantKinds = []*grantKind{
	{
		name: "password", needs: []string{"username", "password"}, may: []string{"account"}, scope: inGranted,
		about: "opens a session by user name (or e-mail address) and password",
	},
	{
		name: "refresh", needs: []string{"refresh_token"}, may: []string{"subject"}, scope: inGranted,
		about: "gives new tokens for a refresh token",
	},
	{
		name: "renew", needs: []string{"access_token"}, scope: inGranted,
		about: "gives a new access token for a live one, in its session",
	},
	{
		name: "request_token", needs: []string{"request_token"}, scope: inGranted,
		about: "opens a session by a token signed with an API key",
	},
	{
		name: "application_token", oneOf: []string{"refresh_token", "access_token", "token"}, may: []string{"label", "networks", "scopes"}, scope: inGranted, kinds: true,
		defaults: map[string][]token.Kind{"refresh_token": {token.Refresh}, "access_token": {token.Access}, "token": {token.Refresh, token.Access}},
		about:    "mints a token that never expires, for users of type application",
	},
	{
		name: "verify", oneOf: []string{"token", "access_token", "refresh_token"}, scope: inPrincipal, kinds: true,
		defaults: map[string][]token.Kind{"token": {token.Access, token.Application}, "access_token": {token.Access, token.Application}, "refresh_token": {token.Refresh}},
		about:    "tells whether a token is good; nothing moves",
	},
	{
		name: "whoami", oneOf: []string{"access_token", "token"}, scope: inPrincipal, kinds: true,
		defaults: map[string][]token.Kind{"token": {token.Access, token.Application}, "access_token": {token.Access, token.Application}},
		about:    "tells whose token it is",
	},
	{
		name: "logout", oneOf: []string{"refresh_token", "access_token", "token"}, scope: inLogout, kinds: true,
		defaults: map[string][]token.Kind{"refresh_token": {token.Refresh}, "access_token": {token.Access}, "token": {token.Access, token.Refresh}},
		about:    "ends the token's session, the others, or all of its subject",
	},
	{
		name: "none", scope: inLogout,
		about: "asks for no credential and gives a fixed answer, such as the list of login flows",
	},
}

func findGrant(name string) *grantKind {
	for _, g := range grantKinds {
		if g.name == name {
			return g
		}
	}
	return nil
}

func grantNames() []string {
	out := make([]string, len(grantKinds))
	for i, g := range grantKinds {
		out[i] = g.name
	}
	return out
}
