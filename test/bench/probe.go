package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// figure is one measurement. Value is in the unit of its group.
type figure struct {
	Value float64 `json:"value"`
	P50MS float64 `json:"p50_ms,omitempty"`
	P99MS float64 `json:"p99_ms,omitempty"`
	CPUUS float64 `json:"cpu_us,omitempty"` // processor time of the process measured, for each answer
}

// probe is something to measure. Floor names the probe of the group that it is
// compared with.
type probe struct {
	name  string
	floor string
	run   func(ctx context.Context) (figure, error)
}

// group is measured together: its probes in turn, as often as there are runs.
type group struct {
	name, title, unit string
	less              bool // less is better: the ratio says how many times the floor
	probes            func(ctx context.Context, b *bench) ([]probe, error)
}

// line is a measured probe.
type line struct {
	Group string `json:"group"`
	Name  string `json:"name"`
	Unit  string `json:"unit"`
	figure
	Floor string   `json:"floor,omitempty"`
	Ratio float64  `json:"ratio,omitempty"` // to the floor
	Runs  []figure `json:"runs"`
}

// measure runs a group and gives its lines.
func (b *bench) measure(ctx context.Context, g *group) ([]line, error) {
	probes, err := g.probes(ctx, b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", g.name, err)
	}
	runs := make([][]figure, len(probes))
	for n := range b.runs {
		for i := range probes {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			b.say("%s, run %d of %d: %s", g.name, n+1, b.runs, probes[i].name)
			f, err := probes[i].run(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", g.name, probes[i].name, err)
			}
			runs[i] = append(runs[i], f)
		}
	}
	lines := make([]line, len(probes))
	for i, p := range probes {
		lines[i] = line{Group: g.name, Name: p.name, Unit: g.unit, figure: median(runs[i]), Floor: p.floor, Runs: runs[i]}
	}
	for i := range lines {
		at := slices.IndexFunc(lines, func(l line) bool { return l.Name == lines[i].Floor })
		if at >= 0 && lines[at].Value > 0 {
			lines[i].Ratio = lines[i].Value / lines[at].Value
		}
	}
	return lines, nil
}

// median takes that of each member by itself.
func median(runs []figure) figure {
	mid := func(of func(figure) float64) float64 {
		s := slices.Clone(runs)
		slices.SortFunc(s, func(x, y figure) int { return cmp.Compare(of(x), of(y)) })
		return of(s[len(s)/2])
	}
	return figure{
		Value: mid(func(f figure) float64 { return f.Value }),
		P50MS: mid(func(f figure) float64 { return f.P50MS }),
		P99MS: mid(func(f figure) float64 { return f.P99MS }),
		CPUUS: mid(func(f figure) float64 { return f.CPUUS }),
	}
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

func (r *result) figure() figure {
	return figure{Value: r.PerSecond, P50MS: ms(r.P50), P99MS: ms(r.P99), CPUUS: float64(r.CPU.Nanoseconds()) / 1e3}
}
