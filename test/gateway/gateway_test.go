package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecurity61_Mutations sends the first few thousand of three seeds through
// every door that this machine has the programs for; scripts/setup installs
// them.
func TestSecurity61_Mutations(t *testing.T) {
	for _, seed := range []uint64{1, 77, 4242} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			m := &mutate{n: 5000, seed: seed, only: -1, workers: 4}
			rep, err := m.run(t.Context(), t.Output())
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range rep.broken() {
				t.Error(b)
			}
			var out strings.Builder
			if err := rep.print(&out); err != nil {
				t.Fatal(err)
			}
			t.Log(out.String())
		})
	}
}

// TestPlanted: an oracle that finds nothing proves nothing. These are what a
// gateway with a hole would make backends say.
func TestPlanted(t *testing.T) {
	bob := &request{who: principal{name: "bob"}, probe: "1", method: "GET"}
	for _, c := range []struct{ body, what string }{
		{"backend=go\nroute=/api\nmethod=GET\nprobe=1\nid=x-sallyport-user:bob\nid=x-sallyport-roles:reader\n", ""},
		{"backend=go\nroute=/public\nmethod=GET\nprobe=1\nid=x-sallyport-user:\n", ""},
		{"backend=go\nroute=/admin\nmethod=GET\nprobe=1\nid=x-sallyport-user:bob\n", "bypass"},
		{"backend=go\nroute=/write\nmethod=DELETE\nprobe=1\nid=x-sallyport-user:bob\n", "bypass"},
		{"backend=go\nroute=other\nmethod=GET\nprobe=1\nid=x-sallyport-user:bob\n", "bypass"},
		{"backend=go\nroute=/api\nmethod=GET\nprobe=2\nid=x-sallyport-user:bob\n", "bypass"},
		{"backend=go\nroute=/public\nmethod=GET\nprobe=1\nbackend=go\nroute=/public\nmethod=GET\nprobe=1\n", "bypass"},
		{"backend=go\nroute=/api\nmethod=GET\nprobe=1\nid=x-sallyport-user:alice\n", "spoofed"},
		{"backend=go\nroute=/api\nmethod=GET\nprobe=1\n", "spoofed"},
		{"backend=go\nroute=/api\nmethod=GET\nprobe=1\nid=x-sallyport-user:bob\nid=x-sallyport-user:alice\n", "spoofed"},
		{"backend=go\nroute=/api\nmethod=GET\nprobe=1\nid=x-sallyport-user:bob\nid=trailer x-sallyport-user:alice\n", "spoofed"},
		{"backend=go\nroute=/public\nmethod=GET\nprobe=1\nid=x-sallyport-user:bob\n", "spoofed"},
		{"backend=go\nroute=/api\nmethod=GET\nprobe=1\nid=x-sallyport-user:bob\nid=x-sallyport-roles:admin\n", "spoofed"},
	} {
		rep := &mutateReport{}
		rep.judge(1, &door{front: "built-in", backend: &backend{name: "go"}}, &doorReport{}, bob, &response{status: 200, body: c.body})
		got := ""
		switch {
		case len(rep.Bypasses) > 0:
			got = "bypass"
		case len(rep.Spoofed) > 0:
			got = "spoofed"
		}
		if got != c.what {
			t.Errorf("%q: %q, want %q", c.body, got, c.what)
		}
	}
}

// TestAskedAstray: a question that a proxy puts to the backend is noticed, and a
// finding says whether the server was asked.
func TestAskedAstray(t *testing.T) {
	b, stop := goBackend()
	defer stop()
	w := &wire{addr: b.addr}
	defer w.close()
	get := func(path string) string {
		w.do("GET "+path+" HTTP/1.1\r\nHost: x\r\nX-Forwarded-Uri: /api/ops/x\r\n\r\n", "GET", false)
		line, err := b.stray()
		if err != nil {
			t.Fatal(err)
		}
		return line
	}
	if line := get("/api/x"); line != "" {
		t.Errorf("a request that is the backend's: %s", line)
	}
	if line := get("/_sallyport/auth/caddy"); !strings.Contains(line, "/api/ops/x") {
		t.Errorf("a question that was the server's: %q", line)
	}
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, []byte(`{"status":401,"request_id":"mutation-7"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &door{front: "caddy", backend: b, log: log}
	if said := d.asked(7); !strings.Contains(said, `"status":401`) {
		t.Error(said)
	}
	if said := d.asked(70); !strings.Contains(said, "not asked") {
		t.Error(said)
	}
}

// TestCareless: the readings that must not lead into the protected parts.
func TestCareless(t *testing.T) {
	for target, want := range map[string]string{
		"/admin": "/admin", "/Admin/x": "/admin", "/public/../admin": "/admin", "/public/..%2fadmin": "/admin", "/public/..%252fadmin": "/admin", "/public\\..\\admin": "/admin",
		"/admin;x": "/admin", "//admin": "/admin", "/admin.": "/admin", "/admin%20": "/admin", "/admin?x": "/admin", "/adminx": "other", "/public/x": "/public", "/api/ops/x": "/api/ops", "/CASED/SECRET": "/cased/secret",
	} {
		if got := careless(target); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}

// The same seed makes the same mutation, so that a finding can be sent again.
func TestMutationsAreSeeded(t *testing.T) {
	people := []principal{{"alice", "A: b\r\n"}, {"", ""}}
	seen := map[string]bool{}
	for i := range uint64(500) {
		a, b := mutation(7, i, people), mutation(7, i, people)
		if a.raw != b.raw {
			t.Fatalf("mutation %d: %q, then %q", i, a.raw, b.raw)
		}
		seen[a.raw] = true
	}
	if len(seen) < 499 {
		t.Errorf("only %d of 500 differ", len(seen))
	}
}
