package storetest

import (
	"sync/atomic"

	"github.com/sallyport/sallyport/internal/core"
)

func facts(e *env) {
	all, last, err := e.FactsSince(e.ctx, 0, 10)
	e.ok(err)
	equal(e, "no facts yet", []any{len(all), last}, []any{0, int64(0)})
	for i := range int64(5) {
		want := core.Fact{Kind: core.FactEverything, Subject: "s", Spare: "x", Reason: "r", At: now + i, PurgeAt: now + i + 1}
		got, err := e.AddFact(e.ctx, &core.AddFactParams{Fact: want, Now: now, Event: event("revoke")})
		e.ok(err)
		want.Number = i + 1
		equal(e, "added fact", got, &want)
	}
	all, last, err = e.FactsSince(e.ctx, 2, 2)
	e.ok(err)
	equal(e, "a page", []any{len(all), all[0].Number, all[1].Number, last}, []any{2, int64(3), int64(4), int64(5)})
	equal(e, "audit", len(e.audited(0)), 5)

	// Numbers are never given again, also when the rows that held them are gone.
	equal(e, "purged", e.purged(now + 5).Removed["facts"], 5)
	e.again()
	all, last, err = e.FactsSince(e.ctx, 0, 10)
	e.ok(err)
	equal(e, "after purging", []any{len(all), last}, []any{0, int64(5)})
	f, err := e.AddFact(e.ctx, &core.AddFactParams{Fact: core.Fact{Kind: core.FactUser, Subject: "u", At: now}, Now: now})
	e.ok(err)
	equal(e, "next number", f.Number, int64(6))
	s := e.login(e.user("ada"))
	equal(e, "epoch", s.ID.Epoch, int64(6))
	equal(e, "a fact without end", e.purged(now + 1000*day).Removed["facts"], 0)

	// Whoever has seen n has seen all below it, whatever is added meanwhile.
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		at(8, func(int) {
			for range 50 {
				_, err := e.AddFact(e.ctx, &core.AddFactParams{Fact: core.Fact{Kind: core.FactToken, Subject: "t", At: now}, Now: now})
				if err != nil {
					e.Errorf("adding: %v", err)
				}
			}
		})
		stop.Store(true)
	}()
	seen := int64(6)
	for !stop.Load() || seen < 406 {
		page, last, err := e.FactsSince(e.ctx, seen, 0)
		e.ok(err)
		for _, f := range page {
			if f.Number != seen+1 {
				e.Fatalf("fact %d came after %d", f.Number, seen)
			}
			seen = f.Number
		}
		if last < seen {
			e.Fatalf("the highest number is %d, and %d was seen", last, seen)
		}
	}
	<-done
}
