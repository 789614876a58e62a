package main

import (
	"cmp"
	"slices"
	"time"
)

// quantile of times, 0 for none; it sorts them.
func quantile(times []time.Duration, q float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[min(len(times)-1, int(q*float64(len(times))))]
}

// ms is a time in milliseconds, as reports have it.
func ms(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}

// areaUnderROC is the chance that a time drawn from b is longer than one drawn
// from a, ties counted half: what a guesser who has nothing but the time can
// make of it, at whatever threshold. 0.5 is a coin; 0 and 1 are certainty.
func areaUnderROC(a, b []time.Duration) float64 {
	if len(a) == 0 || len(b) == 0 {
		return 0.5
	}
	type sample struct {
		t time.Duration
		b bool
	}
	all := make([]sample, 0, len(a)+len(b))
	for _, t := range a {
		all = append(all, sample{t, false})
	}
	for _, t := range b {
		all = append(all, sample{t, true})
	}
	slices.SortFunc(all, func(x, y sample) int { return cmp.Compare(x.t, y.t) })
	var ranks float64 // of b's samples, from 1, equal times share the mean of theirs
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].t == all[i].t {
			j++
		}
		for k := i; k < j; k++ {
			if all[k].b {
				ranks += float64(i+1+j) / 2
			}
		}
		i = j
	}
	n, m := float64(len(a)), float64(len(b))
	return (ranks - m*(m+1)/2) / (n * m)
}

// median of times.
func median(times []time.Duration) time.Duration {
	return quantile(slices.Clone(times), 0.5)
}
