package cli

import (
	"net/url"

	"github.com/sallyport/sallyport/internal/admin"
)

type accountCmd struct {
	Add     accountAddCmd     `cmd:"" help:"Add an account."`
	List    accountListCmd    `cmd:"" help:"List accounts."`
	Disable accountDisableCmd `cmd:"" help:"Disable an account: all its users and keys are logged out and stay out."`
	Enable  accountEnableCmd  `cmd:"" help:"Enable an account again."`
}

type accountAddCmd struct {
	Name string `arg:"" help:"Short name: letters a-z, digits and dashes."`
}

func (c *accountAddCmd) Run(e *env) error {
	cl, err := e.connect()
	if err != nil {
		return err
	}
	var a admin.Account
	if err := cl.Post(e.ctx, "/accounts", map[string]string{"shortname": c.Name}, &a); err != nil {
		return err
	}
	return e.done(a, "Account %s added.", plain(a.Shortname))
}

type accountListCmd struct{}

func (c *accountListCmd) Run(e *env) error {
	t := &table{head: []string{"ACCOUNT", "STATE", "CREATED", "ID"}}
	return list(e, "/accounts", nil, "There are no accounts.", t, func(a admin.Account) {
		t.add(a.Shortname, a.State, e.ago(a.CreatedAt), a.ID)
	})
}

type accountDisableCmd struct {
	Name string `arg:"" help:"Short name of the account."`
}

func (c *accountDisableCmd) Run(e *env) error {
	return accountState(e, c.Name, "disable", "Account %s is disabled; everything issued to it is dead.")
}

type accountEnableCmd struct {
	Name string `arg:"" help:"Short name of the account."`
}

func (c *accountEnableCmd) Run(e *env) error {
	return accountState(e, c.Name, "enable", "Account %s is active. What was issued before it was disabled stays dead.")
}

func accountState(e *env, name, verb, says string) error {
	cl, err := e.connect()
	if err != nil {
		return err
	}
	var a admin.Account
	if err := cl.Post(e.ctx, "/accounts/"+url.PathEscape(name)+"/"+verb, nil, &a); err != nil {
		return err
	}
	return e.done(a, says, plain(a.Shortname))
}
