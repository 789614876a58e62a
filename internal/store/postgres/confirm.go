package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sallyport/sallyport/internal/core"
)

// What a server shows may be on no standby: it shows a commit whose wait for
// the standby was cancelled like any other, to every node, and only who waited
// is told. An answer that rests on what a step found, and wrote nothing itself,
// would vouch for such a commit ("this was refreshed already", "that session
// has ended", "this name is taken") and be a lie after the next failover. So
// it says something to the log, which comes after all that it found, and waits
// for that.
//
// In the same statement, or transaction, or on the same connection: a
// confirmation by another server would say nothing of what this one showed.

// confirmed is an SQL expression, a boolean of no meaning, that makes its statement wait like one
// that writes, where commits wait for standbys at all. A statement sees no
// commit that is later in the log than what it writes itself.
const confirmed = `(CASE WHEN current_setting('synchronous_standby_names') <> '' THEN pg_logical_emit_message(true, 'sallyport', '') END IS NULL)`

// confirm waits until all that was seen so far on a connection is where it
// would be had this node written it.
func (s *Store) confirm(ctx context.Context, c *pgxpool.Conn) error {
	var ok bool
	return s.outcome(c, c.QueryRow(ctx, `SELECT `+confirmed).Scan(&ok))
}

// foundOnly reports that an error is the answer of a step that ended by what it
// found, like ErrExists.
func foundOnly(err error) bool {
	return isDocumented(err) && !errors.Is(err, core.ErrUnknownOutcome) && !errors.Is(err, core.ErrStoreUnavailable)
}

// loadSessionConfirmed is loadSession, in one statement with the confirmation.
func loadSessionConfirmed(c *conn, key [16]byte) (*core.Session, *core.Subject, error) {
	r, err := scanSessionAndSubject(skipFirst{c.row(`SELECT `+confirmed+`, x.* FROM (`+withSubject+`WHERE s.key = $1) x`, key)})
	if err != nil {
		return nil, nil, err
	}
	return r.session, r.subject, nil
}

// skipFirst leaves out the first column of a row, a boolean.
type skipFirst struct{ row scanner }

func (r skipFirst) Scan(dest ...any) error {
	return r.row.Scan(append([]any{new(bool)}, dest...)...)
}

// viewConfirmed is view for answers that vouch for what they tell.
func (s *Store) viewConfirmed(ctx context.Context, f func(*conn) error) error {
	return s.lend(ctx, s.pool, func(ctx context.Context, c *pgxpool.Conn) error {
		var found error
		err := pgx.BeginTxFunc(ctx, c, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
			if found = f(&conn{ctx: ctx, q: tx}); found != nil && !foundOnly(found) {
				return found
			}
			_, err := tx.Exec(ctx, `SELECT `+confirmed)
			return err
		})
		if err == nil && c.Conn().PgConn().CustomData()[unsynced] != nil {
			err = errUnsynced
		}
		if err != nil {
			return err
		}
		return found
	})
}
