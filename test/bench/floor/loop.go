package main

import (
	"encoding/json"
	"io"
	"time"

	"github.com/sallyport/sallyport/test/figures"
)

// loop moves rows for some time with nothing around the store, n at once: its
// chains are spread evenly over the table, and are no rows of which a client of
// the server has a token.
func (s *store) loop(length time.Duration, n, chains int, out io.Writer) error {
	found, err := figures.Loop(length, n, chains, func(chain int) error {
		return s.move(session{row: (2*int64(chain) + 1) * s.rows / int64(2*chains), gen: 1 << 40})
	})
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(found)
}
