package app

import (
	"errors"

	"github.com/sallyport/sallyport/internal/store/sqlite"
)

// InUse says whether err, of New or OpenOffline, means that another process
// holds the data directory.
func InUse(err error) bool {
	var e *sqlite.InUseError
	return errors.As(err, &e)
}
