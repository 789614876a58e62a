package httpd_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/httpd"
)

// deadlines notes what a handler asks of its connection.
type deadlines struct {
	http.ResponseWriter
	read, write []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error  { d.read = append(d.read, t); return nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { d.write = append(d.write, t); return nil }
func (d *deadlines) Header() http.Header                { return http.Header{} }
func (d *deadlines) WriteHeader(int)                    {}
func (d *deadlines) Write(p []byte) (int, error)        { return len(p), nil }

// TestSecurity57_BodyThatNeverComes: a request that is refused at once may
// announce a body and send none. net/http would wait for it without end before
// sending the refusal, and whoever does so often has all connections.
func TestSecurity57_BodyThatNeverComes(t *testing.T) {
	s := start(t, httpd.Config{Public: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusUnauthorized) })})
	c, err := net.Dial("tcp", s.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }() // nothing depends on it
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	got, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 401 ") {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestSecurity57_BodiesHaveAPace: what a body may take grows with what came of
// it, is lifted for those who were verified, and is gone with its end.
func TestSecurity57_BodiesHaveAPace(t *testing.T) {
	serve := func(size int, h http.HandlerFunc) *deadlines {
		r, err := http.NewRequest(http.MethodPost, "/", io.LimitReader(zeros{}, int64(size)))
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = int64(size)
		d := &deadlines{}
		httpd.Front{NoAccessLog: true}.Wrap(h).ServeHTTP(d, r)
		return d
	}
	from := time.Now()
	d := serve(100<<10, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.CopyN(io.Discard, r.Body, 51<<10) })
	if n := len(d.read); n < 3 {
		t.Fatalf("%d read deadlines", n)
	}
	if first, grown := d.read[0].Sub(from), d.read[len(d.read)-2].Sub(d.read[0]); first < 29*time.Second || first > 40*time.Second || grown != 102*time.Second {
		t.Errorf("first %s, then %s more for 51 KiB", first, grown)
	}
	if rest := time.Until(d.read[len(d.read)-1]); rest > 6*time.Second {
		t.Errorf("the rest of an answered request is waited for %s", rest)
	}
	d = serve(1000, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	if last := d.read[len(d.read)-1]; !last.IsZero() {
		t.Errorf("a deadline is left over when the body is whole: it would end a long answer")
	}
	d = serve(100<<10, func(_ http.ResponseWriter, r *http.Request) {
		httpd.Unpaced(r)
		_, _ = io.CopyN(io.Discard, r.Body, 51<<10)
	})
	if len(d.read) != 3 || !d.read[1].IsZero() {
		t.Errorf("unpaced: %v", d.read)
	}
	own := httpd.Deadline(time.Second, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, "x")
	}))
	d = serve(100<<10, own.ServeHTTP)
	if len(d.read) != 2 || time.Until(d.read[1]) > time.Second || len(d.write) != 1 {
		t.Errorf("our own routes: %v, %v", d.read, d.write)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestSecurity57_AnswersHaveAPace: a reader that stops reading is let go of; a
// stream that is silent is not, although HTTP/2 would reset it at a deadline
// that nothing waits for.
func TestSecurity57_AnswersHaveAPace(t *testing.T) {
	for _, major := range []int{1, 2} {
		r, err := http.NewRequest(http.MethodGet, "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.ProtoMajor, r.RequestURI = major, "/"
		d := &deadlines{}
		var silent time.Time
		httpd.Front{NoAccessLog: true}.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(w, "a")
			_, _ = fmt.Fprint(w, "b")
			silent = d.write[len(d.write)-1]
		})).ServeHTTP(d, r)
		last := d.write[len(d.write)-1]
		if d.write[0].IsZero() || time.Until(last) > 2*time.Minute || last.IsZero() || len(d.read) != 0 {
			t.Errorf("HTTP/%d: %v, %v", major, d.write, d.read)
		}
		if silent.IsZero() != (major == 2) {
			t.Errorf("HTTP/%d: while it is silent the deadline is %v", major, silent)
		}
	}
}
