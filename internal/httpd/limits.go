package httpd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// DefaultMaxBody is the body cap of our own routes, in bytes.
	DefaultMaxBody = 64 << 10
	// DefaultTimeout is the time our own routes have for a request.
	DefaultTimeout = 30 * time.Second

	// writeSlack is what remains after the deadline to send the refusal.
	writeSlack = 5 * time.Second
)

// BodyTooLarge is what reading a request body returns past its cap. It is to
// be answered with 413 in the words of the route.
type BodyTooLarge struct {
	// Limit is the cap in bytes.
	Limit int64
}

// Error says what the limit is.
func (e *BodyTooLarge) Error() string {
	return fmt.Sprintf("the request body is larger than %d bytes", e.Limit)
}

// Own gives next the limits of our own routes: DefaultMaxBody and
// DefaultTimeout. Proxied routes must not pass it, a stream has no end.
func Own(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ServeLimited(w, r, DefaultTimeout, DefaultMaxBody, next)
	})
}

// ServeLimited lets next answer under [Deadline] d and [LimitBody] n, for who
// has chosen next for this request.
func ServeLimited(w http.ResponseWriter, r *http.Request, d time.Duration, n int64, next http.Handler) {
	serveUntil(w, r, d, func(r *http.Request) {
		limitBody(w, r, n)
		next.ServeHTTP(w, r)
	})
}

// LimitBody makes reading more than n bytes of the body fail with
// *[BodyTooLarge], also when Content-Length promised less or nothing.
func LimitBody(n int64, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limitBody(w, r, n)
		next.ServeHTTP(w, r)
	})
}

func limitBody(w http.ResponseWriter, r *http.Request, n int64) {
	if r.Body != nil && r.Body != http.NoBody {
		// The base writer, so that net/http closes the connection instead
		// of reading the rest of an endless body to keep it alive.
		r.Body = &cappedBody{http.MaxBytesReader(baseWriter(w), r.Body, n)}
	}
}

type cappedBody struct{ io.ReadCloser }

func (b *cappedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		err = &BodyTooLarge{Limit: tooLarge.Limit}
	}
	return n, err
}

// Deadline bounds a request: its context ends after d, reading its body fails
// after d, and writing fails five seconds later. Without the last two, a
// client that sends or reads a byte a minute would hold a goroutine and a
// descriptor for ever.
func Deadline(d time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serveUntil(w, r, d, func(r *http.Request) { next.ServeHTTP(w, r) })
	})
}

func serveUntil(w http.ResponseWriter, r *http.Request, d time.Duration, serve func(r *http.Request)) {
	now := time.Now()
	ctx, cancel := context.WithDeadline(r.Context(), now.Add(d))
	defer cancel()
	if p := paceOf(r); p != nil {
		p.release()
	}
	rc := http.NewResponseController(w)
	// A writer without deadlines (a test's recorder) is bounded by the context alone.
	_ = rc.SetReadDeadline(now.Add(d))
	_ = rc.SetWriteDeadline(now.Add(d + writeSlack))
	serve(r.WithContext(ctx))
}
