// Package figures holds how the harnesses under test/ measure loops, and show
// what they measured.
package figures

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"
)

// Spread is a distribution in milliseconds.
type Spread struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	P90    float64 `json:"p90"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

// SpreadOf sorts durations into a distribution; the zero value of none.
func SpreadOf(all []time.Duration) Spread {
	if len(all) == 0 {
		return Spread{}
	}
	s := slices.Sorted(slices.Values(all))
	at := func(q float64) float64 {
		return float64(s[min(len(s)-1, int(q*float64(len(s))))].Microseconds()) / 1000
	}
	return Spread{at(0), at(0.5), at(0.9), at(0.99), at(1)}
}

// Counts writes counts by name, sorted, under a title.
func Counts(w io.Writer, title string, rows map[string]int) {
	fmt.Fprintln(w, title)
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintf(w, "  %-34s %9d\n", name, rows[name])
	}
	fmt.Fprintln(w)
}

// Table writes rows under a head, in columns.
func Table(w io.Writer, head []string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, row := range append([][]string{head}, rows...) {
		for _, cell := range row {
			fmt.Fprintf(t, "%s\t", cell)
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}
