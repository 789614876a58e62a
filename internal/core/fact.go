package core

import "context"

// FactKind says what a revocation is about.
type FactKind string

// The kinds.
const (
	FactSession    FactKind = "session" // Subject is a sid
	FactToken      FactKind = "token"   // Subject is a jti; see Fact.Spare
	FactUser       FactKind = "user"
	FactAPIKey     FactKind = "apikey"
	FactClient     FactKind = "client"
	FactAccount    FactKind = "account"
	FactEverything FactKind = "everything"
)

// Reasons that mean more than that what was issued is over: a store restored
// from a backup carries them out again (see Service.Replay).
const (
	ReasonDisabled    = "disabled"     // user, account
	ReasonPassword    = "password"     // user: the password is another since
	ReasonCompromised = "compromised"  // user
	ReasonUserDeleted = "user deleted" // user, and API keys it created
	ReasonKeyDeleted  = "api key deleted"
	ReasonKeyDisabled = "api key disabled"
	// ReasonClient begins the reason of a fact on a client; its state follows.
	ReasonClient = "client "
)

// Fact is a numbered revocation. Numbers rise in commit order: who has seen n
// has seen all below it.
type Fact struct {
	Number  int64
	Kind    FactKind
	Subject string
	// Spare is the sid that a fact on a user leaves alive. In a fact on a token it
	// is the sid of the only session whose token ends, since a jti alone may be
	// written into another token by whoever has another mount's key; or the jti
	// again: then the token, an application token, counts again. A fact with
	// neither (of an application token, or made by v0.1.0) ends every token with
	// the jti.
	Spare   string
	Reason  string
	At      int64 // for people; never compared
	PurgeAt int64 // may be removed then
}

// OfSession reports a fact on a token of one session.
func (f *Fact) OfSession() bool {
	return f.Kind == FactToken && f.Spare != "" && f.Spare != f.Subject
}

// Facts is the part of Store that knows revocations.
type Facts interface {
	// AddFact appends p.Fact and returns it with its number.
	AddFact(ctx context.Context, p *AddFactParams) (*Fact, error)
	// FactsSince returns facts numbered above n, in order, and the highest
	// number committed (also when facts below it were purged).
	FactsSince(ctx context.Context, n int64, limit int) (facts []Fact, last int64, err error)
	// SkipFacts makes every later fact numbered above p.Above, which has no
	// effect when they are already: numbers that another life of the store gave
	// must not be given again.
	SkipFacts(ctx context.Context, p *SkipFactsParams) error
}

// SkipFactsParams is one step.
type SkipFactsParams struct {
	Above int64
	Now   int64
	Event Event
}

// AddFactParams is one step.
type AddFactParams struct {
	Fact Fact
	// Renumber, if set, gives a session that is not revoked a new status number,
	// or none (0): the old one is dead from then on, and with it, for who reads status lists,
	// the access tokens that carry it. A session that is not there is no error.
	Renumber *Renumbering
	Now      int64
	Event    Event
}

// Renumbering is a session and its new status number.
type Renumbering struct {
	Session SessionID
	Status  int64
}
