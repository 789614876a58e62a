package httpd

import (
	"bufio"
	"net"
	"net/http"
)

// responseWriter watches a response: has it begun, with which status, how many
// bytes. It stays transparent to http.ResponseController through Unwrap.
type responseWriter struct {
	http.ResponseWriter
	status   int
	bytes    int64
	hijacked bool
	// track is told of a hijacked connection, so that shutdown can close it.
	track func(net.Conn) net.Conn
	pace  *pace // nil outside Front
}

// asResponseWriter reuses a watcher that is already there.
func asResponseWriter(w http.ResponseWriter) *responseWriter {
	if rw, ok := w.(*responseWriter); ok {
		return rw
	}
	return &responseWriter{ResponseWriter: w}
}

func (w *responseWriter) begun() bool { return w.status != 0 || w.hijacked }

// WriteHeader notes the first final status; 1xx answers do not begin a response.
func (w *responseWriter) WriteHeader(status int) {
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *responseWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if w.pace != nil {
		w.pace.write()
	}
	n, err := w.ResponseWriter.Write(p)
	if w.pace != nil {
		w.pace.wrote()
	}
	w.bytes += int64(n)
	return n, err
}

// FlushError sends what is buffered; http.ResponseController finds it.
func (w *responseWriter) FlushError() error {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if w.pace != nil {
		w.pace.write()
		defer w.pace.wrote()
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush serves those who still assert http.Flusher.
func (w *responseWriter) Flush() {
	_ = w.FlushError() // http.Flusher has no way to say it; the next Write will
}

// Hijack takes the connection over. The server closes it at shutdown, because
// net/http forgets hijacked connections.
func (w *responseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, brw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.hijacked = true
	if w.track != nil {
		c = w.track(c)
	}
	return c, brw, nil
}

// Unwrap lets http.ResponseController reach deadlines and full duplex.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// baseWriter is net/http's own writer below all wrappers.
func baseWriter(w http.ResponseWriter) http.ResponseWriter {
	for {
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = u.Unwrap()
	}
}
