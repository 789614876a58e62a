package history

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The fake's times, small so that a session lives a fraction of a second.
const (
	fakeBound = 60 * time.Millisecond
	fakeGrace = 40 * time.Millisecond
)

// bug is what a fake does wrong.
type bug string

const (
	none        bug = ""
	forks       bug = "an ancestor within the grace time opens a second chain"
	replaysOld  bug = "an ancestor gets the token that followed it, not the current one"
	moves2      bug = "a race of two presenters moves the session twice"
	acceptsDead bug = "a refresh is granted after the revocation was answered"
	losesRevoke bug = "a revocation is answered and not done"
	losesMove   bug = "a rotation is answered and rolled back"
	deafNode    bug = "one node never hears of revocations"
	slowNode    bug = "one node hears of revocations later than the bound"
	forgetful   bug = "a node that refused a session takes it again"
	ownDeaf     bug = "the node that revoked goes on"
	earlyReuse  bug = "an ancestor within the grace time ends the session"
	lateGrace   bug = "an ancestor long after the grace time is answered"
	logsOut     bug = "an owner is refused now and then"
	staleRefuse bug = "a node calls a live session's token inactive"
)

// fake is the servers as the model sees them: one store, nodes that read its
// log of revocations from time to time, answers that get lost.
type fake struct {
	bug bug

	mu       sync.Mutex
	sessions map[string]*row
	nodes    [2]memory
	n        int
}

type row struct {
	gen     int64
	texts   []string    // of all generations
	issued  []time.Time // of all generations
	revoked bool
	at      time.Time
}

// memory of a node: the sessions that it knows to have ended.
type memory struct {
	heard time.Time
	dead  map[string]bool
}

func newFake(b bug) *fake {
	f := &fake{bug: b, sessions: map[string]*row{}}
	for i := range f.nodes {
		f.nodes[i].dead = map[string]bool{}
	}
	return f
}

func (f *fake) Nodes() int { return len(f.nodes) }

// lost makes some answers get lost, before or after the act.
func lost() (before, after bool) {
	time.Sleep(rand.N(time.Millisecond))
	n := rand.IntN(60)
	return n == 0, n == 1
}

func (f *fake) issue(id string, r *row) Tokens {
	f.n++
	r.texts = append(r.texts, fmt.Sprintf("%s/%d/%06d", id, r.gen, f.n))
	r.issued = append(r.issued, time.Now())
	return f.current(id, r)
}

// current is the token of the row as it stands, with iat in whole seconds, as
// the servers write it.
func (f *fake) current(id string, r *row) Tokens {
	return Tokens{
		Session: id, Gen: r.gen, Refresh: r.texts[r.gen], Access: id,
		Issued: r.issued[r.gen].Truncate(time.Second).UnixNano(),
	}
}

func (f *fake) Login(_ context.Context, _ int) (Tokens, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := fmt.Sprintf("s%d", len(f.sessions))
	r := &row{}
	f.sessions[id] = r
	return f.issue(id, r), true
}

func (f *fake) Refresh(_ context.Context, node int, token string) (Tokens, Verdict) {
	before, after := lost()
	if before {
		return Tokens{}, Unknown
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t, v := f.judge(node, token)
	if after {
		return Tokens{}, Unknown
	}
	return t, v
}

func (f *fake) judge(node int, token string) (Tokens, Verdict) {
	id, rest, _ := strings.Cut(token, "/")
	number, _, _ := strings.Cut(rest, "/")
	gen, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		panic(err) // it made the token itself
	}
	r := f.sessions[id]
	switch {
	case r.revoked && f.bug == acceptsDead:
		return f.current(id, r), Granted
	case r.revoked:
		return Tokens{}, Refused
	case gen >= r.gen: // above it: the store lost it, so it is adopted
		for r.gen < gen {
			r.gen++
			f.issue(id, r)
		}
		return f.rotate(id, r)
	}
	return f.replay(node, id, r, gen)
}

func (f *fake) rotate(id string, r *row) (Tokens, Verdict) {
	if f.bug == logsOut && rand.IntN(20) == 0 {
		return Tokens{}, Refused
	}
	r.gen++
	t := f.issue(id, r)
	switch {
	case f.bug == moves2 && rand.IntN(4) == 0:
		r.gen++
		f.issue(id, r)
	case f.bug == losesMove && rand.IntN(4) == 0:
		r.gen--
		r.texts, r.issued = r.texts[:r.gen+1], r.issued[:r.gen+1]
	}
	return t, Granted
}

func (f *fake) replay(node int, id string, r *row, gen int64) (Tokens, Verdict) {
	at := r.issued[gen+1]
	if back := r.gen - gen - 1; back >= moves {
		at = r.issued[gen].Truncate(time.Second)
	}
	inTime := time.Since(at) < fakeGrace
	switch {
	case f.bug == lateGrace || inTime && f.bug != earlyReuse:
		t := f.current(id, r)
		switch {
		case f.bug == forks:
			f.n++
			t.Refresh = fmt.Sprintf("%s/%d/%06d", id, r.gen, f.n)
		case f.bug == replaysOld && gen+1 < r.gen:
			t.Gen, t.Refresh = gen+1, r.texts[gen+1]
		}
		return t, Granted
	}
	r.revoked, r.at = true, time.Now()
	f.nodes[node].dead[id] = true
	return Tokens{}, Refused
}

func (f *fake) Revoke(_ context.Context, node int, id string) Verdict {
	before, after := lost()
	if before {
		return Unknown
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.sessions[id]
	v := Nothing
	if !r.revoked {
		v = Done
		if f.bug != losesRevoke {
			r.revoked, r.at = true, time.Now()
		}
		if f.bug != ownDeaf {
			f.nodes[node].dead[id] = true
		}
	}
	if after {
		return Unknown
	}
	return v
}

func (f *fake) Introspect(_ context.Context, node int, id string) Verdict {
	before, after := lost()
	if before || after {
		return Unknown
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	m, r := &f.nodes[node], f.sessions[id]
	now := time.Now()
	deaf := f.bug == deafNode && node == 1
	if now.Sub(m.heard) > fakeBound/2 && !deaf {
		m.heard = now
		for sid, one := range f.sessions {
			// What happened this moment is heard the next time.
			late := f.bug == slowNode && node == 1 && now.Sub(one.at) < 4*fakeBound
			if one.revoked && one.at.Before(now) && !late {
				m.dead[sid] = true
			}
		}
	}
	dead := m.dead[id]
	switch {
	case f.bug == forgetful && dead && rand.IntN(3) == 0:
		dead = false
	case f.bug == staleRefuse && !r.revoked && rand.IntN(20) == 0:
		dead = true
	}
	if dead {
		return Inactive
	}
	return Active
}

func runFake(t *testing.T, b bug, length time.Duration, seed uint64) Result {
	ctx, stop := context.WithTimeout(t.Context(), length)
	defer stop()
	calls := Run(ctx, newFake(b), Options{
		Sessions: 4, Actors: 3, Calls: 30, Pause: 2 * time.Millisecond,
		Grace: fakeGrace, Bound: fakeBound, Seed: seed,
	})
	return Check(calls, fakeBound, 20*time.Second)
}

// TestExplained: servers that do as they should can always be explained, lost
// answers, races, late ancestors and all.
func TestExplained(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		res := runFake(t, none, time.Second, seed)
		for _, s := range res.Illegal {
			t.Error(s)
		}
		if res.Sessions < 4 || res.Calls < 100 || res.Unknown == 0 {
			t.Errorf("too little to look at: %d sessions, %d calls, %d unknown", res.Sessions, res.Calls, res.Unknown)
		}
	}
}

// TestPlanted: each bug is caught.
func TestPlanted(t *testing.T) {
	for _, b := range []bug{
		forks, replaysOld, moves2, acceptsDead, losesRevoke, losesMove, deafNode, slowNode, forgetful, ownDeaf,
		earlyReuse, lateGrace, logsOut, staleRefuse,
	} {
		t.Run(string(b), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(40) {
				if res := runFake(t, b, 400*time.Millisecond, seed); len(res.Illegal) > 0 {
					t.Log(res.Illegal[0])
					return
				}
			}
			t.Error("not caught in 40 runs")
		})
	}
}
