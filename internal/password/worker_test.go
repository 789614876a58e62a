package password

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
)

// workerHasher hashes in goroutines that stand for processes, over real pipes.
func workerHasher(t *testing.T, start func() (io.ReadWriteCloser, error), failed func(error)) *Hasher {
	t.Helper()
	h, err := New(Config{Slots: 2, Worker: start, WorkerFailed: failed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func inProcess(started, ended *atomic.Int64) func() (io.ReadWriteCloser, error) {
	return func() (io.ReadWriteCloser, error) {
		here, there := net.Pipe()
		started.Add(1)
		go func() {
			_ = Work(there, there)
			_ = there.Close()
			ended.Add(1)
		}()
		return here, nil
	}
}

// TestWorkersHashAlike: every format gives the same answers in a worker as in
// the server, and one worker does for those who come one after another.
func TestWorkersHashAlike(t *testing.T) {
	var started, ended atomic.Int64
	h := workerHasher(t, inProcess(&started, &ended), func(err error) { t.Error(err) })
	phc, err := h.Hash(t.Context(), Lane{}, "right one")
	if err != nil {
		t.Fatal(err)
	}
	for _, stored := range []string{
		phc,
		"$2b$04$......................w74bL5gU7LSJClZClCa.Pkz14aTv/XO", // of another password
		"pbkdf2_sha256$1000$salt$3sXm6iFXYE6Bt7i1PG7cNYyVTzTjF2Dc1DNOvXkDtC8=",
	} {
		for _, pw := range []string{"right one", "wrong one"} {
			here, err := New(Config{})
			if err != nil {
				t.Fatal(err)
			}
			ok1, up1, err1 := h.Verify(t.Context(), Lane{}, stored, pw)
			ok2, up2, err2 := here.Verify(t.Context(), Lane{}, stored, pw)
			if ok1 != ok2 || up1 != up2 || (err1 == nil) != (err2 == nil) {
				t.Errorf("%s, %s: %v %v %v in a worker, %v %v %v here", stored, pw, ok1, up1, err1, ok2, up2, err2)
			}
			if ok1 != (stored == phc && pw == "right one") {
				t.Errorf("%s, %s: %v", stored, pw, ok1)
			}
		}
	}
	if started.Load() != 1 {
		t.Errorf("%d workers for one caller at a time", started.Load())
	}
}

// TestWorkersFail: a worker that is gone is replaced, and where none can be
// had the server hashes itself; nobody is refused for it.
func TestWorkersFail(t *testing.T) {
	var started, ended, failures atomic.Int64
	broken := errors.New("no processes left")
	var out error
	var last io.ReadWriteCloser
	h := workerHasher(t, func() (io.ReadWriteCloser, error) {
		if out != nil {
			return nil, out
		}
		w, err := inProcess(&started, &ended)()
		last = w
		return w, err
	}, func(error) { failures.Add(1) })
	phc, err := h.Hash(t.Context(), Lane{}, "right one")
	if err != nil {
		t.Fatal(err)
	}
	check := func(workers, fails int64) {
		t.Helper()
		for pw, want := range map[string]bool{"right one": true, "wrong one": false} {
			if ok, _, err := h.Verify(context.Background(), Lane{}, phc, pw); err != nil || ok != want {
				t.Fatalf("%s: %v, %v", pw, ok, err)
			}
		}
		if started.Load() != workers || failures.Load() != fails {
			t.Fatalf("%d workers started, %d failures", started.Load(), failures.Load())
		}
	}
	check(1, 0)
	_ = last.Close() // as if it had been killed
	check(2, 1)
	_ = last.Close()
	out = broken
	check(2, 4) // the dead one, then no other, twice
	out = nil
	check(3, 4)
}

// TestIdleWorkersEnd: nobody hashes, nothing is kept.
func TestIdleWorkersEnd(t *testing.T) {
	var started, ended atomic.Int64
	h := workerHasher(t, inProcess(&started, &ended), func(err error) { t.Error(err) })
	if _, err := h.Hash(t.Context(), Lane{}, "right one"); err != nil {
		t.Fatal(err)
	}
	h.away.endIdle() // what the timer does after a minute
	if n := len(h.away.idle); n != 0 {
		t.Fatalf("%d idle workers are kept", n)
	}
	if _, err := h.Hash(t.Context(), Lane{}, "right one"); err != nil || started.Load() != 2 {
		t.Fatalf("%v, %d workers", err, started.Load())
	}
}
