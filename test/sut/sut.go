// Package sut builds the server and runs it as its users do: a static binary,
// a process of its own, a data directory, the command line beside it. The
// harnesses under test/ stand on it.
//
// It ends only processes that it started, and says how long a start took, from
// exec to the first good answer.
package sut

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/store/pgtest/ports"
)

const module = "github.com/sallyport/sallyport/"

// Build compiles a package of this module, such as "cmd/sallyport", without
// cgo into dir and returns the path of the binary.
//
// More arguments go to `go build`.
func Build(ctx context.Context, dir, pkg string, args ...string) (string, error) {
	root, err := Root(ctx)
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, filepath.Base(pkg))
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build", "-trimpath", "-o", out}, args...), module+pkg)...)
	cmd.Dir = root // a harness that is a module of its own has not all the sums
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", pkg, err, text)
	}
	return out, nil
}

// Root is the folder of this module's sources.
func Root(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", strings.TrimSuffix(module, "/")).Output()
	if err != nil {
		return "", fmt.Errorf("looking for the sources: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// FreePorts finds n addresses of the loopback interface that nobody listens on
// and that no other test is given while this process lives.
func FreePorts(n int) ([]string, error) {
	list, err := ports.Take(n)
	if err != nil {
		return nil, err
	}
	addrs := make([]string, n)
	for i, port := range list {
		addrs[i] = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	return addrs, nil
}

// Process is a binary that answers HTTP. Path, Probe and Log are needed.
type Process struct {
	Path  string
	Args  []string
	Env   []string // beside the environment of this process
	Probe string   // URL that answers 200 when it is ready
	Log   string   // file that takes its output, appended

	cmd  *exec.Cmd
	exit chan struct{} // closed when the process has ended
	err  error         // of Wait
	mu   sync.Mutex
}

// StartTimeout is how long a process may take to answer.
const StartTimeout = 30 * time.Second

// Start runs the binary and waits for its first good answer. It returns the
// time from exec to that answer.
func (p *Process) Start(ctx context.Context) (time.Duration, error) {
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, fmt.Errorf("the log of %s: %w", p.Path, err)
	}
	defer func() { _ = log.Close() }() // the child has its own descriptor
	cmd := exec.Command(p.Path, p.Args...)
	cmd.Env = append(os.Environ(), p.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("starting %s: %w", p.Path, err)
	}
	exit := make(chan struct{})
	p.mu.Lock()
	p.cmd, p.exit = cmd, exit
	p.mu.Unlock()
	go func() {
		err := cmd.Wait()
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		close(exit)
	}()
	if err := p.awaitReady(ctx, began); err != nil {
		p.Kill()
		return 0, err
	}
	return time.Since(began), nil
}

func (p *Process) awaitReady(ctx context.Context, began time.Time) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	last := errors.New("no answer")
	for time.Since(began) < StartTimeout {
		res, err := client.Get(p.Probe)
		if err == nil {
			_ = res.Body.Close() // the status is all that is wanted
			if res.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("status %d", res.StatusCode)
		}
		last = err
		select {
		case <-p.exit:
			return fmt.Errorf("%s ended before it was ready (%w); its output ends:\n%s", filepath.Base(p.Path), p.waitErr(), p.LogTail(4000))
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Millisecond):
		}
	}
	return fmt.Errorf("%s was not ready after %s: %w; its output ends:\n%s", filepath.Base(p.Path), StartTimeout, last, p.LogTail(4000))
}

func (p *Process) waitErr() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		return errors.New("exit status 0")
	}
	return p.err
}

// LogTail is the end of the log.
func (p *Process) LogTail(n int) string {
	b, err := os.ReadFile(p.Log)
	if err != nil {
		return "(no log: " + err.Error() + ")"
	}
	return string(b[max(0, len(b)-n):])
}

// Kill ends the process at once (SIGKILL) and waits until it is gone.
func (p *Process) Kill() { p.end(syscall.SIGKILL) }

// Stop asks the process to end (SIGTERM) and waits until it has.
func (p *Process) Stop() { p.end(syscall.SIGTERM) }

func (p *Process) end(sig syscall.Signal) {
	p.mu.Lock()
	cmd, exit := p.cmd, p.exit
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(sig) // it may be gone already, which is what is wanted
	select {
	case <-exit:
	case <-time.After(10 * time.Second):
		_ = cmd.Process.Kill() // as above
		<-exit
	}
}

// Alive reports whether the process runs.
func (p *Process) Alive() bool {
	p.mu.Lock()
	exit := p.exit
	p.mu.Unlock()
	if exit == nil {
		return false
	}
	select {
	case <-exit:
		return false
	default:
		return true
	}
}

// PID of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Memory is what a process holds, in KiB: now, and the most so far.
type Memory struct{ RSS, Peak int64 }

// Memory reads the process's resident memory from the kernel.
func (p *Process) Memory() (Memory, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return Memory{}, fmt.Errorf("reading the memory of a process: %w", err)
	}
	var m Memory
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "VmRSS:":
			m.RSS, err = strconv.ParseInt(f[1], 10, 64)
		case "VmHWM:":
			m.Peak, err = strconv.ParseInt(f[1], 10, 64)
		}
		if err != nil {
			return Memory{}, fmt.Errorf("reading the memory of a process: %w", err)
		}
	}
	return m, nil
}

// CPU is the processor time the process has used, user and system.
func (p *Process) CPU() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		return 0, fmt.Errorf("reading the processor time of a process: %w", err)
	}
	// The name in parentheses may hold blanks; the fields after it don't.
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 13 {
		return 0, errors.New("reading the processor time of a process: too few fields")
	}
	user, err1 := strconv.ParseInt(f[11], 10, 64)
	system, err2 := strconv.ParseInt(f[12], 10, 64)
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux we run on
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}

// Server is Sallyport on a data directory, at addresses that stay the same
// over restarts.
type Server struct {
	Process
	Data string
	URL  string // of the public listener
}

// NewServer describes a server; Start makes it run, and the data directory if
// it is not there. dir takes the data and the log.
func NewServer(binary, dir string, args ...string) (*Server, error) {
	ports, err := FreePorts(2)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	s := &Server{Data: data, URL: "http://" + ports[0]}
	s.Process = Process{
		Path:  binary,
		Args:  append([]string{"serve", "--data", data, "--listen", ports[0], "--private-listen", ports[1]}, args...),
		Probe: "http://" + ports[1] + "/readyz",
		Log:   filepath.Join(dir, "server.log"),
	}
	return s, nil
}

// Private is the URL of the private listener.
func (s *Server) Private() string { return strings.TrimSuffix(s.Probe, "/readyz") }

// Admin speaks to the running server over its socket.
func (s *Server) Admin() *admin.Client {
	return admin.NewSocketClient(filepath.Join(s.Data, "admin.sock"))
}

// CLI runs a command of the binary on the data directory and returns what it
// printed.
func (s *Server) CLI(ctx context.Context, stdin string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, s.Path, append(args, "--data", s.Data)...)
	cmd.Env = append(os.Environ(), s.Env...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("sallyport %s: %w: %s%s", strings.Join(args, " "), err, errs.String(), out.String())
	}
	return out.Bytes(), nil
}
