package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Bouncer is a pgbouncer in front of a server.
type Bouncer struct {
	Port int
	cmd  *exec.Cmd
	stop *os.File
	done chan struct{}
	dir  string
}

// ErrNoBouncer says that pgbouncer is not on this machine.
var ErrNoBouncer = errors.New("pgbouncer is not installed: run scripts/setup")

// NewBouncer puts a pgbouncer in front of s, with a pool mode ("session" or
// "transaction"), and ends it when tb does. It skips tb, saying why, where
// pgbouncer is not installed.
func (s *Server) NewBouncer(tb TB, mode string) *Bouncer {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	b, err := s.Bouncer(ctx, mode)
	if errors.Is(err, ErrNoBouncer) {
		tb.Skipf("%v", err)
	}
	if err != nil {
		tb.Fatalf("starting pgbouncer: %v", err)
	}
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Errorf("ending pgbouncer: %v", err)
		}
	})
	return b
}

// Bouncer puts a pgbouncer in front of s. Close ends it.
func (s *Server) Bouncer(ctx context.Context, mode string) (*Bouncer, error) {
	exe, err := findBouncer()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "sallyport-pgbouncer-")
	if err != nil {
		return nil, fmt.Errorf("making pgbouncer's directory: %w", err)
	}
	b := &Bouncer{dir: dir, done: make(chan struct{})}
	if b.Port, err = freePort(); err == nil {
		err = b.configure(s, mode)
	}
	if err == nil {
		err = b.launch(ctx, s, exe)
	}
	if err != nil {
		_ = b.Close() // the first error tells more
		return nil, err
	}
	return b, nil
}

func findBouncer() (string, error) {
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer"} {
		if exe, err := exec.LookPath(name); err == nil {
			return exe, nil
		}
	}
	return "", ErrNoBouncer
}

func (b *Bouncer) configure(s *Server, mode string) error {
	ini := fmt.Sprintf(`[databases]
* = host=127.0.0.1 port=%d user=%s password=%s

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = plain
auth_file = %s
pool_mode = %s
max_client_conn = 500
default_pool_size = 20
log_connections = 0
log_disconnections = 0
`, s.Port, s.User, s.Password, b.Port, filepath.Join(b.dir, "users"), mode)
	for name, text := range map[string]string{"pgbouncer.ini": ini, "users": fmt.Sprintf("%q %q\n", s.User, s.Password)} {
		path := filepath.Join(b.dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return fmt.Errorf("configuring pgbouncer: %w", err)
		}
		if s.runAs != nil {
			if err := os.Chown(path, int(s.runAs.uid), int(s.runAs.gid)); err != nil {
				return fmt.Errorf("configuring pgbouncer: %w", err)
			}
		}
	}
	if s.runAs != nil {
		return os.Chown(b.dir, int(s.runAs.uid), int(s.runAs.gid))
	}
	return nil
}

// bouncerScript ends pgbouncer when our end of the pipe closes, as guardScript
// does for a server.
const bouncerScript = `
exec 3<&0 </dev/null
"$1" -q "$2/pgbouncer.ini" >>"$2/log" 2>&1 3<&- &
child=$!
( read -r word <&3; kill -TERM $child 2>/dev/null ) &
exec 3<&-
wait $child
`

func (b *Bouncer) launch(ctx context.Context, s *Server, exe string) error {
	cmd := exec.Command("/bin/sh", "-c", bouncerScript, "pgtest", exe, b.dir)
	s.dress(cmd)
	cmd.Dir = b.dir
	theirs, ours, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd.Stdin = theirs
	err = cmd.Start()
	_ = theirs.Close() // the child has its own
	if err != nil {
		_ = ours.Close()
		return err
	}
	b.cmd, b.stop = cmd, ours
	go func() {
		_ = cmd.Wait() // how it ended stands in the log
		close(b.done)
	}()
	for {
		c, err := pgx.Connect(ctx, b.DSN(s.DSN("postgres")))
		if err == nil {
			return c.Close(ctx)
		}
		select {
		case <-b.done:
			log, _ := os.ReadFile(filepath.Join(b.dir, "log")) // none: then its end is all there is to tell
			return fmt.Errorf("pgbouncer ended: %s", strings.TrimSpace(string(log)))
		case <-ctx.Done():
			return fmt.Errorf("pgbouncer does not answer: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// DSN turns the address of one of the server's databases into that through
// pgbouncer.
func (b *Bouncer) DSN(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return dsn
	}
	u.Host = net.JoinHostPort("127.0.0.1", strconv.Itoa(b.Port))
	return u.String()
}

// Close ends it.
func (b *Bouncer) Close() error {
	if b.cmd != nil {
		_ = b.stop.Close()
		select {
		case <-b.done:
		case <-time.After(30 * time.Second):
			return errors.New("pgbouncer did not end within 30 seconds")
		}
	}
	if err := os.RemoveAll(b.dir); err != nil {
		return fmt.Errorf("removing pgbouncer's directory: %w", err)
	}
	return nil
}
