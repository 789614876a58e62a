package main

import (
	"fmt"
	"io"
	"time"

	"github.com/sallyport/sallyport/test/figures"
)

// findings are what a run found.
type findings struct {
	Rounds       int            `json:"rounds"`
	Workers      int            `json:"workers"`
	Seed         uint64         `json:"seed"`
	Seconds      float64        `json:"seconds"`
	ReadyMS      figures.Spread `json:"ready_ms"`
	ReadyBoundMS int64          `json:"ready_bound_ms"`
	Acknowledged map[string]int `json:"acknowledged_and_checked"`
	Unknown      map[string]int `json:"unknown_outcome"`
	Violations   []string       `json:"violations"`
}

func (r *run) figures() findings {
	return findings{
		Rounds: len(r.restarts), Workers: r.workers, Seed: r.seed, Seconds: time.Since(r.began).Seconds(),
		ReadyMS: figures.SpreadOf(r.restarts), ReadyBoundMS: r.ready.Milliseconds(),
		Acknowledged: r.crew.Counts(), Unknown: r.crew.Unknown(), Violations: r.crew.Violations(),
	}
}

// show rewrites the line of progress.
func (r *run) show() {
	n := r.crew.Counts()
	fmt.Fprintf(r.progress, "\rround %d/%d  ready %.0f ms  rotations %d  logins %d  ended %d  violations %d   ",
		r.crew.Round, r.rounds, float64(r.restarts[len(r.restarts)-1].Microseconds())/1000,
		n["refresh netography"], n["login netography"]+n["login itempath"],
		n["revoke session"]+n["disable"]+n["revoke application token"], len(r.crew.Violations()))
}

func (f *findings) write(w io.Writer) {
	fmt.Fprintf(w, "\n%d kills by SIGKILL in %.0f s, %d workers, seed %d\n\n", f.Rounds, f.Seconds, f.Workers, f.Seed)
	figures.Counts(w, "acknowledged and checked", f.Acknowledged)
	figures.Counts(w, "cut off by the kill, then repeated", f.Unknown)
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
