package cli

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/internal/admin"
)

type sessionCmd struct {
	List   sessionListCmd   `cmd:"" help:"List live sessions, newest first."`
	Revoke sessionRevokeCmd `cmd:"" help:"End sessions."`
}

// subjectFlags name whose sessions are meant.
type subjectFlags struct {
	User    string `xor:"subject" placeholder:"USER" help:"Of this user: name, e-mail or id."`
	APIKey  string `xor:"subject" name:"api-key" placeholder:"APP" help:"Of this API key: app name or id."`
	Account string `placeholder:"NAME" help:"In this account."`
}

// subject finds the id, "" when none is named.
func (s *subjectFlags) subject(e *env, cl *admin.Client) (id, name string, err error) {
	switch {
	case s.User != "":
		u, err := lookupUser(e, cl, s.Account, s.User)
		if err != nil {
			return "", "", err
		}
		return u.ID, u.Username, nil
	case s.APIKey != "":
		k, err := lookupAPIKey(e, cl, s.Account, s.APIKey)
		if err != nil {
			return "", "", err
		}
		return k.ID, k.AppName, nil
	}
	return "", "", nil
}

type sessionListCmd struct {
	subjectFlags
	Mount string `placeholder:"MOUNT" help:"On this mount."`
}

func (c *sessionListCmd) Run(e *env) error {
	subject := ""
	if c.User != "" || c.APIKey != "" {
		cl, err := e.connect()
		if err != nil {
			return err
		}
		if subject, _, err = c.subject(e, cl); err != nil {
			return errors.Join(err, e.close())
		}
		if err := e.close(); err != nil { // list connects itself
			return err
		}
	}
	t := &table{head: []string{"WHO", "ACCOUNT", "MOUNT", "OPENED", "LAST USED", "ENDS", "FROM", "SESSION"}}
	q := values("account", c.Account, "subject", subject, "mount", c.Mount)
	return list(e, "/sessions", q, "There are no live sessions.", t, func(s admin.Session) {
		t.add(s.LoginName, s.Account, s.Mount, e.ago(s.CreatedAt), e.ago(s.LastUsedAt), e.ago(s.ExpiresAt), s.Address, s.ID)
	})
}

type sessionRevokeCmd struct {
	Session string `arg:"" optional:"" help:"Id of the session, as list shows it (the sid of its tokens)."`
	subjectFlags
	Everything bool `xor:"subject" help:"Every session of everybody. Application tokens stay."`
	confirmFlag
}

func (c *sessionRevokeCmd) Run(e *env) error {
	named := c.User != "" || c.APIKey != "" || c.Everything
	if named == (c.Session != "") {
		return usagef("give the id of one session, or one of --user, --api-key and --everything")
	}
	cl, err := e.connect()
	if err != nil {
		return err
	}
	in, says := admin.Revocation{Session: c.Session, Everything: c.Everything}, "Session "+plain(c.Session)+" ended."
	if c.Everything {
		if err := e.confirm(c.confirmFlag, "logging everybody out"); err != nil {
			return err
		}
		says = "Everybody is logged out."
	}
	who := ""
	if in.Subject, who, err = c.subject(e, cl); err != nil {
		return err
	}
	var out admin.Revoked
	if err := cl.Post(e.ctx, "/sessions/revoke", in, &out); err != nil {
		return err
	}
	if who != "" {
		says = count(int64(out.Revoked), "session") + " of " + plain(who) + " ended."
	}
	return e.done(out, "%s", says)
}

type appTokenCmd struct {
	List    appTokenListCmd    `cmd:"" help:"List application tokens: who has them, when they were used."`
	Revoke  appTokenRevokeCmd  `cmd:"" help:"Revoke one for good."`
	Suspend appTokenSuspendCmd `cmd:"" help:"Suspend one until it is resumed."`
	Resume  appTokenResumeCmd  `cmd:"" help:"Let a suspended one pass again."`
}

type appTokenListCmd struct {
	User    string `placeholder:"USER" help:"Of this user: name, e-mail or id."`
	Account string `placeholder:"NAME" help:"In this account."`
}

func (c *appTokenListCmd) Run(e *env) error {
	user := ""
	if c.User != "" {
		ref := userRef{User: c.User, Account: c.Account}
		_, u, err := ref.find(e)
		if err = errors.Join(err, e.close()); err != nil {
			return err
		}
		user = u.ID
	}
	t := &table{head: []string{"USER", "ACCOUNT", "STATE", "LABEL", "NETWORKS", "CREATED", "LAST USED", "FROM", "ID"}}
	return list(e, "/application-tokens", values("account", c.Account, "user", user), "There are no application tokens.", t,
		func(a admin.ApplicationToken) {
			networks := strings.Join(a.Networks, " ")
			if networks == "" {
				networks = "any"
			}
			t.add(a.Username, a.Account, a.State, a.Label, networks, e.ago(a.CreatedAt), e.ago(a.LastUsed), a.LastFrom, a.ID)
		})
}

type appTokenRef struct {
	ID string `arg:"" help:"Id of the token, as list shows it (its jti)."`
}

func (r *appTokenRef) act(e *env, verb, says string) error {
	cl, err := e.connect()
	if err != nil {
		return err
	}
	var t admin.ApplicationToken
	if err := cl.Do(e.ctx, http.MethodPost, "/application-tokens/"+url.PathEscape(r.ID)+"/"+verb, nil, nil, &t); err != nil {
		return err
	}
	return e.done(t, says, plain(t.Username))
}

type appTokenRevokeCmd struct{ appTokenRef }

func (c *appTokenRevokeCmd) Run(e *env) error {
	return c.act(e, "revoke", "The application token of %s is revoked.")
}

type appTokenSuspendCmd struct{ appTokenRef }

func (c *appTokenSuspendCmd) Run(e *env) error {
	return c.act(e, "suspend", "The application token of %s is suspended; `sallyport apptoken resume` lets it pass again.")
}

type appTokenResumeCmd struct{ appTokenRef }

func (c *appTokenResumeCmd) Run(e *env) error {
	return c.act(e, "resume", "The application token of %s passes again.")
}
