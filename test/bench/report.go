package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// report is what a run of the command found.
type report struct {
	Machine  string  `json:"machine"`
	Date     string  `json:"date"`
	Clients  int     `json:"clients"`
	Runs     int     `json:"runs"`
	LengthMS int64   `json:"length_ms"`
	Seconds  float64 `json:"seconds"`
	Lines    []line  `json:"lines"`

	groups []group
}

func newReport(b *bench) *report {
	return &report{
		Machine: fmt.Sprintf("%d cores, %s, %s/%s, %s", runtime.NumCPU(), processor(), runtime.GOOS, runtime.GOARCH, runtime.Version()),
		Date:    b.began.UTC().Format(time.DateOnly), Clients: b.n, Runs: b.runs, LengthMS: b.length.Milliseconds(),
	}
}

// processor is the name the kernel gives, if it gives one.
func processor() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for l := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(name) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	}
	return "unknown processor"
}

func (r *report) add(g *group, lines []line) {
	r.groups = append(r.groups, *g)
	r.Lines = append(r.Lines, lines...)
}

// write prints a table for each group.
func (r *report) write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s, %d clients, median of %d runs of %d ms, %.0f s in all\n",
		r.Machine, r.Date, r.Clients, r.Runs, r.LengthMS, r.Seconds)
	for _, g := range r.groups {
		fmt.Fprintf(&b, "\n%s\n", g.title)
		fmt.Fprintf(&b, "  %-40s %10s %9s %9s %9s  %s\n", "", g.unit, "p50 ms", "p99 ms", "CPU µs", "of the floor")
		for i := range r.Lines {
			if r.Lines[i].Group == g.name {
				fmt.Fprintf(&b, "  %s\n", r.Lines[i].columns(g.less))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (l *line) columns(less bool) string {
	some := func(v float64, format string) string {
		if v == 0 {
			return "·"
		}
		return fmt.Sprintf(format, v)
	}
	format := "%.0f"
	if l.Value < 1000 {
		format = "%.1f"
	}
	ratio := ""
	switch {
	case l.Ratio == 0:
	case less:
		ratio = fmt.Sprintf("%.2f times", l.Ratio)
	default:
		ratio = fmt.Sprintf("%.0f %%", l.Ratio*100)
	}
	return strings.TrimRight(fmt.Sprintf("%-40s %10s %9s %9s %9s  %s", l.Name, fmt.Sprintf(format, l.Value),
		some(l.P50MS, "%.2f"), some(l.P99MS, "%.2f"), some(l.CPUUS, "%.0f"), ratio), " ")
}
