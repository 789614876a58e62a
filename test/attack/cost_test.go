package attack_test

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Bounds on what a refused input may cost (SECURITY section 2).
const (
	mostAllocated = 80<<10 + ownClient
	// ownClient is what the test's side allocates to send a request on a new
	// connection and to read the answer.
	ownClient  = 16 << 10
	mostCPU    = 5 * time.Millisecond
	mostGrowth = 64 << 20
)

// cost measures what requests cost the process: the server, and the client of
// the test beside it, so the server's share is less. One input in eight is
// measured for memory; all are for time.
type cost struct {
	rows map[string]*costRow
	n    int
}

// costRow is what one mutator's inputs cost.
type costRow struct {
	n, sampled int
	allocated  uint64 // of the sampled
	most       uint64
	mostOf     string
	// thief is the most for texts that nobody can make who has not stolen a key
	// of ours: their claims are read, which takes more.
	thief uint64
	cpu   time.Duration
}

func newCost() *cost { return &cost{rows: map[string]*costRow{}} }

// do sends a request and measures it. ours says that a key of ours signed it.
func (c *cost) do(w *wire, m *mutator, e *endpoint, name string, raw []byte, ours bool) response {
	row := c.rows[m.name]
	if row == nil {
		row = &costRow{}
		c.rows[m.name] = row
	}
	row.n++
	c.n++
	if raceDetector {
		return w.do(raw) // the figures would be the detector's
	}
	if c.n%8 != 0 {
		before := cpuTime()
		res := w.do(raw)
		row.cpu += cpuTime() - before
		return res
	}
	res, used := measured(w, raw)
	// Something else may have run just then: the least of some tries is its own.
	for range 10 {
		if used < mostAllocated*3/4 || e.passed(res) {
			break
		}
		_, again := measured(w, raw)
		used = min(used, again)
	}
	row.sampled++
	row.allocated += used
	switch {
	case e.passed(res):
	case ours:
		row.thief = max(row.thief, used)
	case used > row.most:
		row.most, row.mostOf = used, name+" at "+e.name
	}
	return res
}

// measured counts what is allocated while a request is answered, exactly.
func measured(w *wire, raw []byte) (response, uint64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	res := w.do(raw)
	runtime.ReadMemStats(&after)
	return res, after.TotalAlloc - before.TotalAlloc
}

// memory is what the process holds when nothing is left to collect.
type memory struct{ heap, resident uint64 }

func settled() memory {
	for range 3 {
		runtime.GC()
	}
	debug.FreeOSMemory()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return memory{s.HeapAlloc, resident()}
}

// resident is the process's resident memory, 0 where it cannot be read.
func resident() uint64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(data) {
		if rest, ok := strings.CutPrefix(string(line), "VmRSS:"); ok {
			kb, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err == nil {
				return kb << 10
			}
		}
	}
	return 0
}

func growth(a, b uint64) int64 { return int64(b) - int64(a) }

// report prints the table and holds the run to the bounds.
func (x *run) report(start, end memory) {
	t := x.w.t
	t.Helper()
	kinds := []string{}
	for _, c := range x.w.creds {
		if !slices.Contains(kinds, string(c.kind)) {
			kinds = append(kinds, string(c.kind))
		}
	}
	slices.Sort(kinds)
	var text bytes.Buffer
	out := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(out, "mutator\t%s\tpassed as they may\tKiB mean\tKiB most\tby a thief\tµs CPU\t\n", strings.Join(kinds, "\t"))
	total, passed := 0, 0
	for i := range mutators {
		m := mutators[i].name
		row := x.cost.rows[m]
		if row == nil {
			continue
		}
		fmt.Fprintf(out, "%s\t", m)
		for _, k := range kinds {
			fmt.Fprintf(out, "%d\t", x.sent[m][k])
			total += x.sent[m][k]
		}
		let := 0
		for _, n := range x.passed[m] {
			let += n
		}
		passed += let
		fmt.Fprintf(out, "%d\t%.1f\t%.1f\t%.1f\t%d\t\n", let, float64(row.allocated)/1024/float64(max(row.sampled, 1)), float64(row.most)/1024, float64(row.thief)/1024, row.cpu.Microseconds()/int64(max(row.n-row.sampled, 1)))
		if !raceDetector && row.most > mostAllocated {
			t.Errorf("%s: %d KiB allocated for one refused input, the most is %d: %s", m, row.most>>10, mostAllocated>>10, row.mostOf)
		}
		if !raceDetector && row.thief > 2*mostAllocated {
			t.Errorf("%s: %d KiB allocated for one refused input under a stolen key, the most is %d", m, row.thief>>10, 2*mostAllocated>>10)
		}
		if mean := row.cpu / time.Duration(max(row.n-row.sampled, 1)); !raceDetector && mean > mostCPU {
			t.Errorf("%s: %s of CPU an input, the most is %s", m, mean, mostCPU)
		}
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", text.Bytes())
	t.Logf("%d inputs by %d mutators on %d credentials at %d endpoints, seed %d, in %s; %d passed as they may; heap %+d KiB, resident %+d KiB",
		total, len(x.cost.rows), len(x.w.creds), len(x.es), *seed, time.Since(x.began).Round(time.Second), passed, growth(start.heap, end.heap)>>10, growth(start.resident, end.resident)>>10)
	if growth(start.heap, end.heap) > mostGrowth || !raceDetector && growth(start.resident, end.resident) > mostGrowth {
		t.Error("memory has grown by more than 64 MiB")
	}
}
