package core

import (
	"fmt"
	"testing"
)

// TestRefusalsOverflow: past its bound the minute's summary still counts, under
// one heading.
func TestRefusalsOverflow(t *testing.T) {
	var r refusals
	for i := range 1000 {
		r.add(refusal{"login", "m", fmt.Sprint("reason ", i)}, "192.0.2.1")
	}
	events := r.take()
	if len(events) != refusalKinds+1 {
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
