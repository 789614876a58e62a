package storetest

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

// MountSmallDisk makes dir a disk of its own in memory until the test ends:
// options are those of tmpfs, such as "size=64m,mode=700". It gives an error
// where nothing may be mounted.
func MountSmallDisk(t testing.TB, dir, options string) error {
	t.Helper()
	if err := mount(dir, options); err != nil {
		return err
	}
	t.Cleanup(func() {
		if err := unmount(dir); err != nil {
			t.Errorf("unmounting: %v", err)
		}
	})
	return nil
}

// FillDisk leaves no byte free on the disk that dir is on, until free is
// called. It may be called again, when something was given up in between.
func FillDisk(t testing.TB, dir string) (free func()) {
	t.Helper()
	f, err := os.CreateTemp(dir, "filler-")
	if err != nil {
		t.Fatalf("filling the disk: %v", err)
	}
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err == nil {
			continue
		} else if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("filling the disk: %v", errors.Join(err, f.Close()))
		}
		size /= 2
	}
	if err := f.Close(); err != nil {
		t.Fatalf("filling the disk: %v", err)
	}
	return func() {
		if err := os.Remove(f.Name()); err != nil {
			t.Error(err)
		}
	}
}
