package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/password"
)

// TestLeftoverWorkerLeavesProcessors: a worker started for leftovers runs under
// SCHED_IDLE with all its threads and hashes rightly, without any privilege;
// so does the other kind, which has its share. Giving the share back is not
// possible without privileges: should that change, a late hash need not begin
// again.
func TestLeftoverWorkerLeavesProcessors(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the server")
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "sallyport")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for kind, want := range map[string]string{app.LeftoverHashWorker: schedIdle, app.HashWorker: schedOther} {
		cmd := exec.Command(binary, kind)
		if os.Getuid() == 0 {
			// The folder above the test's own is closed to others.
			if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
				t.Fatal(err)
			}
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		pipe := start(t, cmd)
		h, err := password.New(password.Config{
			Slots:  1,
			Worker: func() (io.ReadWriteCloser, error) { return pipe, nil }, WorkerFailed: func(err error) { t.Error(err) },
		})
		if err != nil {
			t.Fatal(err)
		}
		phc, err := h.Hash(t.Context(), password.Lane{}, "right one")
		if err != nil {
			t.Fatal(err)
		}
		if ok, _, err := h.Verify(t.Context(), password.Lane{}, phc, "right one"); err != nil || !ok {
			t.Errorf("%s: %v, %v", kind, ok, err)
		}
		stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", cmd.Process.Pid))
		if err != nil || len(stats) < 2 {
			t.Fatalf("%d threads, %v", len(stats), err)
		}
		for _, name := range stats {
			raw, err := os.ReadFile(name)
			if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
				continue // a thread that ended
			}
			if err != nil {
				t.Fatal(err)
			}
			// proc(5): the policy is field 41; the name, in brackets, is field 2.
			fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
			if got := fields[41-3]; got != want {
				t.Errorf("%s: a thread runs under policy %s, want %s", kind, got, want)
			}
		}
		h.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// Scheduling policies as /proc tells them.
const (
	schedOther = "0"
	schedIdle  = "5"
)

// pipe is a worker's output and input.
type pipe struct {
	io.Reader
	io.WriteCloser
}

func start(t *testing.T, cmd *exec.Cmd) pipe {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return pipe{out, in}
}
