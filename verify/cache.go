package verify

import (
	"strings"
	"sync"
	"sync/atomic"
)

// entry is a token that was accepted, with what must be looked at again at each use.
type entry struct {
	claims      *Claims
	keys        *keySet // under which it verified
	from, until int64   // Unix milliseconds: accepted from, and before
	checked     atomic.Int64
}

// cache remembers accepted tokens. It holds two generations: when the young one is full it becomes the old one and the
// former old one goes. What is used stays, a flood of new tokens costs two generations of memory, and nothing is
// sorted or timed.
//
// It is keyed by the token itself. A map finds keys by a hash under a random seed and compares whole keys after that,
// so the time it takes tells nobody how near a guess came.
type cache struct {
	mu         sync.RWMutex
	size       int
	young, old map[string]*entry
}

func newCache(size int) *cache {
	if size < 0 {
		return nil
	}
	return &cache{size: max(size/2, 1), young: map[string]*entry{}}
}

func (c *cache) get(raw string) *entry {
	if c == nil {
		return nil
	}
	c.mu.RLock()
	e, young := c.young[raw]
	if !young {
		e = c.old[raw]
	}
	c.mu.RUnlock()
	if e != nil && !young {
		c.put(raw, e)
	}
	return e
}

func (c *cache) put(raw string, e *entry) {
	if c == nil {
		return
	}
	// The token may be part of a whole request; the copy is what may stay.
	raw = strings.Clone(raw)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= c.size {
		c.old, c.young = c.young, make(map[string]*entry, c.size)
	}
	c.young[raw] = e
}
