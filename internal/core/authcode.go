package core

import (
	"context"
	"slices"
)

// CodeKeptMS is how long a used code is remembered, in milliseconds, so that a
// late second use still ends what the first one gave.
const CodeKeptMS int64 = 24 * 3600 * 1000

// AuthCode is an authorization code as stored. The code itself is 256 random
// bits that only its hash is kept of.
type AuthCode struct {
	Hash           [32]byte
	Client         string
	ClientVersion  int64 // at the time of issue
	RedirectURI    string
	Challenge      string // S256 (RFC 7636 section 4.2)
	Nonce          string
	Scope          []string
	Audience       []string
	Subject        string // user id
	SubjectVersion int64
	Account        string
	AccountVersion int64
	AuthTime       int64  // when the user logged in
	Browser        string // sid of the browser login, "" = none
	LoginName      string // what the user logged in as
	CreatedAt      int64
	ExpiresAt      int64
	UsedAt         int64    // 0 = unused
	Session        [16]byte // what the first use opened
}

// SessionGrant is what an OAuth session was given, beside its session row.
// It never changes while the session lives.
type SessionGrant struct {
	Client   string
	Scope    []string
	Audience []string
	AuthTime int64
	Nonce    string
	Browser  string // sid of the browser login, "" = none
}

// AuthCodes is the part of Store that knows codes and what sessions were granted.
type AuthCodes interface {
	// CreateCode adds p.Code if user, account and client are active and at the
	// versions it names, the browser login it names lives, and, with p.Consent,
	// the user has a consent for the client. ErrStale.
	CreateCode(ctx context.Context, p *CreateCodeParams) error
	// CodeByHash returns used and expired codes too, until they are purged.
	// ErrNoRow.
	CodeByHash(ctx context.Context, hash [32]byte) (*AuthCode, error)
	// RedeemCode marks the code used and opens the session with its grant, in
	// one step. A code used before ends the session that it gave; every other
	// refusal changes nothing.
	RedeemCode(ctx context.Context, p *RedeemCodeParams) (*RedeemCodeResult, error)
	// GrantOf returns what a session was granted. ErrNoRow.
	GrantOf(ctx context.Context, key [16]byte) (*SessionGrant, error)
	// RevokeGrants ends OAuth sessions, with a fact each, and says how many.
	RevokeGrants(ctx context.Context, p *RevokeGrantsParams) (int, error)
	// MoveGrants makes the OAuth sessions that came from one browser login those
	// of another, and ends the first login, with a fact, unless it is over, in
	// one step. ErrStale, and nothing moves, when the second does not live.
	MoveGrants(ctx context.Context, p *MoveGrantsParams) error
}

// CreateCodeParams is one step.
type CreateCodeParams struct {
	Code    AuthCode
	Consent bool // the client gets it by the user's word alone
	Now     int64
}

// RedeemCodeParams is one step.
type RedeemCodeParams struct {
	Hash          [32]byte
	Client        string
	ClientVersion int64 // read before the client was authenticated
	Open          OpenSessionParams
	Grant         SessionGrant
	ReplayEvent   Event
}

// RedeemVerdict is what becomes of a code.
type RedeemVerdict string

// The verdicts.
const (
	CodeRedeemed RedeemVerdict = "redeemed"
	CodeReplayed RedeemVerdict = "replayed" // used before: its session is over
	CodeExpired  RedeemVerdict = "expired"
	CodeUnknown  RedeemVerdict = "unknown" // no such code of this client
	CodeStale    RedeemVerdict = "stale"   // user, account, client or browser login changed since
)

// RedeemCodeResult is the outcome. Session and Subject are set for
// CodeRedeemed.
type RedeemCodeResult struct {
	Verdict RedeemVerdict
	Session *Session
	Subject *Subject
}

// JudgeCode says what becomes of a code presented by a client at a version;
// browserLives says whether the login that it came from has not been ended. A
// client that was changed since, perhaps disabled and enabled again, gets
// nothing for an old code.
func JudgeCode(c *AuthCode, client string, version int64, browserLives bool, now int64) RedeemVerdict {
	switch {
	case c == nil || c.Client != client:
		return CodeUnknown
	case c.UsedAt != 0:
		return CodeReplayed
	case now >= c.ExpiresAt:
		return CodeExpired
	case !browserLives || c.ClientVersion != version:
		return CodeStale
	}
	return CodeRedeemed
}

// RevokeGrantsParams is one step. It ends the sessions that came from the
// browser login, or those of the client for the subject.
type RevokeGrantsParams struct {
	Browser         string
	Client, Subject string
	Reason          string
	FactPurgeAt     int64
	Now             int64
	Event           Event // written when at least one ended
}

// MoveGrantsParams is one step. Both logins are the subject's; sessions of
// others stay where they are.
type MoveGrantsParams struct {
	From, To    SessionID
	Mount       string // of both
	Subject     string
	Reason      string
	FactPurgeAt int64
	Now         int64
	Event       Event // written when the first login ended by it
}

// Consent is a user's word that a client may have a scope.
type Consent struct {
	User      string
	Client    string
	Scope     []string
	CreatedAt int64
	UpdatedAt int64
}

// Consents is the part of Store that knows consents. They go with the user.
type Consents interface {
	// PutConsent adds one, or its scope to the one there is (see WiderScope), in
	// one step with whatever withdraws it.
	PutConsent(ctx context.Context, p *PutConsentParams) error
	// ConsentOf returns ErrNoRow when there is none.
	ConsentOf(ctx context.Context, user, client string) (*Consent, error)
	// ListConsents returns a user's, by client.
	ListConsents(ctx context.Context, user string) ([]*Consent, error)
	// DeleteConsent removes one, ends the sessions it carried, and forgets the
	// codes that were given by it and not used yet. ErrNoRow.
	DeleteConsent(ctx context.Context, p *DeleteConsentParams) error
}

// WiderScope is a scope with the words of another that it lacks behind it.
func WiderScope(scope, more []string) []string {
	out := slices.Clone(scope)
	for _, w := range more {
		if !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

// PutConsentParams is one step.
type PutConsentParams struct {
	Consent Consent
	Now     int64
	Event   Event
}

// DeleteConsentParams is one step.
type DeleteConsentParams struct {
	User, Client string
	FactPurgeAt  int64
	Now          int64
	Event        Event
}
