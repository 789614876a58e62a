package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/dump"
)

// documented are the errors that the interfaces of core and dump promise; they reach
// the caller as they are.
var documented = []error{
	core.ErrNoRow, core.ErrExists, core.ErrStale, core.ErrUnknownOutcome, core.ErrStoreUnavailable,
	dump.ErrNotEmpty,
}

func isDocumented(err error) bool {
	var e *core.Error
	if errors.As(err, &e) {
		return true
	}
	for _, d := range documented {
		if errors.Is(err, d) {
			return true
		}
	}
	return false
}

// outward makes anything that is not a documented error ErrStoreUnavailable:
// fail closed, never "invalid token".
func outward(err error) error {
	if err == nil || isDocumented(err) {
		return err
	}
	return fmt.Errorf("%w: %w", core.ErrStoreUnavailable, err)
}

// noRow turns the driver's word for an empty result into the domain's.
func noRow(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return core.ErrNoRow
	}
	return err
}

// taken turns a broken unique constraint into ErrExists, a broken foreign key
// into ErrNoRow.
func taken(err error) error {
	switch sqlState(err) {
	case "23505":
		return fmt.Errorf("%w: %w", core.ErrExists, err)
	case "23503":
		return fmt.Errorf("%w: %w", core.ErrNoRow, err)
	}
	return err
}

// sqlState is the code of an error that the server answered with, "" when it
// answered nothing.
func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// notLetIn says what is wrong where a server answers and turns our connections
// away for good: "the store does not answer" would send people to look at the
// network.
func notLetIn(err error, conf *pgx.ConnConfig) error {
	var refused *pgconn.ConnectError
	if !errors.As(err, &refused) {
		return err
	}
	switch sqlState(err) {
	case "28P01", "28000":
		return fmt.Errorf("PostgreSQL does not let the role %q in: see that it exists, that pg_hba.conf admits it from here, and that the store's URL has its password: %w", conf.User, refused)
	case "3D000":
		return fmt.Errorf("there is no database %q: make it (docs/postgresql.md), or name another one in the store's URL: %w", conf.Database, refused)
	case "42501":
		return fmt.Errorf("the role %q may not use the database %q: GRANT CONNECT to it, or make it the owner: %w", conf.User, conf.Database, refused)
	}
	return err
}

// answered reports that err is the server's refusal of a statement, which has
// undone what it did, by a server that goes on serving this connection.
func answered(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.SeverityUnlocalized == "ERROR"
}

// transient reports that the same may well succeed on another connection or a
// moment later, given that nothing was done.
func transient(err error) bool {
	switch code := sqlState(err); {
	case code == "40001", code == "40P01": // serialization failure, deadlock
		return true
	case code == "25006": // read-only: the primary is not it any more
		return true
	case code == "57P01", code == "57P02", code == "57P03": // shutting down, crashed, starting
		return true
	case code == "53300": // too many connections
		return true
	case strings.HasPrefix(code, "08"):
		return true
	case code != "":
		return false
	}
	return lost(err)
}

// moved reports that the connections we have lead to a server that is gone or
// no primary any more.
func moved(err error) bool {
	switch code := sqlState(err); {
	case code == "25006", code == "57P01", code == "57P02", strings.HasPrefix(code, "08"):
		return true
	case code != "":
		return false
	}
	return lost(err)
}

// lost reports that a connection broke, or could not be made.
func lost(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return pgconn.SafeToRetry(err) || errors.As(err, &connect) || errors.As(err, &network) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

// gone says that ctx ended before a step was handed over: nothing happened.
func gone(ctx context.Context) error {
	return fmt.Errorf("%w: nothing was done: %w", core.ErrStoreUnavailable, context.Cause(ctx))
}

// unknown says that a step may have happened.
func unknown(err error) error { return fmt.Errorf("%w: %w", core.ErrUnknownOutcome, err) }

// inDoubt reports that an idempotent step is worth doing again: its connection
// broke before it was answered. A server that waits for its standby would only
// keep us waiting again.
func inDoubt(err error) bool {
	return errors.Is(err, core.ErrUnknownOutcome) && !errors.Is(err, errUnsynced)
}

// errUnsynced is the outcome of a commit that no standby has.
var errUnsynced = unknown(errors.New("the server gave up waiting for its standby"))
