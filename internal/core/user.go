package core

import "context"

// UserType says what a user is for.
type UserType string

// The types. Only an application user may mint application tokens.
const (
	TypeUser        UserType = "user"
	TypeApplication UserType = "application"
)

// User is somebody, or some program, that logs in with a password.
type User struct {
	ID            string // UUIDv4
	Account       string // account id
	Type          UserType
	State         State
	Username      string // as given
	UsernameCanon string // canonical form, the lookup key; unique by account together with e-mails
	Email         string // as given; "" for none
	EmailCanon    string // canonical form
	EmailVerified bool   // an e-mail logs in once verified or set by an operator
	Roles         []string
	Attributes    []byte // a JSON object; "{}" when empty
	PasswordHash  string // PHC string; "" = cannot log in by password
	Version       int64  // raised by password, disable, delete, rename, type, compromise
	CreatedAt     int64
	UpdatedAt     int64
	PasswordAt    int64 // when the password was last set
	LastLoginAt   int64 // 0 = never
	LastLoginFrom string
}

// UserRecord is a user together with what a login must know of the account.
type UserRecord struct {
	User
	AccountShortname string
	AccountState     State
	AccountVersion   int64
}

// Users is the part of Store that knows users and login names.
type Users interface {
	// CreateUser adds p.User and claims its login names. ErrExists when a name
	// is taken or still reserved; *Error{NotFound} is not used here: an unknown
	// account is ErrNoRow.
	CreateUser(ctx context.Context, p *CreateUserParams) (*User, error)
	// UserByID returns deleted users too. ErrNoRow.
	UserByID(ctx context.Context, id string) (*UserRecord, error)
	// UserByLogin finds the live (not deleted) user that logs in by the
	// canonical name: its user name, or its e-mail when verified. ErrNoRow.
	UserByLogin(ctx context.Context, account, canonical string) (*UserRecord, error)
	// ListUsers returns live users ordered by (account, canonical user name).
	ListUsers(ctx context.Context, q UserQuery) ([]*UserRecord, error)
	// ChangeUser applies p.Patch and p.Effects in one step. API keys that the
	// user created count only while the user is active; their sessions end when
	// p.Patch disables the user. ErrNoRow for an
	// unknown or deleted user, ErrStale when p.IfVersion is set and another,
	// ErrExists when a new login name is taken.
	ChangeUser(ctx context.Context, p *ChangeUserParams) (*User, error)
	// DeleteUser leaves a tombstone, drops hash and attributes, ends all
	// sessions, application tokens and API keys the user created, adds a fact on the user and reserves its
	// login names until p.NamesReservedUntil (for ever when the user ever had
	// an application token). ErrNoRow.
	DeleteUser(ctx context.Context, p *DeleteUserParams) error
	// UpgradeHash replaces the password hash only if it is still p.Old
	// (compare and set on the hash just verified); it raises no version and
	// reports whether it replaced.
	UpgradeHash(ctx context.Context, p *UpgradeHashParams) (bool, error)
	// HashSamples returns one stored hash of each format and cost, so that the
	// hasher can make all verifications cost the same.
	HashSamples(ctx context.Context) ([]string, error)
}

// UserQuery selects users. Zero values mean "any".
type UserQuery struct {
	Account string // account id
	After   string // canonical user name to start after, within Account
	Limit   int    // at most 1000; 0 = 100
}

// CreateUserParams is one step.
type CreateUserParams struct {
	User  User
	Now   int64
	Event Event
}

// UserPatch says what changes; nil leaves a member as it is.
type UserPatch struct {
	Type          *UserType
	State         *State // Active or Disabled
	Username      *string
	UsernameCanon *string
	Email         *string // "" removes it
	EmailCanon    *string
	EmailVerified *bool
	Roles         *[]string
	Attributes    *[]byte
	PasswordHash  *string
}

// Effects are the consequences of a change, carried out in the same step.
type Effects struct {
	RaiseVersion           bool
	EndSessions            bool   // revoke session rows and add a fact on the user
	SpareSession           string // sid left alive, "" for none
	SuspendSessionTokens   bool   // suspend application tokens minted in the ended sessions (password reset)
	RevokeApplicationToken bool   // revoke all application tokens of the user (compromise)
	DeleteAPIKeys          bool   // delete API keys created by the user, with a fact each (compromise)
}

// ChangeUserParams is one step.
type ChangeUserParams struct {
	ID                 string
	IfVersion          int64 // 0 = whatever it is
	Patch              UserPatch
	Effects            Effects
	NamesReservedUntil int64 // for a name freed by this change (see Users.DeleteUser)
	FactPurgeAt        int64
	FactReason         string // of the facts on the user, its API keys and application tokens; "" = "user"
	Now                int64
	Event              Event
}

// DeleteUserParams is one step.
type DeleteUserParams struct {
	ID                 string
	NamesReservedUntil int64
	FactPurgeAt        int64
	Now                int64
	Event              Event
}

// UpgradeHashParams is one step.
type UpgradeHashParams struct {
	ID       string
	Old, New string
	Now      int64
}
