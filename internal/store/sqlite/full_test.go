package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"golang.org/x/sys/unix"
)

// fullEnv makes the test binary a process that runs into the kernel's limit on
// the size of files, which is a process's own and so needs one.
const fullEnv = "SALLYPORT_TEST_FULL"

// TestFailingWrites: a write that the kernel refuses is ErrStoreUnavailable,
// takes nothing that was acknowledged, and passes once the cause is gone.
func TestFailingWrites(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fullEnv+"="+filepath.Join(t.TempDir(), "data"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func fillTheDisk(dir string) error {
	signal.Ignore(unix.SIGXFSZ) // else the kernel ends the process instead
	ctx := context.Background()
	s, err := Open(ctx, Config{Dir: dir, Create: true, Now: testClock})
	if err != nil {
		return err
	}
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		return err
	}
	var kept []string
	for round := range 3 {
		tight := unix.Rlimit{Cur: uint64(s.Stats().WALBytes) + 50_000, Max: old.Max}
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &tight); err != nil {
			return err
		}
		var failed error
		for i := 0; failed == nil && i < 1000; i++ {
			p := user(core.NewID(""))
			p.User.Attributes = []byte(`"` + strings.Repeat("x", 3000) + `"`)
			p.Event = core.Event{Kind: "user.create"}
			if _, failed = s.CreateUser(ctx, p); failed == nil {
				kept = append(kept, p.User.ID)
			}
		}
		if !errors.Is(failed, core.ErrStoreUnavailable) {
			return fmt.Errorf("round %d: a refused write gave %v", round, failed)
		}
		if err := s.Ping(ctx); err != nil {
			return fmt.Errorf("round %d: reading meanwhile: %w", round, err)
		}
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
			return err
		}
		p := user(core.NewID(""))
		if _, err := s.CreateUser(ctx, p); err != nil {
			return fmt.Errorf("round %d: writing again: %w", round, err)
		}
		kept = append(kept, p.User.ID)
	}
	if err := s.Close(); err != nil {
		return err
	}
	if s, err = Open(ctx, Config{Dir: dir, Now: testClock}); err != nil {
		return err
	}
	for _, id := range kept {
		if _, err := s.UserByID(ctx, id); err != nil {
			return fmt.Errorf("acknowledged user %s: %w", id, err)
		}
	}
	records, err := s.ListAudit(ctx, core.AuditQuery{Limit: 1000})
	if err != nil {
		return err
	}
	if err := core.VerifyChain(records); err != nil {
		return err
	}
	return s.Close()
}
