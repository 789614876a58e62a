package core

import "context"

// ApplicationToken is a non-expiring access token of an application user. It
// counts only by this live row, whatever its signature says.
type ApplicationToken struct {
	ID        string   // the jti, a UUID
	Hash      [32]byte // SHA-256 of the whole token
	User      string
	Account   string
	Mount     string
	Session   string   // sid of the minting session
	Label     string   // the operator's or client's note, at most 100 bytes
	Networks  []string // CIDRs it may be used from; empty = any
	Scopes    []string // the roles it is narrowed to; empty = the user's
	CreatedAt int64
	CreatedBy string // client address at minting
	LastUsed  int64  // to the minute; 0 = never
	LastFrom  string // client address of the last use
	RevokedAt int64
	Suspended bool  // by a password reset, until an operator resumes or revokes it
	Status    int64 // number in the status lists; 0 = none
}

// ApplicationTokens is the part of Store that knows application tokens.
//
// Every step of any part of Store that changes whether a token counts (its own
// row, the state or type of its user, the state of its account) adds a fact on
// it, so that verifiers elsewhere need no row: one on the jti when it counts no
// longer, and one that spares the jti itself when it counts again. The fact
// replaces the one before it on the same token, so there is at most one. Their
// PurgeAt is FactForever.
type ApplicationTokens interface {
	// MintApplicationToken inserts p.Token if the gate holds in the same
	// statement: user and account at the versions read, user of type
	// application, minting session alive and on p.Token.Mount, fewer than
	// p.MaxPerUser live tokens. It answers with a verdict; ErrExists when the
	// id is there with another hash.
	MintApplicationToken(ctx context.Context, p *MintParams) (MintVerdict, error)
	// ApplicationTokenByHash returns the row and its live subject, revoked and
	// suspended ones too. ErrNoRow.
	ApplicationTokenByHash(ctx context.Context, hash [32]byte) (*ApplicationToken, *Subject, error)
	// ListApplicationTokens returns tokens that are not revoked, newest first.
	ListApplicationTokens(ctx context.Context, q ApplicationTokenQuery) ([]*ApplicationToken, error)
	// ChangeApplicationToken revokes, suspends or resumes one. ErrNoRow when
	// there is none, or it is revoked already.
	ChangeApplicationToken(ctx context.Context, p *ChangeApplicationTokenParams) (*ApplicationToken, error)
	// TouchApplicationTokens sets last use for a batch; unknown ids are ignored.
	TouchApplicationTokens(ctx context.Context, touches []TokenTouch) error
}

// MintVerdict is what becomes of a minting.
type MintVerdict string

// The verdicts.
const (
	Minted      MintVerdict = "minted"
	MintStale   MintVerdict = "stale"         // a version moved, or the session ended: start over or refuse
	MintTooMany MintVerdict = "too_many"      // p.MaxPerUser reached
	MintType    MintVerdict = "wrong_type"    // the user is not of type application
	MintRepeat  MintVerdict = "minted_before" // the same id and hash are there: the step is repeated
)

// MintParams is one step.
type MintParams struct {
	Token      ApplicationToken
	Session    SessionID
	Gate       Gate
	MaxPerUser int
	Now        int64
	Event      Event
}

// ApplicationTokenQuery selects tokens. Zero values mean "any".
type ApplicationTokenQuery struct {
	Account string
	User    string
	Before  int64
	Limit   int // at most 1000; 0 = 100
}

// ApplicationTokenAction is what ChangeApplicationToken does.
type ApplicationTokenAction string

// The actions.
const (
	TokenRevoke  ApplicationTokenAction = "revoke"
	TokenSuspend ApplicationTokenAction = "suspend"
	TokenResume  ApplicationTokenAction = "resume"
)

// ChangeApplicationTokenParams is one step.
type ChangeApplicationTokenParams struct {
	ID     string
	Action ApplicationTokenAction
	Now    int64
	Event  Event
}

// TokenTouch is one last use of an application token.
type TokenTouch struct {
	ID      string
	At      int64
	Address string
}
