package core

import "strings"

// What a change makes of a record is decided here, so that every store makes
// the same of it.

// Apply gives the user after the change, with the version that it raises.
func (p *ChangeUserParams) Apply(before *User) User {
	u := *before
	set(&u.Type, p.Patch.Type)
	set(&u.State, p.Patch.State)
	set(&u.Username, p.Patch.Username)
	set(&u.UsernameCanon, p.Patch.UsernameCanon)
	set(&u.Email, p.Patch.Email)
	set(&u.EmailCanon, p.Patch.EmailCanon)
	set(&u.EmailVerified, p.Patch.EmailVerified)
	set(&u.Roles, p.Patch.Roles)
	set(&u.Attributes, p.Patch.Attributes)
	if len(u.Attributes) == 0 {
		u.Attributes = []byte("{}")
	}
	if p.Patch.PasswordHash != nil {
		u.PasswordHash, u.PasswordAt = *p.Patch.PasswordHash, p.Now
	}
	if p.Effects.RaiseVersion {
		u.Version++
	}
	u.UpdatedAt = p.Now
	return u
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// Apply gives the API key after the change, and the reason of the fact that
// ends its sessions, "" if they go on.
func (p *ChangeAPIKeyParams) Apply(before *APIKey) (k APIKey, ends string) {
	k = *before
	set(&k.Description, p.Patch.Description)
	set(&k.Roles, p.Patch.Roles)
	set(&k.State, p.Patch.State)
	set(&k.Secrets, p.Patch.Secrets)
	if k.State == Deleted {
		k.Secrets = nil
	}
	k.UpdatedAt = p.Now
	if p.Patch.Secrets != nil {
		k.Version++ // an exchange under way with the former secret is over
	}
	if !p.EndSessions && k.State != Deleted {
		return k, ""
	}
	k.Version++
	switch k.State {
	case Deleted:
		return k, ReasonKeyDeleted
	case Disabled:
		return k, ReasonKeyDisabled
	}
	return k, "api key"
}

// Subject is what a client is when it acts for itself.
func (c *ClientRecord) Subject() *Subject {
	return &Subject{
		Kind: SubjectClient, ID: c.ID, Account: c.Account, AccountShortname: c.AccountShortname,
		AccountState: c.AccountState, AccountVersion: c.AccountVersion, State: c.State, Version: c.Version,
		Type: TypeApplication, Username: c.Name, Roles: c.Scopes, Attributes: []byte("{}"),
	}
}

// HashFormat is what password hashes of equal format and cost share: all but
// salt and digest. "" stays "", and "other" is what is not of that shape.
func HashFormat(hash string) string {
	parts := strings.Split(hash, "$")
	drop := 2
	if strings.HasPrefix(hash, "$2") {
		drop = 1 // bcrypt writes the two as one
	}
	switch {
	case hash == "":
		return ""
	case len(parts) <= drop+1:
		return "other"
	}
	return strings.Join(parts[:len(parts)-drop], "$")
}
