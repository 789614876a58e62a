package attack_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// watch sees what a server must not do: connect to what a token names, look up
// a name, open a file, and log an error.
type watch struct {
	t       testing.TB
	sinks   []string // host:port of listeners that hostile texts name
	file    string   // a file that they name
	dialled atomic.Int64
	opened  func() int // how often file was opened

	mu   sync.Mutex
	logs bytes.Buffer
}

var errNoDial = errors.New("the attack tests look up no names")

func newWatch(t testing.TB) *watch {
	t.Helper()
	w := &watch{t: t, file: filepath.Join(t.TempDir(), "key.pem")}
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			continue // a machine without IPv6
		}
		t.Cleanup(func() { _ = ln.Close() })
		w.sinks = append(w.sinks, ln.Addr().String())
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				w.dialled.Add(1)
				_ = c.Close()
			}
		}()
	}
	if err := os.WriteFile(w.file, []byte("-----BEGIN PUBLIC KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.opened = countOpens(t, w.file)
	return w
}

// outbound counts what goes through the ways out that a library takes when
// nobody gives it another. The tests themselves take none of them.
var outbound struct{ lookups, dials atomic.Int64 }

func init() {
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		outbound.lookups.Add(1)
		return nil, errNoDial
	}}
	http.DefaultTransport = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		outbound.dials.Add(1)
		return nil, errNoDial
	}}
}

// Write implements io.Writer for the log of the server, whose level is error.
func (w *watch) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.logs.Len() < 1<<16 {
		w.logs.Write(p)
	}
	return len(p), nil
}

// check fails the test for anything seen.
func (w *watch) check() {
	w.t.Helper()
	if n := w.dialled.Load(); n != 0 {
		w.t.Errorf("the server made %d connections to addresses that tokens name", n)
	}
	if n, m := outbound.lookups.Load(), outbound.dials.Load(); n+m != 0 {
		w.t.Errorf("the server looked up %d names and opened %d connections", n, m)
	}
	if n := w.opened(); n != 0 {
		w.t.Errorf("the server opened a file that tokens name, %d times", n)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.logs.Len() > 0 {
		w.t.Errorf("the server logged errors:\n%s", w.logs.Bytes())
	}
}
