//go:build !linux

package sqlite

import "os"

// syncInSlices syncs a file at a stroke where parts are not to be had.
func syncInSlices(f *os.File) error { return f.Sync() }
