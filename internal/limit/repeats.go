package limit

import (
	"container/list"
	"sync"
)

// Repeats remembers wrong passwords by a keyed digest, so that the same wrong
// password from one network on one login name is one guess however often it
// comes: a scanner with last year's password must not use its owner's budget
// up. It learns nothing an attacker could not: repeating a guess that failed
// tells him nothing new.
//
// It only changes how a failure is counted, never whether a password is
// compared, so a password that was wrong yesterday and was set today works.
// Memory is bounded; the entry unused for longest is forgotten first, after
// which a repeat counts as a guess again, the safe direction.
type Repeats struct {
	ttl  int64
	size int

	mu    sync.Mutex
	byKey map[[32]byte]*list.Element
	order *list.List // of *repeat, least recently seen first
}

type repeat struct {
	digest [32]byte
	seen   int64
}

// NewRepeats returns an empty memory for size digests (0 means 8192, about a
// mebibyte), each kept until it was not seen for ttl milliseconds (0 means a
// day).
func NewRepeats(size int, ttl int64) *Repeats {
	if size <= 0 {
		size = 8192
	}
	if ttl <= 0 {
		ttl = 24 * 60 * 60 * 1000
	}
	return &Repeats{ttl: ttl, size: size, byKey: make(map[[32]byte]*list.Element), order: list.New()}
}

// Seen says whether this wrong password was seen within the time to live, and
// remembers it as seen now (Unix milliseconds). The digest must be an HMAC,
// under a key that never leaves the process, over the canonical login name,
// the network and the password, each with its length: without a key, a copy
// of this memory would be a list of fast hashes of people's mistypings.
// Of several callers with one digest at once exactly one is told "not seen".
func (r *Repeats) Seen(digest [32]byte, now int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.byKey[digest]; ok {
		rep := e.Value.(*repeat)
		fresh := now-rep.seen < r.ttl
		rep.seen = now
		r.order.MoveToBack(e)
		return fresh
	}
	if r.order.Len() >= r.size {
		oldest := r.order.Front()
		delete(r.byKey, oldest.Value.(*repeat).digest)
		r.order.Remove(oldest)
	}
	r.byKey[digest] = r.order.PushBack(&repeat{digest: digest, seen: now})
	return false
}

// Len says how many digests are held.
func (r *Repeats) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.order.Len()
}
