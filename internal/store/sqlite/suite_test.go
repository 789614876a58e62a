package sqlite

import (
	"os"
	"os/exec"
	"testing"

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
	if err := storetest.MountSmallDisk(t, dir, "size=64m,mode=700"); err != nil {
		t.Logf("no disk can be mounted (%v); a limit on pages stands in for a full one", err)
		return func(t *testing.T) core.Store { return openAt(t, dir+"/data") }, func(s core.Store) func() {
			limitPages(t, s.(*Store), 1) // SQLite lowers it no further than the file's size
			return func() { limitPages(t, s.(*Store), 1<<30) }
		}
	}
	open := func(t *testing.T) core.Store {
		s, err := Open(t.Context(), Config{Dir: dir + "/data", Create: true, Now: testClock, Ballast: 16 << 20})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	return open, func(core.Store) func() { return storetest.FillDisk(t, dir) }
}
