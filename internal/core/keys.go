package core

import (
	"context"

	"github.com/sallyport/sallyport/internal/token"
)

// KeySet names the keys that sign one kind of token of one mount. Kinds never
// share keys, so a refresh token cannot verify where an access token is asked
// for.
type KeySet struct {
	Mount string
	Kind  token.Kind
}

// KeyClass says who holds a key.
type KeyClass string

// The classes.
const (
	// OwnKey: nobody else holds it.
	OwnKey KeyClass = "own"
	// SharedKey: an HMAC secret that others (the vendor's verifiers) hold. It
	// signs access tokens of its mount and, if asked, application tokens.
	// Tokens under it carry our own MAC as a claim, which our verifiers demand.
	SharedKey KeyClass = "shared"
)

// KeyState is where a key stands in its life.
type KeyState string

// The states, in order.
const (
	KeyNext       KeyState = "next"        // published, does not sign yet
	KeyActive     KeyState = "active"      // signs
	KeyVerifyOnly KeyState = "verify-only" // verifies, and re-signs what it signed
	KeyDropped    KeyState = "dropped"     // gone; the row remains
)

// KeyRow is a signing key as stored.
type KeyRow struct {
	ID          string // the kid
	Set         KeySet
	Class       KeyClass
	Algorithm   token.Algorithm
	State       KeyState
	Sealed      []byte // private part, sealed under the master key; nil when dropped
	Public      []byte // public JWK; nil for HMAC
	MasterKey   string // id of the master key that sealed it
	CreatedAt   int64
	ActivatedAt int64
	RetiredAt   int64
	DroppedAt   int64
}

// KeyRows is the part of Store that keeps signing keys.
type KeyRows interface {
	// InsertKey adds a key. With State KeyActive it succeeds only if the set
	// has no active key (two nodes starting at once make one key): ErrExists.
	InsertKey(ctx context.Context, p *InsertKeyParams) error
	// ListKeys returns all rows that are not dropped, oldest first.
	ListKeys(ctx context.Context) ([]KeyRow, error)
	// ChangeKey moves a key to another state, if it is in p.From. ErrStale. A
	// key that becomes active retires the one that was, in the same step.
	ChangeKey(ctx context.Context, p *ChangeKeyParams) error
	// Rewrap changes the master key: see RewrapParams. ErrStale.
	Rewrap(ctx context.Context, p *RewrapParams) error
}

// InsertKeyParams is one step.
type InsertKeyParams struct {
	Key   KeyRow
	Now   int64
	Event Event
}

// ChangeKeyParams is one step. Dropping erases Sealed.
type ChangeKeyParams struct {
	ID       string
	From, To KeyState
	Now      int64
	Event    Event
}

// Keys signs, verifies and seals, in memory. keyring implements it.
type Keys interface {
	// Sign makes a token with the set's active key and says which it was.
	// *Error{Unavailable} when the set has none.
	Sign(set KeySet, header token.Header, payload []byte) (tok, keyID string, err error)
	// SignWith makes a token with the named key of the set, active or
	// verify-only; it is how a refresh token is issued again byte for byte.
	SignWith(set KeySet, keyID string, header token.Header, payload []byte) (tok string, err error)
	// ActiveKey is the id of the set's active key, "" when there is none.
	ActiveKey(set KeySet) string
	// Verifying returns the keys that may have signed tokens of the set: own
	// keys first, then shared ones with the key of our own MAC. The slice is
	// shared: it is not to be changed.
	Verifying(set KeySet) []token.KeyGroup
	// Seal encrypts a secret of ours bound to where it is stored; Open undoes
	// it. A value that doesn't open is *Error{Unavailable}: an alarm, never a
	// "wrong credential".
	Seal(purpose SealPurpose, binding string, plain []byte) ([]byte, error)
	Open(purpose SealPurpose, binding string, sealed []byte) ([]byte, error)
	// Derive gives a 32-byte key for a purpose, from the master key: stable
	// over restarts and the same on all nodes (attempt keys, log hashes).
	Derive(purpose string) [32]byte
}

// SealPurpose separates the keys that seal different things.
type SealPurpose string

// The purposes.
const (
	SealSigningKey SealPurpose = "signing-key"
	SealAPISecret  SealPurpose = "api-secret"
)
