package httpd

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestAccessLineJSON: the line is the one that slog would write.
func TestAccessLineJSON(t *testing.T) {
	at := time.Date(2026, 11, 22, 4, 39, 3, 123456789, time.FixedZone("", 3600))
	for _, l := range []accessLine{
		{at: at, method: "POST", route: "netography /api/auth/bearer/refresh", status: 200, took: 1234567, bytes: 1403, client: netip.MustParseAddr("192.0.2.7"), id: "kq3J9xLZ0mVQm1yF7B2c8A"},
		{at: at.Truncate(time.Second), method: "BREW", path: "/a\"b\\c\n\x00<é>\u2028\xff", status: 0, took: 0, client: netip.MustParseAddr("2001:db8::1"), id: "a-b_c.d:e", hijacked: true},
		{at: at, method: "GET…", path: "/", status: 101, took: 61 * time.Second, bytes: 1 << 40, id: "x"},
	} {
		var want bytes.Buffer
		r := slog.NewRecord(l.at, slog.LevelInfo, "request", 0)
		r.AddAttrs(l.attrs()...)
		if err := (&edgeHandler{Handler: slog.NewJSONHandler(&want, nil)}).Handle(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if got := string(l.appendJSON(nil)); got != want.String() {
			t.Errorf("got  %swant %s", got, want.String())
		}
	}
}

// pieces notes what each call wrote.
type pieces struct {
	mu  sync.Mutex
	all []string
	err error
}

func (p *pieces) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, string(b))
	return len(b), p.err
}

func (p *pieces) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.all, "|")
}

// TestLogLines: access lines go out together, soon, and in their order.
func TestLogLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out pieces
		l := &logLines{w: &out, wait: true}
		is := func(want string) {
			t.Helper()
			synctest.Wait()
			if got := out.String(); got != want {
				t.Errorf("written %q, want %q", got, want)
			}
		}
		l.add([]byte("a"))
		l.add([]byte("b"))
		time.Sleep(batchWait - time.Millisecond)
		is("")
		time.Sleep(time.Millisecond)
		is("ab")
		l.add([]byte("c"))
		if _, err := l.Write([]byte("error")); err != nil {
			t.Fatal(err)
		}
		is("ab|c|error")
		l.add([]byte("d"))
		l.flush()
		l.flush()
		is("ab|c|error|d")
		time.Sleep(time.Minute)
		is("ab|c|error|d")
		l.add(bytes.Repeat([]byte("e"), batchSize))
		if got := out.String(); len(got) != len("ab|c|error|d|")+batchSize {
			t.Errorf("a full batch waits: %d bytes", len(got))
		}
		out.err = errors.New("full")
		l.add([]byte("f"))
		if _, err := l.Write([]byte("error")); !errors.Is(err, out.err) {
			t.Errorf("error %v", err)
		}
	})
}

// TestLogLinesAtOnce: what many write at once arrives whole, once and, seen
// from each of them, in order.
func TestLogLinesAtOnce(t *testing.T) {
	var out bytes.Buffer
	l := &logLines{w: &out, wait: true}
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 500 {
				line := append(bytes.Repeat([]byte{'a' + byte(g)}, 1+i), '\n')
				if g%4 == 0 {
					_, _ = l.Write(line) // a buffer takes everything
				} else {
					l.add(line)
				}
			}
		})
	}
	all.Wait()
	l.flush()
	next := map[byte]int{}
	for line := range strings.SplitSeq(strings.TrimSuffix(out.String(), "\n"), "\n") {
		next[line[0]]++
		if len(line) != next[line[0]] || strings.Trim(line, line[:1]) != "" {
			t.Fatalf("line %d of %c: %q", next[line[0]], line[0], line)
		}
	}
	for g := range 8 {
		if n := next['a'+byte(g)]; n != 500 {
			t.Errorf("%d lines of %d", n, g)
		}
	}
}

// TestFlushLog: a server that ended has written every line.
func TestFlushLog(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	log, err := NewLogger(f, "", "")
	if err != nil {
		t.Fatal(err)
	}
	h := Front{Logger: log}.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }))
	for range 3 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	}
	FlushLog(log)
	FlushLog(slog.Default()) // none of ours
	got, err := os.ReadFile(f.Name())
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(got), "\n"); n != 3 {
		t.Errorf("%d lines: %s", n, got)
	}
}
