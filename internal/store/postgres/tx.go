package postgres

import (
	"maps"
	"slices"
	"strconv"

	"github.com/sallyport/sallyport/internal/core"
)

// tx is what a step works with: a connection inside a transaction, and places
// for what is written last.
type tx struct {
	*conn
	s *Store

	events []stamped
	facts  []core.Fact
	lists  map[statusList]bool // status lists whose version is to rise
	news   string              // what the others are told: "rows", "keys"; facts tell themselves
	chore  bool                // not a step of anybody's

	// What flush has written.
	numbered []core.Fact
	loose    bool // events
	wrote    bool
}

type stamped struct {
	at    int64
	event core.Event
}

type statusList struct {
	space core.StatusSpace
	list  int64
}

// audit notes an event; it is written when the step is about to commit.
func (t *tx) audit(now int64, e core.Event) {
	if e.Kind != "" {
		t.events = append(t.events, stamped{now, e})
	}
}

// addFact notes a fact; it gets its number when the step is about to commit.
func (t *tx) addFact(f core.Fact) { t.facts = append(t.facts, f) }

// statusChanged notes that a number of a status list became dead or alive.
func (t *tx) statusChanged(space core.StatusSpace, number int64) {
	if number <= 0 {
		return
	}
	if t.lists == nil {
		t.lists = map[statusList]bool{}
	}
	t.lists[statusList{space, number / core.StatusListSize}] = true
}

// flush writes what was noted, in an order that is the same for every step:
// two that lock the same rows never wait for each other. The row of the fact
// counter is the last, and locked shortest.
func (t *tx) flush() error {
	if err := t.flushLists(); err != nil {
		return err
	}
	for _, e := range t.events {
		if err := t.writeEvent(e); err != nil {
			return err
		}
		t.loose, t.wrote = true, true
	}
	t.events = nil
	if err := t.numberFacts(); err != nil {
		return err
	}
	if !t.wrote && !t.changed && !t.chore {
		// An answer of "it is so": the commit must have something to wait for.
		if _, err := t.exec(`SELECT ` + confirmed); err != nil {
			return err
		}
	}
	if t.news != "" {
		_, err := t.exec(`SELECT pg_notify($1, $2)`, channel, t.s.instance+" "+t.news)
		return err
	}
	return nil
}

func (t *tx) flushLists() error {
	all := slices.SortedFunc(maps.Keys(t.lists), func(a, b statusList) int {
		if a.space != b.space {
			if a.space < b.space {
				return -1
			}
			return 1
		}
		return int(a.list - b.list)
	})
	for _, l := range all {
		if _, err := t.exec(`UPDATE status_lists SET version = version + 1 WHERE space = $1 AND list = $2`, string(l.space), l.list); err != nil {
			return err
		}
		t.wrote = true
	}
	t.lists = nil
	return nil
}

// numberFacts gives the facts their numbers and writes them. A server that was
// promoted may have lost the latest numbers, which others have heard already:
// on a new timeline they leap.
func (t *tx) numberFacts() error {
	if len(t.facts) == 0 {
		return nil
	}
	var last int64
	err := t.row(`UPDATE fact_counter SET last = last + $1 + CASE WHEN timeline IN (0, `+t.s.timeline+`) THEN 0 ELSE $2 END,
		timeline = `+t.s.timeline+` RETURNING last`, int64(len(t.facts)), factLeap).Scan(&last)
	if err != nil {
		return err
	}
	number := last - int64(len(t.facts))
	for i := range t.facts {
		f := &t.facts[i]
		number++
		f.Number = number
		_, err := t.exec(`INSERT INTO facts (number, kind, subject, spare, reason, at, purge_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			f.Number, string(f.Kind), f.Subject, f.Spare, f.Reason, f.At, f.PurgeAt)
		if err != nil {
			return err
		}
	}
	t.numbered, t.facts, t.wrote = append(t.numbered, t.facts...), nil, true
	_, err = t.exec(`SELECT pg_notify($1, $2)`, channel, t.s.instance+" facts "+strconv.FormatInt(last, 10))
	return err
}

// factLeap is how far fact numbers jump on a new timeline: farther than any
// number of facts that a failover can lose.
const factLeap int64 = 1 << 20

// tell wakes this process after the commit.
func (t *tx) tell() {
	if len(t.numbered) > 0 || t.news != "" {
		poke(t.s.changes)
	}
	if t.loose {
		poke(t.s.loose)
	}
}
