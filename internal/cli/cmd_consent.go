package cli

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/internal/admin"
)

type consentCmd struct {
	List   consentListCmd   `cmd:"" help:"List what a user allowed."`
	Revoke consentRevokeCmd `cmd:"" help:"Take it back, and end the sessions that rest on it."`
}

func consentPath(user, client string) string {
	path := "/users/" + url.PathEscape(user) + "/consents"
	if client != "" {
		path += "/" + url.PathEscape(client)
	}
	return path
}

type consentListCmd struct{ userRef }

func (c *consentListCmd) Run(e *env) error {
	_, u, err := c.find(e)
	if err = errors.Join(err, e.close()); err != nil { // list connects itself
		return err
	}
	t := &table{head: []string{"CLIENT", "NAME", "MAY", "SINCE", "CHANGED"}}
	none := plain(u.Username) + " has allowed no OAuth client anything. (Clients without --consent do not ask.)"
	return list(e, consentPath(u.ID, ""), nil, none, t, func(o admin.Consent) {
		t.add(o.Client, o.ClientName, strings.Join(o.Scopes, " "), e.ago(o.CreatedAt), e.ago(o.UpdatedAt))
	})
}

type consentRevokeCmd struct {
	userRef
	Client string `arg:"" help:"Client id, or its name."`
}

func (c *consentRevokeCmd) Run(e *env) error {
	cl, u, err := c.find(e)
	if err != nil {
		return err
	}
	var o admin.OAuthClient
	if err := cl.Get(e.ctx, "/clients/lookup", values("account", u.Account, "ref", c.Client), &o); err != nil {
		return err
	}
	if err := cl.Do(e.ctx, http.MethodDelete, consentPath(u.ID, o.ID), nil, nil, nil); err != nil {
		return err
	}
	return e.done(map[string]any{"user": u.ID, "client": o.ID}, "%s does not allow %s anything any more; the sessions that rested on it are ended.", plain(u.Username), plain(o.Name))
}
