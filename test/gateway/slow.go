package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/test/figures"
	"github.com/sallyport/sallyport/test/sut"
)

// slow is the measurement of refreshes beside connections that do not move.
type slow struct {
	conns, addrs, pace, runs int
	length                   time.Duration

	progress io.Writer
	server   *sut.Server
	addr     string
	chains   []*chain
}

const (
	chainCount = 16
	// allowedKiB is what a slow connection may cost: goroutine, buffers, the
	// upstream's side of a reader that does not read.
	allowedKiB = 96
)

func slowFlags(fs *flag.FlagSet) func(context.Context, io.Writer) (report, error) {
	s := &slow{}
	fs.IntVar(&s.conns, "conns", 5000, "slow connections")
	fs.IntVar(&s.addrs, "addresses", 100, "loopback addresses that they come from")
	fs.IntVar(&s.pace, "refreshes", 100, "refreshes a second")
	fs.IntVar(&s.runs, "runs", 3, "quiet and loaded stretches, taking turns")
	fs.DurationVar(&s.length, "d", 10*time.Second, "how long each stretch is")
	return func(ctx context.Context, progress io.Writer) (report, error) {
		s.progress = progress
		return s.measure(ctx)
	}
}

// slowReport is what came of it.
type slowReport struct {
	Conns      int            `json:"connections"`
	Addresses  int            `json:"addresses"`
	Held       int            `json:"held_at_least"` // at the ends of the loaded stretches
	Opened     int64          `json:"opened"`        // again after the server had closed them, too
	Quiet      figures.Spread `json:"refresh_quiet_ms"`
	Loaded     figures.Spread `json:"refresh_loaded_ms"`
	Ratio      float64        `json:"refresh_p99_ratio"`
	Refreshes  int            `json:"refreshes_loaded"`
	BaseMiB    float64        `json:"memory_base_mib"`
	MostMiB    float64        `json:"memory_most_mib"`
	AllowedMiB float64        `json:"memory_allowed_mib"`
	Files      int            `json:"descriptors_most"`
}

func (s *slow) measure(ctx context.Context) (_ *slowReport, err error) {
	if s.conns < 1 || s.addrs < 1 || s.addrs > 250 || s.pace < 1 || s.runs < 1 {
		return nil, errors.New("the numbers are above zero, and -addresses at most 250")
	}
	dir, err := os.MkdirTemp("", "sallyport-slow-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // it comes slowly or not at all
		_, _ = w.Write(make([]byte, 256<<10))
	}))
	defer up.CloseClientConnections() // its handlers wait for readers that are gone
	binary, err := sut.Build(ctx, dir, "cmd/sallyport")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "sallyport.yaml")
	if err := os.WriteFile(file, []byte("mounts: [{contract: netography}]\ngateway: {rules: [{prefix: /}, {prefix: /public, access: public}]}\nlog: {access: false}\nh2c: true\n"), 0o600); err != nil {
		return nil, err
	}
	if s.server, err = sut.NewServer(binary, dir, "--config", file, "--upstream", up.URL); err != nil {
		return nil, err
	}
	if _, err := s.server.Start(ctx); err != nil {
		return nil, err
	}
	defer s.server.Kill()
	s.addr = strings.TrimPrefix(s.server.URL, "http://")
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	return s.alternate(ctx)
}

func (s *slow) prepare(ctx context.Context) error {
	for i := range chainCount {
		name := fmt.Sprintf("user-%d", i)
		if err := s.server.Admin().Post(ctx, "/users", admin.NewUser{Username: name, Type: "user", Password: password}, &admin.User{}); err != nil {
			return err
		}
		c := &chain{wire: wire{addr: s.addr}}
		if err := c.logIn(name); err != nil {
			return err
		}
		s.chains = append(s.chains, c)
	}
	return nil
}

// alternate measures quiet and loaded stretches by turns.
func (s *slow) alternate(ctx context.Context) (*slowReport, error) {
	rep := &slowReport{Conns: s.conns, Addresses: s.addrs, Held: s.conns}
	var quiet, loaded []time.Duration
	if _, err := s.refresh(ctx, 2*time.Second); err != nil { // caches and pools are warm then
		return nil, err
	}
	for i := range s.runs {
		fmt.Fprintf(s.progress, "run %d of %d: quiet\n", i+1, s.runs)
		times, err := s.refresh(ctx, s.length)
		if err != nil {
			return nil, err
		}
		quiet = append(quiet, times...)
		if rep.BaseMiB == 0 {
			rep.BaseMiB, _ = s.resources()
		}
		fmt.Fprintf(s.progress, "run %d of %d: %d slow connections\n", i+1, s.runs, s.conns)
		load := s.load(ctx)
		if times, err = s.refresh(ctx, s.length); err != nil {
			load.end()
			return nil, err
		}
		loaded = append(loaded, times...)
		rep.Held = min(rep.Held, int(load.held.Load()))
		mib, files := s.resources()
		rep.MostMiB, rep.Files = max(rep.MostMiB, mib), max(rep.Files, files)
		load.end()
		rep.Opened += load.opened.Load()
	}
	rep.Quiet, rep.Loaded, rep.Refreshes = figures.SpreadOf(quiet), figures.SpreadOf(loaded), len(loaded)
	rep.Ratio = rep.Loaded.P99 / rep.Quiet.P99
	rep.AllowedMiB = rep.BaseMiB + float64(s.conns)*allowedKiB/1024 + 64
	if !s.server.Alive() {
		return nil, fmt.Errorf("the server ended: %s", s.server.LogTail(2000))
	}
	return rep, ctx.Err()
}

// resources of the server: its memory in MiB at most so far, and how many
// descriptors are open.
func (s *slow) resources() (mib float64, files int) {
	if m, err := s.server.Memory(); err == nil {
		mib = float64(m.Peak) / 1024
	}
	if fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.server.PID())); err == nil {
		files = len(fds)
	}
	return mib, files
}

// refresh lets every chain refresh at its pace; see test/guess.
func (s *slow) refresh(ctx context.Context, length time.Duration) ([]time.Duration, error) {
	gap := time.Second * chainCount / time.Duration(s.pace)
	end := time.Now().Add(length)
	times, errs := make([][]time.Duration, chainCount), make([]error, chainCount)
	var all sync.WaitGroup
	for i, c := range s.chains {
		all.Go(func() {
			next := time.Now().Add(gap * time.Duration(i) / chainCount)
			for next.Before(end) && ctx.Err() == nil {
				time.Sleep(time.Until(next))
				took, err := c.refresh()
				if err != nil {
					errs[i] = err
					return
				}
				times[i] = append(times[i], took)
				next = next.Add(gap)
			}
		})
	}
	all.Wait()
	var out []time.Duration
	for _, t := range times {
		out = append(out, t...)
	}
	return out, errors.Join(errs...)
}

func (rep *slowReport) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "slow connections\t%d from %d addresses; %d held, %d opened in all\n", rep.Conns, rep.Addresses, rep.Held, rep.Opened)
	fmt.Fprintf(t, "refresh, quiet\tp50 %.2f ms\tp99 %.2f ms\n", rep.Quiet.Median, rep.Quiet.P99)
	fmt.Fprintf(t, "refresh, loaded\tp50 %.2f ms\tp99 %.2f ms\t%d refreshes, none failed\n", rep.Loaded.Median, rep.Loaded.P99, rep.Refreshes)
	fmt.Fprintf(t, "p99, loaded to quiet\t%.2f\n", rep.Ratio)
	fmt.Fprintf(t, "memory\t%.0f MiB before\t%.0f MiB at most\t%.0f MiB allowed\n", rep.BaseMiB, rep.MostMiB, rep.AllowedMiB)
	fmt.Fprintf(t, "descriptors\t%d at most\n", rep.Files)
	return t.Flush()
}

func (rep *slowReport) broken() []string {
	var out []string
	if rep.Ratio > 2 {
		out = append(out, fmt.Sprintf("p99 of refreshes is %.2f times the quiet one", rep.Ratio))
	}
	if rep.MostMiB > rep.AllowedMiB {
		out = append(out, fmt.Sprintf("%.0f MiB of memory, more than %.0f", rep.MostMiB, rep.AllowedMiB))
	}
	if rep.Held < rep.Conns*9/10 {
		out = append(out, fmt.Sprintf("only %d of %d connections were held: the load was not what it says", rep.Held, rep.Conns))
	}
	return out
}

// load is one stretch of slow connections.
type load struct {
	s            *slow
	stop         chan struct{}
	all          sync.WaitGroup
	held, opened atomic.Int64
}

// load opens all connections and returns when nearly all are there.
func (s *slow) load(ctx context.Context) *load {
	l := &load{s: s, stop: make(chan struct{})}
	for i := range s.conns {
		l.all.Go(func() { l.hold(i) })
		if i%50 == 49 {
			time.Sleep(20 * time.Millisecond) // the queue of the listener is no part of this
		}
	}
	for begun := time.Now(); l.held.Load() < int64(s.conns*19/20) && time.Since(begun) < 30*time.Second && ctx.Err() == nil; {
		time.Sleep(50 * time.Millisecond)
	}
	return l
}

func (l *load) end() {
	close(l.stop)
	l.all.Wait()
}

// kinds of slowness: what is said at once, and what a byte of is said each
// second after it.
var kinds = []struct{ first, drip string }{
	{"", ""}, // connects and says nothing
	{"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", "a"},
	{"POST /api/auth/bearer/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 5000\r\n\r\n", "a"},
	{"POST /api/refused HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n", "a"},
	{"POST /public/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n"},
	{"GET /public/never-read HTTP/1.1\r\nHost: x\r\n\r\n", ""},
	{"GET /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\n\r\n", ""}, // idle after an answer
	{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", ""},
}

// hold keeps one connection, and opens it again when the server ends it.
func (l *load) hold(i int) {
	kind := kinds[i%len(kinds)]
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 7, 0, byte(1+i/len(kinds)%l.s.addrs))}, Timeout: 10 * time.Second, Control: latePort}
	for {
		select {
		case <-l.stop:
			return
		default:
		}
		c, err := d.Dial("tcp", l.s.addr)
		if err != nil {
			if !l.wait(time.Second) {
				return
			}
			continue
		}
		l.opened.Add(1)
		l.held.Add(1)
		_ = c.(*net.TCPConn).SetReadBuffer(4096) // a smaller window; without it only less is held back
		again := l.drip(c, kind.first, kind.drip)
		_ = c.Close() // either side is done with it
		l.held.Add(-1)
		if !again || !l.wait(time.Duration(500+i%1000)*time.Millisecond) {
			return
		}
	}
}

// drip says a little each second until the server ends the connection (true)
// or the stretch is over. What cannot be written to is gone; of a connection
// that only listens, reading tells.
func (l *load) drip(c net.Conn, first, drip string) (again bool) {
	if _, err := io.WriteString(c, first); err != nil {
		return true
	}
	gone := make(chan struct{})
	if !strings.Contains(first, "never-read") {
		go func() { _, _ = io.Copy(io.Discard, c); close(gone) }() // ends with the connection
	}
	for {
		select {
		case <-gone:
			return true
		case <-l.stop:
			return false
		case <-time.After(time.Second):
		}
		if drip != "" {
			if _, err := io.WriteString(c, drip); err != nil {
				return true
			}
		}
	}
}

func (l *load) wait(d time.Duration) bool {
	select {
	case <-l.stop:
		return false
	case <-time.After(d):
		return true
	}
}
