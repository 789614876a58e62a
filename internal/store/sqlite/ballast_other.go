//go:build !linux

package sqlite

import (
	"errors"
	"os"
)

// setAside is for file systems that can.
func setAside(*os.File, int64) error { return errors.ErrUnsupported }
