package limit

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

const minute = 60 * 1000

var t0 = int64(1_800_000_000_000)

// drain reserves at one moment until refused and returns how many were allowed.
func drain(p Policy, s State, now int64) (State, int64, Decision) {
	for n := int64(0); ; n++ {
		next, d := p.Reserve(s, now)
		if !d.Allowed {
			return s, n, d
		}
		s = next
	}
}

func TestSecurity50_HundredThenOneEveryTenMinutes(t *testing.T) {
	p := Strangers()
	s, n, d := drain(p, State{}, t0)
	if n != 100 || d.RetryAfter != 10*minute || d.Remaining != 0 {
		t.Fatalf("allowed %d, then %+v", n, d)
	}
	now := t0
	for try := range 50 {
		if _, d := p.Reserve(s, now+10*minute-1); d.Allowed || d.RetryAfter != 1 {
			t.Fatalf("try %d: a millisecond early: %+v", try, d)
		}
		now += 10 * minute
		if s, n, _ = drain(p, s, now); n != 1 {
			t.Fatalf("try %d: %d allowed after ten minutes", try, n)
		}
	}
	if _, n, _ = drain(p, s, now+1000*minute); n != 100 {
		t.Fatalf("after 1000 quiet minutes %d allowed", n)
	}
}

func TestRefusalsChangeNothing(t *testing.T) {
	p := Strangers()
	s, _, _ := drain(p, State{}, t0)
	for i := range int64(1000) {
		if next, _ := p.Reserve(s, t0+i); next != s {
			t.Fatal("a refused attempt postponed the next")
		}
	}
}

func TestSecurity50_BudgetsNeverResetEachOther(t *testing.T) {
	for _, c := range []struct {
		name  string
		p     Policy
		after int64
	}{{"known", Known(), 20}, {"strangers", Strangers(), 1}} {
		s, n, _ := drain(c.p, State{}, t0)
		if n != c.p.Burst {
			t.Fatalf("%s: %d", c.name, n)
		}
		if _, n, _ = drain(c.p, c.p.Settle(s, Succeeded), t0); n != c.after {
			t.Errorf("%s: %d attempts after a success, want %d", c.name, n, c.after)
		}
		for _, o := range []Outcome{Repeated, Unjudged} {
			if _, n, _ = drain(c.p, c.p.Settle(s, o), t0); n != 1 {
				t.Errorf("%s: outcome %d gave %d back", c.name, o, n)
			}
		}
		if got := c.p.Settle(s, Failed); got != s {
			t.Errorf("%s: a failure was given back", c.name)
		}
	}
}

func TestClockSetBackLocksNobodyOut(t *testing.T) {
	p := Strangers()
	year := int64(365 * 24 * 60 * minute)
	s, _, _ := drain(p, State{}, t0+year) // written by a clock a year ahead
	s, n, d := drain(p, s, t0)
	if n != 1 || d.RetryAfter != 10*minute {
		t.Fatalf("%d allowed, then %+v", n, d)
	}
	if _, n, _ = drain(p, s, t0+10*minute); n != 1 {
		t.Fatalf("%d allowed ten minutes later", n)
	}
	// Two nodes five seconds apart must not make two budgets of one.
	s, _, _ = drain(p, State{}, t0+5000)
	if _, n, _ = drain(p, s, t0); n != 0 {
		t.Fatalf("the node behind allowed %d more", n)
	}
}

// The transition as the statement in Policy's comment has it.
func sqlText(p Policy, tat, now int64) (int64, bool) {
	if tat <= now+(p.Burst-1)*p.Interval || tat > now+(p.Burst+1)*p.Interval {
		return min(max(tat, now), now+(p.Burst-1)*p.Interval) + p.Interval, true
	}
	return tat, false
}

func TestBudgetProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Policy{Burst: rapid.Int64Range(1, 50).Draw(t, "burst"), Interval: rapid.Int64Range(1, 10_000).Draw(t, "interval")}
		var s State
		now, start, spent := t0, t0, int64(0)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now += rapid.Int64Range(0, 2*p.Interval).Draw(t, "wait")
			remaining := p.Remaining(s, now)
			next, d := p.Reserve(s, now)
			tat, ok := sqlText(p, s.TAT, now)
			if ok != d.Allowed || tat != next.TAT {
				t.Fatalf("statement and Reserve differ: %d %v, %d %v", tat, ok, next.TAT, d.Allowed)
			}
			if d.Allowed != (remaining > 0) || d.Allowed != (d.RetryAfter == 0) {
				t.Fatalf("remaining %d but %+v", remaining, d)
			}
			if !d.Allowed {
				if d.RetryAfter > p.Interval {
					t.Fatalf("must wait %d, more than an interval", d.RetryAfter)
				}
				if _, later := p.Reserve(s, now+d.RetryAfter); !later.Allowed {
					t.Fatal("refused after the time it named")
				}
				continue
			}
			s = next
			o := Outcome(rapid.IntRange(0, 3).Draw(t, "outcome"))
			if s = p.Settle(s, o); o == Failed {
				spent++
			}
		}
		if most := p.Burst + (now-start)/p.Interval; spent > most {
			t.Fatalf("%d failures in a time that allows %d", spent, most)
		}
	})
}

func TestReservationsAtOnceNeverExceedTheBudget(t *testing.T) {
	p := Strangers()
	var mu sync.Mutex
	var s State
	var allowed atomic.Int64
	var wg sync.WaitGroup
	for range 500 {
		wg.Go(func() {
			mu.Lock()
			next, d := p.Reserve(s, t0)
			s = next
			mu.Unlock()
			if d.Allowed {
				allowed.Add(1)
			}
		})
	}
	wg.Wait()
	if allowed.Load() != 100 {
		t.Fatalf("%d of 500 allowed", allowed.Load())
	}
}

func TestNetwork(t *testing.T) {
	for _, c := range []struct{ addr, want string }{
		{"192.0.2.77", "192.0.2.0/24"},
		{"::ffff:192.0.2.77", "192.0.2.0/24"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{"fe80::1%eth0", "fe80::/64"},
	} {
		if got := Network(netip.MustParseAddr(c.addr)).String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.addr, got, c.want)
		}
	}
	if got := Network(netip.Addr{}); got.IsValid() {
		t.Errorf("no address: %v", got)
	}
	got := Enclosing(netip.MustParsePrefix("2001:db8:1:2::/64"))
	want := []netip.Prefix{netip.MustParsePrefix("2001:db8:1::/48"), netip.MustParsePrefix("2001:db8::/32")}
	if !slices.Equal(got, want) {
		t.Errorf("enclosing: %v", got)
	}
	if got := Enclosing(netip.MustParsePrefix("192.0.2.0/24")); got != nil {
		t.Errorf("enclosing IPv4: %v", got)
	}
}

func v6(a, b uint16) netip.Prefix { // 2001:db8:a:b::/64
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(a >> 8), byte(a), byte(b >> 8), byte(b)}), 64)
}

func TestNetworksLimitsEachLevel(t *testing.T) {
	n := NewNetworks(NetworksConfig{Burst: 10, Interval: 1000, Widening: 4})
	count := func(next func(i int) netip.Prefix) (allowed int) {
		for i := range 1000 {
			if ok, _ := n.Allow(next(i), t0); ok {
				allowed++
			}
		}
		return allowed
	}
	if got := count(func(int) netip.Prefix { return netip.MustParsePrefix("192.0.2.0/24") }); got != 10 {
		t.Errorf("one /24: %d", got)
	}
	if got := count(func(int) netip.Prefix { return v6(1, 1) }); got != 10 {
		t.Errorf("one /64: %d", got)
	}
	if got := count(func(i int) netip.Prefix { return v6(1, uint16(100+i)) }); got != 30 {
		t.Errorf("the rest of its /48: %d", got)
	}
	if got := count(func(i int) netip.Prefix { return v6(uint16(100+i), 1) }); got != 120 {
		t.Errorf("the rest of its /32: %d", got)
	}
	ok, retry := n.Allow(netip.MustParsePrefix("192.0.2.0/24"), t0+999)
	if ok || retry != 1 {
		t.Errorf("a millisecond early: %v %d", ok, retry)
	}
	if ok, _ := n.Allow(netip.MustParsePrefix("192.0.2.0/24"), t0+1000); !ok {
		t.Error("refused after an interval")
	}
}

func TestNetworksCannotBePushedOut(t *testing.T) {
	n := NewNetworks(NetworksConfig{Burst: 5, Interval: 3600_000})
	mine := netip.MustParsePrefix("198.51.100.0/24")
	for range 5 {
		if ok, _ := n.Allow(mine, t0); !ok {
			t.Fatal("refused within the burst")
		}
	}
	for i := range uint32(200_000) {
		a := netip.AddrFrom4([4]byte{10 + byte(i>>16), byte(i >> 8), byte(i), 0})
		n.Allow(netip.PrefixFrom(a, 24), t0)
	}
	if ok, _ := n.Allow(mine, t0); ok {
		t.Fatal("200,000 other networks freed this one")
	}
}

func TestNetworksClockSetBack(t *testing.T) {
	n := NewNetworks(NetworksConfig{Burst: 5, Interval: 1000})
	mine := netip.MustParsePrefix("198.51.100.0/24")
	for range 10 {
		n.Allow(mine, t0+1_000_000_000)
	}
	got := 0
	for range 10 {
		if ok, _ := n.Allow(mine, t0); ok {
			got++
		}
	}
	if got != 1 {
		t.Fatalf("%d allowed", got)
	}
	if ok, _ := n.Allow(mine, t0+1000); !ok {
		t.Fatal("still refused an interval later")
	}
}

func TestRepeats(t *testing.T) {
	r := NewRepeats(2, 1000)
	a, b, c := [32]byte{1}, [32]byte{2}, [32]byte{3}
	for i, step := range []struct {
		digest [32]byte
		now    int64
		want   bool
	}{
		{a, 0, false},
		{a, 999, true},
		{a, 1998, true}, // each sight prolongs
		{a, 2998, false},
		{a, 2999, true},
		{b, 3000, false},
		{a, 3001, true},
		{c, 3002, false}, // b goes, unused for longest
		{a, 3003, true},
		{b, 3004, false},
	} {
		if got := r.Seen(step.digest, step.now); got != step.want {
			t.Fatalf("step %d: %v", i, got)
		}
	}
	if r.Len() != 2 {
		t.Fatalf("%d held", r.Len())
	}
}

func TestRepeatsOneGuessAtOnce(t *testing.T) {
	r := NewRepeats(0, 0)
	var first atomic.Int64
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if !r.Seen([32]byte{7}, t0) {
				first.Add(1)
			}
		})
	}
	wg.Wait()
	if first.Load() != 1 {
		t.Fatalf("%d guesses counted", first.Load())
	}
}

func BenchmarkNetworksAllow(b *testing.B) {
	n := NewNetworks(NetworksConfig{})
	p := v6(1, 2)
	for i := 0; b.Loop(); i++ {
		n.Allow(p, t0+int64(i)*1000)
	}
}

// TestPeekTakesNothing: the question is free, and tells what Allow would.
func TestPeekTakesNothing(t *testing.T) {
	n := NewNetworks(NetworksConfig{Burst: 3, Interval: 1000})
	mine := v6(9, 9)
	for i := range 3 {
		for range 50 {
			if ok, _ := n.Peek(mine, t0); !ok {
				t.Fatalf("asking took attempt %d", i)
			}
		}
		n.Allow(mine, t0)
	}
	ok, retry := n.Peek(mine, t0)
	ok2, retry2 := n.Allow(mine, t0)
	if ok || ok2 || retry != retry2 {
		t.Fatalf("Peek %v %d, Allow %v %d", ok, retry, ok2, retry2)
	}
}
