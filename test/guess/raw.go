package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// raw is a kept connection that reads of an answer what a generator needs and
// allocates nothing for it. It understands what our server sends, and takes
// anything else for an error: answers with a length.
type raw struct {
	addr string
	conn net.Conn
	in   *bufio.Reader
	body []byte // of the last answer

	status     int
	retryAfter bool
	took       time.Duration // from the first byte sent to the last one read
}

// ask sends one request and reads its answer, dialling if it must. After an
// error the connection is dropped.
func (r *raw) ask(request []byte) (err error) {
	if r.conn == nil {
		if r.conn, err = net.Dial("tcp", r.addr); err != nil {
			return err
		}
		r.in = bufio.NewReaderSize(r.conn, 8<<10)
	}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	began := time.Now()
	if err := r.conn.SetDeadline(began.Add(patience)); err != nil {
		return err
	}
	if _, err := r.conn.Write(request); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	if err := r.read(); err != nil {
		return fmt.Errorf("reading an answer: %w", err)
	}
	r.took = time.Since(began)
	return nil
}

func (r *raw) read() error {
	r.status, r.retryAfter = 0, false
	length := -1
	for {
		line, err := r.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if r.status == 0 {
			if len(line) < len("HTTP/1.1 200") {
				return fmt.Errorf("a status line of %q", line)
			}
			if r.status, err = strconv.Atoi(string(line[9:12])); err != nil {
				return err
			}
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		case bytes.EqualFold(name, []byte("Retry-After")):
			r.retryAfter = true
		}
	}
	if length < 0 || length > 1<<20 {
		return fmt.Errorf("status %d and a length of %d", r.status, length)
	}
	if cap(r.body) < length {
		r.body = make([]byte, length)
	}
	r.body = r.body[:length]
	_, err := io.ReadFull(r.in, r.body)
	return err
}

func (r *raw) close() {
	if r.conn != nil {
		_ = r.conn.Close() // it is given up
		r.conn = nil
	}
}
