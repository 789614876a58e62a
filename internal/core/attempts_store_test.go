package core_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/password"
)

// TestRefusalsWaitForTheStore: while no record can be written, the summary of
// what was refused waits; an attack must not go untold because the disk is full.
func TestRefusalsWaitForTheStore(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("ann")
	full := true
	w.store.hook(func(method string) error {
		if full && method == "AppendAudit" {
			return errDisk
		}
		return nil
	})
	for minutes := range 3 {
		_, err := w.login(m, "ann", fmt.Sprint("guess number ", minutes), office)
		wantCode(t, err, core.BadCredentials)
		w.svc.Flush(w.ctx)
		w.sleep(minute)
	}
	full = false
	list := w.audits("refusals")
	if len(list) != 3 || list[0].Detail["grant"] != "login" || list[0].Detail["count"] != "1" {
		t.Fatalf("%d records, %+v", len(list), list)
	}
	if again := w.audits("refusals"); len(again) != len(list) {
		t.Fatalf("%d records, then %d", len(list), len(again))
	}
}

// TestFullQueueGivesBack: who found the hash queue full has not guessed.
func TestFullQueueGivesBack(t *testing.T) {
	h, err := password.New(password.Config{Slots: 1, Queue: 2})
	if err != nil {
		t.Fatal(err)
	}
	m := itempath("item", core.DefaultAccount)
	w := newWorldWith(t, core.Config{}, h, m)
	w.user("ann")
	_, errs := atOnce(40, func(i int) (*core.Granted, error) {
		return w.login(m, "ann", fmt.Sprint("guess number ", i), network(i))
	})
	judged := int64(0)
	for _, err := range errs {
		switch core.CodeOf(err) {
		case core.BadCredentials:
			judged++
		case core.TooMany:
			if e := err.(*core.Error); e.RetryAfter < second {
				t.Fatalf("no hint when to come back: %+v", e)
			}
		default:
			t.Fatal(err)
		}
	}
	if judged == 40 {
		t.Fatal("the queue was never full: this proves nothing")
	}
	if got := w.failures(); got != judged {
		t.Fatalf("%d failures counted, %d passwords compared", got, judged)
	}
}

// TestLoginStoreFails: wherever the store fails, it is never the password that
// was wrong.
func TestLoginStoreFails(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("ann")
	_, err := w.login(m, "ann", wrong, stranger)
	wantCode(t, err, core.BadCredentials)
	for method, pw := range map[string]string{
		"AccountByShortname": right, "UserByLogin": right, "ReserveAttempt": right, "OpenSession": right, "SettleAttempt": wrong,
	} {
		w.store.hook(func(m string) error {
			if m == method {
				return errDisk
			}
			return nil
		})
		_, err := w.login(m, "ann", pw, stranger)
		if core.CodeOf(err) != core.Unavailable {
			t.Errorf("%s fails: %v", method, err)
		}
		if e := err.(*core.Error); e.RetryAfter <= 0 {
			t.Errorf("%s fails: no Retry-After", method)
		}
	}
	w.store.mend()
	w.in(m, "ann")
}

// TestAdmissionWritesNothing: who is turned away costs the store a look and no
// step, whoever is asked for; 1,000 a second must not stand before refreshes
// in the writer's queue. Known pairs are not turned away.
func TestAdmissionWritesNothing(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("ann")
	w.user("bea")
	w.in(m, "ann")
	neighbour := netip.MustParseAddr("192.0.2.99")
	for i := range 400 { // empty passwords cost no hash
		_, _ = w.login(m, fmt.Sprintf("name%d", i), "", neighbour)
	}
	before := w.disk.Stats().Steps
	for i, name := range []string{"ann", "bea", "nobody", "a b", strings.Repeat("x", 1000)} {
		_, err := w.login(m, name, wrong, netip.MustParseAddr("192.0.2.98"))
		if name == "ann" {
			wantCode(t, err, core.BadCredentials) // judged: her network is known
			before = w.disk.Stats().Steps
			continue
		}
		e, ok := err.(*core.Error)
		if !ok || e.Code != core.TooMany || e.RetryAfter <= 0 {
			t.Fatalf("login %d: %v", i, err)
		}
	}
	if n := w.disk.Stats().Steps - before; n != 0 {
		t.Fatalf("refusals by admission took %d steps of the store", n)
	}
	w.in(m, "ann")
}
