package authserver

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

var allGrants = []string{core.GrantCode, core.GrantRefresh, core.GrantCredentials, core.GrantAssertion, core.GrantExchange}

// checkClient refuses a client that could not work or that would be unsafe.
func checkClient(c *core.OAuthClient) error {
	for _, check := range []func(*core.OAuthClient) error{checkClientName, checkClientAuth, checkGrants, checkClientURIs, checkClientWords, checkClientTimes} {
		if err := check(c); err != nil {
			return err
		}
	}
	return nil
}

func checkClientName(c *core.OAuthClient) error {
	if c.Name == "" || len(c.Name) > 100 || strings.TrimSpace(c.Name) != c.Name || !plainText(c.Name) {
		return core.InvalidField("name", "a client's name has 1 to 100 bytes, no space at either end and no control characters")
	}
	return nil
}

// plainText refuses control characters and those that change the direction of
// what follows: the name stands on the consent page.
func plainText(s string) bool {
	for _, r := range s {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0xfffd || r >= 0x200e && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return false
		}
	}
	return true
}

func checkClientAuth(c *core.OAuthClient) error {
	switch {
	case c.Type != core.ClientConfidential && c.Type != core.ClientPublic:
		return core.InvalidField("type", "the type of a client is confidential or public")
	case !slices.Contains([]core.ClientAuth{core.AuthSecretBasic, core.AuthSecretPost, core.AuthPrivateKey, core.AuthNone}, c.Auth):
		return core.InvalidField("auth", "the authentication is client_secret_basic, client_secret_post, private_key_jwt or none")
	case (c.Type == core.ClientPublic) != (c.Auth == core.AuthNone):
		return core.InvalidField("auth", "a public client authenticates with none, a confidential one with anything but none")
	case len(c.JWKS) == 0 && c.Auth == core.AuthPrivateKey:
		return core.InvalidField("jwks", "private_key_jwt needs the client's public keys as a JWK Set; a jwks_uri is never fetched")
	}
	if len(c.JWKS) == 0 {
		return nil
	}
	if len(c.JWKS) > 16<<10 {
		return core.InvalidField("jwks", "a JWK Set has at most 16 KiB")
	}
	keys, err := token.ParseForeignJWKS(c.JWKS)
	if err != nil {
		return core.InvalidField("jwks", "the JWK Set cannot be used: %s", err)
	}
	if len(keys) == 0 {
		return core.InvalidField("jwks", "the JWK Set holds no key that can be used; give P-256, Ed25519 or RSA of at least 2048 bits with its alg")
	}
	for _, k := range keys {
		if k.Algorithm().Symmetric() {
			return core.InvalidField("jwks", "the JWK Set holds a symmetric key; give public keys alone")
		}
	}
	return nil
}

func checkGrants(c *core.OAuthClient) error {
	if len(c.Grants) == 0 {
		return core.InvalidField("grants", "a client needs a grant: %s", strings.Join(allGrants, ", "))
	}
	for _, g := range c.Grants {
		if !slices.Contains(allGrants, g) {
			return core.InvalidField("grants", "there is no grant %q; there are %s", core.Clip(g), strings.Join(allGrants, ", "))
		}
	}
	switch {
	case c.MayUse(core.GrantCredentials) && c.Type == core.ClientPublic:
		return core.InvalidField("grants", "a public client has no credentials for client_credentials")
	case c.MayUse(core.GrantRefresh) && !c.MayUse(core.GrantCode):
		return core.InvalidField("grants", "refresh_token goes with authorization_code: no other grant gives a refresh token")
	case c.MayUse(core.GrantCode) && len(c.RedirectURIs) == 0:
		return core.InvalidField("redirect_uris", "authorization_code needs a redirect URI")
	case c.MayUse(core.GrantAssertion) && len(c.JWKS) == 0:
		return core.InvalidField("jwks", "the grant jwt-bearer needs the client's public keys as a JWK Set")
	}
	return nil
}

func checkClientURIs(c *core.OAuthClient) error {
	for field, uris := range map[string][]string{"redirect_uris": c.RedirectURIs, "post_logout_redirect_uris": c.PostLogoutRedirectURIs} {
		if len(uris) > 50 {
			return core.InvalidField(field, "a client has at most 50 of them")
		}
		for _, u := range uris {
			if err := checkRedirectURI(u); err != nil {
				return core.InvalidField(field, "%q: %s", core.Clip(u), err)
			}
		}
	}
	return nil
}

// checkRedirectURI allows https, http on loopback, and schemes of apps in
// reverse domain form (RFC 8252 section 7.1), which no other app should have.
func checkRedirectURI(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || len(raw) > 1000 || !u.IsAbs() || strings.ContainsAny(raw, "\\\"<>` ") || !isASCII(raw):
		return errors.New("it is not an absolute URI of plain ASCII")
	case strings.Contains(raw, "#"):
		return errors.New("it has a fragment")
	case u.User != nil:
		return errors.New("it has a user name")
	case !portIn(u):
		return errors.New("it has no port from 1 to 65535")
	case strings.ContainsRune(raw, '*'):
		return errors.New("it has a wildcard; redirect URIs are compared exactly")
	case u.Scheme == "https" && u.Hostname() != "":
		return nil
	case u.Scheme == "http" && loopbackHost(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return errors.New("http is for loopback alone; use https")
	case strings.Contains(u.Scheme, "."):
		return nil
	}
	return errors.New("its scheme is neither https, http on loopback, nor an app's own in reverse domain form such as com.example.app")
}

// portIn says that the port of a URI, if it names one, is one that there is.
func portIn(u *url.URL) bool {
	if u.Port() == "" {
		return true
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && n > 0
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] <= 0x20 || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// loopbackHost says yes to loopback addresses, and to localhost, which RFC
// 8252 section 8.3 advises against and many development set-ups use.
func loopbackHost(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback() || host == "localhost"
}

// RedirectAllowed reports whether a client registered the redirect URI: the
// same text; of a registered loopback address the port may be another (RFC
// 8252 section 7.3).
func RedirectAllowed(registered []string, uri string) bool {
	if checkRedirectURI(uri) != nil {
		return false
	}
	for _, r := range registered {
		if r == uri || r != "" && sameButPort(r, uri) {
			return true
		}
	}
	return false
}

func sameButPort(registered, uri string) bool {
	a, err1 := url.Parse(registered)
	b, err2 := url.Parse(uri)
	if err1 != nil || err2 != nil || a.Scheme != "http" || b.Scheme != "http" || a.Hostname() != b.Hostname() {
		return false
	}
	if addr, err := netip.ParseAddr(a.Hostname()); err != nil || !addr.IsLoopback() {
		return false
	}
	// The rest must be the same text, so the ports are cut out of the text
	// rather than the URIs rebuilt.
	return strings.Replace(registered, "//"+a.Host, "//", 1) == strings.Replace(uri, "//"+b.Host, "//", 1)
}

func checkClientWords(c *core.OAuthClient) error {
	if len(c.Scopes) > 100 || len(c.Audiences) > 16 {
		return core.InvalidField("scopes", "a client has at most 100 scopes and 16 audiences")
	}
	for _, w := range c.Scopes {
		if parsed, err := ParseScope(w); err != nil || len(parsed) != 1 {
			return core.InvalidField("scopes", "%q is not a scope: one word of printable ASCII", core.Clip(w))
		}
	}
	for _, a := range c.Audiences {
		if a == "" || len(a) > 500 || !isASCII(a) {
			return core.InvalidField("audiences", "%q is not an audience: give a URI of printable ASCII", core.Clip(a))
		}
		if strings.HasPrefix(a, core.ClientIDPrefix) {
			// An id token's aud is a client id; an access token with the same
			// could be taken for one.
			return core.InvalidField("audiences", "%q looks like a client id, which is the audience of id tokens", core.Clip(a))
		}
	}
	if !slices.Contains(IDTokenAlgorithms(), c.IDTokenAlg) {
		return core.InvalidField("id_token_alg", "the algorithm of id tokens is ES256, RS256 or EdDSA")
	}
	return nil
}

func checkClientTimes(c *core.OAuthClient) error {
	const minute = 60_000
	switch {
	case c.AccessMS < minute || c.AccessMS > core.MaxAccessMS || c.AccessMS%1000 != 0:
		return core.InvalidField("access_lifetime", "access tokens live 1 minute to 24 hours, in whole seconds")
	case c.RefreshIdleMS < minute || c.RefreshIdleMS > MaxRefreshIdleMS || c.RefreshIdleMS%1000 != 0:
		return core.InvalidField("refresh_lifetime", "refresh tokens live 1 minute to 365 days, in whole seconds")
	case c.SessionMS < 0 || c.SessionMS > 10*MaxRefreshIdleMS || c.SessionMS%1000 != 0:
		return core.InvalidField("session_lifetime", "sessions live at most 10 years, in whole seconds; 0 is no bound")
	case c.MayUse(core.GrantRefresh) && c.RefreshIdleMS < c.AccessMS:
		return core.InvalidField("refresh_lifetime", "refresh tokens live at least as long as access tokens")
	}
	return nil
}
