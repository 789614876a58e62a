package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// Standby copies a running server and starts the copy as a hot standby that
// streams from it under the name given, which synchronous_standby_names may
// list. It has the same superuser and password. Close removes it; promoting it
// is up to the caller (SELECT pg_promote()).
func (s *Server) Standby(ctx context.Context, parent, name string) (*Server, error) {
	dir, err := os.MkdirTemp(parent, "sallyport-pg-")
	if err != nil {
		return nil, fmt.Errorf("making the standby's directory: %w", err)
	}
	b := &Server{Dir: dir, User: s.User, Password: s.Password, bin: s.bin, runAs: s.runAs, durable: s.durable}
	if err := b.follow(ctx, s, name); err != nil {
		_ = os.RemoveAll(dir) // the first error tells more
		return nil, err
	}
	return b, nil
}

func (s *Server) follow(ctx context.Context, primary *Server, name string) error {
	if s.runAs != nil {
		if err := os.Chown(s.Dir, int(s.runAs.uid), int(s.runAs.gid)); err != nil {
			return fmt.Errorf("giving the standby's directory to its user: %w", err)
		}
	}
	cmd := s.command(ctx, "pg_basebackup", "--pgdata="+s.dataDir(), "--host=127.0.0.1", "--port="+strconv.Itoa(primary.Port),
		"--username="+s.User, "--wal-method=stream", "--checkpoint=fast", "--no-sync", "--no-password")
	cmd.Env = append(cmd.Env, "PGPASSWORD="+s.Password)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_basebackup: %w\n%s", err, out)
	}
	settings := map[string]string{
		"unix_socket_directories":   "'" + s.socketDir() + "'",
		"synchronous_standby_names": "''", // the primary's is in the copy, and a standby has none
		"primary_conninfo": fmt.Sprintf("'host=127.0.0.1 port=%d user=%s password=%s application_name=%s sslmode=disable'",
			primary.Port, s.User, s.Password, name),
		"wal_retrieve_retry_interval": "'200ms'",
	}
	if err := s.Configure(settings); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.dataDir(), "standby.signal"), nil, 0o600); err != nil {
		return fmt.Errorf("making a standby: %w", err)
	}
	return s.Start(ctx)
}

// AwaitSync waits until the server waits for a synchronous standby's word
// before it answers a commit.
func (s *Server) AwaitSync(ctx context.Context) error {
	c, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return fmt.Errorf("connecting to the test server: %w", err)
	}
	for {
		var n int
		err := c.QueryRow(ctx, `SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')`).Scan(&n)
		if err != nil || n > 0 {
			return errors.Join(err, c.Close(ctx))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no synchronous standby: %w", errors.Join(ctx.Err(), c.Close(ctx)))
		case <-time.After(50 * time.Millisecond):
		}
	}
}
