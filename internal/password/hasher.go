package password

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Params are the cost of new hashes (argon2id). The zero value means the
// default, 19456 KiB, 2 passes, 1 lane.
type Params struct {
	Memory  uint32 // KiB, at least 19456
	Time    uint32 // passes, at least 2
	Threads uint8  // lanes, at least 1
}

// DefaultParams is the least that OWASP and SECURITY 49 allow.
var DefaultParams = Params{Memory: 19456, Time: 2, Threads: 1}

func (p Params) kdf() kdf {
	return kdf{
		kind:   kind{alg: argon2id, memory: p.Memory, lanes: uint32(p.Threads)},
		cost:   uint64(p.Time),
		keyLen: keyBytes,
	}
}

const (
	saltBytes = 16
	keyBytes  = 32
)

// Config sets a Hasher. The zero value works.
type Config struct {
	Params Params
	// Slots is how many hashes run at once; 0 means one less than the number
	// of processors, at least 1.
	Slots int
	// Queue is how many may wait, over both lanes; 0 means 64 for each slot.
	Queue int
	// Now is read to measure how long hashes take, for Stats and for the
	// retry hint; nil means time.Now.
	Now func() time.Time
	// Worker starts a process (or whatever else) that runs Work, and gives the
	// pipe to it; closing it ends it at once. nil: hashes are made in this
	// process, as they are while Worker fails. WorkerFailed is told why; it may
	// be nil.
	Worker       func() (io.ReadWriteCloser, error)
	WorkerFailed func(error)
	// LeftoverWorker starts one that gets a processor only while nobody else
	// wants it. Hashes begin there, and are begun again by a Worker when they
	// are late (see worker.go); nil: all are made by a Worker.
	LeftoverWorker func() (io.ReadWriteCloser, error)
}

// Lane says on whose behalf a password is hashed.
type Lane struct {
	// Known is true for a pair of login name and network that logged in
	// lately: such pairs have half of slots and queue for themselves.
	Known bool
	// Network is where the request came from. IPv4 is grouped by /24, IPv6 by
	// /64 within /48 within /32, however narrow the given prefix is. All
	// callers without a valid one form one group.
	Network netip.Prefix
}

// Hasher hashes and verifies passwords in slots. It is safe for concurrent
// use.
type Hasher struct {
	params Params
	slots  *slots
	now    func() time.Time
	run    func([]job) []done // here or in a worker; replaced in tests
	away   *workers           // nil: hashes are made in this process

	compared atomic.Uint64

	mu   sync.Mutex
	bill bill
}

// New returns a Hasher, or an error that says which setting is too weak or
// too expensive.
func New(cfg Config) (*Hasher, error) {
	p := cfg.Params
	if p == (Params{}) {
		p = DefaultParams
	}
	p.Threads = max(p.Threads, 1)
	if p.Memory < DefaultParams.Memory || p.Time < DefaultParams.Time {
		return nil, fmt.Errorf("password: argon2id with memory %d KiB and %d passes is too weak: use at least %d KiB and %d passes",
			p.Memory, p.Time, DefaultParams.Memory, DefaultParams.Time)
	}
	ours := p.kdf()
	if err := ours.affordable(); err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	if cfg.Slots <= 0 {
		cfg.Slots = max(runtime.GOMAXPROCS(0)-1, 1)
	}
	if cfg.Queue <= 0 {
		cfg.Queue = 64 * cfg.Slots
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	h := &Hasher{params: p, slots: newSlots(cfg.Slots, cfg.Queue), now: cfg.Now, run: doHere}
	if cfg.Worker != nil {
		if cfg.WorkerFailed == nil {
			cfg.WorkerFailed = func(error) {}
		}
		h.away = &workers{start: cfg.Worker, leftover: cfg.LeftoverWorker, failed: cfg.WorkerFailed, now: cfg.Now, rest: workerRest}
		h.run = h.away.do
	}
	return h, h.bill.add(ours)
}

// Close ends the workers that have nothing to do, and the others when they
// have done it.
func (h *Hasher) Close() {
	if h.away != nil {
		h.away.close()
	}
}

// Hash makes a new hash of a password, waiting for a slot. It returns
// ErrEmpty, ErrTooLong or ErrNotText for what is no password, a *BusyError if
// the queue is full, and the context's error if it ended while waiting. Whether
// a password is good enough is for Policy to say.
func (h *Hasher) Hash(ctx context.Context, lane Lane, password string) (phc string, err error) {
	pw, err := prepare(password)
	if err != nil {
		return "", err
	}
	salt := make([]byte, saltBytes)
	rand.Read(salt)
	e := encoded{kdf: h.params.kdf(), salt: salt}
	err = h.inSlot(ctx, lane, func() error {
		e.key = h.run([]job{e.job([]byte(pw), salt, nil)})[0].Key
		return nil
	})
	if err != nil {
		return "", err
	}
	return e.String(), nil
}

// Verify compares a password with a stored hash, waiting for a slot. With ok,
// needsUpgrade says that the hash should be replaced by a new one of the same
// password (in a compare-and-set on phc). A wrong password is not an error.
// Errors are those of Hash (but every UTF-8 text is accepted), and ErrUnusable
// for a hash that Check would refuse; the whole bill is paid for that too, so
// the caller may answer it like a wrong password.
func (h *Hasher) Verify(ctx context.Context, lane Lane, phc, password string) (ok, needsUpgrade bool, err error) {
	tries, err := candidates(password)
	if err != nil {
		return false, false, err
	}
	e, unusable := parse(phc)
	if unusable != nil {
		_, err := h.pay(ctx, lane, tries, nil)
		return false, false, errors.Join(err, unusable)
	}
	// A store can hold a kind that nobody announced, or one too many; its
	// owner must get in all the same.
	_ = h.observe(e.kdf)
	matched, err := h.pay(ctx, lane, tries, &e)
	if err != nil || matched < 0 {
		return false, false, err
	}
	// tries[0] is the form in which Hash would store it.
	weaker := matched > 0 || e.weakerThan(h.params)
	return true, weaker && !e.overlong(tries[matched]), nil
}

// Dummy does the work of Verify for a login name that has no hash to compare
// with: unknown, or a user without a password. Its errors are those of Verify.
func (h *Hasher) Dummy(ctx context.Context, lane Lane, password string) error {
	tries, err := candidates(password)
	if err != nil {
		return err
	}
	_, err = h.pay(ctx, lane, tries, nil)
	return err
}

// TurnedAway returns the *BusyError that Verify and Dummy would return at this
// moment, or nil. A caller asks it before it pays for anything else, such as
// counting the attempt in a store: in a flood that is most of the work.
func (h *Hasher) TurnedAway(lane Lane) error { return h.slots.turnedAway(lane) }

// Observe tells the Hasher that the store holds this hash, so that every
// verification costs as much as one of its kind. Call it at start with one
// hash of each format and cost in the store, and before a hash is imported.
// It returns ErrUnusable for a hash that cannot be verified, or if the store
// already holds as many kinds as one bill may have.
func (h *Hasher) Observe(phc string) error {
	e, err := parse(phc)
	if err != nil {
		return err
	}
	return h.observe(e.kdf)
}

func (h *Hasher) observe(k kdf) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.bill.add(k)
}

// pay waits for a slot and pays the bill once for each try. The hash e, if
// any, is among what is derived; matched is the first try whose key it has, or
// -1.
func (h *Hasher) pay(ctx context.Context, lane Lane, tries []string, e *encoded) (matched int, err error) {
	var own *kdf
	if e != nil {
		own = &e.kdf
	}
	h.mu.Lock()
	list, at := h.bill.list(own)
	h.mu.Unlock()
	matched = -1
	err = h.inSlot(ctx, lane, func() error {
		if e != nil {
			h.compared.Add(1)
		}
		for i, try := range tries {
			// Gone callers are not waited for; what they did not see the end
			// of they cannot time.
			if err := ctx.Err(); err != nil {
				return err
			}
			jobs := make([]job, len(list))
			for n, k := range list {
				if n == at {
					jobs[n] = e.compare([]byte(try))
				} else {
					jobs[n] = k.decoy([]byte(try))
				}
			}
			// All at once: what is between two jobs would be timed as well.
			if results := h.run(jobs); at >= 0 && results[at].Same && matched < 0 {
				matched = i
			}
		}
		return nil
	})
	return matched, err
}

func (h *Hasher) inSlot(ctx context.Context, lane Lane, work func() error) error {
	if err := h.slots.acquire(ctx, lane); err != nil {
		return err
	}
	start := h.now()
	defer func() { h.slots.release(lane.Known, h.now().Sub(start)) }()
	return work()
}

// Stats is a snapshot of the slots, for metrics.
type Stats struct {
	Slots         int           // how many there are
	InUse         int           // how many are hashing
	QueuedKnown   int           // how many wait in the lane of known pairs
	QueuedShared  int           // how many wait in the shared lane
	QueueCapacity int           // how many may wait in both together
	Served        uint64        // how many were let into a slot
	Refused       uint64        // how many were turned away with ErrBusy
	Compared      uint64        // how many were compared with a stored hash
	LastDuration  time.Duration // how long the last one held its slot
	Kinds         int           // how many kinds of hash each verification pays for
}

// Stats returns what the slots are doing at this moment.
func (h *Hasher) Stats() Stats {
	s := h.slots.stats()
	s.Compared = h.compared.Load()
	h.mu.Lock()
	defer h.mu.Unlock()
	s.Kinds = len(h.bill.most)
	return s
}
