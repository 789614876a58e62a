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
	"github.com/sallyport/sallyport/test/clients"
	"github.com/sallyport/sallyport/test/sut"
)

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
	crew     *clients.Crew
	began    time.Time
	restarts []time.Duration // from exec to ready
}

// execute does it all. An error means that the test could not be made; what it
// found is in violations.
func (r *run) execute(ctx context.Context) error {
	r.ctx, r.began = ctx, time.Now()
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
	for round := 1; round <= r.rounds && ctx.Err() == nil; round++ {
		r.crew.Round = round
		if err := r.once(); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		r.show()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return r.finish()
}

// api speaks to the life of the server that runs now.
func (r *run) api() *clients.API {
	return clients.NewAPI(20*time.Second, clients.Node{URL: r.server.URL, Admin: r.server.Admin()})
}

// populate makes the first users and keys with the command line, as an
// operator would, while the server runs.
func (r *run) populate() (err error) {
	if r.crew, err = clients.NewCrew(r.ctx, r.workers, r.seed, r.progress); err != nil {
		return err
	}
	for range r.workers {
		if err := r.crew.Hire(r.enlist); err != nil {
			return err
		}
	}
	return r.crew.OpenFirst(r.api())
}

func (r *run) enlist(userName, keyName string) (user admin.User, key admin.APIKey, err error) {
	out, err := r.server.CLI(r.ctx, r.crew.Hash+"\n", "user", "add", userName, "--type", "application", "--password-hash-stdin", "--json")
	if err != nil {
		return user, key, err
	}
	if err := json.Unmarshal(out, &user); err != nil {
		return user, key, fmt.Errorf("reading what `user add --json` printed: %w: %s", err, out)
	}
	if out, err = r.server.CLI(r.ctx, "", "apikey", "create", keyName, "--json"); err != nil {
		return user, key, err
	}
	if err := json.Unmarshal(out, &key); err != nil {
		return user, key, fmt.Errorf("reading what `apikey create --json` printed: %w: %s", err, out)
	}
	return user, key, nil
}

// once is one round: load, kill, restart, compare.
func (r *run) once() error {
	rng := rand.New(rand.NewPCG(r.seed, uint64(r.crew.Round)<<32))
	ctx, stop := context.WithCancel(r.ctx)
	defer stop()
	a := r.api()
	var load sync.WaitGroup
	load.Go(func() { r.crew.Load(ctx, a) })
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
		r.crew.Violate(clients.Odd, "ready %s after the restart, want less than %s", took.Round(time.Millisecond), r.ready)
	}
	a = r.api()
	defer a.Close()
	r.crew.Check(a)
	r.crew.CheckLogin(a, rng)
	return nil
}

// finish tries everything that ever died once more and reads the audit log.
func (r *run) finish() error {
	fmt.Fprintln(r.progress, "\ntrying everything that was ever ended once more")
	a := r.api()
	defer a.Close()
	r.crew.CheckEnded(a)
	if err := r.crew.CheckAudit(a); err != nil {
		return err
	}
	records := int64(0)
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
			r.crew.Violate(clients.Odd, "audit verify with the server %s: %v %s", running, err, strings.TrimSpace(string(out)))
		}
		records = rep.Records
	}
	r.crew.Add("audit records", int(records))
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
