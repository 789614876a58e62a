package password

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"
)

// Hashing elsewhere. A hash is 20 ms of one core and 19 MiB of garbage. In the
// process that answers requests both are felt by everybody: the collector runs
// with each hash and stops the world for as long as the operating system lets
// the hashing thread wait for a core. So a server hashes in worker processes,
// one for each slot in use; this file is both ends of the pipe between them.
// What goes over it is passwords, salts and keys, never a name; a worker keeps
// nothing. A verification goes over it whole, since between two trips would
// stand a collection that depends on the first.
//
// Workers come in two priorities. A hash begins in one that gets the processor
// when nobody else wants it (leftover), so that a flood of logins takes nothing
// from anybody. Where there is nothing left over it would never end, and
// nobody could log in: a hash that is late is therefore begun again in a worker
// that gets a small share however busy the machine is, and so are all others
// for some seconds. Raising the worker that is at it would be simpler, but
// Linux gives back the priority that a process gave up to privileged ones only.

// job is a derivation; a worker is asked for several at once. Key is empty to
// have it derived, else it is compared.
type job struct {
	Algorithm           uint8
	Memory, Lanes       uint32
	Cost                uint64
	KeyLen              int
	Password, Salt, Key []byte
}

// done is what came out of a job.
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

// doAll does jobs one after the other. Before one that takes memory while that
// of another may be left, tidy is called: several must not need more than the
// dearest of them.
func doAll(jobs []job, tidy func()) []done {
	results := make([]done, len(jobs))
	untidy := false
	for i := range jobs {
		if jobs[i].Memory > 0 {
			if untidy {
				tidy()
			}
			untidy = true
		}
		results[i] = jobs[i].do()
	}
	return results
}

// doHere does jobs in the server, whose collector knows best.
func doHere(jobs []job) []done { return doAll(jobs, func() {}) }

// Work hashes what it is sent until r ends, which is no error: it is the main
// loop of a worker process. It trusts who started it.
func Work(r io.Reader, w io.Writer) error {
	in, out := gob.NewDecoder(r), gob.NewEncoder(w)
	for {
		var jobs []job
		if err := in.Decode(&jobs); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := out.Encode(doAll(jobs, runtime.GC)); err != nil {
			return err
		}
		for _, j := range jobs {
			clear(j.Password)
		}
		runtime.GC() // while nobody waits: the next hash must not add its memory to the last one's
	}
}

// workers keeps worker processes for reuse.
type workers struct {
	start    func() (io.ReadWriteCloser, error)
	leftover func() (io.ReadWriteCloser, error) // nil: every worker has its share
	failed   func(error)
	now      func() time.Time
	rest     time.Duration // an idle worker is ended after this

	mu      sync.Mutex
	idle    []*worker // the last used last
	crowded time.Time // until then nothing is left over
	reaper  *time.Timer
	closed  bool
}

type worker struct {
	io.ReadWriteCloser
	in       *gob.Decoder
	out      *gob.Encoder
	leftover bool
}

// late is how long each kind of hash may take of what is left over: ten times
// what one of ours takes on an idle core. The dearest of those brought from
// elsewhere may take two seconds, and then have their share from here on.
const late = 300 * time.Millisecond

// crowdedFor is how long nothing is left to chance after a hash was late. Each
// time it is over costs one login the time of late.
const crowdedFor = 10 * time.Second

var (
	errLate       = errors.New("no processor was left over for a hash")
	errNotStarted = errors.New("no worker could be started")
)

// workerRest is how long a worker may have nothing to do. Starting one takes
// some ten milliseconds, keeping one as many megabytes.
const workerRest = time.Minute

// do has jobs done by a worker; by a new one if the first is gone, and in
// this process if there is none to be had. Logging in must not depend on it.
func (p *workers) do(jobs []job) []done {
	if p.isLeftover() {
		d, err := p.ask(jobs, true)
		if err == nil {
			return d
		}
		if !errors.Is(err, errLate) {
			p.failed(err)
		}
	}
	for range 2 {
		d, err := p.ask(jobs, false)
		if err == nil {
			return d
		}
		p.failed(err)
		if errors.Is(err, errNotStarted) {
			break
		}
	}
	return doHere(jobs)
}

// patience is how long jobs may take of what is left over. It counts kinds and
// not jobs, of which a hash that is topped up has more than an unknown name.
func patience(jobs []job) time.Duration {
	kinds := 0
	for i := range jobs {
		if i == 0 || jobs[i].kdf().kind != jobs[i-1].kdf().kind {
			kinds++
		}
	}
	return time.Duration(kinds) * late
}

// isLeftover says which kind of worker is due.
func (p *workers) isLeftover() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.leftover != nil && !p.now().Before(p.crowded)
}

// ask has one worker do jobs. One that is late is ended, in the middle of them.
func (p *workers) ask(jobs []job, leftover bool) ([]done, error) {
	w, err := p.take(leftover)
	if err != nil {
		return nil, err
	}
	if !leftover {
		return p.finish(w, w.do(jobs))
	}
	answered := make(chan answer, 1)
	go func() { answered <- w.do(jobs) }()
	timer := time.NewTimer(patience(jobs))
	defer timer.Stop()
	select {
	case a := <-answered:
		return p.finish(w, a)
	case <-timer.C:
	}
	_ = w.Close() // what it was at is begun again
	p.mu.Lock()
	defer p.mu.Unlock()
	p.crowded = p.now().Add(crowdedFor)
	return nil, errLate
}

type answer struct {
	done []done
	err  error
}

func (w *worker) do(jobs []job) (a answer) {
	a.err = errors.Join(w.out.Encode(jobs), w.in.Decode(&a.done))
	if a.err == nil && len(a.done) != len(jobs) {
		a.err = fmt.Errorf("a worker answered %d of %d jobs", len(a.done), len(jobs))
	}
	return a
}

// finish keeps a worker that answered.
func (p *workers) finish(w *worker, a answer) ([]done, error) {
	if a.err != nil {
		_ = w.Close() // it has failed already
		return nil, a.err
	}
	p.give(w)
	return a.done, nil
}

// take gives a worker of one kind and ends those of the other: their memory
// would be another slot's.
func (p *workers) take(leftover bool) (*worker, error) {
	p.mu.Lock()
	var w *worker
	var others []*worker
	kept := p.idle[:0]
	for _, other := range p.idle {
		if other.leftover == leftover {
			kept = append(kept, other)
		} else {
			others = append(others, other)
		}
	}
	if n := len(kept); n > 0 {
		w, kept = kept[n-1], kept[:n-1]
	}
	p.idle = kept
	p.mu.Unlock()
	endAll(others)
	if w != nil {
		return w, nil
	}
	start := p.start
	if leftover {
		start = p.leftover
	}
	pipe, err := start()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotStarted, err)
	}
	return &worker{pipe, gob.NewDecoder(pipe), gob.NewEncoder(pipe), leftover}, nil
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
	endAll(idle)
}

func endAll(idle []*worker) {
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
