package httpd

import (
	"io"
	"sync"
	"time"
)

const (
	// batchWait is how long an access line may wait to be written: what a crash
	// can lose.
	batchWait = 100 * time.Millisecond
	// batchSize is how many bytes of them wait at most, but for the lines of
	// requests that end while a batch is being written.
	batchSize = 32 << 10
)

// logLines collects access lines and writes many with one call: a system call
// for each, with everybody waiting for it in turn, costs more than all else
// about the line. Every other line is written at once, behind the access lines
// that came before it. When the other end takes nothing, requests wait as they
// would without this, so what is kept stays small.
type logLines struct {
	w    io.Writer
	wait bool // else access lines are written at once, too

	writing sync.Mutex // held while w is written to; taken before mu
	spare   []byte     // guarded by writing

	mu      sync.Mutex
	lines   []byte
	timer   *time.Timer
	waiting bool // the timer runs
}

// Write writes p at once.
func (l *logLines) Write(p []byte) (int, error) {
	l.writing.Lock()
	defer l.writing.Unlock()
	if err := l.writeLines(); err != nil {
		return 0, err
	}
	return l.w.Write(p)
}

// add takes a line that may wait.
func (l *logLines) add(line []byte) {
	l.mu.Lock()
	l.lines = append(l.lines, line...)
	full := !l.wait || len(l.lines) >= batchSize
	if !full && !l.waiting {
		l.waiting = true
		if l.timer == nil {
			l.timer = time.AfterFunc(batchWait, l.flush)
		} else {
			l.timer.Reset(batchWait)
		}
	}
	l.mu.Unlock()
	if full {
		l.flush()
	}
}

// flush writes what waits.
func (l *logLines) flush() {
	l.writing.Lock()
	defer l.writing.Unlock()
	_ = l.writeLines() // a log that cannot be written has nowhere to say so
}

// writeLines is called with writing held.
func (l *logLines) writeLines() error {
	l.mu.Lock()
	lines := l.lines
	l.lines, l.waiting = l.spare[:0], false
	l.mu.Unlock()
	l.spare = lines
	if len(lines) == 0 {
		return nil
	}
	_, err := l.w.Write(lines)
	return err
}
