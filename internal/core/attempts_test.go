package core_test

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/limit"
	"github.com/sallyport/sallyport/internal/password"
)

// network gives an address in the n-th of many networks.
func network(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{100, byte(64 + n/250), byte(n % 250), 7})
}

// TestSecurity51_RefusalsAlike: who is unknown, disabled, locked, without password or
// mistyped gets the same words for the same work.
func TestSecurity51_RefusalsAlike(t *testing.T) {
	item, some := itempath("item", core.DefaultAccount), netography("any", core.AnyAccount)
	w := newWorldWith(t, core.Config{Stranger: limit.Policy{Burst: 3, Interval: 10 * minute}}, sharedHasher(), item, some)
	_, err := w.svc.CreateAccount(w.ctx, admin, "closed")
	w.must(err)
	w.user("ann")
	w.user("cleo", in("closed"))
	_, err = w.svc.SetAccountState(w.ctx, admin, "closed", core.Disabled)
	w.must(err)
	off := w.user("off")
	_, err = w.svc.SetUserState(w.ctx, admin, off.ID, core.Disabled)
	w.must(err)
	gone := w.user("gone")
	w.must(w.svc.DeleteUser(w.ctx, admin, gone.ID))
	w.user("nopassword", func(n *core.NewUser) { n.PasswordHash = "" })
	w.user("unverified", func(n *core.NewUser) { n.Email = "unverified@example.com" })
	w.user("locked")
	for i := range 3 {
		_, err := w.login(item, "locked", fmt.Sprint("guess number ", i), stranger)
		wantCode(t, err, core.BadCredentials)
	}
	for _, c := range []struct {
		name, account, user, pw string
		mount                   *core.Mount
	}{
		{"wrong password", "", "ann", wrong, item},
		{"unknown", "", "nobody", right, item},
		{"disabled, right password", "", "off", right, item},
		{"disabled, wrong password", "", "off", wrong, item},
		{"deleted", "", "gone", right, item},
		{"without password", "", "nopassword", right, item},
		{"unverified e-mail", "", "unverified@example.com", right, item},
		{"locked, right password", "", "locked", right, item},
		{"locked, wrong password", "", "locked", wrong, item},
		{"of another account", "", "cleo", right, item},
		{"disabled account", "closed", "cleo", right, some},
		{"unknown account", "nowhere", "ann", right, some},
		{"not a name", "", "a b\x00c", right, item},
		{"empty name", "", "", right, item},
		{"very long name", "", strings.Repeat("a", 10_000), right, item},
	} {
		before := w.hasher.Stats().Served
		g, err := w.svc.Login(w.ctx, &core.LoginRequest{Mount: c.mount, Account: c.account, Username: c.user, Password: c.pw, Client: from(stranger)})
		if err == nil {
			t.Fatalf("%s: logged in as %+v", c.name, g.Subject)
		}
		e := err.(*core.Error)
		if e.Code != core.BadCredentials || e.Message != "" || e.RetryAfter != 0 || e.Principal != nil || e.Violations != nil {
			t.Errorf("%s: %+v", c.name, e)
		}
		if n := w.hasher.Stats().Served - before; n != 1 {
			t.Errorf("%s: %d hashes, want 1", c.name, n)
		}
	}
	// No password of anybody's costs no hash, whoever is asked for.
	for _, pw := range []string{"", strings.Repeat("x", 1<<20), "\xff\xfe"} {
		for _, name := range []string{"ann", "nobody", "off", "locked"} {
			before := w.hasher.Stats().Served
			_, err := w.login(item, name, pw, stranger)
			wantCode(t, err, core.BadCredentials)
			if n := w.hasher.Stats().Served - before; n != 0 {
				t.Errorf("%s: %d hashes for no password", name, n)
			}
		}
	}
}

// TestSecurity50_LockedToStrangersAlone: 100 failures from anywhere lock the name, the
// owner's known network apart; then one try in ten minutes, never none.
func TestSecurity50_LockedToStrangersAlone(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorld(t, m)
	u := w.user("ann")
	w.in(m, "ann") // home is known now
	for i := range 100 {
		_, err := w.login(m, "ann", fmt.Sprint("guess number ", i), network(i))
		wantCode(t, err, core.BadCredentials)
	}
	_, err := w.login(m, "ann", right, office)
	wantCode(t, err, core.BadCredentials)
	w.in(m, "ann")
	// The owner's login fills no budget of strangers.
	_, err = w.login(m, "ann", right, office)
	wantCode(t, err, core.BadCredentials)
	w.sleep(10*minute - 1)
	_, err = w.login(m, "ann", right, office)
	wantCode(t, err, core.BadCredentials)
	w.sleep(1)
	if _, err = w.login(m, "ann", right, office); err != nil {
		t.Fatalf("after ten minutes: %v", err)
	}
	for i := range 3 {
		_, err := w.login(m, "ann", fmt.Sprint("more guesses ", i), network(i))
		wantCode(t, err, core.BadCredentials)
	}
	elsewhere := network(700)
	_, err = w.login(m, "ann", right, elsewhere)
	wantCode(t, err, core.BadCredentials)
	w.must(w.svc.UnlockUser(w.ctx, admin, u.ID))
	if _, err = w.login(m, "ann", right, elsewhere); err != nil {
		t.Fatalf("after unlocking: %v", err)
	}
	if ev := w.audits("user.unlock"); len(ev) == 0 || ev[0].Subject != u.ID {
		t.Fatalf("audit %+v", ev)
	}
}

// TestSecurity52_SpellingsShareTheCounter: of the user name, and of the e-mail address,
// which leads to the same password.
func TestSecurity52_SpellingsShareTheCounter(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorldWith(t, core.Config{Stranger: limit.Policy{Burst: 5, Interval: 10 * minute}}, sharedHasher(), m)
	u := w.user("Ann", func(n *core.NewUser) { n.Email, n.EmailVerified = "ann@example.com", true })
	spellings := []string{"ann", "ANN", "ａｎｎ", "ann@example.com", "Ann@EXAMPLE.com"}
	for _, s := range spellings {
		if _, err := w.login(m, s, right, home); err != nil {
			t.Fatalf("%q does not log in: %v", s, err)
		}
	}
	for i, s := range spellings {
		_, err := w.login(m, s, fmt.Sprint("guess number ", i), stranger)
		wantCode(t, err, core.BadCredentials)
	}
	for _, s := range spellings {
		_, err := w.login(m, s, right, office)
		wantCode(t, err, core.BadCredentials)
	}
	w.must(w.svc.UnlockUser(w.ctx, admin, u.ID))
	for _, s := range spellings {
		if _, err := w.login(m, s, right, office); err != nil {
			t.Fatalf("%q after unlocking: %v", s, err)
		}
	}
}

// TestSecurity50_SamePasswordIsOneGuess: a device with last year's password is one guess.
func TestSecurity50_SamePasswordIsOneGuess(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorldWith(t, core.Config{Stranger: limit.Policy{Burst: 5, Interval: 10 * minute}}, sharedHasher(), m)
	w.user("ann")
	for range 20 {
		_, err := w.login(m, "ann", wrong, stranger)
		wantCode(t, err, core.BadCredentials)
	}
	for i := range 3 { // four guesses so far
		_, err := w.login(m, "ann", fmt.Sprint("guess number ", i), stranger)
		wantCode(t, err, core.BadCredentials)
	}
	if _, err := w.login(m, "ann", right, stranger); err != nil {
		t.Fatalf("the repeated password used the budget up: %v", err)
	}
	// The same word from elsewhere, or on another name, is a guess.
	for i := range 4 {
		_, err := w.login(m, "bea", wrong, network(i))
		wantCode(t, err, core.BadCredentials)
	}
	if got := w.failures(); got != 4 {
		t.Fatalf("%d failures counted, want 4", got)
	}
}

// failures asks how full the budget is of which the last attempt was.
func (w *world) failures() int64 {
	w.Helper()
	p := *w.store.reserved.Load()
	p.Now = w.clock.Load()
	res, err := w.disk.ReserveAttempt(w.ctx, &p)
	w.must(err)
	if !res.Allowed {
		return res.Failures
	}
	w.must(w.disk.SettleAttempt(w.ctx, &core.SettleParams{Outcome: core.AttemptUnjudged, Key: p.Key, Budget: res.Budget, Network: p.Network, Limit: p.Stranger, Now: p.Now}))
	return res.Failures - 1
}

// TestSecurity54_FiveHundredAtOnce: the budget holds when the guesses come at once, though most
// find the hash queue full and get their attempt back.
func TestSecurity54_FiveHundredAtOnce(t *testing.T) {
	h, err := password.New(password.Config{Slots: 4, Queue: 120})
	if err != nil {
		t.Fatal(err)
	}
	m := itempath("item", core.DefaultAccount)
	w := newWorldWith(t, core.Config{Stranger: limit.Policy{Burst: 40, Interval: 10 * minute}}, h, m)
	w.user("ann")
	_, errs := atOnce(500, func(i int) (*core.Granted, error) {
		return w.login(m, "ann", fmt.Sprint("guess number ", i), network(i))
	})
	compared := 0
	judge := func(err error) (locked bool) {
		t.Helper()
		e, ok := err.(*core.Error)
		switch {
		case ok && e.Code == core.BadCredentials:
			if e.Reason == "wrong password" {
				compared++
			}
			return e.Reason == "locked"
		case ok && e.Code == core.TooMany:
			return false
		}
		t.Fatal(err)
		return false
	}
	for _, err := range errs {
		judge(err)
	}
	// Few of the 40 that the budget let pass may have found room in the queue, on a
	// bad day none; the rest of the budget is spent below.
	if compared > 40 {
		t.Fatalf("%d guesses were compared, the budget is 40", compared)
	}
	for i := 500; ; i++ { // what is left of the budget, and no more
		if _, err := w.login(m, "ann", fmt.Sprint("guess number ", i), network(i)); judge(err) {
			break
		}
	}
	if compared != 40 {
		t.Fatalf("%d guesses were compared, the budget is 40", compared)
	}
	_, err = w.login(m, "ann", right, office)
	wantCode(t, err, core.BadCredentials)
}

// TestSecurity50_NetworksHaveABudget: one network trying many names is refused without a word
// on any name, and gets its attempts on the name back.
func TestSecurity50_NetworksHaveABudget(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("ann")
	w.in(m, "ann")
	neighbour := netip.MustParseAddr("192.0.2.99") // in the owner's network
	var refused atomicErr
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 40 { // empty passwords cost no hash
				if _, err := w.login(m, fmt.Sprintf("name%d-%d", i, j), "", neighbour); core.CodeOf(err) == core.TooMany {
					refused.set(err)
				}
			}
		})
	}
	wg.Wait()
	e, ok := refused.get().(*core.Error)
	if !ok || e.RetryAfter <= 0 {
		t.Fatalf("320 names from one network: %+v", e)
	}
	_, unknown := w.login(m, "nobody", wrong, neighbour)
	wantCode(t, unknown, core.TooMany)
	if got := w.failures(); got != 0 {
		t.Fatalf("%d failures counted on a name that was never judged", got)
	}
	w.in(m, "ann") // known from that very network
}

type atomicErr struct {
	mu  sync.Mutex
	err error
}

func (a *atomicErr) set(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
}

func (a *atomicErr) get() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// TestSecurity50_UnlistedProxyIsNoNetwork: everybody behind it looks like one address, so
// it is neither known nor learned.
func TestSecurity50_UnlistedProxyIsNoNetwork(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorldWith(t, core.Config{Stranger: limit.Policy{Burst: 2, Interval: 10 * minute}}, sharedHasher(), m)
	u := w.user("ann")
	via := func(pw string) error {
		c := from(home)
		c.ForwardedByUnlisted = true
		_, err := w.svc.Login(w.ctx, &core.LoginRequest{Mount: m, Username: "ann", Password: pw, Client: c})
		return err
	}
	w.must(via(right))
	if known, err := w.disk.KnownNetworks(w.ctx, u.ID); err != nil || len(known) != 0 {
		t.Fatalf("learned %v, %v", known, err)
	}
	w.in(m, "ann")
	for i := range 2 {
		wantCode(t, via(fmt.Sprint("guess number ", i)), core.BadCredentials)
	}
	wantCode(t, via(right), core.BadCredentials)
	w.in(m, "ann") // seen directly, the network is known
}

// TestSecurity50_ForwardedByAClient: where proxies are listed, a client cannot
// get around the limit of its network by looking like one that is not.
func TestSecurity50_ForwardedByAClient(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	for _, listed := range []bool{false, true} {
		w := newWorldWith(t, core.Config{ProxiesListed: listed}, sharedHasher(), m)
		w.svc.SpendNetwork(stranger, w.clock.Load())
		c := from(stranger)
		_, err := w.svc.Login(w.ctx, &core.LoginRequest{Mount: m, Username: "ann", Password: wrong, Client: c})
		wantCode(t, err, core.TooMany)
		c.ForwardedByUnlisted = true
		want := core.BadCredentials
		if listed {
			want = core.TooMany
		}
		_, err = w.svc.Login(w.ctx, &core.LoginRequest{Mount: m, Username: "ann", Password: wrong, Client: c})
		wantCode(t, err, want)
	}
}

// TestSecurity50_KnownForThirtyDays: a network counts as known for 30 days after
// the last login from it, and not a moment longer.
func TestSecurity50_KnownForThirtyDays(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorldWith(t, core.Config{Stranger: limit.Policy{Burst: 3, Interval: 10 * minute}}, sharedHasher(), m)
	w.user("ann")
	w.in(m, "ann")
	locked := func() {
		t.Helper()
		for i := range 4 {
			_, err := w.login(m, "ann", fmt.Sprint("guess number ", i, w.clock.Load()), network(i))
			wantCode(t, err, core.BadCredentials)
		}
		_, err := w.login(m, "ann", right, office)
		wantCode(t, err, core.BadCredentials)
	}
	w.sleep(30*day - 1)
	locked()
	w.in(m, "ann") // known, and for another 30 days from now on
	w.sleep(30*day - 1)
	locked()
	w.in(m, "ann")
	w.sleep(30 * day)
	locked()
	_, err := w.login(m, "ann", right, home)
	wantCode(t, err, core.BadCredentials)
}

// TestSecurity50_OwnersSuccessIsNobodyElses: the owner's logins give strangers
// no guess, and strangers' right guess (an owner on the way) does not spend the
// budget of a known network.
func TestSecurity50_OwnersSuccessIsNobodyElses(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorldWith(t, core.Config{Stranger: limit.Policy{Burst: 5, Interval: 10 * minute}}, sharedHasher(), m)
	w.user("ann")
	w.in(m, "ann")
	guesses := func(n, from int) (judged int) {
		for i := range n {
			_, err := w.login(m, "ann", fmt.Sprint("guess number ", from+i), network(from+i))
			if e, ok := err.(*core.Error); ok && e.Reason == "wrong password" {
				judged++
			}
		}
		return judged
	}
	if n := guesses(3, 0); n != 3 {
		t.Fatalf("%d judged", n)
	}
	for range 5 {
		w.in(m, "ann")
	}
	if n := guesses(5, 10); n != 2 {
		t.Fatalf("%d guesses of strangers were judged after the owner's logins, want the 2 that were left", n)
	}
	for i := range 19 { // her own mistypings, while strangers are locked out
		_, err := w.login(m, "ann", fmt.Sprint("mistyped ", i), home)
		wantCode(t, err, core.BadCredentials)
	}
	w.in(m, "ann")
}
