package core

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// tally counts what may come as often as others like, what strangers are
// refused above all; the minute's summary is one audit record for each grant,
// mount, reason and actor, however many they were.
type tally struct {
	mu     sync.Mutex
	counts map[tallied]*tallyCount
	unsaid []Event // of minutes whose record could not be written
}

// tallied is what is counted together; kind is that of the record.
type tallied struct{ kind, grant, mount, reason, actor string }

type tallyCount struct {
	n         int
	addresses map[string]int
}

// The bounds on what a minute may remember.
const (
	tallyKinds     = 200
	tallyAddresses = 20
)

func (t *tally) add(key tallied, address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = map[tallied]*tallyCount{}
	}
	c := t.counts[key]
	if c == nil {
		if len(t.counts) >= tallyKinds {
			key = tallied{kind: key.kind, reason: "others"} // counted, whoever tries to fill the summary
		}
		if c = t.counts[key]; c == nil {
			c = &tallyCount{addresses: map[string]int{}}
			t.counts[key] = c
		}
	}
	c.n++
	c.address(address)
}

// address counts an address so that the busiest are among those kept, however
// many there are: a new one takes the place of the rarest, with its count.
func (c *tallyCount) address(a string) {
	if _, seen := c.addresses[a]; !seen && len(c.addresses) >= tallyAddresses {
		rarest, least := "", 0
		for other, n := range c.addresses {
			if rarest == "" || n < least {
				rarest, least = other, n
			}
		}
		delete(c.addresses, rarest)
		c.addresses[a] = least
	}
	c.addresses[a]++
}

func (t *tally) take() []Event {
	t.mu.Lock()
	counts, unsaid := t.counts, t.unsaid
	t.counts, t.unsaid = nil, nil
	t.mu.Unlock()
	var events []Event
	for k, c := range counts {
		detail := map[string]string{"grant": k.grant, "count": strconv.Itoa(c.n)}
		if k.reason != "" {
			detail["reason"] = k.reason
		}
		for i, a := range slices.Sorted(maps.Keys(c.addresses)) {
			detail["address"+strconv.Itoa(i+1)] = a + " " + strconv.Itoa(c.addresses[a])
		}
		events = append(events, Event{Kind: k.kind, Actor: k.actor, Mount: k.mount, Detail: detail})
	}
	slices.SortFunc(events, func(a, b Event) int {
		return cmp.Or(strings.Compare(a.Mount, b.Mount), strings.Compare(a.Detail["grant"], b.Detail["grant"]),
			strings.Compare(a.Detail["reason"], b.Detail["reason"]), strings.Compare(a.Actor, b.Actor))
	})
	return append(unsaid, events...)
}

// keep takes events back that could not be written. The first ones stay when
// they are too many: they say how it began.
func (t *tally) keep(events []Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := append(events, t.unsaid...)
	t.unsaid = all[:min(len(all), tallyKinds)]
}
