package sqlite

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

const testNow int64 = 1_800_000_000_000

func testClock() int64 { return testNow }

func openAt(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{Dir: dir, Create: true, Now: testClock})
	if err != nil {
		t.Fatalf("opening %s: %v", dir, err)
	}
	return s
}

func TestSuite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Open {
		dir := t.TempDir() + "/data"
		return func(t *testing.T) core.Store { return openAt(t, dir) }
	}, storetest.Harm{
		Kill: func(t *testing.T) (storetest.Open, func() *exec.Cmd) {
			dir := t.TempDir() + "/data"
			return func(t *testing.T) core.Store { return openAt(t, dir) }, func() *exec.Cmd {
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), killEnv+"="+dir)
				return cmd
			}
		},
		Full: smallDisk,
	})
}

// smallDisk is a place on a disk of its own, 64 MB of memory, that can be
// filled. Where none may be mounted, SQLite itself refuses pages, whether there
// is a ballast or not.
func smallDisk(t *testing.T) (storetest.Open, func(core.Store) func()) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64m,mode=700"); err != nil {
		t.Logf("no disk can be mounted (%v); a limit on pages stands in for a full one", err)
		return func(t *testing.T) core.Store { return openAt(t, dir+"/data") }, func(s core.Store) func() {
			limitPages(t, s.(*Store), 1) // SQLite lowers it no further than the file's size
			return func() { limitPages(t, s.(*Store), 1<<30) }
		}
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmounting: %v", err)
		}
	})
	open := func(t *testing.T) core.Store {
		s, err := Open(t.Context(), Config{Dir: dir + "/data", Create: true, Now: testClock, Ballast: 16 << 20})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	return open, func(core.Store) func() {
		path := filepath.Join(dir, "filler")
		filler, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		for chunk := make([]byte, 1<<12); err == nil; {
			_, err = filler.Write(chunk)
		}
		if err := errors.Join(filler.Close(), ignoring(err, unix.ENOSPC)); err != nil {
			t.Fatalf("filling the disk: %v", err)
		}
		return func() {
			if err := os.Remove(path); err != nil {
				t.Error(err)
			}
		}
	}
}

func ignoring(err, wanted error) error {
	if errors.Is(err, wanted) {
		return nil
	}
	return err
}
