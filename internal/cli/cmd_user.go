package cli

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/sallyport/sallyport/internal/admin"
)

type userCmd struct {
	Add         userAddCmd         `cmd:"" help:"Add a user; asks for a password."`
	List        userListCmd        `cmd:"" help:"List users."`
	Show        userShowCmd        `cmd:"" help:"Show one user."`
	Passwd      userPasswdCmd      `cmd:"" help:"Set a password; ends the user's sessions."`
	Update      userUpdateCmd      `cmd:"" help:"Change names, type, roles or attributes."`
	Disable     userDisableCmd     `cmd:"" help:"Disable a user: logged out everywhere, cannot log in."`
	Enable      userEnableCmd      `cmd:"" help:"Enable a user again."`
	Unlock      userUnlockCmd      `cmd:"" help:"Forget the user's failed logins."`
	Compromised userCompromisedCmd `cmd:"" help:"Assume that everything of the user is in wrong hands, and end it."`
	Delete      userDeleteCmd      `cmd:"" help:"Delete a user for good."`
}

// userRef names a user.
type userRef struct {
	User    string `arg:"" help:"User name, e-mail or id."`
	Account string `placeholder:"NAME" help:"Account of the user. (default)"`
}

// find reads the user that the reference means; acts then go by id.
func (r *userRef) find(e *env) (*admin.Client, *admin.User, error) {
	cl, err := e.connect()
	if err != nil {
		return nil, nil, err
	}
	u, err := lookupUser(e, cl, r.Account, r.User)
	return cl, u, err
}

func lookupUser(e *env, cl *admin.Client, account, ref string) (*admin.User, error) {
	var u admin.User
	if err := cl.Get(e.ctx, "/users/lookup", values("account", account, "ref", ref), &u); err != nil {
		return nil, err
	}
	return &u, nil
}

func userPath(id, verb string) string { return "/users/" + url.PathEscape(id) + verb }

type userAddCmd struct {
	Username   string   `arg:"" help:"User name."`
	Account    string   `placeholder:"NAME" help:"Account it belongs to. (default)"`
	Type       string   `enum:"user,application" default:"user" help:"user, or application for one that may mint tokens that never expire. (user)"`
	Email      string   `placeholder:"ADDRESS" help:"Second login name."`
	Unproven   bool     `name:"email-unverified" help:"The e-mail does not log in yet."`
	Role       []string `placeholder:"ROLE" help:"Role; repeat for more."`
	Attributes string   `placeholder:"JSON|@FILE" help:"A JSON object that contracts may put into tokens."`
	passwordFlags
	NoPassword bool `xor:"password" help:"No password: the user cannot log in by one yet."`
	HashStdin  bool `xor:"password" name:"password-hash-stdin" help:"Read a password hash from another system from the first line of stdin."`
}

func (c *userAddCmd) Run(e *env) error {
	attrs, err := attributes(c.Attributes)
	if err != nil {
		return err
	}
	cl, err := e.connect()
	if err != nil {
		return err
	}
	in := admin.NewUser{
		Account: c.Account, Username: c.Username, Email: c.Email, Type: c.Type, Roles: c.Role,
		Attributes: attrs, Generate: c.Generate,
	}
	if c.Unproven {
		no := false
		in.EmailVerified = &no
	}
	switch {
	case c.NoPassword:
	case c.HashStdin:
		in.PasswordHash, err = e.firstLine()
	default:
		in.Password, err = e.password(&c.passwordFlags, c.Username)
	}
	if err != nil {
		return err
	}
	var u admin.User
	if err := cl.Post(e.ctx, "/users", in, &u); err != nil {
		return err
	}
	if err := e.done(u, "User %s added (%s, account %s, id %s).", plain(u.Username), u.Type, u.Account, u.ID); err != nil {
		return err
	}
	e.showPassword(&u)
	return nil
}

// showPassword prints a generated password, alone on its line so that it can
// be selected.
func (e *env) showPassword(u *admin.User) {
	if u.Password != "" && !e.json {
		e.printf("Password, shown this once: %s\n", u.Password)
	}
}

func attributes(s string) (json.RawMessage, error) {
	if s == "" {
		return nil, nil
	}
	if path, ok := strings.CutPrefix(s, "@"); ok {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		s = string(b)
	}
	if !json.Valid([]byte(s)) || !strings.HasPrefix(strings.TrimSpace(s), "{") {
		return nil, usagef("--attributes takes a JSON object such as '{\"site\":\"north\"}', or @FILE with one")
	}
	return json.RawMessage(s), nil
}

type userListCmd struct {
	Account string `placeholder:"NAME" help:"Only this account."`
}

func (c *userListCmd) Run(e *env) error {
	t := &table{head: []string{"USER", "ACCOUNT", "TYPE", "STATE", "ROLES", "LAST LOGIN", "ID"}}
	none := "There are no users. `sallyport user add NAME` adds one."
	return list(e, "/users", values("account", c.Account), none, t, func(u admin.User) {
		t.add(u.Username, u.Account, u.Type, u.State, strings.Join(u.Roles, " "), e.ago(u.LastLoginAt), u.ID)
	})
}

type userShowCmd struct{ userRef }

func (c *userShowCmd) Run(e *env) error {
	_, u, err := c.find(e)
	if err != nil {
		return err
	}
	if e.json {
		return e.printJSON(u)
	}
	f := &facts{}
	f.add("User", u.Username)
	f.add("Id", u.ID)
	f.add("Account", u.Account)
	f.add("Type", u.Type)
	f.add("State", u.State)
	f.add("E-mail", emailWords(u))
	f.add("Roles", orNone(strings.Join(u.Roles, " ")))
	if string(u.Attributes) != "{}" {
		f.add("Attributes", string(u.Attributes))
	}
	password := "none: cannot log in by password"
	if u.PasswordSet {
		password = "set " + e.when(u.PasswordChangedAt)
	}
	f.add("Password", password)
	login := e.when(u.LastLoginAt)
	if u.LastLoginFrom != "" {
		login += " from " + u.LastLoginFrom
	}
	f.add("Last login", login)
	f.add("Created", e.when(u.CreatedAt))
	f.write(e)
	return nil
}

func emailWords(u *admin.User) string {
	switch {
	case u.Email == "":
		return ""
	case u.EmailVerified:
		return u.Email + " (logs in)"
	}
	return u.Email + " (unverified: does not log in)"
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

type userPasswdCmd struct {
	userRef
	passwordFlags
	KeepTokens bool `help:"Leave application tokens alone: nobody else knew the old password."`
}

func (c *userPasswdCmd) Run(e *env) error {
	cl, u, err := c.find(e)
	if err != nil {
		return err
	}
	pw, err := e.password(&c.passwordFlags, u.Username)
	if err != nil {
		return err
	}
	in := admin.NewPassword{Password: pw, Generate: c.Generate, KeepTokens: c.KeepTokens}
	var after admin.User
	if err := cl.Post(e.ctx, userPath(u.ID, "/password"), in, &after); err != nil {
		return err
	}
	says := "Password of %s set; sessions ended, application tokens minted in them suspended (see `sallyport apptoken list`)."
	if c.KeepTokens {
		says = "Password of %s set; sessions ended."
	}
	if err := e.done(after, says, plain(after.Username)); err != nil {
		return err
	}
	e.showPassword(&after)
	return nil
}

type userUpdateCmd struct {
	userRef
	Username   *string  `placeholder:"NAME" help:"New user name; the old one stays reserved for a while."`
	Email      *string  `placeholder:"ADDRESS" help:"New e-mail; empty removes it."`
	Unproven   bool     `name:"email-unverified" help:"The e-mail does not log in yet."`
	Type       *string  `placeholder:"TYPE" help:"user or application."`
	Role       []string `xor:"roles" placeholder:"ROLE" help:"Role; repeat for more. Replaces all roles."`
	NoRoles    bool     `xor:"roles" help:"Take all roles away."`
	Attributes string   `placeholder:"JSON|@FILE" help:"Replaces all attributes."`
}

func (c *userUpdateCmd) Run(e *env) error {
	attrs, err := attributes(c.Attributes)
	if err != nil {
		return err
	}
	in := admin.UserChange{Username: c.Username, Email: c.Email, Type: c.Type}
	if c.Unproven {
		no := false
		in.EmailVerified = &no
	}
	if c.Role != nil || c.NoRoles {
		roles := append([]string{}, c.Role...)
		in.Roles = &roles
	}
	if attrs != nil {
		in.Attributes = &attrs
	}
	if in == (admin.UserChange{}) {
		return usagef("nothing to change was given. See `sallyport user update --help`")
	}
	cl, u, err := c.find(e)
	if err != nil {
		return err
	}
	var after admin.User
	if err := cl.Do(e.ctx, http.MethodPatch, userPath(u.ID, ""), nil, in, &after); err != nil {
		return err
	}
	return e.done(after, "User %s updated.", plain(after.Username))
}

type userDisableCmd struct{ userRef }

func (c *userDisableCmd) Run(e *env) error {
	return c.act(e, "/disable", "User %s is disabled and logged out everywhere.")
}

type userEnableCmd struct{ userRef }

func (c *userEnableCmd) Run(e *env) error {
	return c.act(e, "/enable", "User %s is active; old sessions stay ended.")
}

type userUnlockCmd struct{ userRef }

func (c *userUnlockCmd) Run(e *env) error {
	return c.act(e, "/unlock", "The failed logins of %s are forgotten.")
}

func (r *userRef) act(e *env, verb, says string) error {
	cl, u, err := r.find(e)
	if err != nil {
		return err
	}
	return postUser(e, cl, u, verb, says)
}

func postUser(e *env, cl *admin.Client, u *admin.User, verb, says string) error {
	var after admin.User
	if err := cl.Post(e.ctx, userPath(u.ID, verb), nil, &after); err != nil {
		return err
	}
	return e.done(after, says, plain(after.Username))
}

type userCompromisedCmd struct {
	userRef
	confirmFlag
}

func (c *userCompromisedCmd) Help() string {
	return "Ends the user's sessions, revokes the application tokens, deletes the API keys the user made, and removes the password."
}

func (c *userCompromisedCmd) Run(e *env) error {
	cl, u, err := c.find(e)
	if err != nil {
		return err
	}
	if err := e.confirm(c.confirmFlag, "ending all sessions, tokens and API keys of "+u.Username); err != nil {
		return err
	}
	return postUser(e, cl, u, "/compromised", "All sessions, application tokens and API keys of %s are dead and the password is gone. `sallyport user passwd` sets a new one.")
}

type userDeleteCmd struct {
	userRef
	confirmFlag
}

func (c *userDeleteCmd) Run(e *env) error {
	cl, u, err := c.find(e)
	if err != nil {
		return err
	}
	if err := e.confirm(c.confirmFlag, "deleting "+u.Username); err != nil {
		return err
	}
	if err := cl.Do(e.ctx, http.MethodDelete, userPath(u.ID, ""), nil, nil, nil); err != nil {
		return err
	}
	return e.done(map[string]any{"deleted": u.ID, "username": u.Username}, "User %s deleted.", plain(u.Username))
}
