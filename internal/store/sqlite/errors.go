package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/dump"
	lib "modernc.org/sqlite/lib"
)

// InUseError says that another process works on the data directory.
type InUseError struct {
	Dir string
	PID int // of the holder, 0 when unknown
}

func (e *InUseError) Error() string {
	who := "another process"
	if e.PID > 0 {
		who = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("the data directory %s is in use by %s: stop it first, or choose another directory", e.Dir, who)
}

// documented are the errors that the interfaces of core promise; they reach
// the caller as they are.
var documented = []error{
	core.ErrNoRow, core.ErrExists, core.ErrStale, core.ErrUnknownOutcome, core.ErrStoreUnavailable,
	dump.ErrNotEmpty,
}

// outward makes anything that is not a documented error ErrStoreUnavailable:
// fail closed, never "invalid token".
func outward(err error) error {
	if err == nil {
		return nil
	}
	for _, d := range documented {
		if errors.Is(err, d) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", core.ErrStoreUnavailable, err)
}

// noRow turns a connection's word for an empty result into the domain's.
func noRow(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return core.ErrNoRow
	}
	return err
}

// primary is the primary result code of a SQLite error, or 0.
func primary(err error) int {
	var e *sqliteError
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// taken turns a broken unique constraint into ErrExists, a broken foreign key
// into ErrNoRow.
func taken(err error) error {
	var e *sqliteError
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() {
	case lib.SQLITE_CONSTRAINT_UNIQUE, lib.SQLITE_CONSTRAINT_PRIMARYKEY:
		return fmt.Errorf("%w: %w", core.ErrExists, err)
	case lib.SQLITE_CONSTRAINT_FOREIGNKEY:
		return fmt.Errorf("%w: %w", core.ErrNoRow, err)
	}
	return err
}

// fatal reports whether the transaction that err happened in can no longer be
// trusted. After a broken constraint SQLite has undone that statement alone;
// after a full disk, an I/O error and the like it may have rolled back
// everything.
func fatal(err error) bool {
	if errors.Is(err, errDoubt) {
		return true
	}
	code := primary(err)
	return code != 0 && code != lib.SQLITE_CONSTRAINT
}

// errDoubt marks a step that panicked or could not close its savepoint.
var errDoubt = errors.New("a step left its transaction in doubt")

// gone says that ctx ended before a step was handed over or a reader was free:
// nothing happened.
func gone(ctx context.Context) error {
	return fmt.Errorf("%w: nothing was done: %w", core.ErrStoreUnavailable, context.Cause(ctx))
}
