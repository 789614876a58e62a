package history

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Tokens are what a login or a refresh gives.
type Tokens struct {
	Session         string
	Gen             int64
	Issued          int64 // iat, Unix nanoseconds
	Refresh, Access string
}

// Target is what the actors talk to: some nodes over one store.
type Target interface {
	Nodes() int
	// Login opens a session; ok is false when there was no good answer.
	Login(ctx context.Context, node int) (t Tokens, ok bool)
	Refresh(ctx context.Context, node int, token string) (Tokens, Verdict)
	Revoke(ctx context.Context, node int, session string) Verdict
	Introspect(ctx context.Context, node int, access string) Verdict
}

// Options of a run.
type Options struct {
	Sessions int           // at a time
	Actors   int           // that share each session
	Calls    int           // of an actor in a session, at most
	Pause    time.Duration // between the calls of an actor, on average
	Grace    time.Duration // of the contract
	Bound    time.Duration // after which the end of a session is probed once more
	Seed     uint64
}

// Deadline is how long after its beginning a call without an answer may still
// take effect: twice the servers' own deadline.
const Deadline = time.Minute

// Run sets actors upon the target until ctx ends and gives what they saw.
func Run(ctx context.Context, t Target, o Options) []*Call {
	r := &recorder{}
	var all sync.WaitGroup
	for n := range o.Sessions {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(o.Seed, uint64(n)))
			for ctx.Err() == nil {
				first, ok := t.Login(context.WithoutCancel(ctx), rng.IntN(t.Nodes()))
				if !ok {
					time.Sleep(o.Pause)
					continue
				}
				s := &shared{run: r, target: t, options: o, id: first.Session, tokens: []Tokens{first}, tidy: rng.IntN(2) == 0}
				s.play(ctx, rng)
			}
		})
	}
	all.Wait()
	return r.calls
}

type recorder struct {
	mu    sync.Mutex
	calls []*Call
}

func (r *recorder) add(c *Call) {
	r.mu.Lock()
	r.calls = append(r.calls, c)
	r.mu.Unlock()
}

// shared is a session that several actors use.
type shared struct {
	run     *recorder
	target  Target
	options Options
	id      string
	tidy    bool // nobody ends it before its time

	mu     sync.Mutex
	tokens []Tokens // all that were granted, in the order of their arrival
	newest int      // the one of the highest generation
	over   bool     // somebody learned that it ended
}

// play is the life of a session: all actors at once; one who comes too late
// with the last but one token; and when it has ended, every node is asked once
// more after the bound.
func (s *shared) play(ctx context.Context, rng *rand.Rand) {
	var all sync.WaitGroup
	for n := range s.options.Actors {
		own := rand.New(rand.NewPCG(rng.Uint64(), uint64(n)))
		all.Go(func() {
			for i := 0; i < s.options.Calls && ctx.Err() == nil && !s.ended(); i++ {
				time.Sleep(s.options.Pause/2 + rand.N(s.options.Pause+1))
				s.act(own, n, i)
			}
			s.probe(own, n)
		})
	}
	all.Wait()
	if !s.ended() && s.options.Grace <= s.options.Bound {
		time.Sleep(s.options.Grace + 10*time.Millisecond)
		s.refresh(0, rng.IntN(s.target.Nodes()), s.pick(rng, 1))
		s.probe(rng, 0)
	}
	if !s.ended() {
		s.revoke(0, rng.IntN(s.target.Nodes()))
		s.probe(rng, 0)
	}
	time.Sleep(s.options.Bound)
	s.probe(rng, 0)
}

// act is one call. Late in a session it may end it.
func (s *shared) act(rng *rand.Rand, actor, i int) {
	node := rng.IntN(s.target.Nodes())
	switch n := rng.IntN(100); {
	case n < 45:
		s.refresh(actor, node, s.pick(rng, 0))
	case n < 57:
		s.refresh(actor, node, s.pick(rng, 1))
	case n < 62 && !s.tidy:
		s.refresh(actor, node, s.pick(rng, -1))
	case n < 96 || s.tidy || i < s.options.Calls/3:
		s.introspect(actor, node, s.pick(rng, -1))
	default:
		s.revoke(actor, node)
	}
}

// probe asks every node.
func (s *shared) probe(rng *rand.Rand, actor int) {
	for node := range s.target.Nodes() {
		s.introspect(actor, node, s.pick(rng, -1))
		s.refresh(actor, node, s.pick(rng, 0))
	}
}

func (s *shared) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// pick gives the newest token, the one that many before it, or with -1 any.
func (s *shared) pick(rng *rand.Rand, back int) Tokens {
	s.mu.Lock()
	defer s.mu.Unlock()
	if back < 0 {
		return s.tokens[rng.IntN(len(s.tokens))]
	}
	return s.tokens[max(0, s.newest-back)]
}

func (s *shared) refresh(actor, node int, t Tokens) {
	c := s.begin(actor, node, Refresh, t)
	got, v := s.target.Refresh(context.Background(), node, t.Refresh)
	c.NewGen, c.Text = got.Gen, got.Refresh
	s.end(c, v)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch v {
	case Refused:
		s.over = true
	case Granted:
		s.tokens = append(s.tokens, got)
		if got.Gen > s.tokens[s.newest].Gen {
			s.newest = len(s.tokens) - 1
		}
	}
}

func (s *shared) revoke(actor, node int) {
	c := s.begin(actor, node, Revoke, Tokens{})
	v := s.target.Revoke(context.Background(), node, s.id)
	s.end(c, v)
	if v == Done {
		s.mu.Lock()
		s.over = true
		s.mu.Unlock()
	}
}

func (s *shared) introspect(actor, node int, t Tokens) {
	c := s.begin(actor, node, Introspect, t)
	s.end(c, s.target.Introspect(context.Background(), node, t.Access))
}

func (s *shared) begin(actor, node int, a Act, t Tokens) *Call {
	return &Call{
		Session: s.id, Actor: actor, Node: node, Act: a, Gen: t.Gen, Issued: t.Issued,
		Grace: int64(s.options.Grace), Begin: time.Now().UnixNano(),
	}
}

func (s *shared) end(c *Call, v Verdict) {
	c.Verdict, c.End = v, time.Now().UnixNano()
	if v == Unknown {
		c.End = c.Begin + int64(Deadline)
	}
	s.run.add(c)
}
