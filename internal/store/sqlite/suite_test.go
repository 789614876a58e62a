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
		Full: func(t *testing.T) (storetest.Open, func(core.Store) func()) {
			dir := t.TempDir() + "/data"
			return func(t *testing.T) core.Store { return openAt(t, dir) }, func(s core.Store) func() {
				limitPages(t, s.(*Store), 1) // SQLite lowers it no further than the file's size
				return func() { limitPages(t, s.(*Store), 1<<30) }
			}
		},
	})
}
