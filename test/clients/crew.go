package clients

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/password"
)

// Secret is the password of every user of a crew.
const Secret = "a password of the fault harness"

// Crew is all workers and what they found.
type Crew struct {
	Size     int
	Seed     uint64
	Progress io.Writer // violations as they are found
	Hash     string    // of Secret, so that most users are made without hashing
	Round    int       // for the stories; the caller counts

	ctx     context.Context
	workers []*Worker

	mu         sync.Mutex
	counts     map[string]int
	doubts     map[string]int
	violations []string
	wrongs     map[Wrong]int
	acked      []time.Time // rotations, since the last TakeWrites
	longest    time.Duration
}

// NewCrew describes a crew; Hire fills it.
func NewCrew(ctx context.Context, size int, seed uint64, progress io.Writer) (*Crew, error) {
	hasher, err := password.New(password.Config{})
	if err != nil {
		return nil, err
	}
	hash, err := hasher.Hash(ctx, password.Lane{}, Secret)
	if err != nil {
		return nil, err
	}
	return &Crew{
		Size: size, Seed: seed, Progress: progress, Hash: hash,
		ctx: ctx, counts: map[string]int{}, doubts: map[string]int{},
	}, nil
}

// Hire adds a worker with its first user and API key, made by the function
// given under the names it is told.
func (c *Crew) Hire(enlist func(userName, keyName string) (admin.User, admin.APIKey, error)) error {
	n := len(c.workers)
	w := &Worker{n: n, crew: c, rng: rand.New(rand.NewPCG(c.Seed, uint64(n)))}
	userName, keyName := w.freshName("first-user"), w.freshName("first-app")
	user, key, err := enlist(userName, keyName)
	if err != nil {
		return err
	}
	w.subjects = append(
		w.subjects,
		&Subject{name: userName, secret: Secret, app: true, id: user.ID},
		&Subject{key: true, name: keyName, id: key.ID, secret: key.Secret, appKey: key.AppKey},
	)
	c.workers = append(c.workers, w)
	return nil
}

// HireAll hires the whole crew over the administration API.
func (c *Crew) HireAll(a *API) error {
	for range c.Size {
		err := c.Hire(func(userName, keyName string) (user admin.User, key admin.APIKey, err error) {
			in := admin.NewUser{Username: userName, PasswordHash: c.Hash, Type: "application"}
			if _, err = a.post(c.ctx, "/users", in, &user); err != nil {
				return user, key, fmt.Errorf("making the first user: %w", err)
			}
			if _, err = a.post(c.ctx, "/api-keys", admin.NewAPIKey{AppName: keyName}, &key); err != nil {
				return user, key, fmt.Errorf("making the first API key: %w", err)
			}
			return user, key, nil
		})
		if err != nil {
			return err
		}
	}
	return c.OpenFirst(a)
}

// OpenFirst gives each worker a session of each kind, so that the first round
// has something to lose, and has them rehearse.
func (c *Crew) OpenFirst(a *API) error {
	for _, w := range c.workers {
		for _, open := range []struct {
			m *Mount
			s *Subject
		}{{ItemPath, w.subjects[0]}, {Netography, w.subjects[0]}, {Netography, w.subjects[1]}} {
			if err := w.open(a, open.m, open.s); err != nil {
				return fmt.Errorf("opening the first sessions: %w", err)
			}
		}
	}
	c.Round = 1 // what ends has ended in a round
	defer func() { c.Round = 0 }()
	for _, w := range c.workers {
		if err := w.rehearse(a); err != nil {
			return err
		}
	}
	return nil
}

// counted is how often something was counted.
func (c *Crew) counted(what string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts[what]
}

// Load sets all workers to work until ctx ends and waits for them. Each ends
// what it has begun.
func (c *Crew) Load(ctx context.Context, a *API) {
	var all sync.WaitGroup
	for _, w := range c.workers {
		all.Go(func() { w.load(ctx, a) })
	}
	all.Wait()
}

// Check compares the servers with the books of all workers.
func (c *Crew) Check(a *API) { c.each(func(w *Worker) { w.check(a) }) }

// CheckEnded tries everything that ever ended once more.
func (c *Crew) CheckEnded(a *API) {
	c.each(func(w *Worker) { w.checkDead(a, func(int) bool { return true }, 0) })
}

// CheckLogin has one worker log in a live and a disabled user.
func (c *Crew) CheckLogin(a *API, rng *rand.Rand) { c.workers[rng.IntN(len(c.workers))].checkLogin(a) }

// CheckAudit demands that the audit log tells of no lost commit and no reuse.
func (c *Crew) CheckAudit(a *API) error {
	for kind, how := range map[string]Wrong{"refresh.store_behind": Lost, "refresh.reuse": LoggedOut} {
		for rec, err := range admin.List[admin.AuditRecord](c.ctx, a.Nodes[0].Admin, "/audit", map[string][]string{"kind": {kind}}) {
			if err != nil {
				return fmt.Errorf("reading the audit log: %w", err)
			}
			if rec.Mount != Netography.Name && rec.Mount != ItemPath.Name {
				continue // not of this crew
			}
			c.Violate(how, "the audit log tells of %s in session %s at %s", kind, rec.Session, rec.At)
		}
	}
	return nil
}

func (c *Crew) each(f func(*Worker)) {
	var all sync.WaitGroup
	for _, w := range c.workers {
		all.Go(func() { f(w) })
	}
	all.Wait()
}

// Count counts something acknowledged or checked.
func (c *Crew) Count(what string) { c.Add(what, 1) }

// Add counts several.
func (c *Crew) Add(what string, n int) {
	c.mu.Lock()
	c.counts[what] += n
	c.mu.Unlock()
}

// unknown counts a request whose outcome was not learned.
func (c *Crew) unknown(act string) {
	c.mu.Lock()
	c.doubts[act]++
	c.mu.Unlock()
}

// wrote takes down an acknowledged rotation and how long its client waited.
func (c *Crew) wrote(took time.Duration) {
	c.mu.Lock()
	c.acked = append(c.acked, time.Now())
	c.longest = max(c.longest, took)
	c.mu.Unlock()
}

// Writes gives when rotations were acknowledged, in order, and the longest
// that a client waited for one, since it was last asked.
func (c *Crew) Writes() (at []time.Time, longest time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, longest = c.acked, c.longest
	c.acked, c.longest = nil, 0
	slices.SortFunc(at, time.Time.Compare)
	return at, longest
}

// Wrong is a way in which servers can fail their clients.
type Wrong string

// The ways. The first three are the promises; the rest is what keeps them from
// being told apart.
const (
	Lost      Wrong = "acknowledged, then lost"
	Back      Wrong = "ended, then accepted"
	LoggedOut Wrong = "honest client refused"
	Silent    Wrong = "no answer in time"
	Odd       Wrong = "wrong answer"
)

// Violate takes down a story.
func (c *Crew) Violate(how Wrong, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wrongs == nil {
		c.wrongs = map[Wrong]int{}
	}
	c.wrongs[how]++
	story := fmt.Sprintf("round %d: ", c.Round) + fmt.Sprintf(format, args...)
	c.violations = append(c.violations, story)
	if len(c.violations) <= 20 {
		fmt.Fprintf(c.Progress, "\nVIOLATION %s\n", story)
	}
}

// Counts of what was acknowledged and checked, by name.
func (c *Crew) Counts() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.counts)
}

// Unknown counts the requests that got no answer, by act.
func (c *Crew) Unknown() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.doubts)
}

// Wrongs counts the violations by their kind, those that never happened too.
func (c *Crew) Wrongs() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]int{}
	for _, how := range []Wrong{Lost, Back, LoggedOut, Silent, Odd} {
		all[string(how)] = c.wrongs[how]
	}
	return all
}

// Violations found so far.
func (c *Crew) Violations() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string{}, c.violations...)
}
