package cli

import (
	"context"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sallyport/sallyport/internal/admin"
)

// TestMain lets the scripts start this binary as sallyport.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sallyport": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		code := Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ())
		stop()
		os.Exit(code)
	}})
}

// TestSessions runs the command line as users do: testdata/*.txtar.
func TestSessions(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ready": cmdReady, "capture": cmdCapture, "request": cmdRequest, "corrupt": cmdCorrupt, "cut": cmdCut, "allow": cmdAllow,
		},
	})
}

// cmdReady (ready DIR) waits until a server answers on a data directory, and
// puts its address into $URL.
func cmdReady(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ready DIR")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client := admin.NewSocketClient(filepath.Join(ts.MkAbs(args[0]), socketName))
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var st admin.Status
		if err := client.Get(ctx, "/status", nil, &st); err == nil {
			ts.Setenv("URL", st.URLs[0])
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.Fatalf("no server answers on %s", args[0])
		}
	}
}

// cmdCapture (capture VAR FILE REGEXP) sets a variable to the first group of
// the first match in a file, or in stdout.
func cmdCapture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: capture VAR FILE REGEXP")
	}
	m := regexp.MustCompile("(?m)" + args[2]).FindStringSubmatch(ts.ReadFile(args[1]))
	if len(m) != 2 {
		ts.Fatalf("%s has nothing that matches %s with one group", args[1], args[2])
	}
	ts.Setenv(args[0], m[1])
}

// cmdRequest (request FILE METHOD URL [NAME:VALUE]... [BODY]) sends a request
// and writes status and body of the answer into a file.
func cmdRequest(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: request FILE METHOD URL [NAME:VALUE]... [BODY]")
	}
	body, headers := "", http.Header{}
	for _, a := range args[3:] {
		if name, value, ok := strings.Cut(a, ":"); ok && !strings.HasPrefix(a, "{") {
			headers.Set(name, value)
			continue
		}
		body = a
	}
	req, err := http.NewRequest(args[1], args[2], strings.NewReader(body))
	ts.Check(err)
	req.Header = headers
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	ts.Check(err)
	text, err := io.ReadAll(res.Body)
	ts.Check(err)
	ts.Check(res.Body.Close())
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(res.Status+"\n"+string(text)+"\n"), 0o600))
}

// cmdCut (cut NEW FILE) copies a file without its last byte.
func cmdCut(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: cut NEW FILE")
	}
	text := ts.ReadFile(args[1])
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text[:len(text)-1]), 0o600))
}

// cmdCorrupt (corrupt FILE OLD NEW) replaces bytes of a file that is no text.
func cmdCorrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 || len(args[1]) != len(args[2]) {
		ts.Fatalf("usage: corrupt FILE OLD NEW, of one length")
	}
	old := ts.ReadFile(args[0])
	changed := strings.ReplaceAll(old, args[1], args[2])
	if changed == old {
		ts.Fatalf("%s has no %s", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(changed), 0o600))
}
