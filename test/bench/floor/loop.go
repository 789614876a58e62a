package main

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"sync"
	"time"
)

// looped is what a loop found.
type looped struct {
	Moves   int     `json:"moves"`
	Seconds float64 `json:"seconds"`
	P99MS   float64 `json:"p99_ms"`
}

// loop moves rows for some time with nothing around the store, n at once: its
// chains, spread evenly over the table, in turn. They are no rows of which a
// client of the server has a token.
func (s *store) loop(length time.Duration, n, chains int, out io.Writer) error {
	var all sync.WaitGroup
	took, errs := make([][]time.Duration, n), make([]error, n)
	began := time.Now()
	for c := range n {
		all.Go(func() {
			for i := c; errs[c] == nil && time.Since(began) < length; i = (i + n) % chains {
				at := time.Now()
				errs[c] = s.move(session{row: (2*int64(i) + 1) * s.rows / int64(2*chains), gen: 1 << 40})
				took[c] = append(took[c], time.Since(at))
			}
		})
	}
	all.Wait()
	seconds := time.Since(began).Seconds()
	every := slices.Concat(took...)
	slices.Sort(every)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if len(every) == 0 {
		return errors.New("nothing was moved")
	}
	return json.NewEncoder(out).Encode(looped{
		Moves: len(every), Seconds: seconds, P99MS: float64(every[len(every)*99/100].Microseconds()) / 1000,
	})
}
