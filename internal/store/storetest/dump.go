package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/dump"
	"github.com/sallyport/sallyport/internal/token"
)

// peopled fills a store with a row of every table and the values that are hard
// to carry.
func peopled(e *env) (u *core.User, s *core.Session) {
	odd := newUser("ada", core.TypeApplication)
	odd.Attributes = []byte("{ \"b\" : 1.0,\n\"a\":\"\\u00e9 é\" }") // given back byte for byte
	odd.Username, odd.Roles = "Ada ☃ \t'\"%_", []string{"b", "a"}
	u = e.create(odd)
	s = e.login(u)
	equal(e, "minted", e.minted(minting(u, s)), core.Minted)
	k := e.key("daemon")
	_, err := e.ExchangeRequestToken(e.ctx, exchanging(k, "request"))
	e.ok(err)
	_, err = e.RevokeSessions(e.ctx, &core.RevokeSessionsParams{ID: &s.ID, Reason: "r", FactPurgeAt: math.MaxInt64, Now: now, Event: event("logout")})
	e.ok(err)
	e.ok(e.DeleteUser(e.ctx, &core.DeleteUserParams{ID: e.user("gone").ID, NamesReservedUntil: now + day, FactPurgeAt: now + day, Now: now, Event: event("user.delete")}))
	_, err = e.AddIssuer(e.ctx, "https://a.example", now)
	e.ok(err)
	_, err = e.SyncMounts(e.ctx, now, []core.MountRow{{ID: "m1", Contract: "c", Account: "default"}})
	e.ok(err)
	e.ok(e.InsertKey(e.ctx, &core.InsertKeyParams{Now: now, Key: core.KeyRow{
		ID: "k1", Set: core.KeySet{Mount: "m1", Kind: token.Access}, Class: core.OwnKey, Algorithm: token.HS256, State: core.KeyActive,
		Sealed: []byte{0, 255, '\n'}, MasterKey: "mk", CreatedAt: now,
	}}))
	e.reserve(core.ReserveParams{Key: core.AttemptKey{0, 255}, Network: homeNetwork, Now: now})
	e.ok(e.MetaSet(e.ctx, &core.MetaSetParams{Name: "note", Value: "of the operator", Now: now}))
	_, err = e.ReserveStatus(e.ctx, &core.ReserveStatusParams{Space: core.StatusSessions, Count: 100, Incarnation: "in_a", Now: now})
	e.ok(err)
	e.ok(e.SkipFacts(e.ctx, &core.SkipFactsParams{Above: 5000, Now: now}))
	return u, s
}

// whole is the store as something that can be dumped and filled.
func (e *env) whole(s core.Store) dump.Target {
	e.Helper()
	t, ok := s.(dump.Target)
	if !ok {
		e.Fatalf("%T does not implement dump.Target", s)
	}
	return t
}

// other opens a second, new store.
func (e *env) other() core.Store {
	e.Helper()
	s := e.fresh(e.T)(e.T)
	e.Cleanup(func() {
		if err := s.Close(); err != nil {
			e.Errorf("closing: %v", err)
		}
	})
	return s
}

// sums reads a whole store.
func (e *env) sums(s dump.Source) map[string]dump.Sum {
	e.Helper()
	view, err := s.Snapshot(e.ctx)
	e.ok(err)
	sums, err := dump.Sums(e.ctx, view, nil)
	e.ok(errors.Join(err, view.Close()))
	return sums
}

// file writes a store as a backup.
func (e *env) file(s dump.Source) ([]byte, *dump.Summary) {
	e.Helper()
	view, err := s.Snapshot(e.ctx)
	e.ok(err)
	var file bytes.Buffer
	summary, err := dump.Write(e.ctx, &file, view, dump.Header{Version: "suite"}, nil)
	e.ok(errors.Join(err, view.Close()))
	return file.Bytes(), summary
}

// load fills an empty store from a file.
func (e *env) load(to dump.Target, file []byte) {
	e.Helper()
	e.ok(to.BeginLoad(e.ctx, "suite"))
	r, err := dump.NewReader(bytes.NewReader(file))
	e.ok(err)
	_, err = r.Each(func(t *dump.Table, rows [][]any) error { return to.LoadRows(e.ctx, t, rows) })
	e.ok(err)
	e.ok(to.EndLoad(e.ctx, nil))
}

// dumpAndLoad: a store that was filled from another's dump is that store.
func dumpAndLoad(e *env) {
	u, s := peopled(e)
	from := e.whole(e.Store)
	file, summary := e.file(from)
	for _, t := range summary.Tables {
		e.Logf("%-18s %d rows", t.Name, t.Rows)
	}
	second := e.other()
	to := e.whole(second)
	e.load(to, file)
	want := e.sums(from)
	for name, got := range e.sums(to) {
		if got != want[name] {
			e.Errorf("%s: %d rows, sum %s; want %d rows, sum %s", name, got.Rows, got, want[name].Rows, want[name])
		}
	}
	if err := to.BeginLoad(e.ctx, "suite"); !errors.Is(err, dump.ErrNotEmpty) || errors.Is(err, core.ErrStoreUnavailable) {
		e.Fatalf("a store that holds something is filled again: %v", err)
	}
	rec, err := second.UserByID(e.ctx, u.ID)
	e.ok(err)
	equal(e, "attributes", string(rec.Attributes), string(u.Attributes))
	got, _, err := second.SessionByID(e.ctx, s.ID)
	e.ok(err)
	equal(e, "the session", got, e.sessionNow(s.ID))
	f, err := second.AddFact(e.ctx, &core.AddFactParams{Fact: core.Fact{Kind: core.FactUser, Subject: "u", At: now}, Now: now})
	e.ok(err)
	equal(e, "the next fact", f.Number, int64(5001))
	first, err := second.ReserveStatus(e.ctx, &core.ReserveStatusParams{Space: core.StatusSessions, Count: 1, Incarnation: "in_a", Now: now})
	e.ok(err)
	equal(e, "the next status number", first, int64(101))
}

// dumpUnderLoad: a view is of one moment, whatever is written meanwhile.
func dumpUnderLoad(e *env) {
	for i := range 300 {
		e.user(fmt.Sprintf("early-%d", i))
	}
	from := e.whole(e.Store)
	view, err := from.Snapshot(e.ctx)
	e.ok(err)
	want, err := dump.Sums(e.ctx, view, nil)
	e.ok(err)
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		at(4, func(c int) {
			for n := 0; !stop.Load(); n++ {
				u := newUser(fmt.Sprintf("late-%d-%d", c, n), core.TypeUser)
				if _, err := e.CreateUser(e.ctx, &core.CreateUserParams{User: u, Now: now, Event: event("user.create")}); err != nil {
					e.Errorf("writing beside a view: %v", err)
				}
			}
		})
	}()
	var file bytes.Buffer
	_, err = dump.Write(e.ctx, &file, view, dump.Header{}, nil)
	e.ok(err)
	got, err := dump.Sums(e.ctx, view, nil)
	stop.Store(true)
	<-done
	e.ok(errors.Join(err, view.Close()))
	equal(e, "a view that was written beside", got, want)
}

// loadCutOff: loading that was cut off goes on where it was, and nothing else
// may be loaded meanwhile.
func loadCutOff(e *env) {
	peopled(e)
	for i := range 30 {
		e.login(e.user(fmt.Sprintf("u%d", i)))
	}
	from := e.whole(e.Store)
	want := e.sums(from)
	place := e.fresh(e.T)
	for cut := 1; ; cut += 3 {
		second := place(e.T)
		to := e.whole(second)
		e.ok(to.BeginLoad(e.ctx, "first"))
		if err := to.BeginLoad(e.ctx, "second"); !errors.Is(err, dump.ErrNotEmpty) {
			e.Fatalf("two loadings at once: %v", err)
		}
		view, err := from.Snapshot(e.ctx)
		e.ok(err)
		err = dump.Copy(e.ctx, view, &cutting{Target: to, left: cut}, nil)
		e.ok(view.Close())
		if err == nil {
			e.ok(to.EndLoad(e.ctx, map[string]string{"note": ""}))
			got := e.sums(to)
			if _, err := second.MetaGet(e.ctx, "note"); !errors.Is(err, core.ErrNoRow) {
				e.Fatalf("meta value removed: %v", err)
			}
			delete(got, "meta")
			delete(want, "meta")
			equal(e, "after cuts", got, want)
			e.ok(second.Close())
			return
		}
		e.is(err, errCut)
		e.ok(second.Close())
	}
}

// loadAgain: rows that are there are replaced, whether a batch begins with them
// or has one somewhere.
func loadAgain(e *env) {
	to := e.whole(e.other())
	e.ok(to.BeginLoad(e.ctx, "again"))
	table := dump.Named("sessions")
	rows := func(from, n int, address string) (all [][]any) {
		for i := range n {
			all = append(all, sessionRow(table, from+i, address))
		}
		return all
	}
	e.ok(to.LoadRows(e.ctx, table, rows(0, 1000, "first")))
	e.ok(to.LoadRows(e.ctx, table, rows(500, 1000, "begins")))
	e.ok(to.LoadRows(e.ctx, table, append(rows(1500, 500, "new"), rows(10, 1, "has one")...)))
	twice := append(rows(2000, 400, "new"), rows(2100, 1, "twice")...)
	e.ok(to.LoadRows(e.ctx, table, append(twice, rows(20, 1, "has one")...)))
	var done []int64
	e.ok(to.BuildIndexes(e.ctx, func(_ string, n, total int64) { done = append(done, total-n) }))
	e.ok(to.BuildIndexes(e.ctx, nil))
	if len(done) < 10 || done[len(done)-1] != 0 {
		e.Errorf("indexes left: %v", done)
	}
	e.ok(to.EndLoad(e.ctx, nil))
	view, err := to.Snapshot(e.ctx)
	e.ok(err)
	got := map[string]int{}
	e.ok(view.Rows(e.ctx, table, 0, func(row []any) error {
		got[row[table.Column("address")].(string)]++
		return nil
	}))
	e.ok(view.Close())
	equal(e, "sessions by address", got, map[string]int{"first": 498, "begins": 1000, "new": 899, "has one": 2, "twice": 1})
}

// sessionRow is a row of sessions with odd values in it.
func sessionRow(t *dump.Table, i int, address string) []any {
	row := make([]any, len(t.Columns))
	for c, col := range t.Columns {
		switch col.Type {
		case dump.Int:
			row[c] = int64(-i)
		case dump.Bool:
			row[c] = i%2 == 0
		case dump.Text:
			row[c] = fmt.Sprintf("\t\\N☃ %s %d", col.Name, i)
		case dump.Bytes:
			row[c] = fmt.Appendf(nil, "\x00\xff%014d", i)
		}
	}
	row[t.Column("subject_kind")], row[t.Column("address")] = "user", address
	return row
}

var errCut = errors.New("cut off")

// cutting fails after some batches.
type cutting struct {
	dump.Target
	left int
}

func (c *cutting) LoadRows(ctx context.Context, t *dump.Table, rows [][]any) error {
	if c.left--; c.left < 0 {
		return errCut
	}
	return c.Target.LoadRows(ctx, t, rows)
}
