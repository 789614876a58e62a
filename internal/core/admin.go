package core

import (
	"context"
	"errors"
	"regexp"

	"github.com/sallyport/sallyport/internal/password"
)

// Actor is who does an administrative act, for the audit log.
type Actor struct {
	Name      string // "operator:<uid>", "user:<id>", "system"
	Address   string
	RequestID string
}

// Event starts an audit event about what an actor did.
func (a *Actor) Event(kind string) Event {
	return Event{Kind: kind, Actor: a.Name, Address: a.Address, RequestID: a.RequestID}
}

var shortnamePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// CreateAccount adds an account. *Error: FieldInvalid, Conflict.
func (s *Service) CreateAccount(ctx context.Context, actor Actor, shortname string) (*Account, error) {
	if !shortnamePattern.MatchString(shortname) || shortname == AnyAccount {
		return nil, InvalidField("shortname", "an account's short name is 1 to 63 letters a-z, digits and dashes, starts with a letter or digit, and is not %q", AnyAccount)
	}
	now := s.now()
	a := Account{ID: NewID("ac_"), Shortname: shortname, State: Active, Version: 1, CreatedAt: now}
	ev := actor.Event("account.create")
	ev.Account, ev.Subject = a.ID, a.ID
	ev.Detail = map[string]string{"shortname": shortname}
	made, err := s.store.CreateAccount(ctx, &CreateAccountParams{Account: a, Now: now, Event: ev})
	if errors.Is(err, ErrExists) {
		return nil, Errorf(Conflict, "an account named %q exists already", shortname)
	}
	return made, StoreError(err)
}

// ListAccounts lists accounts by short name, starting after `after`.
func (s *Service) ListAccounts(ctx context.Context, after string, limit int) ([]*Account, error) {
	list, err := s.store.ListAccounts(ctx, after, limit)
	return list, StoreError(err)
}

// Account finds an account by short name. *Error: NotFound.
func (s *Service) Account(ctx context.Context, shortname string) (*Account, error) {
	if shortname == "" {
		shortname = DefaultAccount
	}
	a, err := s.store.AccountByShortname(ctx, shortname)
	if errors.Is(err, ErrNoRow) {
		return nil, Errorf(NotFound, "there is no account named %q; `sallyport account list` shows those there are", shortname)
	}
	return a, StoreError(err)
}

// AccountByID finds an account by its id. *Error: NotFound.
func (s *Service) AccountByID(ctx context.Context, id string) (*Account, error) {
	a, err := s.store.AccountByID(ctx, id)
	if errors.Is(err, ErrNoRow) {
		return nil, Errorf(NotFound, "there is no account with id %q", Clip(id))
	}
	return a, StoreError(err)
}

// SetAccountState disables or enables an account. Disabling ends everything
// that was issued to its users and keys. *Error: NotFound.
func (s *Service) SetAccountState(ctx context.Context, actor Actor, shortname string, state State) (*Account, error) {
	a, err := s.Account(ctx, shortname)
	if err != nil {
		return nil, err
	}
	if state != Active && state != Disabled {
		return nil, InvalidField("state", "the state of an account is active or disabled")
	}
	now := s.now()
	ev := actor.Event("account." + stateVerb(state))
	ev.Account, ev.Subject = a.ID, a.ID
	a, err = s.store.SetAccountState(ctx, &SetAccountStateParams{ID: a.ID, State: state, FactPurgeAt: s.factPurgeAt(now), Now: now, Event: ev})
	if err != nil {
		return nil, StoreError(err)
	}
	return a, s.catchUp(ctx)
}

func stateVerb(st State) string {
	if st == Disabled {
		return "disable"
	}
	return "enable"
}

// InvalidField refuses an input of a request by its name, in words that say what
// would be right. Its Code is FieldInvalid.
func InvalidField(field, format string, args ...any) *Error {
	e := Errorf(FieldInvalid, format, args...)
	e.Violations = []Violation{{Loc: []string{"body", field}, Message: e.Message, Type: "value"}}
	return e
}

// loginName checks and canonicalises a user name or e-mail.
func loginName(field, raw string) (string, error) {
	canon, err := password.CanonicalLoginName(raw)
	if err != nil {
		return "", InvalidField(field, "%s", err.Error())
	}
	return canon, nil
}
