package sqlite

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ballastName is the ballast's file in the data directory.
const ballastName = "ballast"

// ballast is a file that keeps room. A nil one keeps none and is never gone.
type ballast struct {
	path string
	size int64
	held bool
}

func newBallast(dir string, size int64) *ballast {
	if size <= 0 {
		return nil
	}
	return &ballast{path: filepath.Join(dir, ballastName), size: size}
}

func (b *ballast) gone() bool { return b != nil && !b.held }

func (b *ballast) dir() string { return filepath.Dir(b.path) }

// bytes is how much is kept now.
func (b *ballast) bytes() int64 {
	if b == nil || !b.held {
		return 0
	}
	return b.size
}

var errNoRoom = errors.New("there is no room for the ballast")

// make makes the file, unless it is there. It takes no room that would leave
// less than the margin.
func (b *ballast) make() error {
	info, err := os.Stat(b.path)
	if err == nil && info.Size() == b.size {
		b.held = true
		return nil
	}
	if err == nil { // of another size, or half made
		err = os.Remove(b.path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("looking for the ballast: %w", err)
	}
	if freeBytes(b.path) < b.size+margin {
		return errNoRoom
	}
	f, err := os.OpenFile(b.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("making the ballast: %w", err)
	}
	if err = b.fill(f); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("making the ballast: %w", err), os.Remove(b.path))
	}
	b.held = true
	return nil
}

// fill takes the room: at once where the file system can set it aside, else by
// writing what it cannot compress.
func (b *ballast) fill(f *os.File) error {
	if setAside(f, b.size) == nil {
		return nil
	}
	_, err := io.CopyN(f, rand.Reader, b.size)
	return err
}

// drop gives the room away.
func (b *ballast) drop() error {
	if err := os.Remove(b.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b.held = false
	return nil
}

// freeBytes is how much room the disk of a path has for us; a great deal when
// that cannot be told.
func freeBytes(path string) int64 {
	var st unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(path), &st); err != nil {
		return 1 << 62
	}
	return int64(st.Bavail) * int64(st.Bsize) // #nosec G115 -- no disk has 2^63 bytes
}
