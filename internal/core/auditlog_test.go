package core_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/sqlite"
)

// logOf is the whole log, a page at a time.
func (w *world) logOf() []core.AuditRecord {
	w.Helper()
	var all []core.AuditRecord
	for after := int64(0); ; {
		list, err := w.svc.ListAudit(w.ctx, core.AuditQuery{After: after, Limit: 500})
		w.must(err)
		if len(list) == 0 {
			return all
		}
		all = append(all, list...)
		after = list[len(list)-1].Sequence
	}
}

func verify(records []core.AuditRecord, anchors ...core.AuditAnchor) error {
	v := core.NewAuditVerifier(anchors)
	for i := range records {
		if err := v.Add(&records[i]); err != nil {
			return err
		}
	}
	return v.Close()
}

func anchorOf(r *core.AuditRecord) core.AuditAnchor {
	return core.AuditAnchor{Node: r.Node, Sequence: r.Sequence, Hash: r.Hash}
}

// TestAuditTampering: what somebody with the database does to the log is found,
// and said where.
func TestAuditTampering(t *testing.T) {
	w := newWorld(t, itempath("item", core.DefaultAccount))
	for i := range 8 {
		w.user(fmt.Sprintf("user%d", i))
	}
	whole := w.logOf()
	w.must(verify(whole, anchorOf(&whole[len(whole)-1]), anchorOf(&whole[2])))
	rechain := func(r []core.AuditRecord, from int) {
		for i := from; i < len(r); i++ {
			if i > 0 {
				r[i].PrevHash = r[i-1].Hash
			}
			r[i].Hash = core.HashAudit(&r[i])
		}
	}
	head := anchorOf(&whole[len(whole)-1])
	for _, c := range []struct {
		name, says string
		anchors    []core.AuditAnchor
		tamper     func(r []core.AuditRecord) []core.AuditRecord
	}{
		{"edit", "record 4 was changed", nil, func(r []core.AuditRecord) []core.AuditRecord { r[3].Event.Actor = "nobody"; return r }},
		{"edit a detail", "record 4 was changed", nil, func(r []core.AuditRecord) []core.AuditRecord { r[3].Event.Detail = nil; return r }},
		{"edit the time", "record 4 was changed", nil, func(r []core.AuditRecord) []core.AuditRecord { r[3].At++; return r }},
		{"edit and hash", "record 5 does not continue", nil, func(r []core.AuditRecord) []core.AuditRecord {
			r[3].Event.Actor = "nobody"
			rechain(r[:4], 3)
			return r
		}},
		{"delete", "record 5 follows 3", nil, func(r []core.AuditRecord) []core.AuditRecord { return slices.Delete(r, 3, 4) }},
		{"delete and renumber", "record 4 does not continue", nil, func(r []core.AuditRecord) []core.AuditRecord {
			r = slices.Delete(r, 3, 4)
			for i := 3; i < len(r); i++ {
				r[i].Sequence--
			}
			return r
		}},
		{"reorder", "missing or out of order", nil, func(r []core.AuditRecord) []core.AuditRecord { r[3], r[4] = r[4], r[3]; return r }},
		{"insert", "missing or out of order", nil, func(r []core.AuditRecord) []core.AuditRecord { return slices.Insert(r, 3, r[3]) }},
		{"cut the front", "no record tells", nil, func(r []core.AuditRecord) []core.AuditRecord { return r[3:] }},
		{"cut the end", "the end was cut off", []core.AuditAnchor{head}, func(r []core.AuditRecord) []core.AuditRecord { return r[:len(r)-2] }},
		{"remove all", "holds nothing", []core.AuditAnchor{head}, func([]core.AuditRecord) []core.AuditRecord { return nil }},
		{"write all anew", "is not the one of the anchor", []core.AuditAnchor{head}, func(r []core.AuditRecord) []core.AuditRecord {
			r[3].Event.Actor = "nobody"
			rechain(r, 3)
			return r
		}},
	} {
		err := verify(c.tamper(slices.Clone(whole)), c.anchors...)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestAuditAnchors(t *testing.T) {
	a := core.AuditAnchor{Node: "nd_x", Sequence: 7, Hash: [32]byte{1, 2}}
	if got, err := core.ParseAuditAnchor(" " + a.String() + "\n"); err != nil || got != a {
		t.Errorf("%+v, %v", got, err)
	}
	for _, s := range []string{"", "nd_x:7", "nd_x:0:" + strings.Repeat("00", 32), ":7:" + strings.Repeat("00", 32), "nd_x:7:" + strings.Repeat("00", 33), "nd_x:7:zz"} {
		if _, err := core.ParseAuditAnchor(s); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
}

// TestAuditIsBounded: what is older than it is kept goes, the chain tells that
// and still proves itself, and a log cut by somebody else does not.
func TestAuditIsBounded(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorldWith(t, core.Config{AuditKeepMS: 30 * day}, sharedHasher(), m)
	for i := range 1200 {
		w.must(w.disk.AppendAudit(w.ctx, w.clock.Load(), []core.Event{{Kind: "old", Subject: fmt.Sprint(i)}}))
	}
	w.sleep(20 * day)
	w.user("ann")
	w.svc.Purge(w.ctx)
	if n := len(w.logOf()); n < 1201 {
		t.Fatalf("%d records left after 20 days of 30", n)
	}
	w.sleep(10*day + hour)
	w.svc.Purge(w.ctx)
	if n := len(w.logOf()); n < 1201 {
		t.Fatal("a quiet log is shortened record by record")
	}
	w.sleep(day)
	w.svc.Purge(w.ctx)
	left := w.logOf()
	if len(left) > 10 || left[0].Sequence < 1200 {
		t.Fatalf("%d records left, the first is %d", len(left), left[0].Sequence)
	}
	w.must(verify(left))
	if last := left[len(left)-1].Event; last.Kind != "audit.purge" || last.Actor != "system" {
		t.Fatalf("%+v", last)
	}
	for name, cut := range map[string][]core.AuditRecord{"one more at the front": left[1:], "without the record that tells": left[:len(left)-1]} {
		if verify(cut) == nil {
			t.Errorf("%s: the log verifies", name)
		}
	}
	// It goes on like that: what told of the last purge goes with the next.
	w.reopen(nil)
	for range 5 {
		w.sleep(40 * day)
		w.must(w.disk.AppendAudit(w.ctx, w.clock.Load(), []core.Event{{Kind: "new"}}))
		if w.svc.ClockInDoubt() {
			w.must(w.svc.ConfirmClock(w.ctx, admin))
		}
		w.svc.Purge(w.ctx)
	}
	left = w.logOf()
	w.must(verify(left))
	if len(left) > 10 {
		t.Fatalf("%d records left", len(left))
	}
	// For ever.
	w2 := newWorld(t, m)
	w2.must(w2.disk.AppendAudit(w2.ctx, 1, []core.Event{{Kind: "old"}}))
	w2.svc.Purge(w2.ctx)
	if w2.logOf()[0].Sequence != 1 {
		t.Error("records went that are kept for ever")
	}
}

// TestUnauditedActsFail: an act whose record cannot be written does not happen.
func TestUnauditedActsFail(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorld(t, m)
	u := w.user("ann")
	w.user("robot", application)
	g := w.in(m, "ann")
	w.exec("CREATE TRIGGER no_audit BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no audit'); END")
	name := "anna"
	for what, err := range map[string]error{
		"disable": errOf(w.svc.SetUserState(w.ctx, admin, u.ID, core.Disabled)),
		"rename":  errOf(w.svc.UpdateUser(w.ctx, admin, u.ID, core.UserPatch{Username: &name})),
		"reset":   errOf(w.svc.SetPassword(w.ctx, admin, u.ID, "quite another set of words", true, "")),
		"delete":  w.svc.DeleteUser(w.ctx, admin, u.ID),
		"revoke":  w.svc.RevokeSession(w.ctx, admin, g.Session.ID.String()),
		"create":  errOf(w.svc.CreateUser(w.ctx, admin, core.NewUser{Username: "bea", Password: right})),
		"account": errOf(w.svc.CreateAccount(w.ctx, admin, "acme")),
		"unlock":  w.svc.UnlockUser(w.ctx, admin, u.ID),
		"login":   errOf(w.login(m, "robot", right, home)),
	} {
		if core.CodeOf(err) != core.Unavailable {
			t.Errorf("%s: %v", what, err)
		}
	}
	w.exec("DROP TRIGGER no_audit")
	w.calls(g.AccessToken)
	if g2 := w.in(m, "ann"); g2.Subject.Username != "ann" {
		t.Errorf("%+v", g2.Subject)
	}
	if _, err := w.svc.CreateUser(w.ctx, admin, core.NewUser{Username: "bea", Password: right}); err != nil {
		t.Errorf("half a user was made: %v", err)
	}
	w.must(verify(w.logOf()))
}

// exec does something to the store's file from outside.
func (w *world) exec(query string) {
	w.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.dir, sqlite.FileName)+"?_pragma=busy_timeout(5000)")
	w.must(err)
	_, err = db.Exec(query)
	w.must(errors.Join(err, db.Close()))
}

func errOf[T any](_ T, err error) error { return err }
