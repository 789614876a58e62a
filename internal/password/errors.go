package password

import (
	"errors"
	"fmt"
	"time"
)

// Errors of this package; test with errors.Is. Their texts are for people.
var (
	// ErrEmpty is a password of no bytes.
	ErrEmpty = errors.New("the password is empty")
	// ErrTooLong is a password of more than MaxBytes bytes.
	ErrTooLong = fmt.Errorf("the password is longer than %d bytes", MaxBytes)
	// ErrNotText is a password that is not valid UTF-8, or a new one with
	// characters that nobody can be expected to type again.
	ErrNotText = errors.New("the password contains characters that cannot be used (control characters, or bytes that are not UTF-8)")
	// ErrUnusable is a stored hash that cannot be verified; the error that
	// wraps it says why.
	ErrUnusable = errors.New("this password hash cannot be used")
	// ErrBusy means that the queue for hashing is full; the error is a
	// *BusyError, which says when to come back.
	ErrBusy = errors.New("too many passwords are being checked at once")
	// ErrWeak is a new password that the Policy refuses; the error that wraps
	// it says why, in words for its owner.
	ErrWeak = errors.New("the password is too easy to guess")
	// ErrLoginName is a login name that cannot be used; the error that wraps
	// it says why, in words for the one who typed it.
	ErrLoginName = errors.New("this login name cannot be used")
)

// BusyError is what Hash, Verify and Dummy return when the queue is full. No
// work was done for the caller.
type BusyError struct {
	// RetryAfter is an estimate of when the queue will have moved on, at
	// least a second.
	RetryAfter time.Duration
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("%v, try again in %d s", ErrBusy, int64(e.RetryAfter/time.Second))
}

// Is makes errors.Is(err, ErrBusy) true.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }

func unusable(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnusable, fmt.Sprintf(format, args...))
}
