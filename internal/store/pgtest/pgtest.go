// Package pgtest runs throw-away PostgreSQL clusters for tests, the fault
// harness and benchmarks.
//
// How the pieces move. Run makes a cluster in a fresh directory (initdb) and
// starts it on a loopback port and a Unix socket in that directory; Start does
// so once a process for tests, which then take a database each. The server is
// the child of a small shell that waits for our end of a pipe to close: however
// this process ends, SIGKILL included, the server is stopped and its directory
// removed. PostgreSQL refuses to run as root, so root runs it as the user
// postgres, or nobody.
//
// It is no part of the product: nothing that serves imports it.
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrMissing says that PostgreSQL's programs are not on this machine.
var ErrMissing = errors.New("PostgreSQL is not installed: run scripts/setup, or name the folder of initdb in SALLYPORT_PG_BIN")

// TB is the part of testing.TB that is used, so that programs need not link
// the testing package.
type TB interface {
	Helper()
	Cleanup(func())
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// Config says what cluster to run. The zero value is a fast one that does not
// wait for the disk: it survives SIGKILL of its processes, not of the machine.
type Config struct {
	Parent string // folder to make the cluster's directory in; "" = the system's for temporary files
	// LogParent is the same for a directory of the write-ahead log; "" = with
	// the rest.
	LogParent string
	Durable   bool              // fsync and full-page writes as in production, for measurements
	Settings  map[string]string // further lines of postgresql.conf, as they stand there
}

// Server is one cluster.
type Server struct {
	Dir      string // everything is below: data, socket, log
	Port     int    // on 127.0.0.1, and of the socket's name
	User     string // the superuser
	Password string // random; connections over TCP and the socket need it

	bin     string
	runAs   *account
	durable bool
	walDir  string // "" = within data

	mu    sync.Mutex
	guard *guard // nil while stopped

	names int // databases made so far
}

var shared struct {
	sync.Mutex
	server *Server
	err    error
}

// Start gives the cluster that the tests of this process share, starting it
// when it is the first to ask. It skips tb, saying why, where PostgreSQL is
// not installed. What stops servers should Run its own.
func Start(tb TB) *Server {
	tb.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil && shared.err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		shared.server, shared.err = Run(ctx, Config{})
	}
	Need(tb, shared.err)
	return shared.server
}

// Need ends a test that got err for a cluster. Where PostgreSQL is not installed
// it skips, saying why; but with SALLYPORT_TESTS=complete in the environment, as
// in .ci/run, it fails: there a store must not go untested unnoticed.
func Need(tb TB, err error) {
	tb.Helper()
	switch {
	case errors.Is(err, ErrMissing) && os.Getenv("SALLYPORT_TESTS") != "complete":
		tb.Skipf("%v", err)
	case err != nil:
		tb.Fatalf("starting PostgreSQL: %v", err)
	}
}

// Run makes and starts a cluster. Close stops and removes it.
func Run(ctx context.Context, cfg Config) (*Server, error) {
	bin, err := findBin()
	if err != nil {
		return nil, err
	}
	runAs, err := serverAccount()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(cfg.Parent, "sallyport-pg-")
	if err != nil {
		return nil, fmt.Errorf("making the cluster's directory: %w", err)
	}
	s := &Server{Dir: dir, User: "sallyport", Password: rand.Text(), bin: bin, runAs: runAs, durable: cfg.Durable}
	if cfg.LogParent != "" {
		s.walDir, err = os.MkdirTemp(cfg.LogParent, "sallyport-pg-wal-")
	}
	if err == nil {
		err = s.init(ctx, cfg.Settings)
	}
	if err == nil {
		err = s.Start(ctx)
	}
	if err != nil {
		_ = s.remove() // the first error tells more
		return nil, err
	}
	return s, nil
}

// Close stops the server at once and removes its directory.
func (s *Server) Close() error {
	if err := s.Stop(Immediate); err != nil {
		return err
	}
	return s.remove()
}

func (s *Server) remove() error {
	err := os.RemoveAll(s.Dir)
	if s.walDir != "" {
		err = errors.Join(err, os.RemoveAll(s.walDir))
	}
	if err != nil {
		return fmt.Errorf("removing a cluster: %w", err)
	}
	return nil
}

// DSN is the address of a database of the cluster, over TCP, as a URL with the
// password in it.
func (s *Server) DSN(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(s.User, s.Password), Path: "/" + database,
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)), RawQuery: "sslmode=disable",
	}
	return u.String()
}

// SocketDSN is the same over the Unix socket.
func (s *Server) SocketDSN(database string) string {
	q := url.Values{"host": {s.socketDir()}, "port": {strconv.Itoa(s.Port)}}
	u := url.URL{Scheme: "postgres", User: url.UserPassword(s.User, s.Password), Path: "/" + database, RawQuery: q.Encode()}
	return u.String()
}

// NewDatabase makes an empty database, gives its DSN and drops it when tb ends.
func (s *Server) NewDatabase(tb TB) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	name, err := s.CreateDatabase(ctx)
	if err != nil {
		tb.Fatalf("making a database: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Exec(ctx, "postgres", `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`); err != nil && s.Running() {
			tb.Errorf("dropping a database: %v", err)
		}
	})
	return s.DSN(name)
}

// CreateDatabase makes an empty database and gives its name.
func (s *Server) CreateDatabase(ctx context.Context) (string, error) {
	s.mu.Lock()
	s.names++
	name := fmt.Sprintf("t%d", s.names)
	s.mu.Unlock()
	// WAL_LOG is the default and slow with many small databases; FILE_COPY would
	// force a checkpoint, which is slower still without fsync.
	return name, s.Exec(ctx, "postgres", `CREATE DATABASE `+name)
}

// Exec runs SQL as the superuser, over a connection of its own.
func (s *Server) Exec(ctx context.Context, database, sql string, args ...any) error {
	c, err := pgx.Connect(ctx, s.DSN(database))
	if err != nil {
		return fmt.Errorf("connecting to the test server: %w", err)
	}
	_, err = c.Exec(ctx, sql, args...)
	if cerr := c.Close(ctx); err == nil {
		err = cerr
	}
	return err
}

func (s *Server) dataDir() string   { return filepath.Join(s.Dir, "data") }
func (s *Server) socketDir() string { return s.Dir }

// LogFile is where the server writes what it has to say.
func (s *Server) LogFile() string { return filepath.Join(s.Dir, "log") }
