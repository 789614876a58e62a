package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"slices"
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

	refreshing, flooding *generator
	owner                *wire
	tokens               []string // of the chains, until they are handed over
	most                 int64    // KiB, since the first flood
	rep                  floodReport
}

const (
	chainCount = 16
	hashMiB    = 19
	// lead is how long a flood runs before and after what is measured.
	lead = 500 * time.Millisecond
)

// The kinds of stretch, in the order they take turns.
const (
	quiet = iota
	cheap
	flooded
	kindCount
)

func floodFlags(fs *flag.FlagSet, st *stand, quick *bool) func(context.Context) (report, error) {
	f := &flood{stand: st, quick: quick}
	fs.IntVar(&f.rate, "rate", 1000, "wrong logins a second")
	fs.IntVar(&f.pace, "refreshes", 100, "refreshes a second")
	fs.DurationVar(&f.length, "d", 10*time.Second, "how long each stretch is")
	fs.IntVar(&f.runs, "runs", 5, "stretches of each kind, taking turns")
	fs.StringVar(&f.from, "from", "many", "where the flood comes from: many networks, one, or the owner's own")
	return f.run
}

func (f *flood) run(ctx context.Context) (_ report, err error) {
	if *f.quick {
		f.length, f.runs = 2*time.Second, 1
	}
	if !slices.Contains([]string{"many", "one", "owner"}, f.from) || f.rate < 1 || f.pace < 1 || f.runs < 1 {
		return nil, errors.New("-from is many, one or owner; the numbers are above zero")
	}
	if err := f.prepare(ctx); err != nil {
		return nil, err
	}
	if f.refreshing, err = startGenerator(ctx, "refresh"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.refreshing.end()) }()
	if f.flooding, err = startGenerator(ctx, "flood"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.flooding.end()) }()
	var all [kindCount][]*stretch
	for i := range f.runs {
		for kind := range kindCount {
			f.say("run %d of %d: %s", i+1, f.runs, kindNames[kind])
			s, err := f.stretch(ctx, kind)
			if err != nil {
				return nil, err
			}
			all[kind] = append(all[kind], s)
		}
	}
	f.rep.sum(f, &all)
	return &f.rep, f.memory(ctx)
}

// stretch is what was seen in one.
type stretch struct {
	refreshes yield
	flood     yield
	owner     []time.Duration
	ownerLost int
	log       int64 // bytes
	waited    time.Duration
	server    time.Duration // of processors
	hashing   time.Duration
}

func (f *flood) stretch(ctx context.Context, kind int) (s *stretch, err error) {
	s = &stretch{}
	if kind != quiet {
		o := order{Addr: f.address(), Length: f.length + 2*lead, Rate: f.rate, From: f.from, Cheap: kind == cheap}
		if err := f.flooding.begin(o); err != nil {
			return nil, err
		}
	}
	pause(ctx, lead) // in every kind
	if f.rep.BaseMiB == 0 {
		f.rep.BaseMiB = float64(status(fmt.Sprint(f.server.PID()), "VmRSS:")) / 1024 // without the workers
	}
	pid := f.server.PID()
	log, waited, server, workers := f.logSize(), runDelay(pid), processorTime(pid), workersTime(pid)
	o := order{Addr: f.address(), Length: f.length, Rate: f.pace, Tokens: f.tokens}
	f.tokens = nil
	if err := f.refreshing.begin(o); err != nil {
		return nil, err
	}
	// The same in every kind, but that the owner logs in beside a flood only:
	// her hash would be the only one of a quiet stretch.
	end := time.Now().Add(f.length)
	for time.Now().Before(end) && ctx.Err() == nil {
		pause(ctx, min(500*time.Millisecond, time.Until(end)))
		f.most = max(f.most, peak(pid))
		if kind == flooded {
			f.ownerLogsIn(s)
		}
	}
	if s.refreshes, err = f.refreshing.result(); err != nil {
		return nil, err
	}
	s.log, s.waited, s.server, s.hashing = f.logSize()-log, runDelay(pid)-waited, processorTime(pid)-server, workersTime(pid)-workers
	if kind != quiet {
		if s.flood, err = f.flooding.result(); err != nil {
			return nil, err
		}
	}
	return s, ctx.Err()
}

// pause waits, but not longer than it must.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
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
	f.owner = &wire{addr: f.address()}
	for i := range chainCount {
		token, err := f.logIn(userName(i), fmt.Sprintf("198.51.%d.7", i))
		if err != nil {
			return err
		}
		f.tokens = append(f.tokens, token)
	}
	_, err := f.logIn(userName(0), ownerFrom)
	return err
}

func userName(i int) string { return fmt.Sprintf("known-%d", i) }

// logIn returns the refresh token.
func (f *flood) logIn(name, from string) (string, error) {
	a, err := f.owner.ask(login("netography", name, rightPassword, from))
	if err != nil {
		return "", err
	}
	var out struct {
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal(a.body, &out); err != nil || a.status != 200 || out.Refresh == "" {
		return "", fmt.Errorf("logging in: status %d: %.200s", a.status, a.body)
	}
	return out.Refresh, nil
}

// ownerLogsIn is the one the flood must not keep out: twice a second, from a
// network where she logged in before.
func (f *flood) ownerLogsIn(s *stretch) {
	a, err := f.owner.ask(login("netography", userName(0), rightPassword, ownerFrom))
	if err != nil || a.status != 200 {
		s.ownerLost++
	}
	s.owner = append(s.owner, a.took)
}

// memory asks the server's slots and judges the peak.
func (f *flood) memory(ctx context.Context) error {
	slots, err := metric(ctx, f.server.Private(), "sallyport_hash_slots")
	if err != nil {
		return err
	}
	f.rep.Slots, f.rep.MostMiB = int(slots), float64(f.most)/1024
	f.rep.AllowedMiB = f.rep.BaseMiB + slots*hashMiB + 64
	return nil
}
