package core_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/core"
)

// journal is a journal in memory that can be made to fail.
type journal struct {
	mu      sync.Mutex
	broken  bool
	entries []core.JournalEntry
	writes  int
	highest int64
	// writing, where set, is sent to before a write, which then waits for go on.
	writing, goOn chan struct{}
}

func (j *journal) Append(_ context.Context, entries []core.JournalEntry) error {
	j.mu.Lock()
	writing := j.writing
	j.writing = nil // once
	j.mu.Unlock()
	if writing != nil {
		writing <- struct{}{}
		<-j.goOn
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken {
		return errors.New("no space left on device")
	}
	j.writes++
	for _, e := range entries {
		if e.Mark != nil || e.Fact != nil && e.Fact.Number <= j.highest && !e.Again {
			continue
		}
		j.entries = append(j.entries, e)
		if e.Fact != nil {
			j.highest = max(j.highest, e.Fact.Number)
		}
	}
	return nil
}

func (j *journal) Highest() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.highest
}

func (j *journal) Purge(int64) error { return nil }

func (j *journal) breaks(broken bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.broken = broken
}

// facts lists what was written: the numbers of facts, and notes.
func (j *journal) facts() (numbers []int64, notes []core.JournalNote) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.entries {
		if e.Fact != nil {
			numbers = append(numbers, e.Fact.Number)
		}
		if e.Note != nil {
			notes = append(notes, *e.Note)
		}
	}
	return numbers, notes
}

func journalled(t *testing.T, mounts ...*core.Mount) (*world, *journal) {
	j := &journal{}
	return newWorldWith(t, core.Config{Journal: j}, sharedHasher(), mounts...), j
}

// TestJournalFails: a revocation that cannot be written to the journal is in
// force and not acknowledged, however often it is asked for; when it can, it
// is written once.
func TestJournalFails(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w, j := journalled(t, m)
	ann := w.user("ann")
	k := w.apiKey("", "daemon")
	a, b := w.in(m, "ann"), w.in(m, "ann")
	j.breaks(true)
	sid := a.Session.ID.String()
	logout := func() error {
		return w.svc.Logout(w.ctx, &core.LogoutRequest{Mount: m, Token: a.RefreshToken, Client: from(home)})
	}
	wantCode(t, w.svc.RevokeSession(w.ctx, admin, sid), core.Unavailable)
	wantCode(t, logout(), core.Unavailable)
	wantCode(t, logout(), core.Unavailable)
	w.refusedCall(a.AccessToken, core.TokenRevoked)
	w.calls(b.AccessToken)
	w.refreshed(m, b.RefreshToken)
	if w.svc.JournalFault() == nil || !w.seen.heard("facts_journal") {
		t.Error("nobody hears of the journal")
	}
	_, err := w.svc.RotateAPIKey(w.ctx, admin, k.Key.ID, 0, "")
	wantCode(t, err, core.Unavailable)
	wantCode(t, w.svc.NoteKeyDropped(w.ctx, "kid"), core.Unavailable)
	_, err = w.svc.SetUserState(w.ctx, admin, ann.ID, core.Disabled)
	wantCode(t, err, core.Unavailable)
	w.refusedCall(b.AccessToken, core.TokenRevoked)

	j.breaks(false)
	w.must(logout())
	numbers, notes := j.facts()
	if !slices.Equal(numbers, []int64{1, 2}) || len(notes) != 2 || notes[0].Subject != k.Key.ID || notes[1].Kind != core.NoteKey {
		t.Fatalf("the journal has %v and %v", numbers, notes)
	}
	if w.svc.JournalFault() != nil {
		t.Error("the journal works and is said to fail")
	}
	// What a crash left unwritten is written at the next start.
	j.breaks(true)
	_, err = w.svc.CompromiseUser(w.ctx, admin, ann.ID)
	wantCode(t, err, core.Unavailable)
	j.breaks(false)
	w.reopen(func() {})
	if numbers, _ := j.facts(); !slices.Equal(numbers, []int64{1, 2, 3}) {
		t.Fatalf("after a restart the journal has %v", numbers)
	}
}

// TestJournalTogether: revocations that come together share writes, and none
// is acknowledged before it is written.
func TestJournalTogether(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w, j := journalled(t, m)
	w.user("ann")
	var sids []string
	for range 40 {
		sids = append(sids, w.in(m, "ann").Session.ID.String())
	}
	var all sync.WaitGroup
	for _, sid := range sids {
		all.Go(func() {
			if err := w.svc.RevokeSession(w.ctx, admin, sid); err != nil {
				t.Error(err)
				return
			}
			j.mu.Lock()
			defer j.mu.Unlock()
			if !slices.ContainsFunc(j.entries, func(e core.JournalEntry) bool { return e.Fact != nil && e.Fact.Subject == sid }) {
				t.Error("acknowledged before it was written")
			}
		})
	}
	all.Wait()
	numbers, _ := j.facts()
	if len(numbers) != len(sids) || !slices.IsSorted(numbers) {
		t.Errorf("the journal has %v", numbers)
	}
	t.Logf("%d revocations in %d writes", len(sids), j.writes)
}

// TestJournalHeardMeanwhile: what is heard while the journal catches up with
// what it could not write is written, too, before it is acknowledged.
func TestJournalHeardMeanwhile(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w, j := journalled(t, m)
	w.user("ann")
	a, b := w.in(m, "ann"), w.in(m, "ann")
	j.breaks(true)
	wantCode(t, w.svc.RevokeSession(w.ctx, admin, a.Session.ID.String()), core.Unavailable)
	j.breaks(false)
	writing := make(chan struct{})
	j.writing, j.goOn = writing, make(chan struct{})
	again, later := make(chan error, 1), make(chan error, 1)
	go func() { again <- w.svc.RevokeSession(w.ctx, admin, a.Session.ID.String()) }()
	<-writing
	go func() { later <- w.svc.RevokeSession(w.ctx, admin, b.Session.ID.String()) }()
	for { // until it is in force here, so was heard
		if _, err := w.call(b.AccessToken); err != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	close(j.goOn)
	wantCode(t, <-again, core.NotFound) // it has ended already, and is written now
	w.must(<-later)
	if numbers, _ := j.facts(); !slices.Equal(numbers, []int64{1, 2}) {
		t.Errorf("acknowledged, and the journal has %v", numbers)
	}
}

// lapse is a world whose store loses its last facts, as in a failover, while
// Run follows it. The journal may be broken meanwhile, or have been before.
func lapse(t *testing.T, reused, breaks, broken bool) {
	m := netography("net", core.DefaultAccount)
	w, j := journalled(t, m)
	w.user("ann")
	bob := w.user("bob")
	var g []*core.Granted
	for range 4 {
		g = append(g, w.in(m, "ann"))
	}
	other := w.in(m, "bob")
	for i := range 3 {
		w.must(w.svc.RevokeSession(w.ctx, admin, g[i].Session.ID.String()))
	}
	// Facts 2 and 3 are lost; with reused, another node has given both numbers
	// again. Facts beyond are those that are added afterwards.
	hidden := func(facts []core.Fact, last int64) (left []core.Fact, top int64) {
		top = 1
		for _, f := range facts {
			if (f.Number == 2 || f.Number == 3) && reused {
				f = core.Fact{Number: f.Number, Kind: core.FactUser, Subject: bob.ID, At: start, PurgeAt: start + day}
			} else if f.Number == 2 || f.Number == 3 {
				continue
			}
			left = append(left, f)
		}
		if reused {
			top = 3
		}
		if last > 3 {
			top = last
		}
		return left, top
	}
	if j.breaks(breaks || broken); broken {
		wantCode(t, w.svc.NoteKeyDropped(w.ctx, "kid"), core.Unavailable)
	}
	w.store.log.Store(&hidden)
	ctx, cancel := context.WithCancel(w.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.svc.Run(ctx)
	}()
	defer func() { cancel(); <-done }()
	lostAgain := func() int {
		facts, _, err := w.disk.FactsSince(w.ctx, 3, 0)
		w.must(err)
		n := 0
		for _, f := range facts {
			if f.Subject == g[1].Session.ID.String() || f.Subject == g[2].Session.ID.String() {
				n++
			}
		}
		return n
	}
	for began := time.Now(); lostAgain() < 2; time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("what was lost is not added again within a minute")
		}
		for i := range 3 {
			w.refusedCall(g[i].AccessToken, core.TokenRevoked)
		}
	}
	w.calls(g[3].AccessToken)
	if reused {
		w.refusedCall(other.AccessToken, core.TokenRevoked)
	} else {
		w.calls(other.AccessToken)
	}
	if !w.seen.heard("store_lost_facts") {
		t.Error("nobody hears of it")
	}
	j.breaks(false)
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		numbers, _ := j.facts()
		if len(numbers) >= 5 && (!reused || slices.Index(numbers[3:], 3) >= 0) {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("the journal has %v", numbers)
		}
	}
	if v, err := w.disk.MetaGet(w.ctx, core.MetaRestored); err == nil && v != "" {
		t.Error("a failover counts as a restore:", v)
	}
}

func TestFailoverLosesFacts(t *testing.T) {
	t.Run("lost", func(t *testing.T) { lapse(t, false, false, false) })
	t.Run("numbers given again", func(t *testing.T) { lapse(t, true, false, false) })
	t.Run("lost, and no journal", func(t *testing.T) { lapse(t, false, true, false) })
	t.Run("numbers given again, and no journal", func(t *testing.T) { lapse(t, true, true, false) })
	t.Run("numbers given again, and no journal for long", func(t *testing.T) { lapse(t, true, true, true) })
}

// TestJournalNumbersGivenAgain: before this node has added again what the store
// lost, more is revoked, under numbers that the journal has of what was lost.
// It is acknowledged, so it is written, also if the journal fails meanwhile.
func TestJournalNumbersGivenAgain(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	for _, fails := range []bool{false, true} {
		w, j := journalled(t, m)
		w.user("ann")
		var sids []string
		for range 5 {
			sids = append(sids, w.in(m, "ann").Session.ID.String())
		}
		revoke := func(i int) error { return w.svc.RevokeSession(w.ctx, admin, sids[i]) }
		for i := range 3 {
			w.must(revoke(i))
		}
		// 2 and 3 are lost, and the next two get their numbers.
		lost := func(facts []core.Fact, last int64) (left []core.Fact, top int64) {
			for _, f := range facts {
				if f.Number > 3 {
					f.Number -= 2
				} else if f.Number > 1 {
					continue
				}
				left = append(left, f)
			}
			return left, max(last-2, 1)
		}
		w.store.log.Store(&lost)
		if j.breaks(fails); fails {
			wantCode(t, revoke(3), core.Unavailable)
			wantCode(t, revoke(4), core.Unavailable)
			j.breaks(false)
			wantCode(t, revoke(3), core.NotFound) // has ended
		} else {
			w.must(revoke(3))
			w.must(revoke(4))
		}
		for i, sid := range sids {
			if !slices.ContainsFunc(j.entries, func(e core.JournalEntry) bool { return e.Fact != nil && e.Fact.Subject == sid }) {
				t.Errorf("journal failing %v: revocation %d was acknowledged, and the journal lacks it", fails, i+1)
			}
		}
	}
}

// failedOver is a store that has lost facts 2 and 3, and gave 2 again.
type failedOver struct {
	core.Store
	over atomic.Bool
}

func (f *failedOver) FactsSince(ctx context.Context, n int64, limit int) (left []core.Fact, last int64, err error) {
	if !f.over.Load() {
		return f.Store.FactsSince(ctx, n, limit)
	}
	all, last, err := f.Store.FactsSince(ctx, 0, 0)
	for _, one := range all {
		if one.Number == 2 || one.Number == 3 {
			continue
		}
		if one.Number == 4 {
			one.Number = 2
		}
		if one.Number > n {
			left = append(left, one)
		}
	}
	if last == 4 {
		last = 2
	}
	return left, last, err
}

// TestFailoverSeenLate: a node that looks at the store only when another has
// already added again what was lost, under numbers far above, hears of what was
// revoked meanwhile under numbers that it knew, and adds what it alone knew of.
func TestFailoverSeenLate(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("ann")
	bob := w.user("bob")
	var g []*core.Granted
	for _, name := range []string{"ann", "ann", "ann", "bob", "ann"} {
		g = append(g, w.in(m, name))
	}
	add := func(kind core.FactKind, subject string) {
		now := w.clock.Load()
		_, err := w.disk.AddFact(w.ctx, &core.AddFactParams{Fact: core.Fact{Kind: kind, Subject: subject, At: now, PurgeAt: now + day}, Now: now})
		w.must(err)
	}
	revoke := func(i int) { w.must(w.svc.RevokeSession(w.ctx, admin, g[i].Session.ID.String())) }
	store := &failedOver{Store: w.disk}
	late, err := core.New(w.ctx, core.Config{Store: store, Keys: w.keys, Passwords: w.hasher, Now: w.clock.Load, Issuer: issuer})
	w.must(err)
	w.must(late.RegisterMount(m))
	revoke(0)
	revoke(1)
	revoke(2)
	calls := func(i int) error {
		_, err := late.Authenticate(w.ctx, &core.AuthenticateRequest{Mounts: w.mounts, Token: g[i].AccessToken})
		return err
	}
	w.sleep(10 * second) // memory is stale: it asks
	wantCode(t, calls(2), core.TokenRevoked)
	// What another node does.
	add(core.FactUser, bob.ID) // 4, which is 2
	w.must(w.disk.SkipFacts(w.ctx, &core.SkipFactsParams{Above: 10_000, Now: w.clock.Load()}))
	add(core.FactSession, g[1].Session.ID.String())

	store.over.Store(true)
	w.sleep(10 * second)
	for i := range 4 {
		wantCode(t, calls(i), core.TokenRevoked)
	}
	w.must(calls(4))
	ctx, cancel := context.WithCancel(w.ctx)
	done := make(chan struct{})
	go func() { defer close(done); late.Run(ctx) }()
	defer func() { cancel(); <-done }()
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		facts, _, err := w.disk.FactsSince(w.ctx, 10_000, 0)
		w.must(err)
		again := map[string]int{}
		for _, f := range facts {
			again[f.Subject]++
		}
		if again[g[1].Session.ID.String()] > 1 {
			t.Fatal("what the other node has added is added twice")
		}
		if again[g[2].Session.ID.String()] == 1 {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatal("what this node alone knew of is not added again within a minute")
		}
	}
}

// TestLostBehindApplicationToken: when who is disabled has an application
// token, the last fact is on that. It may be missing because a later one took
// its place; after a failover in which numbers leapt there is none, and what
// came with it is added again, too.
func TestLostBehindApplicationToken(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorld(t, m)
	u := w.user("robot", application)
	app := w.minted(m, w.in(m, "robot").RefreshToken)
	// What another node does takes the place of the last fact, also when that
	// is far behind.
	for _, action := range []core.ApplicationTokenAction{core.TokenSuspend, core.TokenResume, core.TokenSuspend, "", core.TokenResume} {
		if action == "" {
			var all sync.WaitGroup
			for range 1000 {
				all.Go(func() {
					f := core.Fact{Kind: core.FactSession, Subject: core.NewID(""), At: start, PurgeAt: start + day}
					if _, err := w.disk.AddFact(w.ctx, &core.AddFactParams{Fact: f, Now: start}); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			continue
		}
		_, err := w.disk.ChangeApplicationToken(w.ctx, &core.ChangeApplicationTokenParams{ID: app.ApplicationID, Action: action, Now: w.clock.Load()})
		w.must(err)
		w.must(w.svc.HearRevocations(w.ctx))
	}
	if w.seen.heard("store_lost_facts") {
		t.Error("a fact whose place another took counts as lost")
	}
	w.calls(app.ApplicationToken)

	_, err := w.svc.SetUserState(w.ctx, admin, u.ID, core.Disabled)
	w.must(err)
	const leap = 10_000
	w.must(w.disk.SkipFacts(w.ctx, &core.SkipFactsParams{Above: leap, Now: w.clock.Load()}))
	lost := func(facts []core.Fact, last int64) ([]core.Fact, int64) {
		return slices.DeleteFunc(facts, func(f core.Fact) bool { return f.Number <= leap }), last
	}
	w.store.log.Store(&lost)
	w.must(w.svc.HearRevocations(w.ctx))
	if !w.seen.heard("store_lost_facts") {
		t.Fatal("that a user was disabled is lost, and nobody notices")
	}
	ctx, cancel := context.WithCancel(w.ctx)
	done := make(chan struct{})
	go func() { defer close(done); w.svc.Run(ctx) }()
	defer func() { cancel(); <-done }()
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		facts, _, err := w.disk.FactsSince(w.ctx, leap, 0)
		w.must(err)
		if slices.ContainsFunc(facts, func(f core.Fact) bool {
			return f.Kind == core.FactUser && f.Subject == u.ID && f.Reason == core.ReasonDisabled
		}) {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatal("what was lost is not added again within a minute")
		}
	}
	w.refusedCall(app.ApplicationToken, core.TokenRevoked)
}

// TestRestoredUnderneath: a store that forgot more than the last minutes is
// refused, and marked for nodes that start.
func TestRestoredUnderneath(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w, _ := journalled(t, m)
	w.user("ann")
	a := w.in(m, "ann")
	w.must(w.svc.RevokeSession(w.ctx, admin, a.Session.ID.String()))
	w.sleep(20 * minute)
	w.must(w.svc.RevokeSession(w.ctx, admin, w.in(m, "ann").Session.ID.String()))
	w.sleep(minute)
	b := w.in(m, "ann")
	w.calls(b.AccessToken)
	empty := func([]core.Fact, int64) ([]core.Fact, int64) { return nil, 0 }
	w.store.log.Store(&empty)
	w.sleep(10 * second) // memory is stale
	w.refusedCall(b.AccessToken, core.Unavailable)
	if v, err := w.disk.MetaGet(w.ctx, core.MetaRestored); err != nil || v == "" {
		t.Errorf("the store is not marked: %q, %v", v, err)
	}
	w.store.log.Store(nil)
	w.calls(b.AccessToken)
	w.refusedCall(a.AccessToken, core.TokenRevoked)
}
