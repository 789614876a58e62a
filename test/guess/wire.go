package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// wire is one kept connection that sends raw requests: a generator shares the
// processors with the server it measures, so it must cost little itself.
type wire struct {
	addr string
	conn net.Conn
	in   *bufio.Reader
}

// answer is a response read whole.
type answer struct {
	status int
	header http.Header
	body   []byte
	took   time.Duration // from the first byte sent to the last one read
}

// patience is how long an answer may take.
const patience = 30 * time.Second

// ask sends one request and reads its answer, dialling if it must. After an
// error the connection is dropped.
func (w *wire) ask(raw []byte) (a answer, err error) {
	if w.conn == nil {
		if w.conn, err = net.Dial("tcp", w.addr); err != nil {
			return a, err
		}
		w.in = bufio.NewReaderSize(w.conn, 8<<10)
	}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	began := time.Now()
	if err := w.conn.SetDeadline(began.Add(patience)); err != nil {
		return a, err
	}
	if _, err := w.conn.Write(raw); err != nil {
		return a, fmt.Errorf("sending: %w", err)
	}
	res, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return a, fmt.Errorf("reading an answer: %w", err)
	}
	a.status, a.header = res.StatusCode, res.Header
	if a.body, err = io.ReadAll(res.Body); err != nil {
		return a, fmt.Errorf("reading an answer: %w", err)
	}
	a.took = time.Since(began)
	if res.Close {
		w.close()
	}
	return a, nil
}

func (w *wire) close() {
	if w.conn != nil {
		_ = w.conn.Close() // it is given up
		w.conn = nil
	}
}
