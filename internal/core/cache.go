package core

import "sync"

// principalCacheMS is how long a decision may be reused.
const principalCacheMS = 1_000

// principalCacheSize bounds each half of the cache; a full young half becomes
// the old one, so memory stays bounded without bookkeeping.
const principalCacheSize = 8_192

// principalCache keeps verified principals for a second, by the SHA-256 of the
// whole token: never by session, user or anything an attacker could share with
// somebody else (Oathkeeper CVE-2021-32701).
type principalCache struct {
	mu         sync.Mutex
	young, old map[[32]byte]cachedPrincipal
	drops      uint64 // how often drop was called
}

type cachedPrincipal struct {
	p     *Principal
	at    int64 // when it was read
	facts int64 // highest fact number seen before it was read
}

func newPrincipalCache() *principalCache {
	return &principalCache{young: map[[32]byte]cachedPrincipal{}}
}

// get returns a principal read less than a second ago, unless a fact about it
// has been heard since.
func (c *principalCache) get(hash [32]byte, now int64, r *revocations) *Principal {
	c.mu.Lock()
	e, ok := c.young[hash]
	if !ok {
		e, ok = c.old[hash]
	}
	c.mu.Unlock()
	if !ok || now < e.at || now-e.at >= principalCacheMS {
		return nil
	}
	p := e.p
	sid := p.Session.String()
	if r.tokenNews(p.TokenID, sid) > e.facts || r.newsAbout(p.Subject.ID, p.Subject.Account) > e.facts {
		return nil
	}
	if p.ClientID != "" && (r.newsAbout(p.ClientID, "") > e.facts || r.tokenNews(p.Parent, sid) > e.facts) {
		return nil
	}
	if p.Session != (SessionID{}) && r.deadSession(p.Session, sid, p.Subject.ID, p.Subject.Account) {
		return nil
	}
	return p
}

// reading tells put since when p was being read.
func (c *principalCache) reading() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.drops
}

// put keeps a principal, unless the cache was dropped since its reading began:
// it may show what was before the change.
func (c *principalCache) put(hash [32]byte, p *Principal, now, facts int64, since uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.drops != since {
		return
	}
	if len(c.young) >= principalCacheSize {
		c.old, c.young = c.young, make(map[[32]byte]cachedPrincipal, principalCacheSize)
	}
	c.young[hash] = cachedPrincipal{p, now, facts}
}

// drop forgets everything, after a change that adds no fact (roles, rename).
func (c *principalCache) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.young, c.old = map[[32]byte]cachedPrincipal{}, nil
	c.drops++
}
