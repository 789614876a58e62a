package sallyport_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/store/pgtest"
)

// elsewhere are commands that a document shows and this test does not run,
// each with what runs it instead.
var elsewhere = map[string]string{
	"./scripts/test":         "is what runs this test",
	"./scripts/lint":         "run by .ci/run",
	"go test ":               "shows how to run one test",
	"go run ./test/kill":     "test/kill runs itself in a short form",
	"./scripts/faults":       "test/faults runs itself in a short form",
	"./scripts/setup":        "run by ./scripts/test",
	"go run ./test/bench":    "test/bench runs itself in a short form",
	"./scripts/bench":        "test/bench runs itself in a short form",
	"make bench":             "test/bench runs itself in a short form",
	"CGO_ENABLED=0 go build": "done once, below, for all documents",
}

// TestDocs runs every command that a document shows, in order, each document
// in a folder of its own. Blocks marked sh are commands; `serve` and the demo
// run in the background until the document ends.
func TestDocs(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program and starts servers; left out by -short")
	}
	bin := filepath.Join(t.TempDir(), "bin")
	build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(bin, "sallyport"), "./cmd/sallyport")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	docs, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	proxies, err := filepath.Glob("docs/proxies/*.md")
	if err != nil {
		t.Fatal(err)
	}
	run := 0
	for _, doc := range append(append(docs, proxies...), "README.md", "CONTRIBUTING.md") {
		cmds := shellCommands(t, doc)
		if len(cmds) == 0 {
			continue
		}
		t.Run(doc, func(t *testing.T) {
			s := newDocShell(t, bin, doc)
			for _, c := range cmds {
				s.run(c)
				run++
			}
		})
	}
	if run < 20 {
		t.Errorf("only %d commands were found in the documents", run)
	}
}

// shellCommands returns the commands of a document's sh blocks; a line that
// ends in a backslash goes on.
func shellCommands(t *testing.T, doc string) (cmds []string) {
	t.Helper()
	f, err := os.Open(doc)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in, part := false, ""
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "```sh":
			in = true
		case strings.HasPrefix(line, "```"):
			in = false
		case !in || line == "" || strings.HasPrefix(line, "#"):
		case strings.HasSuffix(line, `\`):
			part += strings.TrimSuffix(line, `\`)
		default:
			cmd, _, _ := strings.Cut(part+line, "  #")
			cmds, part = append(cmds, strings.TrimSpace(cmd)), ""
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return cmds
}

// docShell is the terminal of one document's reader.
type docShell struct {
	t         *testing.T
	dir, root string
	env       []string
	private   string
	stop      func() // ends the server that runs
}

func newDocShell(t *testing.T, bin, doc string) *docShell {
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	listen, private := freeAddr(t), freeAddr(t)
	s := &docShell{t: t, dir: t.TempDir(), root: root, private: private}
	s.env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "SALLYPORT_LISTEN="+listen, "SALLYPORT_PRIVATE_LISTEN="+private, "SALLYPORT_LOG_LEVEL=warn")
	if err := os.Symlink(bin, filepath.Join(s.dir, "bin")); err != nil {
		t.Fatal(err)
	}
	// What a document tells its reader to write, with the place of a database.
	if text, err := os.ReadFile(doc); err != nil || strings.Contains(string(text), "> store.url)") {
		dsn := pgtest.Start(t).NewDatabase(t)
		if err := errors.Join(err, os.WriteFile(filepath.Join(s.dir, "store.url"), []byte(dsn+"\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, link := range []string{"docs", "contracts"} {
		if err := os.Symlink(filepath.Join(root, link), filepath.Join(s.dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func (s *docShell) run(cmd string) {
	s.t.Helper()
	for prefix, why := range elsewhere {
		if strings.HasPrefix(cmd, prefix) {
			s.t.Logf("not run here: %s (%s)", cmd, why)
			return
		}
	}
	cmd = strings.TrimSpace(strings.TrimSuffix(cmd, "&"))
	if cmd == "kill %1" {
		s.stop()
		return
	}
	if strings.Contains(cmd, "sallyport serve") || strings.HasPrefix(cmd, "./scripts/demo") {
		s.serve(cmd)
		return
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "sh", "-c", cmd)
	c.Dir, c.Env = s.dir, s.env
	// What a reader would type at a prompt.
	c.Stdin = strings.NewReader("tulip kettle harbour 29\ntulip kettle harbour 29\n")
	if out, err := c.CombinedOutput(); err != nil {
		s.t.Errorf("%s: %v\n%s", cmd, err, out)
	}
}

// serve starts a server and waits until it is ready; the one that the document
// started before it ends first.
func (s *docShell) serve(cmd string) {
	s.t.Helper()
	if s.stop != nil {
		s.stop()
	}
	// The script finds the repository from its own path.
	cmd = strings.Replace(cmd, "./scripts/", s.root+"/scripts/", 1)
	c := exec.Command("sh", "-c", "exec "+cmd)
	c.Dir, c.Env, c.Stderr = s.dir, s.env, s.t.Output()
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	s.stop = sync.OnceFunc(func() {
		_ = c.Process.Signal(syscall.SIGTERM) // it may have ended
		if err := <-ended; err != nil {
			s.t.Log(cmd, "ended:", err)
		}
	})
	s.t.Cleanup(s.stop)
	for range 600 {
		res, err := http.Get("http://" + s.private + "/readyz")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case err := <-ended:
			ended <- err
			s.t.Fatalf("%s ended: %v", cmd, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
	s.t.Fatalf("%s is not ready after a minute", cmd)
}
