package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/sallyport/sallyport/internal/password"
)

// HashWorker and LeftoverHashWorker are the one argument with which the binary
// is a worker that hashes passwords: not commands for people.
const (
	HashWorker         = "hash-worker"
	LeftoverHashWorker = "leftover-hash-worker"
)

// RunHashWorker is the whole life of a worker process, which the argument makes
// of one kind or the other. It ends with its input, thus with the server that
// started it, however that ends; interrupts are for the server, which lets
// logins under way finish.
func RunHashWorker(kind string, in io.Reader, out io.Writer) error {
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	if kind == LeftoverHashWorker {
		takeLeftovers()
	}
	Harden()
	return password.Work(in, out)
}

// hashWorkers gives what starts workers, or nil where this process is not the
// server's own binary: a test started with the argument would run itself.
// leftover is nil where the system has no such priority.
func hashWorkers() (usual, leftover func() (io.ReadWriteCloser, error)) {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Path != "github.com/sallyport/sallyport/cmd/sallyport" {
		return nil, nil
	}
	if hasLeftovers {
		leftover = hashWorker(LeftoverHashWorker)
	}
	return hashWorker(HashWorker), leftover
}

func hashWorker(kind string) func() (io.ReadWriteCloser, error) {
	return func() (io.ReadWriteCloser, error) {
		exe, err := ownExecutable()
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(exe, kind)
		cmd.Env = []string{"GOMAXPROCS=1", "GOTRACEBACK=none"} // none of our secrets
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := startLow(cmd); err != nil {
			return nil, fmt.Errorf("starting a worker for hashing passwords: %w", err)
		}
		return &workerPipe{out, in, cmd}, nil
	}
}

// workerPipe is a worker's output and input.
type workerPipe struct {
	io.Reader
	io.WriteCloser
	cmd *exec.Cmd
}

// Close ends the worker, whatever it is at: nobody waits for that any more.
func (p *workerPipe) Close() error {
	err := p.WriteCloser.Close()
	_ = p.cmd.Process.Kill()         // it may have ended
	go func() { _ = p.cmd.Wait() }() // how it ended changes nothing any more
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
