package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"
)

// refresher is the generator that refreshes: each chain follows its tokens.
type refresher struct {
	chains []*chain
}

// chain is one client.
type chain struct {
	raw
	token string
}

// stretch lets every chain refresh at its pace. Times count from the request
// to the answer; a chain whose answer is late sends the next one at once,
// never two.
func (r *refresher) stretch(o order) (y yield) {
	for _, t := range o.Tokens {
		r.chains = append(r.chains, &chain{raw: raw{addr: o.Addr}, token: t})
	}
	n := time.Duration(len(r.chains))
	if n == 0 {
		y.Error = "there are no chains to refresh"
		return y
	}
	gap := time.Second * n / time.Duration(o.Rate)
	end := time.Now().Add(o.Length)
	times := make([][]time.Duration, n)
	errs := make([]error, n)
	var all sync.WaitGroup
	for i, c := range r.chains {
		all.Go(func() {
			next := time.Now().Add(gap * time.Duration(i) / n)
			for ; next.Before(end); next = next.Add(gap) {
				time.Sleep(time.Until(next))
				if errs[i] = c.refresh(); errs[i] != nil {
					return
				}
				times[i] = append(times[i], c.took)
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		y.Error = err.Error()
	}
	y.Times = slices.Concat(times...)
	return y
}

var nextToken = []byte(`"refresh_token":"`)

func (c *chain) refresh() error {
	err := c.ask(post("/api/auth/bearer/refresh", "application/x-www-form-urlencoded", url.Values{"refresh_token": {c.token}}.Encode()))
	if err != nil {
		return err
	}
	_, rest, found := bytes.Cut(c.body, nextToken)
	token, _, ended := bytes.Cut(rest, []byte(`"`))
	if c.status != 200 || !found || !ended || len(token) == 0 || string(token) == c.token {
		return fmt.Errorf("a chain got status %d: %.200s", c.status, c.body)
	}
	c.token = string(token)
	return nil
}
