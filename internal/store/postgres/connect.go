package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// unsynced is the name, among a connection's own data, of the mark that the
// server confirmed a commit which no standby has.
const unsynced = "sallyport.unsynced"

// connConfig reads the URL and adds what we insist on.
func (s *Store) connConfig() (*pgx.ConnConfig, error) {
	conf, err := pgx.ParseConfig(s.cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("the store's URL: %w", err) // pgx leaves the password out
	}
	if conf.Database == "" || conf.Host == "" {
		return nil, errors.New("the store's URL names no database: it is postgres://USER@HOST:PORT/DATABASE")
	}
	if conf.ConnectTimeout == 0 {
		conf.ConnectTimeout = 5 * time.Second
	}
	if conf.RuntimeParams["application_name"] == "" {
		conf.RuntimeParams["application_name"] = "sallyport"
	}
	// What a standby says may be old. With several hosts in the URL this also
	// finds the one that is the primary.
	conf.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	conf.OnNotice, conf.Tracer = noteNotice, s.tracer
	if s.cfg.Pooler == TransactionPooler {
		conf.DefaultQueryExecMode = pgx.QueryExecModeExec
		conf.StatementCacheCapacity, conf.DescriptionCacheCapacity = 0, 0
	}
	return conf, nil
}

// noteNotice marks a connection whose commit was confirmed although the wait
// for a synchronous standby was cancelled: a warning is all that the server
// gives, and the transaction may be gone after a failover.
func noteNotice(c *pgconn.PgConn, n *pgconn.Notice) {
	if n.SeverityUnlocalized != "WARNING" {
		return
	}
	switch n.Code {
	case "01000", "57P01": // cancelled by a time limit or a user; by a shutdown
		c.CustomData()[unsynced] = true
	}
}

// newPool makes a pool that connects when it is first used.
func (s *Store) newPool(ctx context.Context, conf *pgx.ConnConfig, size int) (*pgxpool.Pool, error) {
	pc, err := pgxpool.ParseConfig("")
	if err != nil {
		return nil, fmt.Errorf("preparing the connection pool: %w", err)
	}
	pc.ConnConfig = conf.Copy()
	pc.ConnConfig.DialFunc = s.link.noting(conf.DialFunc)
	pc.MaxConns, pc.MinConns = int32(size), 0
	pc.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		// Where nothing is prepared, the type of a parameter is told by its value.
		c.TypeMap().RegisterDefaultPgType([16]byte{}, "uuid")
		c.TypeMap().RegisterDefaultPgType([][16]byte{}, "_uuid")
		if s.cfg.Pooler == TransactionPooler {
			return nil // what is set would be somebody else's after the transaction
		}
		_, err := c.Exec(ctx, s.limits(false))
		return err
	}
	pc.MaxConnIdleTime = 5 * time.Minute
	pc.MaxConnLifetime, pc.MaxConnLifetimeJitter = time.Hour, 10*time.Minute
	p, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection pool: %w", err)
	}
	return p, nil
}

// limits is SQL that sets the time limits, of the session or, local, of the
// transaction. It is not sent as parameters of the connection, since a pooler
// refuses those that it does not know.
func (s *Store) limits(local bool) string {
	return fmt.Sprintf(`SELECT set_config('statement_timeout', '%[1]d', %[4]t), set_config('lock_timeout', '%[2]d', %[4]t),
		set_config('idle_in_transaction_session_timeout', '%[3]d', %[4]t)`,
		s.cfg.StatementTimeout.Milliseconds(), s.cfg.LockTimeout.Milliseconds(), (2 * s.cfg.StatementTimeout).Milliseconds(), local)
}

// inspect looks at the server before anything is done to it, and refuses one
// that cannot keep the store's promises.
func (s *Store) inspect(ctx context.Context) error {
	var version int
	var sync, fsync, encoding, isolation string
	err := s.view(ctx, func(c *conn) error {
		return c.row(`SELECT current_setting('server_version_num')::int, current_setting('synchronous_commit'), current_setting('fsync'),
			current_setting('server_encoding'), current_setting('default_transaction_isolation')`).Scan(&version, &sync, &fsync, &encoding, &isolation)
	})
	if err != nil {
		return fmt.Errorf("connecting to the store: %w", err)
	}
	switch {
	case version < 130000:
		return fmt.Errorf("the store's server is PostgreSQL %d; version 13 is the oldest that works", version/10000)
	case encoding != "UTF8":
		return fmt.Errorf("the store's database has the encoding %s: create it WITH ENCODING 'UTF8' TEMPLATE template0", encoding)
	case sync == "off":
		return errors.New("synchronous_commit is off for this role or database: acknowledged logouts would be lost with the server; ALTER ROLE … SET synchronous_commit = on")
	case isolation != "read committed":
		return fmt.Errorf("default_transaction_isolation is %q for this role or database: the store is written for read committed; ALTER ROLE … RESET default_transaction_isolation", isolation)
	}
	if fsync == "off" {
		s.log.Warn("store: the server runs with fsync=off; a power cut can lose or damage everything")
	}
	if sync == "local" {
		s.log.Warn("store: synchronous_commit is local; a failover loses what the standby does not have yet")
	}
	return s.findTimeline(ctx)
}

// findTimeline chooses how a statement learns which timeline the server
// writes: it changes with every promotion of a standby, which may have lost
// the latest facts.
func (s *Store) findTimeline(ctx context.Context) error {
	const expr = `('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::bigint`
	err := s.view(ctx, func(c *conn) error {
		var n int64
		return c.row(`SELECT ` + expr).Scan(&n)
	})
	s.timeline = expr
	var pe *pgconn.PgError
	if errors.As(err, &pe) && (strings.HasPrefix(pe.Code, "42") || strings.HasPrefix(pe.Code, "0A")) {
		// A service that hides its log, or something that only speaks the protocol.
		s.log.Warn("store: the server does not tell its timeline; a failover that loses commits goes unnoticed", "err", err)
		s.timeline, err = `0::bigint`, nil
	}
	return err
}
