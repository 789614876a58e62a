package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"
)

// flood is the measurement of refreshes beside wrong logins.
type flood struct {
	*stand
	quick  *bool
	rate   int // wrong logins a second
	pace   int // refreshes a second
	length time.Duration
	runs   int
	from   string

	chains []*chain
	owner  *wire
	base   int64 // KiB, before the first flood
	most   int64 // KiB, since
	rep    floodReport
}

const (
	chainCount  = 16
	senderCount = 300 // more than slots and queue hold, so that the flood never waits for an answer
	knownNames  = 200
	ownerFrom   = "203.0.113.9"
	hashMiB     = 19
)

func floodFlags(fs *flag.FlagSet, st *stand, quick *bool) func(context.Context) (report, error) {
	f := &flood{stand: st, quick: quick}
	fs.IntVar(&f.rate, "rate", 1000, "wrong logins a second")
	fs.IntVar(&f.pace, "refreshes", 100, "refreshes a second")
	fs.DurationVar(&f.length, "d", 10*time.Second, "how long each stretch is")
	fs.IntVar(&f.runs, "runs", 3, "quiet and flooded stretches, taking turns")
	fs.StringVar(&f.from, "from", "many", "where the flood comes from: many networks, one, or the owner's own")
	return f.run
}

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
	FailedFirst  string  `json:"failed_first,omitempty"`
	NoRetryAfter int64   `json:"refused_without_retry_after"`
	RefusedP50   float64 `json:"refused_p50_ms"`
	RefusedP99   float64 `json:"refused_p99_ms"`
	RefusedMost  float64 `json:"refused_most_ms"`
	QuietP50     float64 `json:"refresh_quiet_p50_ms"`
	QuietP99     float64 `json:"refresh_quiet_p99_ms"`
	FloodP50     float64 `json:"refresh_flooded_p50_ms"`
	FloodP99     float64 `json:"refresh_flooded_p99_ms"`
	Ratio        float64 `json:"refresh_p99_ratio"`
	// How long the server's threads, ready to run, waited for a processor, in
	// milliseconds a second: what other programs on the machine did to the figures.
	QuietWait       float64 `json:"waited_for_processor_quiet_ms_per_s"`
	FloodWait       float64 `json:"waited_for_processor_flooded_ms_per_s"`
	Refreshes       int     `json:"refreshes_flooded"`
	OwnerLogins     int     `json:"owner_logins"`
	OwnerRefused    int     `json:"owner_logins_refused"`
	OwnerP99        float64 `json:"owner_login_p99_ms"`
	Slots           int     `json:"slots"`
	BaseMiB         float64 `json:"memory_base_mib"`
	MostMiB         float64 `json:"memory_most_mib"`
	AllowedMiB      float64 `json:"memory_allowed_mib"`
	LogBytesPerSent float64 `json:"log_bytes_per_login"`
}

func (f *flood) run(ctx context.Context) (report, error) {
	if *f.quick {
		f.length, f.runs = 2*time.Second, 1
	}
	if !slices.Contains([]string{"many", "one", "owner"}, f.from) || f.rate < 1 || f.pace < 1 || f.runs < 1 {
		return nil, errors.New("-from is many, one or owner; the numbers are above zero")
	}
	if err := f.prepare(ctx); err != nil {
		return nil, err
	}
	var quiet, flooded, refused, owner []time.Duration
	for i := range f.runs {
		f.say("run %d of %d: quiet", i+1, f.runs)
		waited := runDelay(f.server.PID())
		times, err := f.refresh(ctx)
		if err != nil {
			return nil, err
		}
		f.rep.QuietWait += f.perSecond(runDelay(f.server.PID()) - waited)
		quiet = append(quiet, times...)
		if f.base == 0 {
			f.base = resident(f.server.PID())
		}
		f.say("run %d of %d: flooded", i+1, f.runs)
		a := f.attack(ctx)
		waited = runDelay(f.server.PID())
		times, err = f.refresh(ctx)
		f.rep.FloodWait += f.perSecond(runDelay(f.server.PID()) - waited)
		a.end()
		if err != nil {
			return nil, err
		}
		flooded = append(flooded, times...)
		refused = append(refused, a.refused...)
		owner = append(owner, a.owner...)
	}
	r := &f.rep
	r.From, r.Rate = f.from, float64(r.Sent)/(f.length.Seconds()*float64(f.runs))
	r.RefusedP50, r.RefusedP99, r.RefusedMost = ms(quantile(refused, 0.5)), ms(quantile(refused, 0.99)), ms(quantile(refused, 1))
	r.QuietP50, r.QuietP99 = ms(quantile(quiet, 0.5)), ms(quantile(quiet, 0.99))
	r.FloodP50, r.FloodP99 = ms(quantile(flooded, 0.5)), ms(quantile(flooded, 0.99))
	r.Ratio, r.Refreshes = r.FloodP99/r.QuietP99, len(flooded)
	r.OwnerLogins, r.OwnerP99 = len(owner), ms(quantile(owner, 0.99))
	return r, f.memory(ctx)
}

// perSecond makes a time within one of the stretches its share of a second, in
// milliseconds.
func (f *flood) perSecond(d time.Duration) float64 {
	return ms(d) / f.length.Seconds() / float64(f.runs)
}

// prepare makes the users, logs the chains in, and the owner, whose network is
// known from then on.
func (f *flood) prepare(ctx context.Context) error {
	f.say("adding users")
	for i := range knownNames {
		if _, err := f.addUser(ctx, userName(i), "user", ""); err != nil {
			return err
		}
	}
	for i := range chainCount {
		c := &chain{wire: wire{addr: f.address()}}
		if err := c.logIn(userName(i), fmt.Sprintf("198.51.%d.7", i)); err != nil {
			return err
		}
		f.chains = append(f.chains, c)
	}
	f.owner = &wire{addr: f.address()}
	a, err := f.owner.ask(login("netography", userName(0), rightPassword, ownerFrom))
	if err == nil && a.status != 200 {
		err = fmt.Errorf("the owner's login: status %d: %.200s", a.status, a.body)
	}
	return err
}

func userName(i int) string { return fmt.Sprintf("known-%d", i) }

// watchMemory looks often enough to see every hash.
func (a *attack) watchMemory() {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-a.stop:
			return
		case <-tick.C:
			a.f.most = max(a.f.most, resident(a.f.server.PID()))
		}
	}
}

// memory asks the server's slots and judges the peak.
func (f *flood) memory(ctx context.Context) error {
	slots, err := metric(ctx, f.server.Private(), "sallyport_hash_slots")
	if err != nil {
		return err
	}
	f.rep.Slots = int(slots)
	f.rep.BaseMiB, f.rep.MostMiB = float64(f.base)/1024, float64(f.most)/1024
	f.rep.AllowedMiB = f.rep.BaseMiB + slots*hashMiB + 64
	return nil
}

// refresh lets every chain refresh at its pace for one stretch. Times count
// from the request to the answer; a chain whose answer is late sends the next
// one at once, never two.
func (f *flood) refresh(ctx context.Context) ([]time.Duration, error) {
	gap := time.Second * chainCount / time.Duration(f.pace)
	end := time.Now().Add(f.length)
	times := make([][]time.Duration, len(f.chains))
	errs := make([]error, len(f.chains))
	var all sync.WaitGroup
	for i, c := range f.chains {
		all.Go(func() {
			next := time.Now().Add(gap * time.Duration(i) / chainCount)
			for next.Before(end) && ctx.Err() == nil {
				time.Sleep(time.Until(next))
				took, err := c.refresh()
				if err != nil {
					errs[i] = err
					return
				}
				times[i] = append(times[i], took)
				next = next.Add(gap)
			}
		})
	}
	all.Wait()
	return slices.Concat(times...), errors.Join(append(errs, ctx.Err())...)
}

// chain follows its refresh tokens.
type chain struct {
	wire
	token string
}

func (c *chain) logIn(name, from string) error {
	a, err := c.ask(login("netography", name, rightPassword, from))
	if err != nil {
		return err
	}
	return c.follow(a)
}

func (c *chain) refresh() (time.Duration, error) {
	a, err := c.ask(post("/api/auth/bearer/refresh", "application/x-www-form-urlencoded", url.Values{"refresh_token": {c.token}}.Encode()))
	if err != nil {
		return 0, err
	}
	return a.took, c.follow(a)
}

func (c *chain) follow(a answer) error {
	var out struct {
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal(a.body, &out); err != nil || a.status != 200 || out.Refresh == "" || out.Refresh == c.token {
		return fmt.Errorf("a chain got status %d: %.200s", a.status, a.body)
	}
	c.token = out.Refresh
	return nil
}

// attack is one stretch of flood.
type attack struct {
	f       *flood
	stop    chan struct{}
	all     sync.WaitGroup
	mu      sync.Mutex
	refused []time.Duration
	owner   []time.Duration
	log     int64 // size of the server's log at the beginning
	sent    int64
}

func (f *flood) attack(ctx context.Context) *attack {
	a := &attack{f: f, stop: make(chan struct{}), log: f.logSize(), sent: atomic.LoadInt64(&f.rep.Sent)}
	due := make(chan []byte, f.rate) // a second's worth may wait for a sender
	a.all.Go(func() { a.pace(due) })
	for range senderCount {
		a.all.Go(func() {
			w := &wire{addr: f.address()}
			defer w.close()
			for raw := range due {
				a.send(w, raw)
			}
		})
	}
	a.all.Go(func() { a.ownerLogsIn(ctx) })
	a.all.Go(a.watchMemory)
	return a
}

// end lets the requests under way finish.
func (a *attack) end() {
	close(a.stop)
	a.all.Wait()
	if n := a.f.rep.Sent - a.sent; n > 0 {
		a.f.rep.LogBytesPerSent = float64(a.f.logSize()-a.log) / float64(n)
	}
}

// pace gives the senders what is due, whether they keep up or not.
func (a *attack) pace(due chan<- []byte) {
	defer close(due)
	const beat = 2 * time.Millisecond
	tick := time.NewTicker(beat)
	defer tick.Stop()
	began, given := time.Now(), int64(0)
	for {
		select {
		case <-a.stop:
			return
		case <-tick.C:
		}
		for want := int64(time.Since(began).Seconds() * float64(a.f.rate)); given < want; given++ {
			select {
			case due <- a.guess(int(given)):
			default:
				atomic.AddInt64(&a.f.rep.Unsent, 1)
			}
		}
	}
}

// guess is a login with a wrong password: every second name exists.
func (a *attack) guess(i int) []byte {
	name := userName(rand.IntN(knownNames))
	if i%2 == 0 {
		name = fmt.Sprintf("stranger-%d", rand.IntN(1_000_000))
	}
	from := fmt.Sprintf("10.%d.%d.9", rand.IntN(256), rand.IntN(256))
	switch a.f.from {
	case "one":
		from = fmt.Sprintf("10.1.1.%d", rand.IntN(256))
	case "owner":
		from = ownerFrom
	}
	return login(contracts[i%len(contracts)], name, fmt.Sprintf("guess number %d", rand.Int64()), from)
}

func (a *attack) send(w *wire, raw []byte) {
	atomic.AddInt64(&a.f.rep.Sent, 1)
	ans, err := w.ask(raw)
	r := &a.f.rep
	switch {
	case err != nil, ans.status >= 500, ans.status < 400:
		if atomic.AddInt64(&r.Failed, 1) == 1 {
			r.FailedFirst = fmt.Sprintf("status %d after %s: %.200s (%v)", ans.status, ans.took, ans.body, err)
		}
	case ans.status != 429:
		atomic.AddInt64(&r.Judged, 1)
	default:
		atomic.AddInt64(&r.Refused, 1)
		if ans.header.Get("Retry-After") == "" {
			atomic.AddInt64(&r.NoRetryAfter, 1)
		}
		a.mu.Lock()
		a.refused = append(a.refused, ans.took)
		a.mu.Unlock()
	}
}

// ownerLogsIn is the one the flood must not keep out: twice a second, from a
// network where she logged in before.
func (a *attack) ownerLogsIn(ctx context.Context) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-a.stop:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		ans, err := a.f.owner.ask(login("netography", userName(0), rightPassword, ownerFrom))
		if err != nil || ans.status != 200 {
			a.f.rep.OwnerRefused++
		}
		a.owner = append(a.owner, ans.took)
	}
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
	line := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	line("wrong logins", "%.0f a second, from %s; %d sent, %d not in time", r.Rate, r.From, r.Sent, r.Unsent)
	line("compared with a password", "%d", r.Judged)
	line("refused by admission", "%d, p50 %.1f ms, p99 %.1f ms, most %.1f ms (promised: 20 ms)", r.Refused, r.RefusedP50, r.RefusedP99, r.RefusedMost)
	line("answered otherwise", "%d %s", r.Failed, r.FailedFirst)
	line("refreshes, quiet", "p50 %.2f ms, p99 %.2f ms", r.QuietP50, r.QuietP99)
	line("refreshes, flooded", "p50 %.2f ms, p99 %.2f ms", r.FloodP50, r.FloodP99)
	line("ratio of p99", "%.2f (promised: 2)", r.Ratio)
	line("waited for a processor", "%.0f ms a second quiet, %.0f flooded; much more than a few says that others use this machine", r.QuietWait, r.FloodWait)
	line("owner's logins", "%d, refused %d, p99 %.0f ms", r.OwnerLogins, r.OwnerRefused, r.OwnerP99)
	line("memory", "base %.0f MiB, most %.0f MiB (promised: %.0f with %d slots)", r.BaseMiB, r.MostMiB, r.AllowedMiB, r.Slots)
	line("log", "%.0f bytes a wrong login", r.LogBytesPerSent)
	_ = t.Flush() // the writer is the terminal or a buffer
}
