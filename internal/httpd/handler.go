package httpd

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
)

// Handler answers a request or returns the error that says why it cannot. A
// handler that returns an error has written nothing.
type Handler func(w http.ResponseWriter, r *http.Request) error

// ErrorWriter writes an error in the shape that the clients of one surface
// know. It must answer every error, the unknown ones as an opaque 500.
type ErrorWriter func(w http.ResponseWriter, r *http.Request, err error)

// PanicError is what an [ErrorWriter] receives when a handler panicked. It is
// to be answered like any unknown error; the value and the stack are in the
// log already and never belong in an answer.
type PanicError struct {
	// Value is what panic was called with.
	Value any
}

// Error names the panic, for logs.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Wrap turns h into an http.Handler whose errors and panics go to ew. When the
// response had begun it is too late for either: the connection is aborted, so
// that the client sees a broken answer rather than a short one that looks whole.
func Wrap(h Handler, ew ErrorWriter) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { Serve(w, r, h, ew) })
}

// Serve is [Wrap] for one request.
func Serve(w http.ResponseWriter, r *http.Request, h Handler, ew ErrorWriter) {
	rw := asResponseWriter(w)
	panicked, err := callHandler(h, rw, r)
	if err == nil {
		return
	}
	if rw.begun() {
		loggerOf(r).Error("handler failed after the response had begun, connection aborted",
			"error", err, "request_id", Info(r).ID)
		panic(http.ErrAbortHandler)
	}
	clearBodyHeaders(rw.Header(), panicked)
	ew(rw, r, err)
}

// callHandler runs h and reports a panic as a *PanicError. ErrAbortHandler
// passes through, it is net/http's own way to give up a response.
func callHandler(h Handler, w http.ResponseWriter, r *http.Request) (panicked bool, err error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if e, ok := v.(error); ok && errors.Is(e, http.ErrAbortHandler) {
			panic(v)
		}
		logPanic(r, v)
		panicked, err = true, &PanicError{Value: v}
	}()
	return false, h(w, r)
}

// logPanic writes the panic with its stack. Of the request it names method and
// id alone: a path or header could carry a secret.
func logPanic(r *http.Request, v any) {
	loggerOf(r).Error("panic in a handler", "panic", fmt.Sprint(v),
		"method", r.Method, "request_id", Info(r).ID, "stack", string(debug.Stack()))
}

// clearBodyHeaders drops what a failed handler had said about the body that
// will not come. After a panic nothing the handler set can be trusted (think
// of a Set-Cookie for a login that did not happen), so all goes but the
// headers that the middleware set.
func clearBodyHeaders(h http.Header, all bool) {
	for _, name := range []string{"Content-Length", "Content-Encoding", "Content-Type", "Etag", "Last-Modified"} {
		h.Del(name)
	}
	if !all {
		return
	}
	for name := range h {
		if name != headerRequestID && name != "Vary" && !strings.HasPrefix(name, "Access-Control-") {
			h.Del(name)
		}
	}
}

// recoverFront is the last net under everything that is not wrapped: a plain
// 500 problem, or an aborted connection when the response had begun.
func recoverFront(w *responseWriter, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if e, ok := v.(error); ok && errors.Is(e, http.ErrAbortHandler) {
		panic(v)
	}
	logPanic(r, v)
	if w.begun() {
		panic(http.ErrAbortHandler)
	}
	clearBodyHeaders(w.Header(), true)
	WriteProblem(w, http.StatusInternalServerError, "", "", "", nil)
}

func loggerOf(r *http.Request) *slog.Logger {
	if st := stateOf(r); st != nil && st.logger != nil {
		return st.logger
	}
	return slog.Default()
}
