package cli

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

type clientCmd struct {
	Add     clientAddCmd     `cmd:"" help:"Add an OAuth client and show its secret once."`
	List    clientListCmd    `cmd:"" help:"List OAuth clients."`
	Show    clientShowCmd    `cmd:"" help:"Show one client."`
	Update  clientUpdateCmd  `cmd:"" help:"Change names, URIs, grants, scopes or lifetimes."`
	Rotate  clientRotateCmd  `cmd:"" name:"rotate-secret" help:"Give a client another secret; the old one stays good for a while."`
	Disable clientDisableCmd `cmd:"" help:"Disable a client and end its sessions and tokens."`
	Enable  clientEnableCmd  `cmd:"" help:"Enable a client again."`
	Delete  clientDeleteCmd  `cmd:"" help:"Delete a client for good."`
}

// grantNames are short names of grants whose real ones nobody can type.
var grantNames = map[string]string{
	"code":           "authorization_code",
	"refresh":        "refresh_token",
	"credentials":    "client_credentials",
	"jwt-bearer":     "urn:ietf:params:oauth:grant-type:jwt-bearer",
	"token-exchange": "urn:ietf:params:oauth:grant-type:token-exchange",
}

// fullGrants resolves short names; others go as they are, and the server says
// what there is.
func fullGrants(list []string) []string {
	out := make([]string, len(list))
	for i, g := range list {
		out[i] = g
		if full := grantNames[g]; full != "" {
			out[i] = full
		}
	}
	return out
}

func shortGrants(list []string) string {
	out := make([]string, len(list))
	for i, g := range list {
		out[i] = g
		for short, full := range grantNames {
			if full == g {
				out[i] = short
			}
		}
	}
	return strings.Join(out, " ")
}

func clientPath(id, verb string) string { return "/clients/" + url.PathEscape(id) + verb }

// jwksArg reads a JWK Set given as text or, behind @, as a file.
func jwksArg(s string) (json.RawMessage, error) {
	if s == "" {
		return nil, nil
	}
	if file, ok := strings.CutPrefix(s, "@"); ok {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, usagef("--jwks: %s", err)
		}
		s = string(b)
	}
	if !json.Valid([]byte(s)) {
		return nil, usagef(`--jwks is not JSON; give {"keys":[…]}, or @FILE`)
	}
	return json.RawMessage(s), nil
}

// wholeSeconds checks a lifetime from the command line.
func wholeSeconds(flag string, d time.Duration) (int64, error) {
	if d < 0 || d%time.Second != 0 {
		return 0, usagef("--%s is a time in whole seconds, such as 15m or 720h", flag)
	}
	return int64(d / time.Second), nil
}

type clientAddCmd struct {
	Name            string         `arg:"" help:"Name, shown on the consent page."`
	Account         string         `placeholder:"NAME" help:"Account whose users it serves. (default)"`
	Public          bool           `help:"A public client: an app or a page that cannot keep a secret."`
	Auth            string         `placeholder:"METHOD" help:"client_secret_basic, client_secret_post, private_key_jwt or none. (client_secret_basic; none with --public)"`
	JWKS            string         `name:"jwks" placeholder:"JSON|@FILE" help:"Public keys that verify its assertions; never fetched from a URL."`
	RedirectURI     []string       `name:"redirect-uri" sep:"none" placeholder:"URI" help:"Where logins return to, compared exactly; repeat for more."`
	LogoutURI       []string       `name:"logout-uri" sep:"none" placeholder:"URI" help:"Where logouts may return to; repeat for more."`
	Grant           []string       `placeholder:"GRANT" help:"code, refresh, credentials, jwt-bearer or token-exchange; repeat for more. (code and refresh with --redirect-uri, else credentials)"`
	Scope           []string       `placeholder:"SCOPE" help:"What it may ask for: openid, profile, email, offline_access, and roles; repeat for more. (the first four with --redirect-uri)"`
	Audience        []string       `sep:"none" placeholder:"URI" help:"API that its access tokens are for; repeat for more. (the issuer)"`
	IDTokenAlg      string         `name:"id-token-alg" placeholder:"ALG" help:"ES256, RS256 or EdDSA. (ES256)"`
	Consent         bool           `help:"Ask each user before the client gets tokens."`
	IntrospectAll   bool           `name:"introspect-all" help:"It may introspect and revoke tokens of every account."`
	AccessLifetime  time.Duration  `placeholder:"TIME" help:"Lifetime of access tokens. (15m)"`
	RefreshLifetime time.Duration  `placeholder:"TIME" help:"A refresh token unused this long is dead. (720h)"`
	SessionLifetime *time.Duration `placeholder:"TIME" help:"A login counts this long; 0s is no bound. (2160h)"`
}

func (c *clientAddCmd) body() (*admin.NewOAuthClient, error) {
	in := &admin.NewOAuthClient{
		Account: c.Account, Name: c.Name, Auth: c.Auth, RedirectURIs: c.RedirectURI, PostLogoutRedirectURIs: c.LogoutURI,
		Grants: fullGrants(c.Grant), Scopes: c.Scope, Audiences: c.Audience, IDTokenAlg: c.IDTokenAlg,
		RequireConsent: c.Consent, IntrospectAll: c.IntrospectAll,
	}
	if c.Public {
		in.Type = "public"
	}
	if len(in.Grants) == 0 {
		in.Grants = fullGrants([]string{"credentials"})
		if len(c.RedirectURI) > 0 {
			in.Grants = fullGrants([]string{"code", "refresh"})
		}
	}
	if in.Scopes == nil && len(c.RedirectURI) > 0 {
		in.Scopes = []string{"openid", "profile", "email", "offline_access"}
	}
	var err error
	if in.JWKS, err = jwksArg(c.JWKS); err != nil {
		return nil, err
	}
	if in.AccessLifetime, err = wholeSeconds("access-lifetime", c.AccessLifetime); err != nil {
		return nil, err
	}
	if in.RefreshLifetime, err = wholeSeconds("refresh-lifetime", c.RefreshLifetime); err != nil {
		return nil, err
	}
	if c.SessionLifetime != nil {
		s, err := wholeSeconds("session-lifetime", *c.SessionLifetime)
		if err != nil {
			return nil, err
		}
		in.SessionLifetime = &s
	}
	return in, nil
}

func (c *clientAddCmd) Run(e *env) error {
	in, err := c.body()
	if err != nil {
		return err
	}
	cl, err := e.connect()
	if err != nil {
		return err
	}
	var made admin.OAuthClient
	if err := cl.Post(e.ctx, "/clients", in, &made); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(made)
	}
	e.printf("Client %s added (%s, account %s).\n", plain(made.Name), made.Type, made.Account)
	e.printf("Client id: %s\n", made.ID)
	e.showClientSecret(&made)
	return nil
}

func (e *env) showClientSecret(c *admin.OAuthClient) {
	if c.Secret != "" {
		e.printf("Client secret, shown this once: %s\n", c.Secret)
	}
}

type clientListCmd struct {
	Account string `placeholder:"NAME" help:"Only this account."`
}

func (c *clientListCmd) Run(e *env) error {
	t := &table{head: []string{"ID", "NAME", "ACCOUNT", "STATE", "TYPE", "GRANTS"}}
	none := "There are no OAuth clients. `sallyport client add NAME` makes one."
	return list(e, "/clients", values("account", c.Account), none, t, func(o admin.OAuthClient) {
		t.add(o.ID, o.Name, o.Account, o.State, o.Type, shortGrants(o.Grants))
	})
}

// clientRef names a client.
type clientRef struct {
	Client  string `arg:"" help:"Client id, or its name."`
	Account string `placeholder:"NAME" help:"Account of a client given by name. (default)"`
}

func (r *clientRef) find(e *env) (*admin.Client, *admin.OAuthClient, error) {
	cl, err := e.connect()
	if err != nil {
		return nil, nil, err
	}
	var o admin.OAuthClient
	if err := cl.Get(e.ctx, "/clients/lookup", values("account", r.Account, "ref", r.Client), &o); err != nil {
		return nil, nil, err
	}
	return cl, &o, nil
}

type clientShowCmd struct{ clientRef }

func (c *clientShowCmd) Run(e *env) error {
	_, o, err := c.find(e)
	if err != nil {
		return err
	}
	if e.json {
		return e.printJSON(o)
	}
	f := &facts{}
	f.add("Id", o.ID)
	f.add("Name", o.Name)
	f.add("Account", o.Account)
	f.add("State", o.State)
	f.add("Type", o.Type)
	f.add("Authentication", o.Auth)
	f.add("Secrets", strconv.Itoa(len(o.Secrets)))
	f.add("Grants", shortGrants(o.Grants))
	f.add("Scopes", strings.Join(o.Scopes, " "))
	f.add("Audiences", orWord(strings.Join(o.Audiences, " "), "the issuer"))
	f.add("Redirect URIs", orWord(strings.Join(o.RedirectURIs, " "), "none"))
	f.add("Logout URIs", orWord(strings.Join(o.PostLogoutRedirectURIs, " "), "none"))
	f.add("Id tokens", o.IDTokenAlg)
	f.add("Asks for consent", yesNo(o.RequireConsent))
	f.add("Introspects", map[bool]string{true: "every account", false: "its account"}[o.IntrospectAll])
	f.add("Access tokens", "live "+span(time.Duration(o.AccessLifetime)*time.Second))
	f.add("Refresh tokens", "unused at most "+span(time.Duration(o.RefreshLifetime)*time.Second))
	if o.SessionLifetime > 0 {
		f.add("Logins", "count "+span(time.Duration(o.SessionLifetime)*time.Second))
	}
	f.add("Made", e.when(o.CreatedAt))
	f.add("Changed", e.when(o.UpdatedAt))
	f.write(e)
	return nil
}

func orWord(s, word string) string {
	if s == "" {
		return word
	}
	return s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

type clientUpdateCmd struct {
	clientRef
	Name            *string        `placeholder:"NAME" help:"New name."`
	JWKS            string         `name:"jwks" placeholder:"JSON|@FILE" help:"Replaces its public keys."`
	RedirectURI     []string       `name:"redirect-uri" sep:"none" placeholder:"URI" help:"Replaces all redirect URIs; repeat for more."`
	LogoutURI       []string       `name:"logout-uri" sep:"none" placeholder:"URI" help:"Replaces all logout URIs; repeat for more."`
	Grant           []string       `placeholder:"GRANT" help:"Replaces all grants; repeat for more."`
	Scope           []string       `xor:"scopes" placeholder:"SCOPE" help:"Replaces all scopes; repeat for more."`
	NoScopes        bool           `xor:"scopes" help:"Take all scopes away."`
	Audience        []string       `sep:"none" placeholder:"URI" help:"Replaces all audiences; repeat for more."`
	IDTokenAlg      *string        `name:"id-token-alg" placeholder:"ALG" help:"ES256, RS256 or EdDSA."`
	Consent         *bool          `negatable:"" help:"Ask each user, or do not."`
	IntrospectAll   *bool          `negatable:"" name:"introspect-all" help:"Introspect tokens of every account, or of its own."`
	AccessLifetime  *time.Duration `placeholder:"TIME" help:"Lifetime of access tokens."`
	RefreshLifetime *time.Duration `placeholder:"TIME" help:"A refresh token unused this long is dead."`
	SessionLifetime *time.Duration `placeholder:"TIME" help:"A login counts this long; 0s is no bound."`
}

func (c *clientUpdateCmd) body() (*admin.OAuthClientChange, error) {
	in := &admin.OAuthClientChange{Name: c.Name, IDTokenAlg: c.IDTokenAlg, RequireConsent: c.Consent, IntrospectAll: c.IntrospectAll}
	keys, err := jwksArg(c.JWKS)
	if err != nil {
		return nil, err
	}
	if keys != nil {
		in.JWKS = &keys
	}
	for _, l := range []struct {
		from []string
		into **[]string
	}{
		{c.RedirectURI, &in.RedirectURIs},
		{c.LogoutURI, &in.PostLogoutRedirectURIs},
		{fullGrants(c.Grant), &in.Grants},
		{c.Scope, &in.Scopes},
		{c.Audience, &in.Audiences},
	} {
		if len(l.from) > 0 {
			*l.into = &l.from
		}
	}
	if c.NoScopes {
		in.Scopes = &[]string{}
	}
	for _, t := range []struct {
		flag string
		from *time.Duration
		into **int64
	}{
		{"access-lifetime", c.AccessLifetime, &in.AccessLifetime},
		{"refresh-lifetime", c.RefreshLifetime, &in.RefreshLifetime},
		{"session-lifetime", c.SessionLifetime, &in.SessionLifetime},
	} {
		if t.from == nil {
			continue
		}
		s, err := wholeSeconds(t.flag, *t.from)
		if err != nil {
			return nil, err
		}
		*t.into = &s
	}
	if *in == (admin.OAuthClientChange{}) {
		return nil, usagef("nothing to change was given. See `sallyport client update --help`")
	}
	return in, nil
}

func (c *clientUpdateCmd) Run(e *env) error {
	in, err := c.body()
	if err != nil {
		return err
	}
	cl, o, err := c.find(e)
	if err != nil {
		return err
	}
	var after admin.OAuthClient
	if err := cl.Do(e.ctx, http.MethodPatch, clientPath(o.ID, ""), nil, in, &after); err != nil {
		return err
	}
	return e.done(after, "Client %s updated.", plain(after.Name))
}

type clientRotateCmd struct {
	clientRef
	Overlap time.Duration `default:"24h" placeholder:"TIME" help:"How long the old secret stays good; 0 ends it now, 2160h at most. (24h)"`
}

func (c *clientRotateCmd) Run(e *env) error {
	overlap, err := wholeSeconds("overlap", c.Overlap)
	if err != nil {
		return err
	}
	cl, o, err := c.find(e)
	if err != nil {
		return err
	}
	var after admin.OAuthClient
	if err := cl.Post(e.ctx, clientPath(o.ID, "/rotate"), admin.Overlap{OverlapSeconds: overlap}, &after); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(after)
	}
	old := "The old secret is dead."
	if c.Overlap > 0 {
		old = "The old secret stays good for " + span(c.Overlap) + "."
	}
	e.printf("Client %s has a new secret. %s\n", plain(after.Name), old)
	e.showClientSecret(&after)
	return nil
}

type clientDisableCmd struct{ clientRef }

func (c *clientDisableCmd) Run(e *env) error {
	return c.act(e, "/disable", "Client %s is disabled; its sessions and tokens are ended.")
}

type clientEnableCmd struct{ clientRef }

func (c *clientEnableCmd) Run(e *env) error {
	return c.act(e, "/enable", "Client %s is active; old sessions stay ended.")
}

func (r *clientRef) act(e *env, verb, says string) error {
	cl, o, err := r.find(e)
	if err != nil {
		return err
	}
	var after admin.OAuthClient
	if err := cl.Post(e.ctx, clientPath(o.ID, verb), nil, &after); err != nil {
		return err
	}
	return e.done(after, says, plain(after.Name))
}

type clientDeleteCmd struct {
	clientRef
	confirmFlag
}

func (c *clientDeleteCmd) Run(e *env) error {
	cl, o, err := c.find(e)
	if err != nil {
		return err
	}
	if err := e.confirm(c.confirmFlag, "deleting the client "+o.Name); err != nil {
		return err
	}
	if err := cl.Do(e.ctx, http.MethodDelete, clientPath(o.ID, ""), nil, nil, nil); err != nil {
		return err
	}
	return e.done(map[string]any{"deleted": o.ID, "name": o.Name}, "Client %s deleted; its sessions and tokens are ended.", plain(o.Name))
}
