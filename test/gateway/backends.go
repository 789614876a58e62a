package main

import (
	_ "embed"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
)

var (
	//go:embed backend.js
	nodeSource string
	//go:embed backend.conf
	nginxSource string
)

// routes are the parts of the API, the longer before the shorter.
var routes = []string{"/internal", "/admin", "/api/ops", "/cased/secret", "/write", "/api", "/public", "/cased"}

// backend is an API behind the gateway.
type backend struct {
	name, addr string
	// stray tells of a request that must arrive nowhere and did: a hidden one,
	// or a question that was meant for the server before this backend.
	stray func() (string, error)
}

// goBackend reads the path twice: as its ServeMux does, which decides what it
// says it served, and carelessly; when the two differ it says the stricter one.
func goBackend() (b *backend, stop func()) {
	var hidden atomic.Pointer[string]
	mux := http.NewServeMux()
	for _, r := range append([]string{"/"}, routes...) {
		h := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { answer(w, req, r, &hidden) })
		mux.Handle(r, h)
		if r != "/" {
			mux.Handle(r+"/", h)
		}
	}
	s := httptest.NewUnstartedServer(mux)
	s.Config.MaxHeaderBytes = 1 << 20
	s.Start()
	return &backend{name: "go", addr: s.Listener.Addr().String(), stray: func() (string, error) {
		if p := hidden.Load(); p != nil {
			return *p, nil
		}
		return "", nil
	}}, s.Close
}

func answer(w http.ResponseWriter, r *http.Request, route string, hidden *atomic.Pointer[string]) {
	_, _ = io.Copy(io.Discard, r.Body) // trailers come with its end; what is broken is the client's
	var out strings.Builder
	out.WriteString("backend=go\n")
	target, method := r.RequestURI, r.Method
	each := func(h http.Header, from string) {
		for name, values := range h {
			name = strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
			for _, v := range values {
				switch {
				case strings.HasPrefix(name, "x-sallyport-"):
					fmt.Fprintf(&out, "id=%s%s:%s\n", from, name, v)
				case name == "x-original-url" || name == "x-rewrite-url":
					target, route = v, "/"
				case strings.HasPrefix(name, "x-http-method") || name == "x-method-override":
					method = v
				case (name == "x-script-name" || name == "script-name") && v != "" && strings.Contains(target, v):
					_, target, _ = strings.Cut(target, v) // as gunicorn does
					route = "/"
				}
			}
		}
	}
	each(r.Header, "")
	each(r.Trailer, "trailer ")
	if c := careless(target); c != route && (route == "/" || c == "/internal" || c == "/admin" || c == "/api/ops" || c == "/cased/secret") {
		route = c
	}
	probe := r.Header.Get("X-Probe")
	fmt.Fprintf(&out, "route=%s\nmethod=%s\npath=%s\nprobe=%s\n", route, method, target, probe)
	if strings.Contains(probe, "smuggled") || strings.Contains(r.RequestURI, "smuggled") || strings.HasPrefix(r.RequestURI, "/_sallyport/") {
		s := fmt.Sprintf("%s %s from %s: %v", r.Method, r.RequestURI, r.RemoteAddr, r.Header)
		hidden.Store(&s)
	}
	w.Header().Set("Content-Type", "text/plain")
	_, _ = io.WriteString(w, out.String()) // the client may be gone
}

// careless reads a target as the least careful of servers would.
func careless(target string) string {
	p, _, _ := strings.Cut(target, "?")
	for range 2 {
		if u, err := url.PathUnescape(p); err == nil {
			p = u
		}
	}
	p = strings.ToLower(strings.ReplaceAll(p, "\\", "/"))
	segments := strings.Split(p, "/")
	for i, s := range segments {
		s, _, _ = strings.Cut(s, ";")
		if s != "." && s != ".." {
			s = strings.TrimRight(s, ". ")
		}
		segments[i] = s
	}
	p = path.Clean("/" + strings.Join(segments, "/"))
	for _, r := range routes {
		if p == r || strings.HasPrefix(p, r+"/") {
			return r
		}
	}
	return "other"
}

func nodeBackend(dir string) (*backend, func(), error) {
	bin, err := program("node")
	if err != nil {
		return nil, nil, err
	}
	file := filepath.Join(dir, "backend.js")
	if err := os.WriteFile(file, []byte(nodeSource), 0o600); err != nil {
		return nil, nil, err
	}
	addr, port, err := freePort()
	if err != nil {
		return nil, nil, err
	}
	log := filepath.Join(dir, "node.log")
	stop, err := startProgram(addr, log, bin, file, port)
	return &backend{name: "node", addr: addr, stray: func() (string, error) { return lineWith(log, "smuggled", "GET /_sallyport/") }}, stop, err
}

func nginxBackend(dir string) (*backend, func(), error) {
	bin, err := program("nginx")
	if err != nil {
		return nil, nil, err
	}
	addr, _, err := freePort()
	if err != nil {
		return nil, nil, err
	}
	dir = filepath.Join(dir, "nginx-backend")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	log := filepath.Join(dir, "access.log")
	text := strings.NewReplacer("ADDR", addr, "DIR", dir, "LOG", log).Replace(nginxSource)
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(text), 0o600); err != nil {
		return nil, nil, err
	}
	stop, err := startProgram(addr, filepath.Join(dir, "log"), bin, nginxArgs(dir)...)
	return &backend{name: "nginx", addr: addr, stray: func() (string, error) { return lineWith(log, "smuggled", "GET /_sallyport/") }}, stop, err
}

// lineWith finds the first line of a log with one of some words.
func lineWith(file string, words ...string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading what a backend saw: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(line, w) }) {
			return strings.TrimSpace(line), nil
		}
	}
	return "", nil
}
