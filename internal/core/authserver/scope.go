package authserver

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
)

// ParseScope splits a scope parameter (RFC 6749 section 3.3). *Error.
func ParseScope(text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	bad := func() ([]string, error) {
		return nil, oauthError(InvalidScope, "malformed scope", "The scope is words of printable ASCII with single spaces between them")
	}
	if len(text) > 2000 {
		return bad()
	}
	var scope []string
	for _, word := range strings.Split(text, " ") {
		if word == "" {
			return bad()
		}
		for i := range len(word) {
			if c := word[i]; c <= 0x20 || c >= 0x7f || c == '"' || c == '\\' {
				return bad()
			}
		}
		if !slices.Contains(scope, word) {
			scope = append(scope, word)
		}
	}
	return scope, nil
}

// AllowedScope cuts a scope asked for to what a client may have and, of the
// words that are roles, what the user is. Without a scope asked for it is all
// of the client's but those of OpenID Connect. With strict, a word that the
// client may not have is refused (token endpoint); without, it is left out
// (OpenID Connect Core section 3.1.2.1).
func AllowedScope(c *core.OAuthClient, asked, roles []string, strict bool) ([]string, error) {
	if len(asked) == 0 {
		for _, w := range c.Scopes {
			if !slices.Contains(core.OIDCScopes(), w) {
				asked = append(asked, w)
			}
		}
	}
	var out []string
	for _, w := range asked {
		switch {
		case !slices.Contains(c.Scopes, w):
			if strict {
				return nil, oauthError(InvalidScope, "scope not allowed", "This client may not ask for the scope %q", core.Clip(w))
			}
		case slices.Contains(core.OIDCScopes(), w) || slices.Contains(roles, w):
			out = append(out, w)
		}
	}
	return out, nil
}

// liveScope is what of a granted scope still counts: a role taken away is gone.
func liveScope(granted, roles []string) []string {
	var out []string
	for _, w := range granted {
		if slices.Contains(core.OIDCScopes(), w) || slices.Contains(roles, w) {
			out = append(out, w)
		}
	}
	return out
}

func subset(part, whole []string) bool {
	for _, p := range part {
		if !slices.Contains(whole, p) {
			return false
		}
	}
	return true
}
