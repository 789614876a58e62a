package password

import (
	"encoding/gob"
	"errors"
	"io"
	"runtime"
	"sync"
	"time"
)

// Hashing elsewhere. A hash is 20 ms of one core and 19 MiB of garbage. In the
// process that answers requests both are felt by everybody: the collector runs
// with each hash and stops the world for as long as the operating system lets
// the hashing thread wait for a core. So a server hashes in worker processes,
// one for each slot in use, that run at a lower priority; this file is both
// ends of the pipe between them. What goes over it is passwords, salts and
// keys, never a name; a worker keeps nothing.

// job is what a worker is asked. Key is empty to have it derived, else it is
// compared.
type job struct {
	Algorithm           uint8
	Memory, Lanes       uint32
	Cost                uint64
	KeyLen              int
	Password, Salt, Key []byte
}

// done is a worker's answer.
type done struct {
	Key  []byte
	Same bool
}

func (k kdf) job(password, salt, key []byte) job {
	return job{uint8(k.alg), k.memory, k.lanes, k.cost, k.keyLen, password, salt, key}
}

func (j *job) kdf() kdf {
	return kdf{kind: kind{algorithm(j.Algorithm), j.Memory, j.Lanes}, cost: j.Cost, keyLen: j.KeyLen}
}

func (j *job) do() (d done) {
	if len(j.Key) == 0 {
		d.Key = j.kdf().derive(j.Password, j.Salt)
		return d
	}
	d.Same = j.kdf().matches(j.Password, j.Salt, j.Key)
	return d
}

// Work hashes what it is sent until r ends, which is no error: it is the main
// loop of a worker process. It trusts who started it.
func Work(r io.Reader, w io.Writer) error {
	in, out := gob.NewDecoder(r), gob.NewEncoder(w)
	for {
		var j job
		if err := in.Decode(&j); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := out.Encode(j.do()); err != nil {
			return err
		}
		clear(j.Password)
		runtime.GC() // while nobody waits: the next hash must not add its memory to the last one's
	}
}

// workers keeps worker processes for reuse.
type workers struct {
	start  func() (io.ReadWriteCloser, error)
	failed func(error)
	rest   time.Duration // an idle worker is ended after this

	mu     sync.Mutex
	idle   []*worker // the last used last
	reaper *time.Timer
	closed bool
}

type worker struct {
	io.ReadWriteCloser
	in  *gob.Decoder
	out *gob.Encoder
}

// workerRest is how long a worker may have nothing to do. Starting one takes
// some ten milliseconds, keeping one as many megabytes.
const workerRest = time.Minute

// matches is a runner.
func (p *workers) matches(k kdf, password, salt, key []byte) bool {
	return p.do(k.job(password, salt, key)).Same
}

func (p *workers) derive(k kdf, password, salt []byte) []byte {
	return p.do(k.job(password, salt, nil)).Key
}

// do has a job done by a worker; by a new one if the first is gone, and in
// this process if there is none to be had. Logging in must not depend on it.
func (p *workers) do(j job) done {
	for range 2 {
		w, err := p.take()
		if err != nil {
			p.failed(err)
			break
		}
		var d done
		if err = errors.Join(w.out.Encode(j), w.in.Decode(&d)); err == nil {
			p.give(w)
			return d
		}
		p.failed(err)
		_ = w.Close() // it has failed already
	}
	return j.do()
}

func (p *workers) take() (*worker, error) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		w := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return w, nil
	}
	p.mu.Unlock()
	pipe, err := p.start()
	if err != nil {
		return nil, err
	}
	return &worker{pipe, gob.NewDecoder(pipe), gob.NewEncoder(pipe)}, nil
}

func (p *workers) give(w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = w.Close() // nothing is under way in it
		return
	}
	p.idle = append(p.idle, w)
	if p.reaper == nil {
		p.reaper = time.AfterFunc(p.rest, p.endIdle)
	} else {
		p.reaper.Reset(p.rest)
	}
}

// endIdle ends the workers that have nothing to do.
func (p *workers) endIdle() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, w := range idle {
		_ = w.Close() // nothing is under way in it
	}
}

func (p *workers) close() {
	p.mu.Lock()
	p.closed = true
	if p.reaper != nil {
		p.reaper.Stop()
	}
	p.mu.Unlock()
	p.endIdle()
}
