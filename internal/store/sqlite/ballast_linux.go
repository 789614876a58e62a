package sqlite

import (
	"os"

	"golang.org/x/sys/unix"
)

// setAside gives a file its room without writing it.
func setAside(f *os.File, size int64) error {
	return unix.Fallocate(int(f.Fd()), 0, 0, size)
}
