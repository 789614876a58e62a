package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/password"
	"github.com/sallyport/sallyport/test/sut"
)

// secretOfAll is the password of every user of the harness.
const secretOfAll = "a password of the kill harness"

// options of a run.
type options struct {
	rounds, workers int
	seed            uint64
	ready           time.Duration // how long a restart may take
	dir             string        // takes everything; "" = a temporary folder
	progress        io.Writer     // one line that is rewritten, and violations as they are found
}

// run is one whole test.
type run struct {
	options
	ctx      context.Context
	server   *sut.Server
	upstream net.Listener
	hash     string // of the password, so that most users are made without hashing
	round    int
	crew     []*worker
	began    time.Time

	mu         sync.Mutex
	counts     map[string]int
	doubts     map[string]int
	violations []string
	restarts   []time.Duration // from exec to ready
}

func (r *run) count(what string) {
	r.mu.Lock()
	r.counts[what]++
	r.mu.Unlock()
}

// unknown counts a request that the kill cut off.
func (r *run) unknown(act string) {
	r.mu.Lock()
	r.doubts[act]++
	r.mu.Unlock()
}

// violate takes down a story.
func (r *run) violate(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	story := fmt.Sprintf("round %d: ", r.round) + fmt.Sprintf(format, args...)
	r.violations = append(r.violations, story)
	if len(r.violations) <= 20 {
		fmt.Fprintf(r.progress, "\nVIOLATION %s\n", story)
	}
}

// execute does it all. An error means that the test could not be made; what it
// found is in violations.
func (r *run) execute(ctx context.Context) error {
	r.ctx, r.began = ctx, time.Now()
	r.counts, r.doubts = map[string]int{}, map[string]int{}
	fmt.Fprintln(r.progress, "building the static binary")
	binary, err := sut.Build(ctx, r.dir, "cmd/sallyport")
	if err != nil {
		return err
	}
	if r.upstream, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	stations := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"stations":[]}`) // the gateway reads it or the check fails
	})}
	go func() { _ = stations.Serve(r.upstream) }() // ends with Close
	defer func() { _ = stations.Close() }()
	if r.server, err = sut.NewServer(binary, r.dir, "--upstream", "http://"+r.upstream.Addr().String(), "--log-access=false"); err != nil {
		return err
	}
	defer r.server.Kill()
	first, err := r.server.Start(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.progress, "serving a new data directory after %s\n", first.Round(time.Millisecond))
	if err := r.populate(); err != nil {
		return err
	}
	for r.round = 1; r.round <= r.rounds && ctx.Err() == nil; r.round++ {
		if err := r.once(); err != nil {
			return fmt.Errorf("round %d: %w", r.round, err)
		}
		r.show()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r.round = r.rounds
	return r.finish()
}

// populate makes the first users and keys with the command line, as an
// operator would, while the server runs.
func (r *run) populate() error {
	hasher, err := password.New(password.Config{})
	if err != nil {
		return err
	}
	if r.hash, err = hasher.Hash(r.ctx, password.Lane{}, secretOfAll); err != nil {
		return err
	}
	for n := range r.options.workers {
		w := &worker{n: n, run: r, rng: rand.New(rand.NewPCG(r.seed, uint64(n)))}
		user := &subject{name: w.freshName("cli-user"), secret: secretOfAll, app: true}
		out, err := r.server.CLI(r.ctx, r.hash+"\n", "user", "add", user.name, "--type", "application", "--password-hash-stdin", "--json")
		if err != nil {
			return err
		}
		var made admin.User
		if err := json.Unmarshal(out, &made); err != nil {
			return fmt.Errorf("reading what `user add --json` printed: %w: %s", err, out)
		}
		key := &subject{key: true, name: w.freshName("cli-app")}
		if out, err = r.server.CLI(r.ctx, "", "apikey", "create", key.name, "--json"); err != nil {
			return err
		}
		var madeKey admin.APIKey
		if err := json.Unmarshal(out, &madeKey); err != nil {
			return fmt.Errorf("reading what `apikey create --json` printed: %w: %s", err, out)
		}
		user.id, key.id, key.secret, key.appKey = made.ID, madeKey.ID, madeKey.Secret, madeKey.AppKey
		w.subjects = append(w.subjects, user, key)
		r.crew = append(r.crew, w)
	}
	return r.openFirst()
}

// openFirst gives each worker a session of each kind, so that the first round
// has something to lose.
func (r *run) openFirst() error {
	a := newAPI(r.server.URL, r.server.Admin())
	for _, w := range r.crew {
		for _, open := range []struct {
			m *mount
			s *subject
		}{{itempath, w.subjects[0]}, {netography, w.subjects[0]}, {netography, w.subjects[1]}} {
			if err := w.open(a, open.m, open.s); err != nil {
				return fmt.Errorf("opening the first sessions: %w", err)
			}
		}
	}
	return nil
}

// once is one round: load, kill, restart, compare.
func (r *run) once() error {
	rng := rand.New(rand.NewPCG(r.seed, uint64(r.round)<<32))
	a := newAPI(r.server.URL, r.server.Admin())
	ctx, stop := context.WithCancel(r.ctx)
	defer stop()
	var load sync.WaitGroup
	for _, w := range r.crew {
		load.Go(func() { w.load(ctx, a) })
	}
	time.Sleep(5*time.Millisecond + time.Duration(rng.Int64N(int64(395*time.Millisecond))))
	if !r.server.Alive() {
		return fmt.Errorf("the server ended by itself; its output ends:\n%s", r.server.LogTail(4000))
	}
	r.server.Kill()
	stop()
	load.Wait()
	took, err := r.server.Start(r.ctx)
	if err != nil {
		return err
	}
	r.restarts = append(r.restarts, took)
	if took >= r.ready {
		r.violate("ready %s after the restart, want less than %s", took.Round(time.Millisecond), r.ready)
	}
	r.each(func(w *worker, a *api) { w.check(a) })
	some := r.crew[rng.IntN(len(r.crew))]
	some.checkLogin(newAPI(r.server.URL, r.server.Admin()))
	return nil
}

// each runs f for all workers at once.
func (r *run) each(f func(*worker, *api)) {
	a := newAPI(r.server.URL, r.server.Admin())
	var all sync.WaitGroup
	for _, w := range r.crew {
		all.Go(func() { f(w, a) })
	}
	all.Wait()
	a.http.CloseIdleConnections()
}

// finish tries everything that ever died once more and reads the audit log.
func (r *run) finish() error {
	fmt.Fprintln(r.progress, "\ntrying everything that was ever ended once more")
	r.each(func(w *worker, a *api) { w.checkDead(a, func(int) bool { return true }, 0) })
	adm := r.server.Admin()
	for _, kind := range []string{"refresh.store_behind", "refresh.reuse"} {
		for rec, err := range admin.List[admin.AuditRecord](r.ctx, adm, "/audit", map[string][]string{"kind": {kind}}) {
			if err != nil {
				return fmt.Errorf("reading the audit log: %w", err)
			}
			r.violate("the audit log tells of %s in session %s at %s", kind, rec.Session, rec.At)
		}
	}
	for _, running := range []string{"running", "stopped"} {
		if running == "stopped" {
			r.server.Kill()
		}
		out, err := r.server.CLI(r.ctx, "", "audit", "verify", "--json")
		var rep admin.AuditReport
		if err == nil {
			err = json.Unmarshal(out, &rep)
		}
		if err != nil || !rep.OK {
			r.violate("audit verify with the server %s: %v %s", running, err, strings.TrimSpace(string(out)))
		}
		r.counts["audit records"] = int(rep.Records)
	}
	return nil
}

// tempDir makes the folder of a run.
func tempDir() (string, error) {
	dir, err := os.MkdirTemp("", "sallyport-kill-")
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(dir)
}
