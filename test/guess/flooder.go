package main

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// flooder is the generator that floods, at a rate that does not wait for
// answers.
type flooder struct {
	senders []*sender
}

// sender is one of its connections; no other goroutine touches it.
type sender struct {
	raw
	yield yield
}

const (
	senderCount = 300 // more than slots and queue hold, so that the flood never waits for an answer
	knownNames  = 200
	ownerFrom   = "203.0.113.9"
)

// stretch floods once; requests under way at its end are waited for.
func (f *flooder) stretch(o order) (y yield) {
	for len(f.senders) < senderCount {
		f.senders = append(f.senders, &sender{raw: raw{addr: o.Addr}})
	}
	due := make(chan []byte, o.Rate) // a second's worth may wait for a sender
	var all sync.WaitGroup
	for _, s := range f.senders {
		s.yield = yield{Times: s.yield.Times[:0]}
		all.Go(func() {
			for request := range due {
				s.send(request)
			}
		})
	}
	y.Unsent = pace(o, due)
	all.Wait()
	for _, s := range f.senders {
		y.add(&s.yield)
	}
	return y
}

// pace gives the senders what is due, whether they keep up or not, and counts
// what could not be sent.
func pace(o order, due chan<- []byte) (unsent int64) {
	defer close(due)
	const beat = 2 * time.Millisecond
	tick := time.NewTicker(beat)
	defer tick.Stop()
	began, given := time.Now(), int64(0)
	for time.Since(began) < o.Length {
		<-tick.C
		for want := int64(time.Since(began).Seconds() * float64(o.Rate)); given < want; given++ {
			select {
			case due <- o.guess(int(given)):
			default:
				unsent++
			}
		}
	}
	return unsent
}

// guess is a login with a wrong password: every second name exists. A cheap
// one has no password at all, so the server says that it is malformed and does
// no more about it.
func (o *order) guess(i int) []byte {
	name := userName(rand.IntN(knownNames))
	if i%2 == 0 {
		name = fmt.Sprintf("stranger-%d", rand.IntN(1_000_000))
	}
	from := fmt.Sprintf("10.%d.%d.9", rand.IntN(256), rand.IntN(256))
	switch o.From {
	case "one":
		from = fmt.Sprintf("10.1.1.%d", rand.IntN(256))
	case "owner":
		from = ownerFrom
	}
	contract := contracts[i%len(contracts)]
	if o.Cheap {
		return malformed(contract, name, from)
	}
	return login(contract, name, fmt.Sprintf("guess number %d", rand.Int64()), from)
}

func (s *sender) send(request []byte) {
	y := &s.yield
	y.Sent++
	err := s.ask(request)
	switch {
	case err != nil, s.status >= 500, s.status < 400:
		if y.Failed++; y.Failed == 1 {
			y.FailedFirst = fmt.Sprintf("status %d after %s: %.200s (%v)", s.status, s.took, s.body, err)
		}
	case s.status == 429:
		if !s.retryAfter {
			y.NoRetryAfter++
		}
		y.Times = append(y.Times, s.took)
	default:
		y.Answered++
	}
}

// add sums what senders, or stretches, came to.
func (y *yield) add(o *yield) {
	y.Times = append(y.Times, o.Times...)
	y.CPU += o.CPU
	y.Sent += o.Sent
	y.Unsent += o.Unsent
	y.Answered += o.Answered
	y.Failed += o.Failed
	y.NoRetryAfter += o.NoRetryAfter
	if y.FailedFirst == "" {
		y.FailedFirst = o.FailedFirst
	}
}
