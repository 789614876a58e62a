package password

import (
	"container/list"
	"net/netip"
)

// fairQueue is a queue in which networks take turns. It is a tree: the root's
// children are IPv4 /24 and IPv6 /32, below a /32 are its /48, below those
// their /64. At each level the children are served in turn, so a flood from
// one network waits for itself, and 65,536 /64 of one customer get together
// what one other customer gets. When the queue is full, it is the heaviest
// network that loses a place, not whoever comes last: else a flood would keep
// everybody out by being there first.
//
// Memory is bounded by the number of waiters: a group without one is removed.
type fairQueue struct {
	root group
}

type group struct {
	key      netip.Prefix
	waiters  int                     // in this group and below
	turns    list.List               // of *group, the next to be served first
	children map[netip.Prefix]*group // the same groups by key
	inTurn   *list.Element           // where this group stands in its parent's turns
	fifo     list.List               // of *waiter, in a group without children
}

// groupsOf gives the chain of groups of a network, widest first.
func groupsOf(network netip.Prefix) []netip.Prefix {
	addr := network.Addr().Unmap().WithZone("")
	bits := []int{32, 48, 64}
	switch {
	case !network.IsValid():
		return []netip.Prefix{{}}
	case addr.Is4():
		bits = []int{24}
	}
	chain := make([]netip.Prefix, len(bits))
	for i, b := range bits {
		chain[i] = netip.PrefixFrom(addr, b).Masked()
	}
	return chain
}

func (q *fairQueue) len() int { return q.root.waiters }

// push puts a waiter at the end of its network's line.
func (q *fairQueue) push(w *waiter, chain []netip.Prefix) {
	g := &q.root
	w.path = append(w.path[:0], g)
	g.waiters++
	for _, key := range chain {
		child := g.children[key]
		if child == nil {
			child = &group{key: key}
			child.inTurn = g.turns.PushBack(child)
			if g.children == nil {
				g.children = make(map[netip.Prefix]*group)
			}
			g.children[key] = child
		}
		child.waiters++
		w.path = append(w.path, child)
		g = child
	}
	w.place = g.fifo.PushBack(w)
}

// pop takes out the waiter whose turn it is, or nil.
func (q *fairQueue) pop() *waiter {
	if q.root.waiters == 0 {
		return nil
	}
	g := &q.root
	for g.turns.Len() > 0 {
		e := g.turns.Front()
		g.turns.MoveToBack(e)
		g = e.Value.(*group)
	}
	w := g.fifo.Front().Value.(*waiter)
	q.remove(w)
	return w
}

// remove takes a waiter out, and the groups it leaves empty.
func (q *fairQueue) remove(w *waiter) {
	last := len(w.path) - 1
	w.path[last].fifo.Remove(w.place)
	w.place = nil
	for i := last; i >= 0; i-- {
		g := w.path[i]
		g.waiters--
		if g.waiters == 0 && i > 0 {
			parent := w.path[i-1]
			parent.turns.Remove(g.inTurn)
			delete(parent.children, g.key)
		}
	}
}

// losesPlace says whether a newcomer with these groups would be the one that
// dropFromHeaviest takes out, without letting it in.
func (q *fairQueue) losesPlace(chain []netip.Prefix) bool {
	g := &q.root
	for _, key := range chain {
		var own *group
		if g != nil {
			own = g.children[key]
		}
		weight := 1
		if own != nil {
			weight += own.waiters
		}
		for e := g.first(); e != nil; e = e.Next() {
			if c := e.Value.(*group); c != own && c.waiters > weight {
				return false
			}
		}
		g = own
	}
	return true
}

// first is the group whose turn is next, nil below a group that is not there.
func (g *group) first() *list.Element {
	if g == nil {
		return nil
	}
	return g.turns.Front()
}

// dropFromHeaviest takes out and returns the waiter that came last in the
// network with the most waiters, looking for the heaviest group at each level.
// Among equals the newcomer's own group loses, so that who was there first
// keeps the place.
func (q *fairQueue) dropFromHeaviest(newcomer *waiter) *waiter {
	g := &q.root
	own := true // still on the newcomer's path
	for depth := 1; g.turns.Len() > 0; depth++ {
		heaviest := g.turns.Back().Value.(*group)
		if own {
			heaviest = newcomer.path[depth]
		}
		for e := g.turns.Front(); e != nil; e = e.Next() {
			if c := e.Value.(*group); c.waiters > heaviest.waiters {
				heaviest = c
			}
		}
		own = own && heaviest == newcomer.path[depth]
		g = heaviest
	}
	w := g.fifo.Back().Value.(*waiter)
	q.remove(w)
	return w
}
