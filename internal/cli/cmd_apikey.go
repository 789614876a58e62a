package cli

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

type apiKeyCmd struct {
	Create  apiKeyCreateCmd  `cmd:"" help:"Make a key and show its NETOSECRET once."`
	List    apiKeyListCmd    `cmd:"" help:"List API keys."`
	Rotate  apiKeyRotateCmd  `cmd:"" help:"Give a key a new secret; the old one stays good for a while."`
	Disable apiKeyDisableCmd `cmd:"" help:"Disable a key and end its sessions."`
	Enable  apiKeyEnableCmd  `cmd:"" help:"Enable a key again."`
	Delete  apiKeyDeleteCmd  `cmd:"" help:"Delete a key for good."`
}

func lookupAPIKey(e *env, cl *admin.Client, account, ref string) (*admin.APIKey, error) {
	var k admin.APIKey
	if err := cl.Get(e.ctx, "/api-keys/lookup", values("account", account, "ref", ref), &k); err != nil {
		return nil, err
	}
	return &k, nil
}

func apiKeyPath(id, verb string) string { return "/api-keys/" + url.PathEscape(id) + verb }

type apiKeyCreateCmd struct {
	App         string   `arg:"" help:"App name, unique in the account."`
	Account     string   `placeholder:"NAME" help:"Account it belongs to. (default)"`
	Description string   `placeholder:"TEXT" help:"What it is for."`
	Role        []string `placeholder:"ROLE" help:"Role; repeat for more."`
	URL         string   `name:"url" placeholder:"URL" help:"Base URL to put into the NETOSECRET. (the issuer)"`
}

func (c *apiKeyCreateCmd) Run(e *env) error {
	cl, err := e.connect()
	if err != nil {
		return err
	}
	in := admin.NewAPIKey{Account: c.Account, AppName: c.App, Description: c.Description, Roles: c.Role, URL: c.URL}
	var k admin.APIKey
	if err := cl.Post(e.ctx, "/api-keys", in, &k); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(k)
	}
	e.printf("API key %s made (account %s, id %s).\n", plain(k.AppName), k.Account, k.ID)
	e.showNetosecret(&k)
	return nil
}

func (e *env) showNetosecret(k *admin.APIKey) {
	e.printf("NETOSECRET, shown this once:\n%s\n", k.Netosecret)
}

type apiKeyListCmd struct {
	Account string `placeholder:"NAME" help:"Only this account."`
}

func (c *apiKeyListCmd) Run(e *env) error {
	t := &table{head: []string{"APP", "ACCOUNT", "STATE", "ROLES", "SECRETS", "LAST LOGIN", "FROM", "DESCRIPTION", "ID"}}
	none := "There are no API keys. `sallyport apikey create APP` makes one."
	return list(e, "/api-keys", values("account", c.Account), none, t, func(k admin.APIKey) {
		t.add(k.AppName, k.Account, k.State, strings.Join(k.Roles, " "), e.secrets(&k), e.ago(k.LastLoginAt), k.LastFrom, k.Description, k.ID)
	})
}

// secrets says how many secrets a key has, and until when the old one counts.
func (e *env) secrets(k *admin.APIKey) string {
	for _, s := range k.Secrets {
		if s.ExpiresAt != 0 && int64(s.ExpiresAt) > e.now().UnixMilli() {
			return "2, old ends " + e.ago(s.ExpiresAt)
		}
	}
	return "1"
}

// apiKeyRef names an API key.
type apiKeyRef struct {
	App     string `arg:"" help:"App name or id."`
	Account string `placeholder:"NAME" help:"Account of the key. (default)"`
}

func (r *apiKeyRef) find(e *env) (*admin.Client, *admin.APIKey, error) {
	cl, err := e.connect()
	if err != nil {
		return nil, nil, err
	}
	k, err := lookupAPIKey(e, cl, r.Account, r.App)
	return cl, k, err
}

type apiKeyRotateCmd struct {
	apiKeyRef
	Overlap time.Duration `default:"24h" placeholder:"TIME" help:"How long the old secret stays good; 0 ends it now, 2160h at most. (24h)"`
	URL     string        `name:"url" placeholder:"URL" help:"Base URL to put into the NETOSECRET. (the issuer)"`
}

func (c *apiKeyRotateCmd) Run(e *env) error {
	if c.Overlap < 0 || c.Overlap%time.Second != 0 {
		return usagef("--overlap is a time in whole seconds, such as 24h or 0s")
	}
	cl, k, err := c.find(e)
	if err != nil {
		return err
	}
	in := admin.Rotation{OverlapSeconds: int64(c.Overlap / time.Second), URL: c.URL}
	var after admin.APIKey
	if err := cl.Post(e.ctx, apiKeyPath(k.ID, "/rotate"), in, &after); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(after)
	}
	old := "The old secret is dead."
	if c.Overlap > 0 {
		old = "The old secret stays good for " + span(c.Overlap) + "."
	}
	e.printf("API key %s has a new secret. %s\n", plain(after.AppName), old)
	e.showNetosecret(&after)
	return nil
}

type apiKeyDisableCmd struct{ apiKeyRef }

func (c *apiKeyDisableCmd) Run(e *env) error {
	return c.act(e, "/disable", "API key %s is disabled; its sessions are ended.")
}

type apiKeyEnableCmd struct{ apiKeyRef }

func (c *apiKeyEnableCmd) Run(e *env) error { return c.act(e, "/enable", "API key %s is active.") }

func (r *apiKeyRef) act(e *env, verb, says string) error {
	cl, k, err := r.find(e)
	if err != nil {
		return err
	}
	var after admin.APIKey
	if err := cl.Post(e.ctx, apiKeyPath(k.ID, verb), nil, &after); err != nil {
		return err
	}
	return e.done(after, says, plain(after.AppName))
}

type apiKeyDeleteCmd struct {
	apiKeyRef
	confirmFlag
}

func (c *apiKeyDeleteCmd) Run(e *env) error {
	cl, k, err := c.find(e)
	if err != nil {
		return err
	}
	if err := e.confirm(c.confirmFlag, "deleting the API key "+k.AppName); err != nil {
		return err
	}
	if err := cl.Do(e.ctx, http.MethodDelete, apiKeyPath(k.ID, ""), nil, nil, nil); err != nil {
		return err
	}
	return e.done(map[string]any{"deleted": k.ID, "appname": k.AppName}, "API key %s deleted; its sessions are ended.", plain(k.AppName))
}
