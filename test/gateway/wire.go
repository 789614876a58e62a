package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// wire is a connection that sends bytes as they are.
type wire struct {
	addr string
	conn net.Conn
	in   *bufio.Reader
}

// response is what came; status 0 is a connection that ended without one.
type response struct {
	status  int
	body    string
	notSent error // there was no connection to send the request on
}

func (w *wire) close() {
	if w.conn != nil {
		_ = w.conn.Close() // nothing more is wanted of it
		w.conn = nil
	}
}

// do sends a request and reads one answer. When a kept connection was closed
// meanwhile it tries once more on a new one.
func (w *wire) do(raw, method string, alone bool) response {
	fresh := w.conn == nil
	r, ok := w.once(raw, method, alone)
	if !ok && !fresh {
		r, _ = w.once(raw, method, alone)
	}
	return r
}

func (w *wire) once(raw, method string, alone bool) (response, bool) {
	if w.conn == nil {
		d := net.Dialer{LocalAddr: clientAddr, Timeout: 10 * time.Second, Control: latePort}
		c, err := d.Dial("tcp", w.addr)
		if err != nil {
			return response{notSent: err}, false
		}
		w.conn, w.in = c, bufio.NewReader(c)
	}
	_ = w.conn.SetDeadline(time.Now().Add(20 * time.Second)) // a connection that is gone says so below
	if _, err := io.WriteString(w.conn, raw); err != nil {
		w.close()
		return response{}, false
	}
	if alone { // what is broken may leave the server waiting for more
		_ = w.conn.(*net.TCPConn).CloseWrite() // as above
	}
	res, err := http.ReadResponse(w.in, &http.Request{Method: method})
	for err == nil && res.StatusCode < 200 && res.StatusCode != http.StatusSwitchingProtocols {
		res, err = http.ReadResponse(w.in, &http.Request{Method: method})
	}
	if err != nil {
		w.close()
		return response{}, false
	}
	body, err := io.ReadAll(res.Body)
	if alone { // the answers to what was hidden, if there are any
		rest, _ := io.ReadAll(w.in) // until the server closes
		body = append(body, rest...)
	}
	if err != nil || res.Close || alone || res.StatusCode == http.StatusSwitchingProtocols || w.in.Buffered() > 0 {
		w.close()
	}
	return response{status: res.StatusCode, body: string(body)}, true
}

// served is what a backend says of a request.
type served struct {
	backend, route, method, path, probe string
	ids                                 map[string][]string
}

// reports reads what backends said in an answer: none when we answered.
func reports(body string) []*served {
	var all []*served
	var s *served
	for line := range strings.Lines(body) {
		key, value, ok := strings.Cut(strings.TrimRight(line, "\n"), "=")
		if key == "backend" {
			s = &served{backend: value, ids: map[string][]string{}}
			all = append(all, s)
		}
		if !ok || s == nil {
			continue
		}
		switch key {
		case "route":
			s.route = value
		case "method":
			s.method = value
		case "path":
			s.path = value
		case "probe":
			s.probe = value
		case "id":
			name, v, _ := strings.Cut(value, ":")
			s.ids[name] = append(s.ids[name], v)
		}
	}
	return all
}
