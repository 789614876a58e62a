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

// HashWorker is the one argument with which the binary is a worker that hashes
// passwords: not a command for people.
const HashWorker = "hash-worker"

// RunHashWorker is the whole life of a worker process. It ends with its input,
// thus with the server that started it, however that ends; interrupts are for
// the server, which lets logins under way finish.
func RunHashWorker(in io.Reader, out io.Writer) error {
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	Harden()
	return password.Work(in, out)
}

// hashWorker gives what starts a worker, or nil where this process is not the
// server's own binary: a test started with the argument would run itself.
func hashWorker() func() (io.ReadWriteCloser, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Path != "github.com/sallyport/sallyport/cmd/sallyport" {
		return nil
	}
	return func() (io.ReadWriteCloser, error) {
		exe, err := ownExecutable()
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(exe, HashWorker)
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

// Close ends the worker once it has done what it is at.
func (p *workerPipe) Close() error {
	err := p.WriteCloser.Close()
	go func() { _ = p.cmd.Wait() }() // how it ended changes nothing any more
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
