package limit

// KnownFor is how long after a successful login the network it came from
// counts as known for that login name, in milliseconds (30 days).
const KnownFor int64 = 30 * 24 * 60 * 60 * 1000

// Policy is the shape of a budget: Burst attempts at once, then one for each
// Interval. It is the generic cell rate algorithm on one stored integer, the
// time at which the budget would be whole again (TAT):
//
//	allowed  iff  tat <= now + (Burst-1)*Interval   or   tat > now + (Burst+1)*Interval
//	then     tat' = min(max(tat, now), now + (Burst-1)*Interval) + Interval
//	refused:      nothing changes
//
// A refusal writes nothing, so hammering at an empty budget neither costs the
// store a row nor postpones the next try: the budget is never zero for ever.
// The second arm of the condition is for clocks: an honest tat is never more
// than Burst intervals ahead, and one interval more is left for nodes whose
// clocks differ. A tat beyond that was written by a clock that has since been
// set back (or under a wider policy) and would otherwise lock the name for as
// long as the clock was wrong; it is cut to a budget with one try left.
//
// The same as SQL, for SQLite (PostgreSQL: LEAST and GREATEST); a row of a
// name not seen before starts with tat 0, which is a whole budget:
//
//	UPDATE attempts SET tat = min(max(tat, :now), :now + (:burst-1)*:interval) + :interval
//	WHERE key = :key AND (tat <= :now + (:burst-1)*:interval OR tat > :now + (:burst+1)*:interval)
//
// One row changed: reserved. None: refused. Settling is unconditional:
//
//	refund:   UPDATE attempts SET tat = tat - :interval WHERE key = :key
//	forgive:  UPDATE attempts SET tat = 0 WHERE key = :key
//
// A row whose tat is not after now says nothing and may be deleted.
type Policy struct {
	// Burst is how many attempts a whole budget allows at once; below 1 counts as 1.
	Burst int64
	// Interval is the time in milliseconds in which one attempt comes back;
	// below 1 counts as 1.
	Interval int64
	// ForgiveOnSuccess makes a successful login fill the budget up again. It
	// is true for the budget of a known network alone: were it true for
	// strangers, whoever owns one login could buy guesses with it, and the
	// owner's own daily login would give strangers a hundred new ones.
	ForgiveOnSuccess bool
}

// Strangers is the budget of a login name for all networks it is not known
// from: 100 failures, then one try every 10 minutes (SECURITY 50).
func Strangers() Policy { return Policy{Burst: 100, Interval: 10 * 60 * 1000} }

// Known is the budget of one pair of login name and known network: 20 tries
// at once, then one a minute, whole again after a success. The wait is never
// longer than a minute, because the one who waits is most likely the owner.
func Known() Policy { return Policy{Burst: 20, Interval: 60 * 1000, ForgiveOnSuccess: true} }

// State is what a store keeps of one budget. The zero value is a whole
// budget; setting it to zero is what unlocking a user means.
type State struct {
	// TAT is the Unix time in milliseconds at which the budget is whole again.
	TAT int64
}

// Decision says whether an attempt may be made.
type Decision struct {
	Allowed bool
	// RetryAfter is how many milliseconds to wait until one attempt will be
	// allowed; 0 when Allowed. At most two intervals.
	RetryAfter int64
	// Remaining is how many more attempts would be allowed at this moment.
	Remaining int64
}

// Outcome is how a reserved attempt ended.
type Outcome uint8

const (
	// Failed is a wrong password: the reservation stays spent. It is the zero
	// value, so that a forgotten outcome costs a guess and never gives one.
	Failed Outcome = iota
	// Succeeded is a right password: the budget forgives everything if the
	// policy says so, else it gets the one attempt back.
	Succeeded
	// Repeated is a wrong password that the same network has already tried on
	// this name (see Repeats): the attempt is given back.
	Repeated
	// Unjudged means that the password was never compared: the queue for
	// hashing was full, or the caller went away. The attempt is given back.
	Unjudged
)

// Reserve takes one attempt from the budget at time now (Unix milliseconds),
// or refuses and returns the state unchanged. It must happen before the
// password is hashed, and a store must do it in one atomic step.
func (p Policy) Reserve(s State, now int64) (State, Decision) {
	p = p.atLeastOne()
	last := now + (p.Burst-1)*p.Interval // the latest tat that leaves one attempt
	impossible := s.TAT > last+2*p.Interval
	if s.TAT > last && !impossible {
		return s, Decision{RetryAfter: s.TAT - last}
	}
	next := State{TAT: min(max(s.TAT, now), last) + p.Interval}
	return next, Decision{Allowed: true, Remaining: p.Remaining(next, now)}
}

// Settle closes an attempt that Reserve allowed, once. Refunding by
// subtraction commutes with reservations made meanwhile, so it needs no
// memory of what the state was; it can never give more than was taken,
// because a tat in the past counts as now. The caller's clock plays no part.
func (p Policy) Settle(s State, o Outcome) State {
	p = p.atLeastOne()
	switch {
	case o == Failed:
		return s
	case o == Succeeded && p.ForgiveOnSuccess:
		return State{}
	default:
		return State{TAT: s.TAT - p.Interval}
	}
}

// Remaining says how many attempts the budget would allow at time now.
func (p Policy) Remaining(s State, now int64) int64 {
	p = p.atLeastOne()
	used := max(s.TAT-now, 0)
	if used > (p.Burst+1)*p.Interval {
		return 1
	}
	// A part of an interval still to run is an attempt not yet back.
	return max(p.Burst-(used+p.Interval-1)/p.Interval, 0)
}

func (p Policy) atLeastOne() Policy {
	p.Burst, p.Interval = max(p.Burst, 1), max(p.Interval, 1)
	return p
}
