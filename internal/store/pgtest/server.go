package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport/sallyport/internal/store/pgtest/ports"
)

// account is the user that the server runs as; nil for our own.
type account struct{ uid, gid uint32 }

// serverAccount picks another user when we are root, as whom PostgreSQL
// refuses to run.
func serverAccount() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			continue
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			continue
		}
		return &account{uint32(uid), uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")
}

// findBin finds the folder of PostgreSQL's programs, of the newest version.
func findBin() (string, error) {
	dirs := []string{os.Getenv("SALLYPORT_PG_BIN")}
	if found, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(found); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	debian, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err == nil {
		slices.SortFunc(debian, func(a, b string) int { return version(b) - version(a) })
		dirs = append(dirs, debian...)
	}
	for _, dir := range dirs {
		if dir == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil {
			return dir, nil
		}
	}
	return "", ErrMissing
}

// version reads 15 from /usr/lib/postgresql/15/bin, 0 from what is not so.
func version(dir string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	if err != nil {
		return 0
	}
	return n
}

// command prepares one of PostgreSQL's programs under the server's account.
func (s *Server) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...)
	s.dress(cmd)
	return cmd
}

func (s *Server) dress(cmd *exec.Cmd) {
	cmd.Dir = s.Dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TZ=UTC", "HOME=" + s.Dir}
	// A group of its own: the interrupt of a terminal is for us to pass on.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if s.runAs != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: s.runAs.uid, Gid: s.runAs.gid}
	}
}

// init makes the cluster's files.
func (s *Server) init(ctx context.Context, more map[string]string) error {
	if s.runAs != nil {
		for _, dir := range []string{s.Dir, s.walDir} {
			if dir == "" {
				continue
			}
			if err := os.Chown(dir, int(s.runAs.uid), int(s.runAs.gid)); err != nil {
				return fmt.Errorf("giving the cluster's directory to its user: %w", err)
			}
		}
	}
	pwfile := filepath.Join(s.Dir, "password")
	if err := os.WriteFile(pwfile, []byte(s.Password+"\n"), 0o644); err != nil {
		return fmt.Errorf("writing the test password: %w", err)
	}
	args := []string{
		"--no-sync", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8",
		"--username=" + s.User, "--pwfile=" + pwfile, "--pgdata=" + s.dataDir(),
	}
	if s.walDir != "" {
		args = append(args, "--waldir="+s.walDir)
	}
	out, err := s.command(ctx, "initdb", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	settings := map[string]string{
		"listen_addresses": "'127.0.0.1'", "unix_socket_directories": "'" + s.socketDir() + "'",
		"max_connections": "200", "shared_buffers": "'64MB'", "log_min_messages": "warning", "lc_messages": "'C'",
		"timezone": "'UTC'", "log_timezone": "'UTC'", "max_wal_size": "'512MB'",
	}
	if !s.durable {
		settings["fsync"], settings["full_page_writes"] = "off", "off"
	}
	for name, value := range more {
		settings[name] = value
	}
	return s.Configure(settings)
}

// Configure appends lines to postgresql.conf; they count from the next Start,
// or Reload for those that can change in a running server.
func (s *Server) Configure(settings map[string]string) error {
	var b strings.Builder
	for name, value := range settings {
		fmt.Fprintf(&b, "%s = %s\n", name, value)
	}
	f, err := os.OpenFile(filepath.Join(s.dataDir(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("configuring the cluster: %w", err)
	}
	_, err = f.WriteString(b.String())
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("configuring the cluster: %w", err)
	}
	return nil
}

// guard is the shell that outlives us to stop the server.
type guard struct {
	cmd  *exec.Cmd
	stop io.WriteCloser // closing it stops the server at once
	done chan struct{}  // closed when server and shell have ended
}

// guardScript runs the server until it ends or our end of the pipe closes.
// When nobody told it otherwise by a word, we died: the directory goes too.
const guardScript = `
exec 3<&0 </dev/null
"$1" -D "$2" -p "$3" >>"$4" 2>&1 3<&- &
server=$!
(
	if read -r word <&3; then exit 0; fi
	kill -QUIT $server 2>/dev/null
	while kill -0 $server 2>/dev/null; do sleep 0.05; done
	cd / && rm -rf "$5" ${6:+"$6"}
) &
exec 3<&-
wait $server
`

// Start starts a stopped server and waits until it answers.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.guard != nil {
		return errors.New("the server runs already")
	}
	var err error
	for range 5 { // the port was free a moment ago; another may have taken it
		if s.Port == 0 {
			if s.Port, err = freePort(); err != nil {
				return err
			}
		}
		if err = s.launch(ctx); err == nil {
			return nil
		}
		if !s.portTaken() {
			return err
		}
		s.Port = 0
	}
	return err
}

func (s *Server) launch(ctx context.Context) error {
	cmd := exec.Command("/bin/sh", "-c", guardScript, "pgtest", filepath.Join(s.bin, "postgres"), s.dataDir(),
		strconv.Itoa(s.Port), s.LogFile(), s.Dir, s.walDir)
	s.dress(cmd)
	// Not cmd.StdinPipe, which Wait would close before the last word is said.
	theirs, stop, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	cmd.Stdin = theirs
	err = cmd.Start()
	_ = theirs.Close() // the child has its own
	if err != nil {
		_ = stop.Close()
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	g := &guard{cmd: cmd, stop: stop, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended stands in the log
		close(g.done)
	}()
	for {
		if err = s.ping(ctx); err == nil {
			s.guard = g
			return nil
		}
		select {
		case <-g.done:
			_, _ = io.WriteString(stop, "ended\n") // it ended by itself: nothing to guard
			_ = stop.Close()
			return fmt.Errorf("PostgreSQL did not start:\n%s", s.tail())
		case <-ctx.Done():
			_ = stop.Close()
			return fmt.Errorf("PostgreSQL did not answer in time (%w):\n%s", err, s.tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *Server) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return err
	}
	return c.Close(ctx)
}

// Mode is how a server is told to stop.
type Mode syscall.Signal

// The modes.
const (
	Fast      = Mode(syscall.SIGINT)  // ends sessions, writes a checkpoint
	Immediate = Mode(syscall.SIGQUIT) // as after a crash: recovery at the next Start
)

// Stop stops a running server and waits until it has ended.
func (s *Server) Stop(how Mode) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.guard
	if g == nil {
		return nil
	}
	pid, err := s.pid()
	if err == nil {
		err = syscall.Kill(pid, syscall.Signal(how))
	}
	if err != nil && !errors.Is(err, syscall.ESRCH) && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("stopping PostgreSQL: %w", err)
	}
	select {
	case <-g.done:
	case <-time.After(time.Minute):
		return fmt.Errorf("PostgreSQL did not stop within a minute:\n%s", s.tail())
	}
	s.guard = nil
	_, _ = io.WriteString(g.stop, "stopped\n") // else the directory would go with the pipe
	_ = g.stop.Close()
	return nil
}

// Running reports whether the server was started and not stopped.
func (s *Server) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.guard != nil
}

// Signal sends a signal to the postmaster, e.g. SIGSTOP to hang it (sessions
// of other processes go on) or SIGHUP to read its configuration again.
func (s *Server) Signal(sig syscall.Signal) error {
	pid, err := s.pid()
	if err != nil {
		return err
	}
	return syscall.Kill(pid, sig)
}

// pid reads the postmaster's process id.
func (s *Server) pid() (int, error) {
	b, err := os.ReadFile(filepath.Join(s.dataDir(), "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(b), "\n")
	return strconv.Atoi(first)
}

func (s *Server) tail() string {
	b, err := os.ReadFile(s.LogFile())
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-2000):])
}

func (s *Server) portTaken() bool { return strings.Contains(s.tail(), "Address already in use") }

func freePort() (int, error) {
	list, err := ports.Take(1)
	if err != nil {
		return 0, err
	}
	return list[0], nil
}
