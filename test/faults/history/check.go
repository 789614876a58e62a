package history

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// Bound is the servers' max_staleness: how long a node may go on without
// having heard the revocation log.
const Bound = 5 * time.Second

// Result is what checking found.
type Result struct {
	Sessions int      `json:"sessions"`
	Calls    int      `json:"calls"`
	Unknown  int      `json:"unknown_outcome"`
	Illegal  []string `json:"illegal"`   // a story for each session that cannot be explained
	GaveUp   int      `json:"undecided"` // sessions whose check took too long
}

// Check asks of each session whether the calls can be explained. timeout is
// for each session.
func Check(calls []*Call, bound, timeout time.Duration) Result {
	by := map[string][]*Call{}
	res := Result{Calls: len(calls), Illegal: []string{}}
	for _, c := range calls {
		by[c.Session] = append(by[c.Session], c)
		if c.Verdict == Unknown {
			res.Unknown++
		}
	}
	m := model(bound)
	for id, some := range by {
		res.Sessions++
		switch verdict, info := porcupine.CheckOperationsVerbose(m, operations(some), timeout); verdict {
		case porcupine.Illegal:
			res.Illegal = append(res.Illegal, story(id, some, &info))
		case porcupine.Unknown:
			res.GaveUp++
		}
	}
	slices.Sort(res.Illegal)
	return res
}

func operations(calls []*Call) []porcupine.Operation {
	ops := make([]porcupine.Operation, 0, len(calls))
	for _, c := range calls {
		if c.Act == Introspect && c.Verdict == Unknown {
			continue // it says nothing and changes nothing
		}
		ops = append(ops, porcupine.Operation{ClientId: c.Actor, Input: c, Call: c.Begin, Output: nil, Return: c.End})
	}
	return ops
}

// story tells where the longest explanation ends: the calls in the order of
// their beginning, those explained marked with their place in it.
func story(id string, calls []*Call, info *porcupine.LinearizationInfo) string {
	place := map[*Call]int{}
	for _, partition := range info.PartialLinearizationsOperations() {
		for _, one := range partition {
			if len(one) <= len(place) {
				continue
			}
			clear(place)
			for i, op := range one {
				place[op.Input.(*Call)] = i + 1
			}
		}
	}
	calls = slices.Clone(calls)
	slices.SortFunc(calls, func(a, b *Call) int { return cmp.Compare(a.Begin, b.Begin) })
	first := slices.IndexFunc(calls, func(c *Call) bool { return place[c] == 0 && c.Verdict != Unknown })
	var b strings.Builder
	fmt.Fprintf(&b, "session %s: no order explains %d calls; around the first that is left over:\n", id, len(calls))
	for i := max(0, first-12); i < min(len(calls), first+6); i++ {
		c, mark := calls[i], "    -"
		if n := place[c]; n > 0 {
			mark = fmt.Sprintf("%5d", n)
		}
		fmt.Fprintf(&b, "  %s  %8.1f–%8.1f ms  actor %d  %s\n", mark, ms(c.Begin-calls[0].Begin), ms(c.End-calls[0].Begin), c.Actor, c)
	}
	return b.String()
}

func ms(ns int64) float64 { return float64(ns) / 1e6 }
