package admin

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
)

// NewUser is the body that makes a user. At most one of Password, Generate
// and PasswordHash; with none the user cannot log in by password.
type NewUser struct {
	Account       string          `json:"account,omitempty"` // short name; "" = default
	Username      string          `json:"username"`
	Email         string          `json:"email,omitempty"`
	EmailVerified *bool           `json:"email_verified,omitempty"` // left out = true: an operator vouches for it
	Type          string          `json:"type,omitempty"`
	Roles         []string        `json:"roles,omitempty"`
	Attributes    json.RawMessage `json:"attributes,omitempty"`
	Password      string          `json:"password,omitempty"`
	Generate      bool            `json:"generate,omitempty"` // make a password and show it once
	PasswordHash  string          `json:"password_hash,omitempty"`
}

// UserChange is the body that changes a user; members left out stay as they
// are. An empty Email removes it; a new one counts as verified unless
// EmailVerified says otherwise.
type UserChange struct {
	Username      *string          `json:"username,omitempty"`
	Email         *string          `json:"email,omitempty"`
	EmailVerified *bool            `json:"email_verified,omitempty"`
	Type          *string          `json:"type,omitempty"`
	Roles         *[]string        `json:"roles,omitempty"` // replaces all of them
	Attributes    *json.RawMessage `json:"attributes,omitempty"`
}

// NewPassword is the body that sets a password: Password or Generate.
type NewPassword struct {
	Password string `json:"password,omitempty"`
	Generate bool   `json:"generate,omitempty"`
	// KeepTokens treats it as the user's own change rather than a reset: all
	// sessions end, but application tokens are not suspended.
	KeepTokens bool `json:"keep_tokens,omitempty"`
}

func (a *api) createUser(c *call) error {
	var in NewUser
	if err := c.body(&in); err != nil {
		return err
	}
	if in.Username == "" {
		return missing("username")
	}
	generated := ""
	if in.Generate {
		if in.Password != "" || in.PasswordHash != "" {
			return core.Errorf(core.FieldInvalid, "generate a password or give one, not both")
		}
		generated = GeneratePassword()
		in.Password = generated
	}
	acc, err := a.svc.Account(c.ctx, in.Account)
	if err != nil {
		return err
	}
	u, err := a.svc.CreateUser(c.ctx, c.actor, core.NewUser{
		Account: acc.Shortname, Username: in.Username, Email: in.Email,
		EmailVerified: in.EmailVerified == nil || *in.EmailVerified,
		Type:          core.UserType(in.Type), Roles: in.Roles, Attributes: in.Attributes,
		Password: in.Password, PasswordHash: in.PasswordHash,
	})
	if err != nil {
		return err
	}
	out := userOf(u, acc.Shortname)
	out.Password = generated
	return c.answer(http.StatusCreated, out)
}

// GeneratePassword makes one of 140 random bits that can be read out: no
// letter or digit that looks like another.
func GeneratePassword() string {
	const alphabet = "abcdefghijkmnpqrstuvwxyz23456789" // 32 signs, 5 bits each
	var b [28]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	var s strings.Builder
	for i, x := range b {
		if i > 0 && i%7 == 0 {
			s.WriteByte('-')
		}
		s.WriteByte(alphabet[x&31])
	}
	return s.String()
}

// listUsers lists one account, or all of them one after the other.
func (a *api) listUsers(c *call) error {
	return listInAccounts(a, c, func(account, after string, n int) ([]*core.UserRecord, error) {
		return a.svc.ListUsers(c.ctx, core.UserQuery{Account: account, After: after, Limit: n})
	}, func(u *core.UserRecord, shortname string) (User, string) {
		return userOf(&u.User, shortname), u.UsernameCanon
	})
}

// user reads the user that the path names, by id and nothing else: a login
// name there could be somebody else's tomorrow.
func (a *api) user(c *call) (*core.UserRecord, error) {
	id := c.r.PathValue("id")
	u, err := a.svc.FindUser(c.ctx, "", id)
	if err == nil && u.ID != id || core.CodeOf(err) == core.NotFound {
		return nil, core.Errorf(core.NotFound, "there is no user with id %q", clip(id, 60))
	}
	return u, err
}

func (a *api) getUser(c *call) error {
	u, err := a.user(c)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, userOf(&u.User, u.AccountShortname))
}

func (a *api) lookupUser(c *call) error {
	q, err := c.query("account", "ref")
	if err != nil {
		return err
	}
	u, err := a.svc.FindUser(c.ctx, q.Get("account"), q.Get("ref"))
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, userOf(&u.User, u.AccountShortname))
}

func (a *api) updateUser(c *call) error {
	var in UserChange
	if err := c.body(&in); err != nil {
		return err
	}
	u, err := a.user(c)
	if err != nil {
		return err
	}
	patch := core.UserPatch{Username: in.Username, Email: in.Email, EmailVerified: in.EmailVerified, Roles: in.Roles}
	if in.Email != nil && in.EmailVerified == nil {
		vouched := *in.Email != ""
		patch.EmailVerified = &vouched
	}
	if in.Type != nil {
		t := core.UserType(*in.Type)
		patch.Type = &t
	}
	if in.Attributes != nil {
		raw := []byte(*in.Attributes)
		patch.Attributes = &raw
	}
	return a.changed(c, u, func() (*core.User, error) { return a.svc.UpdateUser(c.ctx, c.actor, u.ID, patch) })
}

// changed answers with the user as it is after act.
func (a *api) changed(c *call, u *core.UserRecord, act func() (*core.User, error)) error {
	after, err := act()
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, userOf(after, u.AccountShortname))
}

func (a *api) deleteUser(c *call) error {
	u, err := a.user(c)
	if err != nil {
		return err
	}
	if err := a.svc.DeleteUser(c.ctx, c.actor, u.ID); err != nil {
		return err
	}
	return c.noContent()
}

func (a *api) setPassword(c *call) error {
	var in NewPassword
	if err := c.body(&in); err != nil {
		return err
	}
	if in.Generate == (in.Password != "") {
		return core.Errorf(core.FieldInvalid, "give a password, or generate: true, and not both")
	}
	u, err := a.user(c)
	if err != nil {
		return err
	}
	pw := in.Password
	if in.Generate {
		pw = GeneratePassword()
	}
	after, err := a.svc.SetPassword(c.ctx, c.actor, u.ID, pw, !in.KeepTokens, "")
	if err != nil {
		return err
	}
	out := userOf(after, u.AccountShortname)
	if in.Generate {
		out.Password = pw
	}
	return c.answer(http.StatusOK, out)
}

func (a *api) setUserState(state core.State) endpoint {
	return func(c *call) error {
		return a.act(c, func(ctx context.Context, id string) (*core.User, error) {
			return a.svc.SetUserState(ctx, c.actor, id, state)
		})
	}
}

func (a *api) compromiseUser(c *call) error {
	return a.act(c, func(ctx context.Context, id string) (*core.User, error) {
		return a.svc.CompromiseUser(ctx, c.actor, id)
	})
}

func (a *api) unlockUser(c *call) error {
	return a.act(c, func(ctx context.Context, id string) (*core.User, error) {
		if err := a.svc.UnlockUser(ctx, c.actor, id); err != nil {
			return nil, err
		}
		u, err := a.svc.FindUser(ctx, "", id)
		if err != nil {
			return nil, err
		}
		return &u.User, nil
	})
}

// act runs a change that has no input on the user that the path names.
func (a *api) act(c *call, f func(ctx context.Context, id string) (*core.User, error)) error {
	if err := c.body(&struct{}{}); err != nil {
		return err
	}
	u, err := a.user(c)
	if err != nil {
		return err
	}
	return a.changed(c, u, func() (*core.User, error) { return f(c.ctx, u.ID) })
}
