package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/password"
	"github.com/sallyport/sallyport/internal/store/pgtest"
	"github.com/sallyport/sallyport/test/sut"
)

//go:embed rotating.yaml
var rotatingContract []byte

const userPassword = "a password of the benchmark"

// bench is everything that runs while measuring.
type bench struct {
	length, warm, settle time.Duration
	n, runs              int
	profile              string
	progress             io.Writer

	dir      string
	binaries map[string]string
	upstream *sut.Process // an API to stand in front of: the floor binary
	floor    *sut.Process
	server   *sut.Server    // as shipped
	quiet    *sut.Server    // without the access log
	pg       *pgtest.Server // for the groups on PostgreSQL
	nodes    []*sut.Server  // on it
	peopled  []string       // DSNs whose users are there
	began    time.Time
	profiled int
	cleanup  []func()
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "\r\x1b[K%4.0fs  %s", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}

// execute builds, starts, measures the groups, and ends what it started.
func (b *bench) execute(ctx context.Context, want []group) (_ *report, err error) {
	b.began = time.Now()
	if b.dir, err = os.MkdirTemp("", "sallyport-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		for i := len(b.cleanup) - 1; i >= 0; i-- {
			b.cleanup[i]()
		}
		err = errors.Join(err, os.RemoveAll(b.dir))
	}()
	if err := b.start(ctx); err != nil {
		return nil, err
	}
	rep := newReport(b)
	for i := range want {
		lines, err := b.measure(ctx, &want[i])
		if err != nil {
			return nil, err
		}
		rep.add(&want[i], lines)
	}
	b.say("done\n")
	rep.Seconds = time.Since(b.began).Seconds()
	return rep, nil
}

func (b *bench) start(ctx context.Context) error {
	b.binaries = map[string]string{}
	for _, pkg := range []string{"cmd/sallyport", "test/bench/floor", "test/bench/empty"} {
		b.say("building %s", pkg)
		path, err := sut.Build(ctx, b.dir, pkg)
		if err != nil {
			return err
		}
		b.binaries[filepath.Base(pkg)] = path
	}
	ports, err := sut.FreePorts(2)
	if err != nil {
		return err
	}
	b.upstream = b.process("floor", ports[0], "-listen", ports[0])
	b.floor = b.process("floor", ports[1], "-listen", ports[1], "-db", filepath.Join(b.dir, "floor.db"), "-upstream", "http://"+ports[0], "-slots", strconv.Itoa(hashSlots()))
	for _, p := range []*sut.Process{b.upstream, b.floor} {
		if err := b.run(ctx, p); err != nil {
			return err
		}
	}
	if b.server, err = b.newServer(ctx, "server"); err != nil {
		return err
	}
	b.quiet, err = b.newServer(ctx, "quiet", "--log-access=false")
	return err
}

func (b *bench) process(binary, addr string, args ...string) *sut.Process {
	return &sut.Process{
		Path: b.binaries[binary], Args: args,
		Probe: "http://" + addr + "/ready", Log: filepath.Join(b.dir, binary+".log"),
	}
}

func (b *bench) run(ctx context.Context, p *sut.Process) error {
	b.cleanup = append(b.cleanup, p.Kill)
	_, err := p.Start(ctx)
	return err
}

// newServer starts a server on a new data directory, with all built-in
// contracts, the one for measuring, and a user for each client.
func (b *bench) newServer(ctx context.Context, name string, args ...string) (*sut.Server, error) {
	dir := filepath.Join(b.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "rotating.yaml")
	if err := os.WriteFile(file, rotatingContract, 0o600); err != nil {
		return nil, err
	}
	mounts, err := json.Marshal([]any{"pathstack", "itempath", "netography", file})
	if err != nil {
		return nil, err
	}
	args = append(args, "--upstream", "http://"+b.address(b.upstream), "--mounts", string(mounts))
	if b.profile != "" {
		args = append(args, "--pprof")
	}
	s, err := sut.NewServer(b.binaries["sallyport"], dir, args...)
	if err != nil {
		return nil, err
	}
	b.say("starting a server")
	if err := b.run(ctx, &s.Process); err != nil {
		return nil, err
	}
	return s, b.addUsers(ctx, s)
}

// addUsers makes a user for each client, all with one hash.
func (b *bench) addUsers(ctx context.Context, s *sut.Server) error {
	h, err := password.New(password.Config{})
	if err != nil {
		return err
	}
	hash, err := h.Hash(ctx, password.Lane{}, userPassword)
	if err != nil {
		return err
	}
	adm := s.Admin()
	for i := range b.n {
		in := admin.NewUser{Username: userName(i), Type: "application", PasswordHash: hash}
		if err := adm.Post(ctx, "/users", in, nil); err != nil {
			return fmt.Errorf("adding a user: %w", err)
		}
	}
	return nil
}

func userName(i int) string { return fmt.Sprintf("bench-%d", i) }

// address is where a process answers: host and port.
func (b *bench) address(p *sut.Process) string {
	at := p.Probe
	for _, s := range append([]*sut.Server{b.server, b.quiet}, b.nodes...) {
		if s != nil && p == &s.Process {
			at = s.URL // it is probed at its private listener
		}
	}
	u, err := url.Parse(at)
	if err != nil {
		return at // made by us; a wrong one fails at once
	}
	return u.Host
}

// ask sends one request that sets something up and gives the answer's JSON.
func ask(ctx context.Context, method, url, bearer, media, body string) (map[string]any, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return nil, err
	}
	out := map[string]any{}
	if err := json.Unmarshal(raw, &out); err != nil || res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: status %d: %.300s", method, url, res.StatusCode, raw)
	}
	return out, nil
}

// text gives a string of a JSON object, by its path.
func text(v map[string]any, path ...string) string {
	for _, name := range path[:len(path)-1] {
		v, _ = v[name].(map[string]any)
	}
	s, _ := v[path[len(path)-1]].(string)
	return s
}

// under loads a process and gives the figure; with -profile it takes a CPU
// profile meanwhile.
func (b *bench) under(ctx context.Context, p *sut.Process, clients []client) (figure, error) {
	l := load{addr: b.address(p), clients: clients, warm: b.warm, length: b.length, cpu: p.CPU}
	if s := b.private(p); b.profile != "" && s != "" {
		b.profiled++
		defer b.takeProfile(ctx, s, b.profiled)()
	}
	r, err := l.run()
	return r.figure(), err
}
