package core

// RefreshVerdict is what becomes of a refresh.
type RefreshVerdict string

// The verdicts. The first three answer with tokens.
const (
	RefreshMoved    RefreshVerdict = "moved"    // generation n presented: the row is at n+1 now
	RefreshReplayed RefreshVerdict = "replayed" // ancestor within the grace time: the current token again
	RefreshCurrent  RefreshVerdict = "current"  // not rotating: the presented token stays

	RefreshBehind     RefreshVerdict = "behind" // moved too, from a generation the store had lost
	RefreshReused     RefreshVerdict = "reused" // ancestor too late: the session was revoked in this step
	RefreshNoSession  RefreshVerdict = "no_session"
	RefreshWrongMount RefreshVerdict = "wrong_mount"
	RefreshMismatch   RefreshVerdict = "subject_mismatch"
	RefreshRevoked    RefreshVerdict = "revoked"
	RefreshDeadSubj   RefreshVerdict = "subject_not_active"
	RefreshExpired    RefreshVerdict = "expired"
	RefreshStray      RefreshVerdict = "stray_generation" // not rotating, and not the row's generation
)

// Granted reports whether the verdict answers with tokens.
func (v RefreshVerdict) Granted() bool {
	return v == RefreshMoved || v == RefreshReplayed || v == RefreshCurrent || v == RefreshBehind
}

// Moves reports whether the verdict changes the row to the next generation.
func (v RefreshVerdict) Moves() bool { return v == RefreshMoved || v == RefreshBehind }

// JudgeRefresh says what a refresh does to the row as it stands. It is the
// rule; the stores' SQL is an optimisation of it, and the suite compares the
// two on generated rows. Every check that refuses precedes those that change.
func JudgeRefresh(s *Session, subj *Subject, p *RefreshParams) RefreshVerdict {
	switch {
	case s == nil:
		return RefreshNoSession
	case s.ID != p.ID:
		// The sid is signed, so its epoch can only differ if the store was
		// restored from elsewhere: not this session.
		return RefreshNoSession
	case s.Mount != p.Mount:
		return RefreshWrongMount
	case p.Subject != "" && p.Subject != s.Subject:
		return RefreshMismatch
	case s.RevokedAt != 0:
		return RefreshRevoked
	case subj == nil || !subj.Live():
		return RefreshDeadSubj
	case p.Now >= s.Deadline(&p.Policy):
		return RefreshExpired
	}
	if !p.Policy.Rotates {
		switch {
		case p.Presented == s.Generation:
			return RefreshCurrent
		case p.Presented < s.Generation && withinGrace(s, p):
			// It rotated until the policy changed; an answer lost just before
			// is still given.
			return RefreshReplayed
		}
		return RefreshStray
	}
	switch {
	case p.Presented == s.Generation:
		return RefreshMoved
	case p.Presented > s.Generation:
		// Signed by us and ahead of the row: the store lost a commit it had
		// acknowledged. The client must not pay for that.
		return RefreshBehind
	case withinGrace(s, p):
		return RefreshReplayed
	default:
		return RefreshReused
	}
}

// withinGrace reports whether the successor of the presented ancestor was
// issued less than the grace time ago: the row's, since a policy change meets a
// session at its next move, or a lost answer before a restart with a shorter
// one would end the session as reuse. The row knows the last few moves; for
// an older ancestor the presented token's own time of issue is a bound: its
// successor came later. What neither proves is late, or a thief holding any
// old token could walk beside an owner who refreshes often.
func withinGrace(s *Session, p *RefreshParams) bool {
	back := s.Generation - p.Presented - 1 // index of the move that issued the successor
	if back >= 0 && back < MovesKept && s.Moves[back] != 0 {
		return p.Now-s.Moves[back] < s.GraceMS
	}
	return p.PresentedAt > 0 && p.Now-p.PresentedAt < s.GraceMS
}

// NextMove gives the row after a move; s is not changed. It presumes that
// JudgeRefresh answered RefreshMoved or RefreshBehind.
func NextMove(s *Session, p *RefreshParams) *Session {
	next := *s
	if p.Presented > s.Generation {
		// The moves between were lost with the commit; nothing is known of
		// them but that they are over.
		next.Moves = [MovesKept]int64{}
	} else {
		copy(next.Moves[1:], s.Moves[:MovesKept-1])
	}
	next.Moves[0] = p.Now
	next.Generation = p.Presented + 1
	next.RefreshKey = p.RefreshKey
	next.LastUsedAt = p.Now
	next.Rotates, next.GraceMS = p.Policy.Rotates, p.Policy.GraceMS
	next.IdleMS, next.AbsoluteMS = p.Policy.IdleMS, p.Policy.AbsoluteMS
	next.RefreshExpires = RefreshExpiry(s.CreatedAt, p.Now, &p.Policy)
	return &next
}

// RefreshExpiry is the exp of a refresh token issued at now in a session
// opened at created, in milliseconds, whole seconds: rounded down, so that a
// token never outlives its row.
func RefreshExpiry(created, now int64, p *Rotation) int64 {
	exp := now + p.IdleMS
	if p.AbsoluteMS > 0 {
		exp = min(exp, created+p.AbsoluteMS)
	}
	return exp - exp%1000
}
