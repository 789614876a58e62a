package limit

import (
	"hash/maphash"
	"net/netip"
	"sync"
)

const (
	sketchRows  = 4
	sketchCells = 16384 // per row; 4 rows of 8 bytes each are 512 KiB
)

// NetworksConfig sets a Networks. The zero value works.
type NetworksConfig struct {
	// Burst and Interval (milliseconds) are the budget of an IPv4 /24 or IPv6
	// /64; 0 means 300 attempts, then one a second.
	Burst, Interval int64
	// Widening is how many times that an IPv6 /48 may use; a /32 may use its
	// square. 0 means 4.
	Widening int64
}

// Networks limits the login attempts of each network over all login names.
// It is for strangers: asking it about a known pair of name and network would
// let the neighbours in a /24 lock the owner out.
//
// Its memory is fixed, half a mebibyte, and nothing is ever evicted, so an
// attacker cannot push his own entry out by touching many other networks.
// Counts are kept in a sketch: a network owns one cell in each of four rows,
// picked by a hash that is seeded anew in each process, and counts as the
// least loaded of its four. A cell shared with others can only make a network
// look busier than it was, never less; to be refused for the sake of others it
// must collide with exhausted ones in all four rows at once.
type Networks struct {
	levels [3]Policy // /24 or /64, then /48, then /32
	seed   maphash.Seed

	mu    sync.Mutex
	cells [sketchRows][sketchCells]int64 // tat, Unix milliseconds
}

// NewNetworks returns an empty limiter.
func NewNetworks(cfg NetworksConfig) *Networks {
	if cfg.Burst <= 0 {
		cfg.Burst = 300
	}
	if cfg.Interval <= 0 {
		cfg.Interval = 1000
	}
	if cfg.Widening <= 0 {
		cfg.Widening = 4
	}
	n := &Networks{seed: maphash.MakeSeed()}
	wide := int64(1)
	for i := range n.levels {
		n.levels[i] = Policy{Burst: cfg.Burst * wide, Interval: max(cfg.Interval/wide, 1)}
		wide *= cfg.Widening
	}
	return n
}

// Allow takes one attempt for a network (as Network returns it) at time now,
// in Unix milliseconds. Refused, it takes nothing and says in how many
// milliseconds to come back. For IPv6 the /48 and the /32 around it must
// allow it too. All networks without a valid address share one budget.
func (n *Networks) Allow(network netip.Prefix, now int64) (ok bool, retryAfter int64) {
	return n.ask(network, now, true)
}

// Peek says what Allow would, and takes nothing.
func (n *Networks) Peek(network netip.Prefix, now int64) (ok bool, retryAfter int64) {
	return n.ask(network, now, false)
}

func (n *Networks) ask(network netip.Prefix, now int64, take bool) (ok bool, retryAfter int64) {
	chain := append([]netip.Prefix{network}, Enclosing(network)...)
	var at [3][sketchRows]int
	for i, p := range chain {
		at[i] = n.place(p)
	}

	n.mu.Lock()
	defer n.mu.Unlock()
	var next [3]State
	for i := range chain {
		s, d := n.levels[i].Reserve(n.read(at[i]), now)
		if !d.Allowed {
			retryAfter = max(retryAfter, d.RetryAfter)
		}
		next[i] = s
	}
	if retryAfter > 0 {
		return false, retryAfter
	}
	if !take {
		return true, 0
	}
	for i := range chain {
		n.write(at[i], next[i], n.levels[i].honest(now))
	}
	return true, 0
}

// place derives a network's cell in each row from one 64-bit hash.
func (n *Networks) place(p netip.Prefix) (at [sketchRows]int) {
	h := maphash.Comparable(n.seed, p)
	for r := range at {
		at[r] = int(h & (sketchCells - 1))
		h >>= 14
	}
	return at
}

func (n *Networks) read(at [sketchRows]int) State {
	least := n.cells[0][at[0]]
	for r := 1; r < sketchRows; r++ {
		least = min(least, n.cells[r][at[r]])
	}
	return State{TAT: least}
}

// write raises the network's cells to s. A cell beyond what any honest clock
// could have written is lowered instead: it stems from a clock set back.
func (n *Networks) write(at [sketchRows]int, s State, honest int64) {
	for r := range at {
		cell := &n.cells[r][at[r]]
		if *cell < s.TAT || *cell > honest {
			*cell = s.TAT
		}
	}
}

// honest is the highest tat that can have been written by now by a clock that
// was not set back since.
func (p Policy) honest(now int64) int64 { return now + (p.Burst+1)*p.Interval }
