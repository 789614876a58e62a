package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/internal/store/pgtest"
)

// TestScale measures stores of no size worth measuring, so that it can't rot.
// It asserts nothing about times.
func TestScale(t *testing.T) {
	for _, store := range []string{"sqlite", "postgres"} {
		t.Run(store, func(t *testing.T) {
			if store == "postgres" {
				if testing.Short() {
					t.Skip("starts a PostgreSQL of its own; left out by -short")
				}
				probe, err := pgtest.Run(context.Background(), pgtest.Config{})
				pgtest.Need(t, err)
				if err := probe.Close(); err != nil {
					t.Fatal(err)
				}
			}
			var out, errs bytes.Buffer
			dir := t.TempDir()
			// Where the tests run as root, PostgreSQL runs as another user.
			for _, d := range []string{filepath.Dir(dir), dir} {
				if err := os.Chmod(d, 0o711); err != nil {
					t.Fatal(err)
				}
			}
			args := []string{"scale", "-store", store, "-sessions", "700", "-users", "50", "-chains", "8", "-n", "4", "-d", "100ms", "-runs", "1", "-json", "-dir", dir}
			if code := command(t.Context(), args, &out, &errs); code != 0 {
				t.Fatalf("status %d\n%s", code, errs.String())
			}
			var rep scaleReport
			if err := json.Unmarshal(out.Bytes(), &rep); err != nil {
				t.Fatal(err)
			}
			if len(rep.Stores) != 2 || rep.Stores[1].Sessions != 700 {
				t.Fatalf("measured %+v", rep.Stores)
			}
			for _, s := range rep.Stores {
				if s.Rotation.Value <= 0 || s.StartMS <= 0 || s.IdleMB <= 0 || s.DiskMB <= 0 || (s.OfFloor > 0) != (store == "sqlite") {
					t.Errorf("%d sessions: %+v", s.Sessions, s)
				}
			}
			if big := rep.Stores[1]; big.Store.Value <= 0 || big.StoreFloor.Value <= 0 || big.StoreOfFloor <= 0 {
				t.Errorf("alone: %+v", big)
			}
			if p := rep.Stores[1].Purge; p == nil || p.Removed < 20 || p.Removed > 140 {
				t.Errorf("purged %+v, want about 70", p)
			}
			if err := rep.write(io.Discard); err != nil {
				t.Error(err)
			}
		})
	}
	if code := command(t.Context(), []string{"scale", "-store", "paper"}, io.Discard, io.Discard); code != 2 {
		t.Errorf("a store that does not exist gives status %d", code)
	}
}
