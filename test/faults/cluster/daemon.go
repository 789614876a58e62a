package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// daemon is one program that runs until it is told to end.
type daemon struct {
	name string
	dir  string // working directory; the log and the pid file lie there
	as   *account
	path string
	args []string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
}

func (d *daemon) pidFile() string { return filepath.Join(d.dir, d.name+".pid") }
func (d *daemon) logFile() string { return filepath.Join(d.dir, d.name+".log") }

// start runs the program; it does not wait until it answers.
func (d *daemon) start() error {
	log, err := os.OpenFile(d.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("the log of %s: %w", d.name, err)
	}
	defer func() { _ = log.Close() }() // the child has its own descriptor
	cmd := exec.Command(d.path, d.args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = d.dir, log, log
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TZ=UTC", "HOME=" + d.dir}
	dress(cmd, d.as)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", d.name, err)
	}
	if err := os.WriteFile(d.pidFile(), []byte(strconv.Itoa(cmd.Process.Pid)), 0o644); err != nil {
		_ = cmd.Process.Kill() // the first error tells more
		return fmt.Errorf("the pid file of %s: %w", d.name, err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended stands in its log
		close(done)
	}()
	d.mu.Lock()
	d.cmd, d.done = cmd, done
	d.mu.Unlock()
	return nil
}

// dress gives a command a user and a group of processes of its own, so that an
// interrupt typed at a terminal reaches us first.
func dress(cmd *exec.Cmd, as *account) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if as != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(as.uid), Gid: uint32(as.gid)}
	}
}

// signal sends a signal to the program; true when it was there to take it.
func (d *daemon) signal(sig syscall.Signal) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cmd != nil && d.cmd.Process.Signal(sig) == nil
}

// end signals the program and waits until it is gone, at most for the time
// given; then it is killed.
func (d *daemon) end(sig syscall.Signal, patience time.Duration) {
	if !d.signal(sig) {
		return
	}
	select {
	case <-d.done:
	case <-time.After(patience):
		d.signal(syscall.SIGKILL)
		<-d.done
	}
}

func (d *daemon) tail() string {
	b, err := os.ReadFile(d.logFile())
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-3000):])
}

// guard ends everything below a folder when this process has gone.
type guard struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

// guardScript waits for the pipe to close. Who closes it after a word has
// ended everything himself. Patroni goes first, or it would start PostgreSQL
// again.
const guardScript = `
read -r word && exit 0
end() { # SIGNAL PIDFILE: only a process that works below our folder is ours
	[ -e "$2" ] || return
	pid=$(head -n 1 "$2")
	case "$(readlink "/proc/$pid/cwd")" in "$dir" | "$dir"/*) kill "-$1" "$pid" ;; esac
}
dir=$1
for f in "$1"/*.pid "$1"/*/*.pid; do end KILL "$f"; done
for f in "$1"/*/data/postmaster.pid; do end QUIT "$f"; done
sleep 1
cd / && rm -rf "$1"
`

func newGuard(dir string) (*guard, error) {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("starting the guard: %w", err)
	}
	defer func() { _ = theirs.Close() }() // the child has its own
	cmd := exec.Command("/bin/sh", "-c", guardScript, "guard", dir)
	cmd.Stdin = theirs
	dress(cmd, nil)
	if err := cmd.Start(); err != nil {
		_ = ours.Close()
		return nil, fmt.Errorf("starting the guard: %w", err)
	}
	return &guard{cmd: cmd, pipe: ours}, nil
}

// dismiss says that everything has ended.
func (g *guard) dismiss() error {
	_, err := io.WriteString(g.pipe, "ended\n")
	return errors.Join(err, g.pipe.Close(), g.cmd.Wait())
}

// family is a process and all its descendants, as /proc has them.
func family(pid int) []int {
	children := map[int][]int{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return []int{pid}
	}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		// The name in parentheses may hold blanks; the fields after it don't.
		s := string(b)
		f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
		own, err1 := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		parent, err2 := strconv.Atoi(f[1])
		if err1 == nil && err2 == nil {
			children[parent] = append(children[parent], own)
		}
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// KillAll ends processes at once.
func KillAll(pids []int) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone already, which is what is wanted
	}
}

// Server is the postmaster that runs on a data directory and all processes
// below it; nil when there is none. A pid file may be left from a server that
// was killed, and its number belong to somebody else by now.
func Server(data string) []int {
	b, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return nil
	}
	first, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 1 {
		return nil
	}
	// A postmaster works in its data directory.
	if at, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err != nil || at != data {
		return nil
	}
	return family(pid)
}
