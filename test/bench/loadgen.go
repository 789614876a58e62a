package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// client is one connection's worth of load: it writes its next request and
// judges the answer. A client is used by one goroutine.
type client interface {
	// request appends the next request.
	request(dst []byte) []byte
	// answer looks at a complete answer. An error spoils the measurement.
	answer(status int, body []byte) error
}

// result is what one stretch of load gave.
type result struct {
	PerSecond float64       `json:"per_second"`
	P50       time.Duration `json:"p50_ns"`
	P99       time.Duration `json:"p99_ns"`
	Answers   int           `json:"answers"`
	CPU       time.Duration `json:"cpu_ns_per_answer"` // of the process measured
}

// load sends requests over one kept connection for each client, the next when
// the last is answered. What is answered during the warm-up is judged and not
// counted; what is answered after it counts, whenever it was sent. The raw sockets keep the generator small: it shares the cores with
// the server.
type load struct {
	addr    string
	clients []client
	warm    time.Duration
	length  time.Duration
	cpu     func() (time.Duration, error) // nil: not asked
}

// patience is how long a load goes on to see one answer.
const patience = 10 * time.Second

// phases of a load.
const (
	warming = iota
	counting
	over
)

func (l *load) run() (result, error) {
	var phase atomic.Int32
	var counted atomic.Int64
	times := make([][]time.Duration, len(l.clients))
	errs := make([]error, len(l.clients))
	var all sync.WaitGroup
	for i, c := range l.clients {
		all.Go(func() {
			if times[i], errs[i] = drive(l.addr, c, &phase, &counted); errs[i] != nil {
				phase.Store(over) // one failure spoils the figure; don't wait for the others
			}
		})
	}
	time.Sleep(l.warm)
	cpu0, err0 := l.used()
	phase.CompareAndSwap(warming, counting)
	began := time.Now()
	time.Sleep(l.length)
	for phase.Load() == counting && counted.Load() == 0 && time.Since(began) < patience {
		time.Sleep(l.length) // answers slower than the stretch: wait for one
	}
	phase.Store(over)
	took := time.Since(began)
	cpu1, err1 := l.used()
	all.Wait()
	if err := errors.Join(append(errs, err0, err1)...); err != nil {
		return result{}, err
	}
	flat := slices.Concat(times...)
	if len(flat) == 0 {
		return result{}, fmt.Errorf("nothing was answered in %s", l.length)
	}
	slices.Sort(flat)
	at := func(q float64) time.Duration { return flat[min(len(flat)-1, int(q*float64(len(flat))))] }
	return result{
		PerSecond: float64(len(flat)) / took.Seconds(), P50: at(0.5), P99: at(0.99), Answers: len(flat),
		CPU: (cpu1 - cpu0) / time.Duration(len(flat)),
	}, nil
}

func (l *load) used() (time.Duration, error) {
	if l.cpu == nil {
		return 0, nil
	}
	return l.cpu()
}

// drive is one connection until the load is over.
func drive(addr string, c client, phase *atomic.Int32, counted *atomic.Int64) (times []time.Duration, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	in := bufio.NewReaderSize(conn, 16<<10)
	var out, body []byte
	times = make([]time.Duration, 0, 1<<16)
	for {
		if phase.Load() == over {
			return times, nil
		}
		out = c.request(out[:0])
		sent := time.Now()
		if err := conn.SetDeadline(sent.Add(30 * time.Second)); err != nil {
			return times, err
		}
		if _, err := conn.Write(out); err != nil {
			return times, err
		}
		var status int
		if status, body, err = readAnswer(in, body[:0]); err != nil {
			return times, err
		}
		took := time.Since(sent)
		if err := c.answer(status, body); err != nil {
			return times, fmt.Errorf("%w: status %d, body %.300s", err, status, body)
		}
		if phase.Load() == counting {
			times = append(times, took)
			counted.Add(1)
		}
	}
}

var errAnswer = errors.New("the answer is not HTTP/1.1 as this generator reads it")

// maxAnswer bounds an answer's body in bytes.
const maxAnswer = 16 << 20

// readAnswer reads one answer, appending its body to dst.
func readAnswer(in *bufio.Reader, dst []byte) (status int, body []byte, err error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return 0, dst, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, dst, errAnswer
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, dst, errAnswer
	}
	length, chunked := 0, false
	for {
		if line, err = in.ReadSlice('\n'); err != nil {
			return status, dst, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte{':'})
		switch value = bytes.TrimSpace(value); {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 {
				return status, dst, errAnswer
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		}
	}
	if !chunked {
		body, err = readBody(in, dst, length)
		return status, body, err
	}
	for body = dst; ; {
		if line, err = in.ReadSlice('\n'); err != nil {
			return status, body, err
		}
		size, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 31)
		if err != nil {
			return status, body, errAnswer
		}
		if body, err = readBody(in, body, int(size)); err != nil {
			return status, body, err
		}
		if _, err := in.ReadSlice('\n'); err != nil {
			return status, body, err
		}
		if size == 0 {
			return status, body, nil
		}
	}
}

func readBody(in *bufio.Reader, dst []byte, n int) ([]byte, error) {
	if n > maxAnswer-len(dst) {
		return dst, errAnswer
	}
	at := len(dst)
	dst = slices.Grow(dst, n)[:at+n]
	_, err := io.ReadFull(in, dst[at:])
	return dst, err
}
