package main

import (
	"fmt"
	"io"
	"time"

	"github.com/sallyport/sallyport/test/clients"
	"github.com/sallyport/sallyport/test/figures"
)

// table writes the report for people.
func (r *report) table(w io.Writer) error {
	fmt.Fprintf(w, "\n%s, %.0f s, seed %d\n\n", r.Scenario, r.Seconds, r.Seed)
	if err := figures.Table(w, r.Head, r.Rows); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if len(r.Counts) > 0 {
		figures.Counts(w, "acknowledged and checked", r.Counts)
	}
	if len(r.Wrongs) > 0 {
		figures.Counts(w, "violations", r.Wrongs)
	}
	for _, n := range r.Notes {
		fmt.Fprintln(w, n)
	}
	if len(r.Violations) == 0 {
		_, err := fmt.Fprintln(w, "every promise was kept: 0 violations")
		return err
	}
	fmt.Fprintf(w, "%d VIOLATIONS\n", len(r.Violations))
	for _, v := range r.Violations {
		fmt.Fprintf(w, "- %s\n", v)
	}
	return nil
}

// take copies what a crew found into the report.
func (r *report) take(c *clients.Crew) {
	r.Counts, r.Wrongs = c.Counts(), c.Wrongs()
	r.Violations = append(r.Violations, c.Violations()...)
}

// pause is the longest time without a write after a moment, and when it ended,
// counted from that moment.
func pause(writes []time.Time, after time.Time) (longest, until time.Duration) {
	last := after
	for _, at := range writes {
		if !at.After(after) {
			continue
		}
		if gap := at.Sub(last); gap > longest {
			longest, until = gap, at.Sub(after)
		}
		last = at
	}
	return longest, until
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()) }
