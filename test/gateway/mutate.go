package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"
)

// mutate is the measurement.
type mutate struct {
	from, n, seed uint64
	only          int64
	doors         string
	workers       int
}

func mutateFlags(fs *flag.FlagSet) func(context.Context, io.Writer) (report, error) {
	m := &mutate{}
	fs.Uint64Var(&m.n, "n", 200_000, "how many mutations")
	fs.Uint64Var(&m.seed, "seed", 1, "which ones")
	fs.Uint64Var(&m.from, "from", 0, "the first of them")
	fs.StringVar(&m.doors, "doors", "", "send only those for doors with this in their name, such as \"caddy to go\"")
	fs.Int64Var(&m.only, "only", -1, "send this one alone, and print it")
	fs.IntVar(&m.workers, "workers", 8, "how many are sent at once")
	return func(ctx context.Context, progress io.Writer) (report, error) { return m.run(ctx, progress) }
}

// doorReport counts what became of the mutations at a door.
type doorReport struct {
	Door    string `json:"door"`
	Sent    int    `json:"sent"`
	Served  int    `json:"served"`  // by the backend
	Refused int    `json:"refused"` // answered by us or the front
	Closed  int    `json:"closed"`  // without an answer
	ByUs5xx int    `json:"internal_errors"`
}

type mutateReport struct {
	Seed     uint64        `json:"seed"`
	Doors    []*doorReport `json:"doors"`
	Bypasses []string      `json:"bypasses"`
	Spoofed  []string      `json:"spoofed"`
	Other    []string      `json:"other"`
	Missing  []string      `json:"missing"`
	Took     time.Duration `json:"took_ns"`
}

func (m *mutate) run(ctx context.Context, progress io.Writer) (*mutateReport, error) {
	s, err := newStand(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	rep := &mutateReport{Seed: m.seed, Missing: s.missing}
	for _, d := range s.doors {
		rep.Doors = append(rep.Doors, &doorReport{Door: d.name()})
	}
	began := time.Now()
	var next atomic.Uint64
	var mu sync.Mutex
	var all sync.WaitGroup
	if m.only >= 0 {
		m.from, m.n, m.workers = uint64(m.only), 1, 1
	}
	next.Store(m.from)
	for range m.workers {
		all.Go(func() {
			wires := make([]*wire, len(s.doors))
			for i, d := range s.doors {
				wires[i] = &wire{addr: d.addr}
				defer wires[i].close()
			}
			for ctx.Err() == nil {
				i := next.Add(1) - 1
				if i >= m.from+m.n {
					return
				}
				k := int(i % uint64(len(s.doors)))
				d := s.doors[k]
				if !strings.Contains(d.name(), m.doors) {
					continue
				}
				q := mutation(m.seed, i, s.tokens[d.backend])
				if q.alone {
					wires[k].close()
				}
				res := wires[k].do(q.raw, strings.TrimSpace(q.method), q.alone)
				if m.only >= 0 {
					fmt.Fprintf(progress, "%s\n%q\n%d %s\n", d.name(), q.raw, res.status, res.body)
				}
				mu.Lock()
				rep.judge(i, d, rep.Doors[k], q, &res)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	rep.Took = time.Since(began)
	for _, b := range s.backends {
		line, err := b.stray()
		if err != nil {
			return nil, err
		}
		if line != "" {
			rep.Bypasses = append(rep.Bypasses, fmt.Sprintf("a request that was hidden, or meant for the server, reached %s: %s", b.name, line))
		}
	}
	return rep, ctx.Err()
}

// asked says what the server before a backend was asked about a mutation, and
// answered. It must be the last word on a finding: a proxy that had another
// answer had it from somebody else.
func (d *door) asked(i uint64) string {
	if d.log == "" || d.front == "built-in" {
		return ""
	}
	var line string
	var err error
	for wait := 0; wait < 10 && line == "" && err == nil; wait++ {
		time.Sleep(100 * time.Millisecond) // the line comes after the answer
		line, err = lineWith(d.log, `"`+requestID(i)+`"`)
	}
	switch {
	case err != nil:
		return err.Error()
	case line == "":
		return "the server was not asked about it"
	}
	return "the server was asked: " + line
}

// judge is the oracle.
func (rep *mutateReport) judge(i uint64, d *door, count *doorReport, q *request, res *response) {
	all := reports(res.body)
	count.Sent++
	switch {
	case res.notSent != nil:
		count.Closed++
		if len(rep.Other) < 40 {
			rep.Other = append(rep.Other, fmt.Sprintf("%d at %s was not sent: %v", i, d.name(), res.notSent))
		}
	case res.status == 0:
		count.Closed++
	case len(all) == 0:
		count.Refused++
		if res.status == 500 {
			count.ByUs5xx++
			rep.Other = append(rep.Other, fmt.Sprintf("%d at %s: status 500: %.200q", i, d.name(), q.raw))
		}
	default:
		count.Served++
	}
	say := func(list *[]string, format string, args ...any) {
		if len(*list) < 40 {
			*list = append(*list, fmt.Sprintf("%d at %s as %q: %s: %.3000q; answer %d %.1000q; %s", i, d.name(), q.who.name, fmt.Sprintf(format, args...), q.raw, res.status, res.body, d.asked(i)))
		}
	}
	for n, s := range all {
		if n > 0 {
			say(&rep.Bypasses, "a second request arrived: %+v", s)
			continue
		}
		if s.probe != q.probe && !strings.HasPrefix(s.probe, q.probe+" ") { // a folded line goes on with the value
			say(&rep.Bypasses, "the answer is for request %s", s.probe)
			continue
		}
		if who, ok := rightOf(s, q); !ok {
			say(&rep.Bypasses, "%s served %s %s", d.backend.name, s.method, s.route)
		} else if wrong := spoofedIn(s, who, d.front); wrong != "" {
			say(&rep.Spoofed, "%s saw %s", d.backend.name, wrong)
		}
	}
}

// rightOf says whom the rules let do what was served, and whether that is who
// asked. The user is empty on public paths and for preflights.
func rightOf(s *served, q *request) (user string, ok bool) {
	if q.preflight && s.method == "OPTIONS" && s.route != "/internal" && s.route != "other" {
		return "", true // nobody acts; the built-in proxy leaves nothing of the answer
	}
	known := q.who.name == "alice" || q.who.name == "bob"
	switch s.route {
	case "/public":
		return "", true
	case "/api", "/cased":
		return q.who.name, known
	case "/write":
		return q.who.name, known && (s.method == "GET" || s.method == "HEAD")
	case "/admin", "/api/ops", "/cased/secret":
		return q.who.name, q.who.name == "alice"
	}
	return "", false
}

// spoofedIn finds identity that is not the user's.
//
// nginx and Caddy replace or remove the six headers that there are; the
// built-in proxy lets none through that begins like them.
func spoofedIn(s *served, user, front string) string {
	roles := map[string]string{"alice": "admin", "bob": "reader", "": ""}[user]
	account := map[bool]string{true: "default", false: ""}[user != ""]
	typ := map[bool]string{true: "user", false: ""}[user != ""]
	want := map[string]string{"x-sallyport-user": user, "x-sallyport-roles": roles, "x-sallyport-account": account, "x-sallyport-type": typ}
	for name, values := range s.ids {
		w, fixed := want[name]
		switch {
		case front != "built-in" && !fixed && name != "x-sallyport-user-id" && name != "x-sallyport-session":
		case len(values) != 1:
			return fmt.Sprintf("%s: %q", name, values)
		case fixed && values[0] != w:
			return fmt.Sprintf("%s: %q, want %q", name, values[0], w)
		case !fixed && name != "x-sallyport-user-id" && name != "x-sallyport-session":
			return fmt.Sprintf("%s: %q", name, values)
		case user == "" && values[0] != "":
			return fmt.Sprintf("%s: %q of nobody", name, values[0])
		}
	}
	if user != "" && len(s.ids["x-sallyport-user"]) == 0 {
		return "no user at all"
	}
	return ""
}

func (rep *mutateReport) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "door\tsent\tserved\trefused\tclosed\t\n")
	total := 0
	for _, d := range rep.Doors {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t\n", d.Door, d.Sent, d.Served, d.Refused, d.Closed)
		total += d.Sent
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%d mutations of seed %d in %s: %d bypasses, %d spoofed identities\n", total, rep.Seed, rep.Took.Round(time.Second), len(rep.Bypasses), len(rep.Spoofed))
	for _, m := range rep.Missing {
		_, e := fmt.Fprintln(w, "not tried:", m)
		err = errors.Join(err, e)
	}
	return err
}

func (rep *mutateReport) broken() []string {
	var out []string
	for _, l := range []struct {
		what string
		list []string
	}{{"bypass: ", rep.Bypasses}, {"spoofed: ", rep.Spoofed}, {"", rep.Other}} {
		for _, s := range l.list {
			out = append(out, l.what+s)
		}
	}
	for _, d := range rep.Doors {
		if d.Sent > 300 && d.Served*20 < d.Sent {
			out = append(out, fmt.Sprintf("%s served %d of %d: too few to prove anything", d.Door, d.Served, d.Sent))
		}
	}
	return out
}
