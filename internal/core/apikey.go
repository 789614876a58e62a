package core

import "context"

// apiKeyIDPrefix begins every id of an API key.
const apiKeyIDPrefix = "key_"

// APIKey signs request tokens with a secret it shares with us. Checking an
// HMAC needs the secret itself, so it is stored sealed (see Keys.Seal), bound
// to its row, version and account.
type APIKey struct {
	ID          string // key_…
	Account     string
	AppName     string // unique among live keys of the account
	AppKey      string // random identifier the request token carries
	Description string
	Roles       []string
	State       State
	Version     int64
	Owner       string      // user id that created it, "" for an operator
	Secrets     []APISecret // one, or two while rotating, newest first
	CreatedAt   int64
	UpdatedAt   int64
	LastLogin   int64
	LastFrom    string
}

// APISecret is one sealed shared secret.
type APISecret struct {
	Number    int64  // 1, 2, … within the key; part of the sealing's binding
	Sealed    []byte // AES-256-GCM under a key derived for this purpose
	CreatedAt int64
	ExpiresAt int64 // 0 = none; the older secret's end date while rotating
}

// APIKeyRecord is a key together with what an exchange must know of the account.
type APIKeyRecord struct {
	APIKey
	AccountShortname string
	AccountState     State
	AccountVersion   int64
}

// APIKeys is the part of Store that knows API keys and request tokens.
type APIKeys interface {
	// CreateAPIKey adds p.Key. ErrExists when the id, or the app name in the
	// account, is taken; ErrNoRow for an unknown account.
	CreateAPIKey(ctx context.Context, p *CreateAPIKeyParams) (*APIKey, error)
	// APIKeyByName finds a live (not deleted) key. ErrNoRow.
	APIKeyByName(ctx context.Context, accountShortname, appName string) (*APIKeyRecord, error)
	// APIKeyByID returns deleted keys too. ErrNoRow.
	APIKeyByID(ctx context.Context, id string) (*APIKeyRecord, error)
	// ListAPIKeys returns live keys ordered by (account, app name).
	ListAPIKeys(ctx context.Context, q APIKeyQuery) ([]*APIKeyRecord, error)
	// ChangeAPIKey applies p.Patch and raises the version when it replaces the
	// secrets; when p.EndSessions is set it raises the version, ends the key's
	// sessions and adds a fact. Deleting is
	// Patch.State=Deleted: sealed secrets are dropped from the row. ErrNoRow,
	// ErrStale when p.IfVersion is set and another.
	ChangeAPIKey(ctx context.Context, p *ChangeAPIKeyParams) (*APIKey, error)
	// ExchangeRequestToken remembers the request token and opens the session,
	// in one step, under the same gate as OpenSession. When the token is known
	// already it changes nothing and says how the two meet: see ExchangeVerdict.
	ExchangeRequestToken(ctx context.Context, p *ExchangeParams) (*ExchangeResult, error)
}

// APIKeyQuery selects keys. Zero values mean "any".
type APIKeyQuery struct {
	Account string
	After   string // app name to start after, within Account
	Limit   int
}

// CreateAPIKeyParams is one step.
type CreateAPIKeyParams struct {
	Key   APIKey
	Now   int64
	Event Event
}

// APIKeyPatch says what changes; nil leaves a member as it is.
type APIKeyPatch struct {
	Description *string
	Roles       *[]string
	State       *State
	Secrets     *[]APISecret
}

// ChangeAPIKeyParams is one step.
type ChangeAPIKeyParams struct {
	ID          string
	IfVersion   int64
	Patch       APIKeyPatch
	EndSessions bool
	FactPurgeAt int64
	Now         int64
	Event       Event
}

// ExchangeVerdict is what becomes of a request token.
type ExchangeVerdict string

// The verdicts.
const (
	Exchanged        ExchangeVerdict = "exchanged"  // first acceptance: a session was opened
	ExchangeTwin     ExchangeVerdict = "twin"       // same token, same address, within the twin window: the same session
	ExchangeReplayed ExchangeVerdict = "replayed"   // later, or from elsewhere: refused, ReplayEvent written
	ExchangeStale    ExchangeVerdict = "stale"      // the gate refused
	ExchangeEnded    ExchangeVerdict = "twin_ended" // a twin whose session has been revoked since
	TwinWindowMS     int64           = 5_000        // how long an honest retry is answered
)

// ExchangeParams is one step. TokenHash is the SHA-256 of the signing input;
// it is remembered until RememberUntil. ReplayEvent gets the first and the
// second address in its details.
type ExchangeParams struct {
	TokenHash     [32]byte
	Address       string
	RememberUntil int64
	Open          OpenSessionParams
	ReplayEvent   Event
}

// ExchangeResult is the outcome. Session and Subject are set for Exchanged and
// ExchangeTwin; FirstAddress for the others that knew the token.
type ExchangeResult struct {
	Verdict      ExchangeVerdict
	Session      *Session
	Subject      *Subject
	FirstAddress string
}

// JudgeTwin says how a second arrival of a request token meets the first. A
// clock that went back makes it a replay: an honest twin comes after.
func JudgeTwin(firstAt int64, firstAddress string, now int64, address string) ExchangeVerdict {
	if address == firstAddress && now >= firstAt && now-firstAt <= TwinWindowMS {
		return ExchangeTwin
	}
	return ExchangeReplayed
}
