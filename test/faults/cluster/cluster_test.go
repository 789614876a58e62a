package cluster

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"
)

// TestFailover is the cluster alone: killed once in each way, it comes back.
func TestFailover(t *testing.T) {
	if os.Getenv("SALLYPORT_FAULTS") == "" {
		t.Skip("takes minutes; set SALLYPORT_FAULTS=1 to run it")
	}
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	dir, err := os.MkdirTemp("", "sallyport-cluster-") // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	began := time.Now()
	c, err := Start(ctx, Options{Dir: dir, Members: 3, TTL: 20 * time.Second})
	if errors.Is(err, ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	t.Logf("healthy after %s", time.Since(began))
	for _, v := range []Victim{Both, Postgres, Patroni} {
		old, err := c.Primary(ctx)
		if err != nil {
			t.Fatal(err)
		}
		began = time.Now()
		c.Kill(old, v)
		for {
			now, err := c.Primary(ctx)
			if err == nil && now != old {
				break
			}
			if ctx.Err() != nil {
				t.Fatalf("%s killed: nobody took over: %v\n%s", v, err, c.tails())
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Logf("%s killed: another leads after %s", v, time.Since(began))
		if err := c.Heal(old); err != nil {
			t.Fatal(err)
		}
		if err := c.AwaitHealthy(ctx); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s killed: whole again after %s", v, time.Since(began))
	}
}
