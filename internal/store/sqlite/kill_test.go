package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

// killEnv makes the test binary a process that loads the store it names.
const killEnv = "SALLYPORT_TEST_LOAD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(fullEnv); dir != "" {
		if err := fillTheDisk(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if dir := os.Getenv(killEnv); dir != "" {
		if err := loadUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func loadUntilKilled(dir string) error {
	s, err := Open(context.Background(), Config{Dir: dir, Create: true, Now: testClock})
	if err != nil {
		return err
	}
	return storetest.Load(context.Background(), s, core.NewID(""), 16, os.Stdout)
}

// TestKill kills a process under load at different moments, again and again on
// one store: nothing that was acknowledged may be missing, and the next
// process must get the lock and the data.
func TestKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	record, err := os.Create(filepath.Join(t.TempDir(), "acknowledged"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = record.Close() }) // it is read back while open
	total := 0
	for round := range 5 {
		killAfter(t, dir, record, 40+round*157)
		if _, err := record.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		s := openAt(t, dir)
		n, err := storetest.Check(t.Context(), s, record)
		if err != nil {
			t.Fatalf("after kill %d: %v", round+1, err)
		}
		if cerr := s.Close(); cerr != nil {
			t.Fatal(cerr)
		}
		if n <= total {
			t.Fatalf("round %d acknowledged nothing", round+1)
		}
		total = n
	}
	t.Logf("%d acknowledged steps survived 5 kills", total)
}

// killAfter runs the loading process until it has acknowledged so many steps
// and kills it in mid-work. What it still wrote until then counts too.
func killAfter(t *testing.T, dir string, record io.Writer, steps int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(out)
	for n := 0; ; n++ {
		line, err := in.ReadString('\n')
		if err != nil {
			break // the pipe is empty and its writer dead; a cut line was not acknowledged whole
		}
		if _, err := io.WriteString(record, line); err != nil {
			t.Fatal(err)
		}
		if n == steps {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the loading process ended by itself")
	}
}
