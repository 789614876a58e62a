package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/test/faults/history"
)

// networkFigure is one harm in figures.
type networkFigure struct {
	Harm  string       `json:"harm"`
	Cut   bool         `json:"cut_off"`
	Nodes []nodeFigure `json:"nodes"`
}

// nodeFigure is what one node did while a harm lasted and after it.
type nodeFigure struct {
	Harmed     bool    `json:"harmed"`
	Asked      int     `json:"asked"`    // what a token is worth
	Verified   int     `json:"verified"` // of these, answered that it is good
	Tried      int     `json:"refreshes"`
	Refreshed  int     `json:"refreshed"`
	SlowestS   float64 `json:"slowest_answer_s"` // of any kind
	LastS      float64 `json:"last_verified_s"`
	RecoveredS float64 `json:"recovered_s"`
}

// watch keeps an eye on each node through one harm: a session of its own for
// each, and a doomed one that is ended meanwhile.
type watch struct {
	harm   *harm
	target *target
	// undecided is how long a node that is cut off may think about a request.
	undecided time.Duration
	live      []history.Tokens // of each node
	doomed    history.Tokens

	mu      sync.Mutex
	seen    [][]seen // of each node
	ended   time.Time
	problem []string
}

// seen is one answer of a node.
type seen struct {
	at, end time.Time // of the request, of its answer
	refresh bool
	doomed  bool
	verdict history.Verdict
}

func (n *network) watch(ctx context.Context, h *harm) (*watch, error) {
	w := &watch{harm: h, target: n.targets[0], undecided: n.undecided, seen: make([][]seen, len(n.world.Nodes))}
	for node := range n.world.Nodes {
		t, ok := w.target.Login(ctx, node)
		if !ok {
			return nil, fmt.Errorf("no login at node %d before the harm", node+1)
		}
		w.live = append(w.live, t)
	}
	t, ok := w.target.Login(ctx, 0)
	if !ok {
		return nil, errors.New("no login at node 1 before the harm")
	}
	w.doomed = t
	return w, nil
}

// through the harm and out of it.
func (w *watch) through(ctx context.Context, n *network) error {
	probing, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	for node := range w.seen {
		for _, refresh := range []bool{false, true} {
			all.Go(func() { w.probe(probing, node, refresh) })
		}
	}
	began := time.Now()
	for _, node := range w.harm.nodes {
		if err := w.harm.do(n.links[node]); err != nil {
			return err
		}
	}
	cut := time.Now()
	if !slices.Contains(w.harm.nodes, 0) { // node 1 still hears
		if v := w.target.Revoke(ctx, 0, w.doomed.Session); v != history.Done {
			w.problem = append(w.problem, fmt.Sprintf("revoking at node 1, which is well, was answered %q", v))
		}
		w.mu.Lock()
		w.ended = time.Now()
		w.mu.Unlock()
	}
	sleep(ctx, n.calm-time.Since(began))
	lifted := time.Now()
	for _, node := range w.harm.nodes {
		if err := n.links[node].Mend(ctx); err != nil {
			return err
		}
	}
	err := w.awaitRecovery(ctx, lifted)
	stop()
	all.Wait()
	n.done = append(n.done, w.judge(cut, lifted))
	for _, p := range w.problem {
		n.report.violate("%s: %s", w.harm.name, p)
	}
	return err
}

// probe asks a node again and again, what tokens are worth or for new ones.
func (w *watch) probe(ctx context.Context, node int, refresh bool) {
	for i := 0; ctx.Err() == nil; i++ {
		s := seen{at: time.Now(), refresh: refresh}
		switch {
		case refresh:
			var t history.Tokens
			if t, s.verdict = w.target.Refresh(ctx, node, w.live[node].Refresh); s.verdict == history.Granted {
				w.mu.Lock()
				w.live[node] = t
				w.mu.Unlock()
			}
		default:
			w.mu.Lock()
			access := w.live[node].Access
			if s.doomed = i%3 == 2 && !w.ended.IsZero(); s.doomed {
				access = w.doomed.Access
			}
			w.mu.Unlock()
			s.verdict = w.target.Introspect(ctx, node, access)
		}
		if ctx.Err() != nil {
			return // what was cut off says nothing
		}
		s.end = time.Now()
		w.mu.Lock()
		w.seen[node] = append(w.seen[node], s)
		w.mu.Unlock()
		sleep(ctx, 50*time.Millisecond)
	}
}

// recovered is when a node first verified and first refreshed after a moment.
func (w *watch) recovered(node int, after time.Time) (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var verified, refreshed bool
	for _, s := range w.seen[node] {
		if s.at.Before(after) {
			continue
		}
		verified = verified || s.verdict == history.Active
		refreshed = refreshed || s.verdict == history.Granted
		if verified && refreshed {
			return s.at.Sub(after), true
		}
	}
	return 0, false
}

func (w *watch) awaitRecovery(ctx context.Context, after time.Time) error {
	for node := range w.seen {
		for {
			if _, ok := w.recovered(node, after); ok {
				break
			}
			if time.Since(after) > time.Minute {
				w.problem = append(w.problem, fmt.Sprintf("node %d did not recover within a minute", node+1))
				return nil
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return nil
}

// judge counts what was seen and holds it against what was promised.
func (w *watch) judge(cut, lifted time.Time) networkFigure {
	f := networkFigure{Harm: w.harm.name, Cut: w.harm.cut}
	for node, all := range w.seen {
		nf := nodeFigure{Harmed: slices.Contains(w.harm.nodes, node)}
		for _, s := range all {
			w.hold(node, s)
			if s.doomed || s.end.Before(cut) || s.at.After(lifted) {
				continue
			}
			nf.SlowestS = max(nf.SlowestS, s.end.Sub(s.at).Seconds())
			if took := s.end.Sub(s.at); nf.Harmed && w.harm.cut && took > w.undecided {
				w.problem = append(w.problem, fmt.Sprintf("node %d, cut off from its store, left a request without an answer for %.1f s", node+1, took.Seconds()))
			}
			if s.end.After(lifted) {
				continue // what answered it need not have been the harmed link
			}
			if s.refresh {
				nf.Tried++
				nf.Refreshed += count(s.verdict == history.Granted)
				continue
			}
			nf.Asked++
			if s.verdict != history.Active {
				continue
			}
			nf.Verified++
			nf.LastS = s.end.Sub(cut).Seconds()
			if nf.Harmed && w.harm.cut && s.at.Sub(cut) >= lag {
				w.problem = append(w.problem, fmt.Sprintf("node %d, cut off from its store for %.1f s, still called a token good", node+1, nf.LastS))
			}
		}
		if !nf.Harmed && (nf.Verified == 0 || nf.Refreshed == 0) {
			w.problem = append(w.problem, fmt.Sprintf("node %d, whose link was well, did not serve", node+1))
		}
		took, _ := w.recovered(node, lifted)
		nf.RecoveredS = took.Seconds()
		f.Nodes = append(f.Nodes, nf)
	}
	return f
}

// hold one answer against what no fault excuses.
func (w *watch) hold(node int, s seen) {
	switch {
	case s.verdict == history.Refused || s.verdict == history.Inactive && !s.doomed:
		w.problem = append(w.problem, fmt.Sprintf("node %d refused the token of a live session", node+1))
	case s.doomed && s.verdict == history.Active && s.at.Sub(w.ended) >= lag:
		w.problem = append(w.problem, fmt.Sprintf("node %d called a token good %.1f s after its session had been revoked", node+1, s.at.Sub(w.ended).Seconds()))
	}
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

// sleep until the time has passed or ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
