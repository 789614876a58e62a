package postgres

import (
	"errors"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/pgtest"
)

func closing(tb testing.TB, s *Store) {
	tb.Helper()
	if err := s.Close(); err != nil {
		tb.Errorf("closing: %v", err)
	}
}

func fact(tb testing.TB, s *Store) int64 {
	tb.Helper()
	f, err := s.AddFact(tb.Context(), &core.AddFactParams{Fact: core.Fact{Kind: core.FactToken, Subject: core.NewUUID(), At: testNow}, Now: testNow})
	if err != nil {
		tb.Fatal(err)
	}
	return f.Number
}

// lastOf is the highest fact that a store hears of.
func lastOf(tb testing.TB, s *Store) int64 {
	tb.Helper()
	_, last, err := s.FactsSince(tb.Context(), 0, 1)
	if err != nil {
		tb.Fatal(err)
	}
	return last
}

// hears waits until one store is told by the channel what the other does.
func hears(t *testing.T, speaker, listener *Store) {
	t.Helper()
	for began := time.Now(); !listener.Listening(); time.Sleep(5 * time.Millisecond) {
		lastOf(t, listener) // the beat that is listened for
		if time.Since(began) > time.Minute {
			t.Fatal("notifications do not arrive within a minute")
		}
	}
	for len(listener.Changes()) > 0 {
		<-listener.Changes()
	}
	n := fact(t, speaker)
	select {
	case <-listener.Changes():
	case <-time.After(time.Minute):
		t.Fatal("no news within a minute")
	}
	if last := lastOf(t, listener); last < n {
		t.Fatalf("the news came before the fact: %d, %d", last, n)
	}
}

// TestNews: nodes hear of each other's facts and keys, and not of their own.
func TestNews(t *testing.T) {
	dsn := pgtest.Start(t).NewDatabase(t)
	a, b := openAt(t, Config{URL: dsn, Serve: true}), openAt(t, Config{URL: dsn, Serve: true})
	defer closing(t, a)
	defer closing(t, b)
	hears(t, a, b)
	hears(t, b, a)
	for _, s := range []*Store{a, b} {
		for len(s.KeyChanges()) > 0 {
			<-s.KeyChanges()
		}
	}
	err := a.InsertKey(t.Context(), &core.InsertKeyParams{Now: testNow, Key: core.KeyRow{ID: "k", Class: core.OwnKey, State: core.KeyNext, Algorithm: "ES256"}})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-b.KeyChanges():
	case <-time.After(time.Minute):
		t.Fatal("no news of a key within a minute")
	}
	if len(a.KeyChanges()) > 0 {
		t.Error("a node is told of what it did itself")
	}
}

// TestChannelBreaks: a connection that listens and is ended is made anew.
func TestChannelBreaks(t *testing.T) {
	pg := pgtest.Start(t)
	dsn := pg.NewDatabase(t)
	a, b := openAt(t, Config{URL: dsn, Serve: true}), openAt(t, Config{URL: dsn, Serve: true})
	defer closing(t, a)
	defer closing(t, b)
	hears(t, a, b)
	if err := pg.Exec(t.Context(), "postgres", `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 't%' AND query LIKE 'LISTEN%'`); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); b.Listening(); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("a broken channel is not noticed within a minute")
		}
	}
	hears(t, a, b)
}

// TestPeers: nodes see each other's settings as long as they live.
func TestPeers(t *testing.T) {
	dsn := pgtest.Start(t).NewDatabase(t)
	a, b := openAt(t, Config{URL: dsn, Serve: true}), openAt(t, Config{URL: dsn, Serve: true})
	defer closing(t, a)
	a.Introduce(Node{Name: "a", Version: "1", Settings: map[string]string{"x": "1"}, Contracts: map[string]string{"m": "2"}})
	lastOf(t, b)
	lastOf(t, a)
	peers := a.Peers()
	if len(peers) != 2 {
		t.Fatalf("%+v", peers)
	}
	for _, p := range peers {
		if p.ID == a.Node() && (p.Name != "a" || p.Settings["x"] != "1" || p.Contracts["m"] != "2") {
			t.Errorf("%+v", p)
		}
	}
	closing(t, b)
	a.proof.at.Store(0)
	lastOf(t, a)
	if peers := a.Peers(); len(peers) != 1 {
		t.Errorf("a node that said goodbye is still there: %+v", peers)
	}
}

// TestLease: one node at a time has the turn.
func TestLease(t *testing.T) {
	dsn := pgtest.Start(t).NewDatabase(t)
	a, b := openAt(t, Config{URL: dsn}), openAt(t, Config{URL: dsn})
	defer closing(t, a)
	defer closing(t, b)
	for i, c := range []struct {
		s    *Store
		name string
		d    time.Duration
		want bool
	}{
		{a, "x", time.Hour, true},
		{b, "x", time.Hour, false},
		{b, "y", time.Hour, true},
		{a, "x", -time.Hour, true}, // gives it up
		{b, "x", time.Hour, true},
		{a, "x", time.Hour, false},
	} {
		if mine, err := c.s.Lease(t.Context(), c.name, c.d); err != nil || mine != c.want {
			t.Errorf("step %d: %t, %v", i, mine, err)
		}
	}
}

// TestFactNumberedFirst: a fact that was numbered first and is committed last
// reaches every node, because the second number is given after that commit.
func TestFactNumberedFirst(t *testing.T) {
	dsn := pgtest.Start(t).NewDatabase(t)
	a, b := openAt(t, Config{URL: dsn}), openAt(t, Config{URL: dsn, Serve: true})
	defer closing(t, a)
	defer closing(t, b)
	numbered, commit, done := make(chan struct{}), make(chan struct{}), make(chan error, 2)
	go func() {
		done <- a.multi(t.Context(), func(tx *tx) error {
			tx.addFact(core.Fact{Kind: core.FactToken, Subject: "first", At: testNow})
			if err := tx.flush(); err != nil {
				return err
			}
			close(numbered)
			<-commit
			return nil
		})
	}()
	<-numbered
	go func() {
		_, err := b.AddFact(t.Context(), &core.AddFactParams{Fact: core.Fact{Kind: core.FactToken, Subject: "second", At: testNow}, Now: testNow})
		done <- err
	}()
	for range 20 {
		if last := lastOf(t, b); last != 0 {
			t.Fatalf("fact %d is heard of before an earlier one", last)
		}
		time.Sleep(5 * time.Millisecond)
	}
	close(commit)
	if err := errors.Join(<-done, <-done); err != nil {
		t.Fatal(err)
	}
	facts, last, err := b.FactsSince(t.Context(), 0, 0)
	if err != nil || last != 2 || len(facts) != 2 || facts[0].Subject != "first" || facts[1].Subject != "second" {
		t.Fatalf("%+v, %d, %v", facts, last, err)
	}
}
