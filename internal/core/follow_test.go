package core_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/core"
)

// TestStoreHangs: while one caller waits for a store that hangs, the others
// leave when their own time is over, instead of queuing behind it.
func TestStoreHangs(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("ann")
	g := w.in(m, "ann")
	w.sleep(minute) // memory is stale: everybody asks the store
	hanging, release := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	w.store.hook(func(method string) error {
		if method == "FactsSince" && !first.Swap(true) {
			close(hanging)
			<-release
		}
		return nil
	})
	ask := func(ctx context.Context) chan error {
		done := make(chan error, 1)
		go func() {
			_, err := w.svc.Authenticate(ctx, &core.AuthenticateRequest{Mounts: w.mounts, Token: g.AccessToken})
			done <- err
		}()
		return done
	}
	slow := ask(w.ctx)
	<-hanging
	gone, cancel := context.WithCancel(w.ctx)
	cancel()
	select {
	case err := <-ask(gone):
		wantCode(t, err, core.Unavailable)
	case <-time.After(10 * time.Second):
		t.Error("a caller that left still waits for another one's question")
	}
	close(release)
	w.must(<-slow)
}

// TestRunFollows: Run takes in what is committed elsewhere, writes what is
// buffered, and ends with its context.
func TestRunFollows(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorld(t, m)
	u := w.user("robot", application)
	g := w.in(m, "robot")
	p := w.calls(g.AccessToken)
	app := w.minted(m, g.RefreshToken)
	w.calls(app.ApplicationToken)
	read := make(chan struct{}, 100)
	w.store.hook(func(method string) error {
		if method == "FactsSince" {
			read <- struct{}{}
		}
		return nil
	})
	ctx, cancel := context.WithCancel(w.ctx)
	done := make(chan struct{})
	go func() {
		w.svc.Run(ctx)
		close(done)
	}()
	_, err := w.disk.AddFact(w.ctx, &core.AddFactParams{Fact: core.Fact{Kind: core.FactUser, Subject: u.ID, PurgeAt: start + day}, Now: start})
	w.must(err)
	for w.svc.Alive(w.ctx, p) == nil { // one reading may have begun before the fact
		<-read
	}
	wantCode(t, w.svc.Alive(w.ctx, p), core.TokenRevoked)
	cancel()
	<-done
	list, err := w.svc.ListApplicationTokens(w.ctx, core.ApplicationTokenQuery{User: u.ID})
	w.must(err)
	if list[0].LastUsed == 0 {
		t.Fatal("the last uses are lost at the end")
	}
}
