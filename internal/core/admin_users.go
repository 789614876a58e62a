package core

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"regexp"
	"strings"

	"github.com/sallyport/sallyport/internal/password"
)

// NewUser is what CreateUser needs. Exactly one of Password and PasswordHash
// may be set; with neither the user cannot log in by password.
type NewUser struct {
	Account       string // shortname; "" = default
	Username      string
	Email         string
	EmailVerified bool
	Type          UserType // "" = user
	Roles         []string
	Attributes    []byte // a JSON object or nil
	Password      string
	PasswordHash  string // brought from another system
}

// CreateUser adds a user. *Error: FieldInvalid, Conflict, NotFound (account).
func (s *Service) CreateUser(ctx context.Context, actor Actor, n NewUser) (*User, error) {
	account, err := s.Account(ctx, n.Account)
	if err != nil {
		return nil, err
	}
	now := s.now()
	u := User{
		ID: NewUUID(), Account: account.ID, Type: n.Type, State: Active, Username: n.Username,
		Email: n.Email, EmailVerified: n.Email != "" && n.EmailVerified, Roles: n.Roles, Attributes: n.Attributes,
		Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	if u.Type == "" {
		u.Type = TypeUser
	}
	if err := checkUser(&u); err != nil {
		return nil, err
	}
	switch {
	case n.Password != "" && n.PasswordHash != "":
		return nil, InvalidField("password", "give a password or a password hash, not both")
	case n.Password != "":
		if u.PasswordHash, err = s.hashNew(ctx, n.Password, &u); err != nil {
			return nil, err
		}
		u.PasswordAt = now
	case n.PasswordHash != "":
		if err := s.passwords.Observe(n.PasswordHash); err != nil {
			return nil, InvalidField("password_hash", "%s", err.Error())
		}
		u.PasswordHash, u.PasswordAt = n.PasswordHash, now
	}
	ev := actor.Event("user.create")
	ev.Account, ev.Subject = u.Account, u.ID
	ev.Detail = map[string]string{"username": u.Username, "type": string(u.Type)}
	made, err := s.store.CreateUser(ctx, &CreateUserParams{User: u, Now: now, Event: ev})
	if errors.Is(err, ErrExists) {
		return nil, Errorf(Conflict, "the login name %q (or its e-mail) is taken in account %q, or was freed too recently to be given away", u.Username, account.Shortname)
	}
	return made, StoreError(err)
}

var rolePattern = regexp.MustCompile(`^[\x21\x23-\x5b\x5d-\x7e]{1,100}$`)

// checkUser validates names, roles and attributes, and fills the canonical forms.
func checkUser(u *User) (err error) {
	if u.UsernameCanon, err = loginName("username", u.Username); err != nil {
		return err
	}
	u.EmailCanon = ""
	if u.Email != "" {
		if u.EmailCanon, err = loginName("email", u.Email); err != nil {
			return err
		}
		if !strings.Contains(u.EmailCanon, "@") {
			return InvalidField("email", "%q is not an e-mail address", u.Email)
		}
	}
	if u.Type != TypeUser && u.Type != TypeApplication {
		return InvalidField("type", "the type of a user is %q or %q", TypeUser, TypeApplication)
	}
	if err := checkRoles(u.Roles); err != nil {
		return err
	}
	if u.Attributes, err = checkAttributes(u.Attributes); err != nil {
		return err
	}
	return nil
}

// checkRoles holds roles to the characters of a scope token (RFC 6749 section
// 3.3), since the scope is the roles joined by spaces.
func checkRoles(roles []string) error {
	if len(roles) > 100 {
		return InvalidField("roles", "at most 100 roles")
	}
	seen := map[string]bool{}
	for _, r := range roles {
		if !rolePattern.MatchString(r) {
			return InvalidField("roles", "a role is 1 to 100 printable ASCII characters without space, quote or backslash; %q is not", Clip(r))
		}
		if seen[r] {
			return InvalidField("roles", "the role %q stands twice", r)
		}
		seen[r] = true
	}
	return nil
}

func checkAttributes(raw []byte) ([]byte, error) {
	if len(raw) == 0 {
		return []byte("{}"), nil
	}
	var v map[string]any
	if len(raw) > 16<<10 || json.Unmarshal(raw, &v) != nil || v == nil {
		return nil, InvalidField("attributes", "attributes are one JSON object of at most 16 KiB")
	}
	return raw, nil
}

// hashNew judges and hashes a new password.
func (s *Service) hashNew(ctx context.Context, pw string, u *User) (string, error) {
	account, err := s.store.AccountByID(ctx, u.Account)
	if err != nil {
		return "", StoreError(err)
	}
	if err := s.policy.Check(pw, s.contextWords(u, account)...); err != nil {
		return "", InvalidField("password", "%s", err.Error())
	}
	phc, err := s.passwords.Hash(ctx, password.Lane{Known: true}, pw)
	if err != nil {
		return "", passwordErr(err)
	}
	return phc, nil
}

// contextWords are what a guesser who knows where he is tries first: the
// person's names, the customer's, this product's, and the host's.
func (s *Service) contextWords(u *User, account *Account) []string {
	local, _, _ := strings.Cut(u.Email, "@")
	words := []string{u.Username, local, u.Email, "sallyport"}
	if account.Shortname != DefaultAccount {
		words = append(words, account.Shortname)
	}
	if at, err := url.Parse(s.issuer); err == nil {
		words = append(words, at.Hostname())
	}
	return words
}

// passwordErr turns an error of the hasher into one of ours.
func passwordErr(err error) error {
	var busy *password.BusyError
	switch {
	case errors.As(err, &busy):
		return &Error{Code: TooMany, Reason: "hash queue full", Message: "Too many logins at once; try again shortly", RetryAfter: busy.RetryAfter.Milliseconds()}
	case errors.Is(err, password.ErrEmpty), errors.Is(err, password.ErrTooLong), errors.Is(err, password.ErrNotText):
		return InvalidField("password", "%s", err.Error())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &Error{Code: Unavailable, Reason: "caller left the hash queue", RetryAfter: 1000, Err: err}
	}
	return &Error{Code: Internal, Reason: "hashing", Err: err}
}

// FindUser finds a live user by id, user name or e-mail within an account
// (shortname, "" = default). *Error: NotFound.
func (s *Service) FindUser(ctx context.Context, account, ref string) (*UserRecord, error) {
	a, err := s.Account(ctx, account)
	if err != nil {
		return nil, err
	}
	notFound := Errorf(NotFound, "there is no user %q in account %q; `sallyport user list` shows those there are", Clip(ref), a.Shortname)
	if u, err := s.store.UserByID(ctx, ref); err == nil {
		if u.State == Deleted || u.Account != a.ID && account != "" {
			return nil, notFound
		}
		return u, nil
	} else if !errors.Is(err, ErrNoRow) {
		return nil, StoreError(err)
	}
	canon, err := password.CanonicalLoginName(ref)
	if err != nil {
		return nil, notFound
	}
	u, err := s.store.UserByLogin(ctx, a.ID, canon)
	if errors.Is(err, ErrNoRow) {
		return nil, notFound
	}
	return u, StoreError(err)
}

// ListUsers lists live users.
func (s *Service) ListUsers(ctx context.Context, q UserQuery) ([]*UserRecord, error) {
	list, err := s.store.ListUsers(ctx, q)
	return list, StoreError(err)
}

// changeUser runs one change and follows the facts it made.
func (s *Service) changeUser(ctx context.Context, p *ChangeUserParams) (*User, error) {
	p.FactPurgeAt = s.factPurgeAt(p.Now)
	p.NamesReservedUntil = p.Now + s.longest.Load()
	u, err := s.store.ChangeUser(ctx, p)
	switch {
	case errors.Is(err, ErrNoRow):
		return nil, Errorf(NotFound, "this user does not exist any more")
	case errors.Is(err, ErrStale):
		return nil, Errorf(Conflict, "the user changed meanwhile; read it again and repeat")
	case errors.Is(err, ErrExists):
		return nil, Errorf(Conflict, "this login name is taken in the account, or was freed too recently to be given away")
	case err != nil:
		return nil, StoreError(err)
	}
	s.cache.drop()
	return u, s.catchUp(ctx)
}

// SetPassword replaces a user's password. A reset (by an operator, or because
// the old one was forgotten) ends all sessions and suspends the application
// tokens minted in them; a change by the owner ends all but `spare`.
func (s *Service) SetPassword(ctx context.Context, actor Actor, id, pw string, reset bool, spare string) (*User, error) {
	rec, err := s.userByID(ctx, id)
	if err != nil {
		return nil, err
	}
	phc, err := s.hashNew(ctx, pw, &rec.User)
	if err != nil {
		return nil, err
	}
	kind := "user.password.change"
	if reset {
		kind, spare = "user.password.reset", ""
	}
	ev := actor.Event(kind)
	ev.Account, ev.Subject = rec.Account, rec.ID
	// Under the version read before the hash: a change that hangs there must not
	// undo what happened meanwhile (the user was marked compromised).
	return s.changeUser(ctx, &ChangeUserParams{
		ID: id, IfVersion: rec.Version, Patch: UserPatch{PasswordHash: &phc}, FactReason: ReasonPassword,
		Effects: Effects{RaiseVersion: true, EndSessions: true, SpareSession: spare, SuspendSessionTokens: reset},
		Now:     s.now(), Event: ev,
	})
}

func (s *Service) userByID(ctx context.Context, id string) (*UserRecord, error) {
	rec, err := s.store.UserByID(ctx, id)
	if errors.Is(err, ErrNoRow) || err == nil && rec.State == Deleted {
		return nil, Errorf(NotFound, "there is no user with id %q", Clip(id))
	}
	return rec, StoreError(err)
}

// SetUserState disables or enables a user. Disabling ends every session at
// once; application tokens and API keys do not count while it lasts.
func (s *Service) SetUserState(ctx context.Context, actor Actor, id string, state State) (*User, error) {
	rec, err := s.userByID(ctx, id)
	if err != nil {
		return nil, err
	}
	if state != Active && state != Disabled {
		return nil, InvalidField("state", "the state of a user is active or disabled")
	}
	ev := actor.Event("user." + stateVerb(state))
	ev.Account, ev.Subject = rec.Account, rec.ID
	reason := ""
	if state == Disabled {
		reason = ReasonDisabled
	}
	return s.changeUser(ctx, &ChangeUserParams{
		ID: id, Patch: UserPatch{State: &state}, FactReason: reason,
		Effects: Effects{RaiseVersion: true, EndSessions: state == Disabled},
		Now:     s.now(), Event: ev,
	})
}

// UpdateUser changes names, type, roles or attributes. A rename or a change of
// type ends nothing but stops what is being issued meanwhile.
func (s *Service) UpdateUser(ctx context.Context, actor Actor, id string, patch UserPatch) (*User, error) {
	rec, err := s.userByID(ctx, id)
	if err != nil {
		return nil, err
	}
	if patch.PasswordHash != nil || patch.State != nil {
		return nil, &Error{Code: Internal, Reason: "UpdateUser is not for passwords and states"}
	}
	u := rec.User
	if patch.Username != nil {
		u.Username = *patch.Username
	}
	if patch.Email != nil {
		u.Email = *patch.Email
	}
	if patch.Type != nil {
		u.Type = *patch.Type
	}
	if patch.Roles != nil {
		u.Roles = *patch.Roles
	}
	if patch.Attributes != nil {
		u.Attributes = *patch.Attributes
	}
	if err := checkUser(&u); err != nil {
		return nil, err
	}
	if patch.Username != nil {
		patch.UsernameCanon = &u.UsernameCanon
	}
	if patch.Email != nil {
		patch.EmailCanon = &u.EmailCanon
		if u.EmailCanon == "" || patch.EmailVerified == nil && u.EmailCanon != rec.EmailCanon {
			patch.EmailVerified = new(bool) // that the old address was theirs says nothing of the new one
		}
	}
	if patch.Attributes != nil {
		patch.Attributes = &u.Attributes
	}
	ev := actor.Event("user.update")
	ev.Account, ev.Subject = rec.Account, rec.ID
	return s.changeUser(ctx, &ChangeUserParams{
		ID: id, IfVersion: rec.Version, Patch: patch,
		Effects: Effects{RaiseVersion: patch.Username != nil || patch.Email != nil || patch.EmailVerified != nil || patch.Type != nil || patch.Roles != nil},
		Now:     s.now(), Event: ev,
	})
}

// DeleteUser ends everything the user has. The id is never used again, the
// login names not before every token that carries them is dead.
func (s *Service) DeleteUser(ctx context.Context, actor Actor, id string) error {
	rec, err := s.userByID(ctx, id)
	if err != nil {
		return err
	}
	now := s.now()
	ev := actor.Event("user.delete")
	ev.Account, ev.Subject = rec.Account, rec.ID
	ev.Detail = map[string]string{"username": rec.Username}
	err = s.store.DeleteUser(ctx, &DeleteUserParams{
		ID: id, NamesReservedUntil: now + s.longest.Load(), FactPurgeAt: s.factPurgeAt(now), Now: now, Event: ev,
	})
	if errors.Is(err, ErrNoRow) {
		return Errorf(NotFound, "there is no user with id %q", Clip(id))
	}
	if err != nil {
		return StoreError(err)
	}
	return s.catchUp(ctx)
}

// CompromiseUser ends everything that may be in the wrong hands: sessions,
// application tokens, API keys, and the password itself.
func (s *Service) CompromiseUser(ctx context.Context, actor Actor, id string) (*User, error) {
	rec, err := s.userByID(ctx, id)
	if err != nil {
		return nil, err
	}
	ev := actor.Event("user.compromised")
	ev.Account, ev.Subject = rec.Account, rec.ID
	none := ""
	return s.changeUser(ctx, &ChangeUserParams{
		ID: id, Patch: UserPatch{PasswordHash: &none}, FactReason: ReasonCompromised,
		Effects: Effects{RaiseVersion: true, EndSessions: true, RevokeApplicationToken: true, DeleteAPIKeys: true},
		Now:     s.now(), Event: ev,
	})
}

// UnlockUser clears the attempt counters of a user's login names: that of the
// user name, which the e-mail address shares, and the one that the address had
// by itself while it was not verified.
func (s *Service) UnlockUser(ctx context.Context, actor Actor, id string) error {
	rec, err := s.userByID(ctx, id)
	if err != nil {
		return err
	}
	for _, name := range []string{rec.UsernameCanon, rec.EmailCanon} {
		if name == "" {
			continue
		}
		ev := actor.Event("user.unlock")
		ev.Account, ev.Subject = rec.Account, rec.ID
		if err := s.store.UnlockAttempts(ctx, &UnlockParams{Key: s.attemptKeyOf(rec.Account, name), Now: s.now(), Event: ev}); err != nil {
			return StoreError(err)
		}
	}
	return nil
}
