package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

var kindNames = [kindCount]string{"quiet", "cheap load", "flooded"}

// floodReport is what the flood did. Times are milliseconds, memory MiB.
type floodReport struct {
	From    string  `json:"from"`
	Rate    float64 `json:"wrong_logins_per_second"`
	Sent    int64   `json:"sent"`
	Unsent  int64   `json:"unsent"`
	Judged  int64   `json:"judged"`
	Refused int64   `json:"refused_by_admission"`
	Failed  int64   `json:"failed"`
	// FailedFirst is what the first of those got.
	FailedFirst  string   `json:"failed_first,omitempty"`
	NoRetryAfter int64    `json:"refused_without_retry_after"`
	RefusedP50   float64  `json:"refused_p50_ms"`
	RefusedP99   float64  `json:"refused_p99_ms"`
	RefusedMost  float64  `json:"refused_most_ms"`
	Quiet        kindLine `json:"quiet"`
	Cheap        kindLine `json:"cheap_load"`
	Flooded      kindLine `json:"flooded"`
	// The ratios of p99 to that of quiet stretches: medians of the stretches,
	// which are the promise, and all their refreshes taken together.
	Ratio           float64 `json:"refresh_p99_ratio"`
	RatioAll        float64 `json:"refresh_p99_ratio_all_together"`
	RatioCheap      float64 `json:"refresh_p99_ratio_cheap_load"`
	OwnerLogins     int     `json:"owner_logins"`
	OwnerRefused    int     `json:"owner_logins_refused"`
	OwnerP99        float64 `json:"owner_login_p99_ms"`
	Slots           int     `json:"slots"`
	BaseMiB         float64 `json:"memory_base_mib"`
	MostMiB         float64 `json:"memory_most_mib"`
	AllowedMiB      float64 `json:"memory_allowed_mib"`
	LogBytesPerSent float64 `json:"log_bytes_per_login"`
	RefusalMicros   float64 `json:"cpu_us_per_wrong_login"`
}

// kindLine is what stretches of one kind had in common.
type kindLine struct {
	Refreshes int       `json:"refreshes"`
	P50       float64   `json:"refresh_p50_ms"` // median of the stretches
	P99       float64   `json:"refresh_p99_ms"` // likewise
	Stretches []float64 `json:"refresh_p99_ms_each"`
	AllP99    float64   `json:"refresh_p99_ms_all_together"`
	// How much of one processor was used.
	Server     float64 `json:"cpu_server"`
	Hashing    float64 `json:"cpu_hashing"`
	Generators float64 `json:"cpu_generators"`
	// How long the server's threads, ready to run, waited for a processor, in
	// milliseconds a second: what other programs on the machine did to the figures.
	Wait float64 `json:"waited_for_processor_ms_per_s"`
}

func (r *floodReport) sum(f *flood, all *[kindCount][]*stretch) {
	r.Quiet, r.Cheap, r.Flooded = f.kind(all[quiet]), f.kind(all[cheap]), f.kind(all[flooded])
	r.Ratio, r.RatioAll, r.RatioCheap = r.Flooded.P99/r.Quiet.P99, r.Flooded.AllP99/r.Quiet.AllP99, r.Cheap.P99/r.Quiet.P99
	var wrong yield
	var owner []time.Duration
	var log int64
	for _, s := range all[flooded] {
		wrong.add(&s.flood)
		owner, log = append(owner, s.owner...), log+s.log
		r.OwnerRefused += s.ownerLost
	}
	for _, s := range all[cheap] { // they must be answered as well
		wrong.Failed += s.flood.Failed
		if wrong.FailedFirst == "" {
			wrong.FailedFirst = s.flood.FailedFirst
		}
	}
	measured := f.length.Seconds() * float64(f.runs)
	r.From, r.Rate = f.from, float64(wrong.Sent)/(measured+2*lead.Seconds()*float64(f.runs))
	r.Sent, r.Unsent, r.Judged, r.Refused = wrong.Sent, wrong.Unsent, wrong.Answered, int64(len(wrong.Times))
	r.Failed, r.FailedFirst, r.NoRetryAfter = wrong.Failed, wrong.FailedFirst, wrong.NoRetryAfter
	r.RefusedP50, r.RefusedP99, r.RefusedMost = ms(quantile(wrong.Times, 0.5)), ms(quantile(wrong.Times, 0.99)), ms(quantile(wrong.Times, 1))
	r.OwnerLogins, r.OwnerP99 = len(owner), ms(quantile(owner, 0.99))
	r.LogBytesPerSent = float64(log) / (r.Rate * measured)
	r.RefusalMicros = (r.Flooded.Server - r.Quiet.Server) * 1e6 / r.Rate
}

func (f *flood) kind(all []*stretch) (l kindLine) {
	var times, p50s, p99s []time.Duration
	n := float64(len(all))
	share := func(d, of time.Duration) float64 { return d.Seconds() / of.Seconds() / n }
	for _, s := range all {
		times = append(times, s.refreshes.Times...)
		p50s = append(p50s, quantile(s.refreshes.Times, 0.5))
		p99 := quantile(s.refreshes.Times, 0.99)
		p99s, l.Stretches = append(p99s, p99), append(l.Stretches, ms(p99))
		l.Server += share(s.server, f.length)
		l.Hashing += share(s.hashing, f.length)
		l.Generators += share(s.refreshes.CPU, f.length) + share(s.flood.CPU, f.length+2*lead)
		l.Wait += 1000 * share(s.waited, f.length)
	}
	l.Refreshes, l.P50, l.P99, l.AllP99 = len(times), ms(median(p50s)), ms(median(p99s)), ms(quantile(times, 0.99))
	return l
}

func (r *floodReport) broken() (list []string) {
	add := func(bad bool, format string, args ...any) {
		if bad {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	add(r.Ratio > 2, "refreshes beside the flood take at most twice as long at p99: %.2f times", r.Ratio)
	add(r.RefusedP99 > 20, "admission refuses within 20 ms: p99 %.1f ms", r.RefusedP99)
	add(r.MostMiB > r.AllowedMiB, "memory stays within %.0f MiB: %.0f", r.AllowedMiB, r.MostMiB)
	add(r.Failed > 0, "every wrong login is refused with 4xx: %d were not", r.Failed)
	add(r.NoRetryAfter > 0, "every refusal by admission says when to come back: %d did not", r.NoRetryAfter)
	add(r.OwnerRefused > 0, "the owner logs in from a known network: %d of %d did not", r.OwnerRefused, r.OwnerLogins)
	return list
}

func (r *floodReport) table(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "refreshes\tp50\tp99\tto quiet\tp99 of each stretch\tCPU: server\thashing\tgenerators\twaited for a CPU")
	for i, l := range []*kindLine{&r.Quiet, &r.Cheap, &r.Flooded} {
		fmt.Fprintf(t, "%s\t%.2f ms\t%.2f ms\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.0f ms/s\n",
			kindNames[i], l.P50, l.P99, l.P99/r.Quiet.P99, l.Stretches, l.Server, l.Hashing, l.Generators, l.Wait)
	}
	_ = t.Flush() // the writer is the terminal or a buffer
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	line("ratio of p99", "%.2f (promised: 2), medians of %d stretches; all refreshes together %.2f; beside cheap load %.2f",
		r.Ratio, len(r.Flooded.Stretches), r.RatioAll, r.RatioCheap)
	line("wrong logins", "%.0f a second, from %s; %d sent, %d not in time; %.0f µs of the server's CPU each", r.Rate, r.From, r.Sent, r.Unsent, r.RefusalMicros)
	line("compared with a password", "%d", r.Judged)
	line("refused by admission", "%d, p50 %.1f ms, p99 %.1f ms, most %.1f ms (promised: 20 ms)", r.Refused, r.RefusedP50, r.RefusedP99, r.RefusedMost)
	line("answered otherwise", "%d %s", r.Failed, r.FailedFirst)
	line("owner's logins", "%d, refused %d, p99 %.0f ms", r.OwnerLogins, r.OwnerRefused, r.OwnerP99)
	line("memory", "base %.0f MiB, most %.0f MiB (promised: %.0f with %d slots)", r.BaseMiB, r.MostMiB, r.AllowedMiB, r.Slots)
	line("log", "%.0f bytes a wrong login", r.LogBytesPerSent)
	fmt.Fprintln(t, "Waiting for a CPU while it is quiet, more than a few ms a second, says that others use this machine.")
	_ = t.Flush() // likewise
}
