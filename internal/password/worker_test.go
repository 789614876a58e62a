package password

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
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

// TestSlotsHoldOneHash: several hashes in one trip need no more memory than the
// dearest, since each finds the memory of the last one collected.
func TestSlotsHoldOneHash(t *testing.T) {
	argon2, scrypt := kind{alg: argon2id, memory: 64, lanes: 1}, kind{alg: scryptKDF, memory: 4, lanes: 1}
	var jobs []job
	for _, k := range []kind{argon2, {alg: bcryptKDF}, {alg: pbkdf2SHA1}, argon2, scrypt, {alg: bcryptKDF}} {
		cost := uint64(1)
		if k.alg == bcryptKDF {
			cost = 1 << minBcryptCost
		}
		jobs = append(jobs, kdf{kind: k, cost: cost, keyLen: sha1Len}.decoy([]byte("x")))
	}
	tidied := 0
	if results := doAll(jobs, func() { tidied++ }); len(results) != len(jobs) || tidied != 2 {
		t.Errorf("%d results of %d, memory collected %d times between three that take some", len(results), len(jobs), tidied)
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

// busyMachine is a leftover worker on a machine that leaves nothing over: it
// takes its job and is not heard of again.
func busyMachine(ended *atomic.Int64) (io.ReadWriteCloser, error) {
	here, there := net.Pipe()
	go func() {
		_, _ = io.Copy(io.Discard, there) // it ends with the pipe
		ended.Add(1)
	}()
	return here, nil
}

// TestLateHashGetsItsShare: a hash that finds no idle processor is begun again
// where it has a share, and so are those that come after it, until it is time
// to look again. Who logs in waits 300 ms longer once, and no worker is left
// behind.
func TestLateHashGetsItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var busy atomic.Bool
		var leftovers, lost, started, ended atomic.Int64
		h, err := New(Config{
			Slots: 1, Worker: inProcess(&started, &ended), WorkerFailed: func(err error) { t.Error(err) },
			LeftoverWorker: func() (io.ReadWriteCloser, error) {
				leftovers.Add(1)
				if busy.Load() {
					return busyMachine(&lost)
				}
				return inProcess(new(atomic.Int64), &ended)()
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		var phc string
		step := func(what string, wait time.Duration, wantLeftovers, wantUsual int64) {
			t.Helper()
			began := time.Now()
			for pw, want := range map[string]bool{"right one": true, "wrong one": false} {
				if ok, _, err := h.Verify(t.Context(), Lane{}, phc, pw); err != nil || ok != want {
					t.Fatalf("%s: %s: %v, %v", what, pw, ok, err)
				}
			}
			if took := time.Since(began); took != wait || leftovers.Load() != wantLeftovers || started.Load() != wantUsual {
				t.Errorf("%s: %v, %d leftover workers and %d others so far; want %v, %d, %d",
					what, took, leftovers.Load(), started.Load(), wait, wantLeftovers, wantUsual)
			}
		}
		if phc, err = h.Hash(t.Context(), Lane{}, "right one"); err != nil {
			t.Fatal(err)
		}
		step("an idle machine", 0, 1, 0)
		h.away.endIdle()
		busy.Store(true)
		step("a busy one", late, 2, 1)
		step("a busy one, soon after", 0, 2, 1)
		time.Sleep(crowdedFor)
		step("a busy one, looked at again", late, 3, 2)
		busy.Store(false)
		time.Sleep(crowdedFor)
		step("an idle one again", 0, 4, 2)
		h.Close()
		synctest.Wait()
		if lost.Load() != 2 || ended.Load() != 4 {
			t.Errorf("%d late workers and %d others ended", lost.Load(), ended.Load())
		}
	})
}

// TestLeftoverWorkerFails: one that dies or cannot be started is no reason to
// refuse, nor to wait.
func TestLeftoverWorkerFails(t *testing.T) {
	var started, ended, failures atomic.Int64
	for _, leftover := range []func() (io.ReadWriteCloser, error){
		func() (io.ReadWriteCloser, error) { return nil, errors.New("no processes left") },
		func() (io.ReadWriteCloser, error) {
			here, there := net.Pipe()
			return here, there.Close()
		},
	} {
		h, err := New(Config{
			Slots: 1, Worker: inProcess(&started, &ended), LeftoverWorker: leftover, WorkerFailed: func(error) { failures.Add(1) },
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Hash(t.Context(), Lane{}, "right one"); err != nil {
			t.Error(err)
		}
		h.Close()
	}
	if started.Load() != 2 || failures.Load() != 2 {
		t.Errorf("%d workers, %d failures", started.Load(), failures.Load())
	}
}
