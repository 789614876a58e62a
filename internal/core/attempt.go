package core

import (
	"context"

	"github.com/sallyport/sallyport/internal/limit"
)

// AttemptKey names the counters of one login name, known or not: a keyed hash
// of account and canonical name (the user name, for a user's verified e-mail), so that neither the store nor a log tells
// which unknown names were tried.
type AttemptKey [16]byte

// Attempts is the part of Store that counts login attempts. An attempt is
// reserved before the password is hashed and settled afterwards, so that 500
// guesses at once, over any number of nodes, never exceed the limit.
type Attempts interface {
	// ReserveAttempt counts one attempt against the budget it falls under:
	// known, when the user logged in from that network after p.KnownAfter,
	// else strangers. It answers whether it may go on.
	ReserveAttempt(ctx context.Context, p *ReserveParams) (*Reservation, error)
	// SettleAttempt records the outcome. A success gives the reservation back
	// (to its own budget alone) and, with Learn, remembers the network; see
	// OpenSessionParams.Attempt, which does the same within the login's step.
	SettleAttempt(ctx context.Context, p *SettleParams) error
	// UnlockAttempts clears both budgets of a name (`user unlock`).
	UnlockAttempts(ctx context.Context, p *UnlockParams) error
	// KnownNetworks lists the networks a user logged in from.
	KnownNetworks(ctx context.Context, user string) ([]KnownNetwork, error)
}

// KnownNetworkMS is how long a network counts as known by default, and the
// least a store keeps it: 30 days.
const KnownNetworkMS = limit.KnownFor

// ReserveParams is one step. The budgets are GCRA limits (see internal/limit):
// BurstMS of tolerance and IntervalMS a try.
type ReserveParams struct {
	Key         AttemptKey
	User        string // user id, "" for an unknown name: then never known
	Network     string // prefix the client address falls in
	Stranger    BudgetLimit
	Known       BudgetLimit
	KnownAfter  int64  // a network counts as known when last used after this time
	ForceBudget string // "", or "stranger": for an unlisted peer that sends forwarding headers
	Now         int64
}

// BudgetLimit is the shape of a budget; its comment gives the arithmetic that a
// store does in one statement.
type BudgetLimit = limit.Policy

// AttemptState is what a store keeps of one budget.
type AttemptState = limit.State

// Outcome is how a reserved attempt ended.
type Outcome = limit.Outcome

// The outcomes; see limit for what each does to the budget.
const (
	AttemptFailed    = limit.Failed
	AttemptSucceeded = limit.Succeeded
	AttemptRepeated  = limit.Repeated
	AttemptUnjudged  = limit.Unjudged
)

// Reservation is the outcome of ReserveAttempt.
type Reservation struct {
	Allowed    bool
	Budget     string // "known" or "stranger"
	RetryAfter int64  // milliseconds, when not allowed
	Failures   int64  // how full the budget is, in tries
}

// SettleParams settles a reservation once the password was judged, or was not.
// A failure needs no settling: the reservation stays spent.
type SettleParams struct {
	Outcome Outcome
	Key     AttemptKey
	User    string
	Network string
	Budget  string // of the reservation
	Limit   BudgetLimit
	Learn   bool // remember Network as known for User
	Now     int64
}

// UnlockParams is one step.
type UnlockParams struct {
	Key   AttemptKey
	Now   int64
	Event Event
}

// KnownNetwork is one network a user logged in from.
type KnownNetwork struct {
	User     string
	Network  string
	LastUsed int64
}
