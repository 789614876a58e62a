package httpd

import (
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// bodyWait is how long a body may take beside what its size allows.
	bodyWait = 30 * time.Second
	// bodyRate is how slowly a body may come, in bytes a second.
	bodyRate = 512
	// writeWait is how long one piece of an answer may wait for its reader.
	writeWait = 2 * time.Minute
	// drainWait is how long the rest of a body is waited for once its request
	// is answered.
	drainWait = 5 * time.Second
)

// pace bounds what a client can hold open by sending or reading slowly. Without
// it net/http waits for ever for the rest of a body before it even sends a
// refusal, so anybody could fill the connections with announced bodies that
// never come. Handlers change it: see [Deadline], [Unpaced] and [Drain].
type pace struct {
	rc http.ResponseController
	h2 bool

	mu         sync.Mutex
	readsDone  bool // reading is bounded by somebody else, or no longer
	writesDone bool // the same of writing
	eof        bool // of the body
	drained    bool
	began      time.Time
	received   int64
	written    time.Time // when the write deadline was last moved
}

// Unpaced lets the body of r take as long as it likes: it is a stream of
// somebody who has been verified, and can be cut.
func Unpaced(r *http.Request) {
	if p := paceOf(r); p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.readsDone || p.began.IsZero() {
			return
		}
		p.readsDone = true
		_ = p.rc.SetReadDeadline(time.Time{}) // a writer without deadlines has none to lift
	}
}

// Drain bounds how long the rest of r's body is still waited for, because its
// answer is about to be sent or has been.
func Drain(r *http.Request) {
	if p := paceOf(r); p != nil {
		p.drain()
	}
}

// Interrupt ends reading the body of r at once: whoever waits for more of it,
// or for leave to close it, goes on.
func Interrupt(r *http.Request) {
	if p := paceOf(r); p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !p.began.IsZero() && !p.eof {
			p.readsDone, p.drained = true, true
			_ = p.rc.SetReadDeadline(time.Now()) // as above
		}
	}
}

func (p *pace) drain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.began.IsZero() || p.eof || p.drained || p.writesDone {
		return
	}
	p.readsDone, p.drained = true, true
	_ = p.rc.SetReadDeadline(time.Now().Add(drainWait)) // as above
}

func paceOf(r *http.Request) *pace {
	if st := stateOf(r); st != nil {
		return &st.pace
	}
	return nil
}

// release leaves the deadlines to a handler that sets its own.
func (p *pace) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.readsDone, p.writesDone = true, true
}

// body bounds the body of r from now on.
func (p *pace) body(b io.ReadCloser) io.ReadCloser {
	p.began = time.Now()
	_ = p.rc.SetReadDeadline(p.began.Add(bodyWait)) // as above
	return &pacedBody{b, p}
}

type pacedBody struct {
	io.ReadCloser
	pace *pace
}

func (b *pacedBody) Read(buf []byte) (int, error) {
	n, err := b.ReadCloser.Read(buf)
	b.pace.read(n, err)
	return n, err
}

func (p *pace) read(n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == io.EOF {
		p.eof = true
	}
	if p.readsDone {
		return
	}
	switch {
	case p.eof:
		p.readsDone = true
		// net/http goes on reading to learn whether the client leaves: a
		// deadline that is left over would end a long answer.
		_ = p.rc.SetReadDeadline(time.Time{})
	case p.received/bodyRate != (p.received+int64(n))/bodyRate:
		_ = p.rc.SetReadDeadline(p.began.Add(bodyWait + time.Duration((p.received+int64(n))/bodyRate)*time.Second))
	}
	p.received += int64(n)
}

// write gives the piece that is about to be written its time.
func (p *pace) write() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.writesDone {
		return
	}
	now := time.Now()
	if !p.h2 && now.Sub(p.written) < time.Second {
		return
	}
	p.written = now
	_ = p.rc.SetWriteDeadline(now.Add(writeWait)) // as above
}

// wrote lifts it again where the deadline would end the stream by itself, not
// the next write: HTTP/2 resets a stream that was silent until then.
func (p *pace) wrote() {
	if !p.h2 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.writesDone {
		_ = p.rc.SetWriteDeadline(time.Time{}) // as above
	}
}

// end bounds what is left when the handler is done: the rest of the body, and
// what of the answer is still in buffers.
func (p *pace) end() {
	p.drain()
	p.written = time.Time{}
	p.write()
}
