package main

import (
	"fmt"
	"io"
	"slices"
	"sort"
	"time"
)

// figures are what a run found.
type figures struct {
	Rounds       int            `json:"rounds"`
	Workers      int            `json:"workers"`
	Seed         uint64         `json:"seed"`
	Seconds      float64        `json:"seconds"`
	ReadyMS      spread         `json:"ready_ms"`
	ReadyBoundMS int64          `json:"ready_bound_ms"`
	Acknowledged map[string]int `json:"acknowledged_and_checked"`
	Unknown      map[string]int `json:"unknown_outcome"`
	Violations   []string       `json:"violations"`
}

// spread is a distribution in milliseconds.
type spread struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	P90    float64 `json:"p90"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

func spreadOf(all []time.Duration) spread {
	if len(all) == 0 {
		return spread{}
	}
	s := slices.Sorted(slices.Values(all))
	at := func(q float64) float64 {
		return float64(s[min(len(s)-1, int(q*float64(len(s))))].Microseconds()) / 1000
	}
	return spread{at(0), at(0.5), at(0.9), at(0.99), at(1)}
}

func (r *run) figures() figures {
	r.mu.Lock()
	defer r.mu.Unlock()
	return figures{
		Rounds: len(r.restarts), Workers: r.options.workers, Seed: r.seed, Seconds: time.Since(r.began).Seconds(),
		ReadyMS: spreadOf(r.restarts), ReadyBoundMS: r.ready.Milliseconds(),
		Acknowledged: r.counts, Unknown: r.doubts,
		Violations: append([]string{}, r.violations...),
	}
}

// show rewrites the line of progress.
func (r *run) show() {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.progress, "\rround %d/%d  ready %.0f ms  rotations %d  logins %d  ended %d  violations %d   ",
		r.round, r.rounds, float64(r.restarts[len(r.restarts)-1].Microseconds())/1000,
		r.counts["refresh netography"], r.counts["login netography"]+r.counts["login itempath"],
		r.counts["revoke session"]+r.counts["disable"]+r.counts["revoke application token"], len(r.violations))
}

func (f *figures) write(w io.Writer) {
	fmt.Fprintf(w, "\n%d kills by SIGKILL in %.0f s, %d workers, seed %d\n\n", f.Rounds, f.Seconds, f.Workers, f.Seed)
	table(w, "acknowledged and checked", f.Acknowledged)
	table(w, "cut off by the kill, then repeated", f.Unknown)
	fmt.Fprintf(w, "exec to ready, ms: min %.0f  median %.0f  p90 %.0f  p99 %.0f  max %.0f (bound %d)\n\n",
		f.ReadyMS.Min, f.ReadyMS.Median, f.ReadyMS.P90, f.ReadyMS.P99, f.ReadyMS.Max, f.ReadyBoundMS)
	if len(f.Violations) == 0 {
		fmt.Fprintln(w, "nothing acknowledged was lost, nothing revoked came back: 0 violations")
		return
	}
	fmt.Fprintf(w, "%d VIOLATIONS\n", len(f.Violations))
	for _, v := range f.Violations {
		fmt.Fprintf(w, "- %s\n", v)
	}
}

func table(w io.Writer, title string, rows map[string]int) {
	fmt.Fprintln(w, title)
	var names []string
	for name := range rows {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Fprintf(w, "  %-34s %9d\n", name, rows[name])
	}
	fmt.Fprintln(w)
}
