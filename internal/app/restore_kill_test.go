package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
)

// restoreEnv orders this test binary to restore or confirm, and to die of
// SIGKILL on the way.
const restoreEnv = "SALLYPORT_TEST_RESTORE"

type restoreOrder struct {
	Flags   config.Flags
	File    string // to restore; "" to confirm
	DieAt   int64  // the how-manyth sign of life is the last
	StartAt int64  // what the clock says
}

func restoreAndDie(text string) error {
	var o restoreOrder
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	cfg, err := config.Load(config.Options{Environ: []string{}, Flags: o.Flags})
	if err != nil {
		return err
	}
	var alive atomic.Int64
	sign := func() {
		if alive.Add(1) == o.DieAt {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // nothing comes after it
			select {}
		}
	}
	opts := app.Options{Version: "test", Now: func() int64 { sign(); return o.StartAt }}
	if o.File == "" {
		_, err := app.ConfirmRestore(context.Background(), cfg, opts, app.ConfirmOptions{})
		return err
	}
	f, err := os.Open(o.File)
	if err != nil {
		return err
	}
	_, err = app.Restore(context.Background(), cfg, opts, f, func(string, int64, int64) { sign() })
	return err
}

// TestRestoreKilled kills restore and confirm at many moments: what is left is
// served by nobody, and the same commands again end well.
func TestRestoreKilled(t *testing.T) {
	p := onSQLite(t)
	s := p.must()
	c := newCrowd(s)
	var backup bytes.Buffer
	if err := s.admin.Backup(t.Context(), &backup); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "backup")
	if err := os.WriteFile(file, backup.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, end := range c.end {
		end(s)
	}
	p.stop()
	p.removeStore()
	for _, file := range []string{file, ""} {
		kills := 0
		for n := int64(1); ; n += 1 + n/2 {
			killed, _ := runAndDie(t, restoreEnv, restoreOrder{Flags: p.flags, File: file, DieAt: n, StartAt: p.clock.Load()})
			if !killed {
				break
			}
			kills++
			if s, err := p.start(); err == nil {
				t.Fatalf("killed at sign %d of life, and a server started at %s", n, s.url)
			}
		}
		if kills < 5 {
			t.Errorf("killed %d times only", kills)
		}
		t.Logf("killed %d times", kills)
	}
	if _, err := os.Stat(filepath.Join(p.dir, "restoring")); err == nil {
		t.Error("the remains of a restore that was killed are still there")
	}
	c.check(p.must(), "restored in the end", true)
}
