package core

import (
	"fmt"
	"testing"
)

// TestTallyOverflow: past its bound the minute's summary still counts, under
// one heading.
func TestTallyOverflow(t *testing.T) {
	var r tally
	for i := range 1000 {
		r.add(tallied{kind: "refusals", grant: "login", mount: "m", reason: fmt.Sprint("reason ", i)}, "192.0.2.1")
	}
	events := r.take()
	if len(events) != tallyKinds+1 {
		t.Fatalf("%d records", len(events))
	}
	total := 0
	for _, e := range events {
		var n int
		if _, err := fmt.Sscan(e.Detail["count"], &n); err != nil {
			t.Fatal(err)
		}
		total += n
	}
	if total != 1000 {
		t.Fatalf("%d of 1000 refusals counted", total)
	}
	if len(r.take()) != 0 {
		t.Fatal("taken twice")
	}
}
