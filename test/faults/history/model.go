package history

import (
	"fmt"
	"math"
	"time"

	"github.com/anishathalye/porcupine"
)

// Act is what a call asks for.
type Act string

// The acts.
const (
	Refresh    Act = "refresh"
	Revoke     Act = "revoke"
	Introspect Act = "introspect"
)

// Verdict is what came back.
type Verdict string

// The verdicts. Refused says of a refresh that the credential is no good;
// Unknown that nothing can be said of what happened.
const (
	Granted  Verdict = "granted"
	Refused  Verdict = "refused"
	Done     Verdict = "done"
	Nothing  Verdict = "nothing to revoke"
	Active   Verdict = "active"
	Inactive Verdict = "inactive"
	Unknown  Verdict = "unknown"
)

// Call is one call and its answer. Times are Unix nanoseconds of the clock that
// the nodes share.
type Call struct {
	Session string
	Actor   int
	Node    int
	Act     Act
	Begin   int64
	End     int64 // of an Unknown: when it can no longer take effect

	Gen    int64 // generation of the token presented
	Issued int64 // and its iat
	Grace  int64 // of the session's contract, nanoseconds

	Verdict Verdict
	NewGen  int64  // of the refresh token granted
	Text    string // of the refresh token granted
}

func (c *Call) String() string {
	s := fmt.Sprintf("%s at node %d", c.Act, c.Node)
	if c.Act != Revoke {
		s += fmt.Sprintf(" with generation %d", c.Gen)
	}
	s += ": " + string(c.Verdict)
	if c.Verdict == Granted {
		s += fmt.Sprintf(" generation %d (%s)", c.NewGen, tail(c.Text))
	}
	return s
}

// tail of a token tells tokens apart: their heads are alike.
func tail(token string) string { return "…" + token[max(0, len(token)-6):] }

// span is a time that is known to lie between two others.
type span struct{ from, to int64 }

// never is later than all times.
const never = math.MaxInt64

// moves are how many times of issue a session keeps; for ancestors older than
// these the token's own iat decides.
const moves = 4

// session is the state of the model: what the servers' row holds, and what can
// be said of the nodes' memories. It is compared with ==.
type session struct {
	gen     int64
	text    string      // of the current refresh token, "" while nobody saw it
	moved   [moves]span // when the last generations were issued, newest first
	revoked bool
	known   int64 // the revocation was committed by then; never while nobody saw it
	seen    uint8 // nodes that have refused it from memory, by bit
}

// millisecond is the servers' grain: they cut their clock to it.
const millisecond = int64(time.Millisecond)

// model of one session. bound is how long after a revocation is known to be
// committed a node may still call an access token active:
//
//   - A refresh is judged by the row, whichever node is asked: it is
//     linearizable without any bound. The current generation moves the session
//     to the next; an ancestor whose successor was issued less than the grace
//     time ago yields the current token, the same bytes; a later one ends the
//     session and is refused; nothing is ever granted to an ended session, and
//     nothing but the current generation's first use moves it.
//   - A revocation that was answered has happened.
//   - An access token is judged by the node's memory, so it may be called
//     active although the session has ended, but only by a call that began
//     less than bound after some answer proved the end; never by the node that
//     answered the revocation or the reuse; and never by a node that has
//     called it inactive before. It is never called inactive while the session
//     lives: a node that does not know answers 503, which is Unknown.
func model(bound time.Duration) porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{session{known: never}} },
		Step: func(state, input, _ any) []any {
			s, c := state.(session), input.(*Call)
			var next []session
			switch c.Act {
			case Refresh:
				next = s.refresh(c)
			case Revoke:
				next = s.revoke(c)
			case Introspect:
				next = s.introspect(c, int64(bound))
			}
			out := make([]any, len(next))
			for i := range next {
				out[i] = next[i]
			}
			return out
		},
		Equal:             func(a, b any) bool { return a.(session) == b.(session) },
		DescribeOperation: func(input, _ any) string { return input.(*Call).String() },
		DescribeState: func(state any) string {
			s := state.(session)
			return fmt.Sprintf("generation %d, revoked %t, refused by nodes %b", s.gen, s.revoked, s.seen)
		},
	}
	return m.ToModel()
}

func (s session) refresh(c *Call) []session {
	switch {
	case s.revoked:
		return s.stillDead(c)
	case c.Gen > s.gen:
		// The servers have issued it, and the row stands before it: a commit
		// was lost. Only if nobody learned of it is it no matter.
		return unless(c.Verdict != Unknown, s)
	case c.Gen == s.gen:
		moved := s.move(c)
		switch c.Verdict {
		case Granted:
			return unless(c.NewGen != s.gen+1, moved)
		case Unknown:
			return []session{s, moved}
		}
		return nil // the honest owner was refused
	}
	return s.ancestor(c)
}

func (s session) stillDead(c *Call) []session {
	switch c.Verdict {
	case Refused:
		s.known = min(s.known, c.End)
		return []session{s}
	case Unknown:
		return []session{s}
	}
	return nil
}

// move is the session after its current generation was presented.
func (s session) move(c *Call) session {
	copy(s.moved[1:], s.moved[:moves-1])
	s.moved[0] = span{c.Begin, c.End}
	s.gen, s.text = s.gen+1, c.Text
	return s
}

// ancestor is presented: within the grace time it yields the current token,
// later it ends the session, and when the times leave it open, either.
func (s session) ancestor(c *Call) (next []session) {
	least, most := s.age(c)
	if least < c.Grace {
		switch c.Verdict {
		case Granted:
			if c.NewGen == s.gen && (s.text == "" || s.text == c.Text) {
				if s.text == "" {
					s.moved[0].to = min(s.moved[0].to, c.End)
				}
				same := s
				same.text = c.Text
				next = append(next, same)
			}
		case Unknown:
			next = append(next, s)
		}
	}
	if most >= c.Grace && c.Verdict != Granted {
		dead := s
		dead.revoked = true
		if c.Verdict == Refused {
			dead.known = min(dead.known, c.End)
			dead.seen |= 1 << c.Node
		}
		next = append(next, dead)
		if c.Verdict == Unknown && least >= c.Grace {
			next = append(next, s) // it may never have arrived
		}
	}
	return next
}

// age is the least and the most time that can have passed, when the server
// looked at its clock, since the successor of the presented token was issued.
// For an ancestor older than the row remembers it is the token's own age.
func (s session) age(c *Call) (least, most int64) {
	issued := span{c.Issued, c.Issued}
	if back := s.gen - c.Gen - 1; back < moves {
		issued = s.moved[back]
	}
	return c.Begin - issued.to - millisecond, c.End - issued.from + millisecond
}

func (s session) revoke(c *Call) []session {
	if c.Verdict == Nothing {
		illegal := !s.revoked
		s.known = min(s.known, c.End)
		return unless(illegal, s)
	}
	dead := s
	dead.revoked = true
	if c.Verdict == Done {
		dead.known = min(dead.known, c.End)
		dead.seen |= 1 << c.Node
		return []session{dead}
	}
	return []session{s, dead}
}

func (s session) introspect(c *Call, bound int64) []session {
	switch c.Verdict {
	case Active:
		late := s.known != never && c.Begin >= s.known+bound
		return unless(s.revoked && (late || s.seen&(1<<c.Node) != 0), s)
	case Inactive:
		if !s.revoked {
			return nil
		}
		s.known = min(s.known, c.End)
		s.seen |= 1 << c.Node
	}
	return []session{s}
}

func unless(illegal bool, s session) []session {
	if illegal {
		return nil
	}
	return []session{s}
}
