package figures

import (
	"errors"
	"slices"
	"sync"
	"time"
)

// Looped is what a loop found.
type Looped struct {
	Moves   int     `json:"moves"`
	Seconds float64 `json:"seconds"`
	P99MS   float64 `json:"p99_ms"`
}

// PerSecond is how many moves there were in a second.
func (l Looped) PerSecond() float64 { return float64(l.Moves) / l.Seconds }

// Loop moves chains for some time, n at once. Each of the n has chains of its
// own, which it moves in turn. It is an error if nothing was moved.
func Loop(length time.Duration, n, chains int, move func(chain int) error) (Looped, error) {
	took, errs := make([][]time.Duration, n), make([]error, n)
	began := time.Now()
	var all sync.WaitGroup
	for c := range n {
		all.Go(func() {
			for i := c; i < chains && errs[c] == nil && time.Since(began) < length; {
				at := time.Now()
				errs[c] = move(i)
				took[c] = append(took[c], time.Since(at))
				if i += n; i >= chains {
					i = c
				}
			}
		})
	}
	all.Wait()
	seconds := time.Since(began).Seconds()
	if err := errors.Join(errs...); err != nil {
		return Looped{}, err
	}
	every := slices.Concat(took...)
	if len(every) == 0 {
		return Looped{}, errors.New("nothing was moved")
	}
	return Looped{len(every), seconds, SpreadOf(every).P99}, nil
}
