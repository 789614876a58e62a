package core

import "context"

// DefaultAccount is the shortname of the account that always exists.
const DefaultAccount = "default"

// State of an account, user or API key.
type State string

// The states. A deleted row stays as a tombstone: ids are never reused.
const (
	Active   State = "active"
	Disabled State = "disabled"
	Deleted  State = "deleted"
)

// Account is a customer: users and API keys belong to one.
type Account struct {
	ID        string // ac_…; DefaultAccount's is "ac_default"
	Shortname string // [a-z0-9][a-z0-9-]{0,62}
	State     State
	Version   int64 // raised by every change that must stop an issue under way
	CreatedAt int64
}

// Accounts is the part of Store that knows accounts.
type Accounts interface {
	// CreateAccount adds p.Account. ErrExists when id or shortname is taken.
	CreateAccount(ctx context.Context, p *CreateAccountParams) (*Account, error)
	// AccountByShortname returns ErrNoRow when there is none.
	AccountByShortname(ctx context.Context, shortname string) (*Account, error)
	// AccountByID returns ErrNoRow when there is none.
	AccountByID(ctx context.Context, id string) (*Account, error)
	// ListAccounts returns accounts by shortname, starting after `after`.
	ListAccounts(ctx context.Context, after string, limit int) ([]*Account, error)
	// SetAccountState changes the state, raises the version and, when the new
	// state is not Active, adds a fact on the account. ErrNoRow.
	SetAccountState(ctx context.Context, p *SetAccountStateParams) (*Account, error)
}

// CreateAccountParams is one step: the row and its audit event.
type CreateAccountParams struct {
	Account Account
	Now     int64
	Event   Event
}

// SetAccountStateParams is one step. FactPurgeAt is when the fact may go: no
// earlier than the last token it can concern has expired.
type SetAccountStateParams struct {
	ID          string
	State       State
	FactPurgeAt int64
	Now         int64
	Event       Event
}
