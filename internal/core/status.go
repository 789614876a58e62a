package core

import "context"

// Status numbers are the indices of token status lists (see statuslist.go): a
// session or application token has one for life, and no number is ever given
// twice. Additions to a row of version 0.1.0, whose sessions and tokens have 0,
// which is none.

// StatusSpace keeps the numbers of sessions and of application tokens apart.
type StatusSpace string

// The spaces.
const (
	StatusSessions StatusSpace = "sessions"
	StatusTokens   StatusSpace = "tokens"
)

const (
	// StatusListSize is how many numbers a list covers. List n has the numbers
	// n*StatusListSize to (n+1)*StatusListSize-1.
	StatusListSize = 1 << 16
	// StatusBlockMS is how long a node hands out numbers of a reserved block.
	StatusBlockMS = 3_600_000
	// StatusOpenMS is how long after its reservation a block counts as open:
	// longer than it is handed out, and shorter than any row outlives its
	// creation (ended sessions stay a day, revoked tokens longer).
	StatusOpenMS = 3 * StatusBlockMS
	// StatusLeap is how far the numbers jump in a store of another incarnation:
	// to the next multiple. Numbers that the former life gave after the backup
	// was made lie in the gap, and read as dead.
	StatusLeap = 1 << 40
)

// Statuses is the part of Store that numbers sessions and application tokens,
// and tells which numbers count.
type Statuses interface {
	// ReserveStatus sets p.Count numbers of a space aside that nobody else gets,
	// the first of which it returns. The first of all is 1. A store that was
	// reserved from under another incarnation leaps (see StatusLeap).
	ReserveStatus(ctx context.Context, p *ReserveStatusParams) (first int64, err error)
	// StatusList reads one list. ErrNoRow when no number of it was ever reserved.
	StatusList(ctx context.Context, q StatusQuery) (*StatusList, error)
	// StatusLists returns the lists with at least one live number, in order.
	StatusLists(ctx context.Context, space StatusSpace) ([]int64, error)
}

// ReserveStatusParams is one step. It writes no audit event: it is no act.
type ReserveStatusParams struct {
	Space       StatusSpace
	Count       int
	Incarnation string // MetaIncarnation
	Now         int64
}

// StatusQuery asks for one list.
type StatusQuery struct {
	Space StatusSpace
	List  int64
	Known int64 // the version that the caller has: if it still is, Dead stays nil; 0 = none
	Now   int64
}

// StatusList is one list.
type StatusList struct {
	// Version rises, in the same step, with every change that may make a live
	// number dead or a dead one live. It begins with 1.
	Version int64
	// Dead has a bit for each number, StatusListSize/8 bytes: number i of the
	// list is bit i%8, from the least significant, of byte i/8. It is 1 unless
	//  - a row holds the number and counts: a session neither revoked nor ended
	//    by a fact on its account or on everything (its deadline is not asked:
	//    no token outlives it); an application token neither revoked nor
	//    suspended, of an active user of type application in an active account;
	//  - or no row holds it and it may still be given: it was never reserved, or
	//    in a block reserved less than StatusOpenMS ago. A verifier that read
	//    the list just before a login must not refuse the login's tokens.
	Dead []byte
}
