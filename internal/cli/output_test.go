package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/config"
)

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"alice":            "alice",
		"Žofie 東京 😀":       "Žofie 東京 😀",
		"a\x1b]0;owned\ab": `a\x1b]0;owned\ab`,
		"a\rb\nc\td":       `a\rb\nc\td`,
		"user\u202eexe":    `user\u202eexe`,
		"\u200bx":          `\u200bx`,
		"bad\xffbyte":      "bad\ufffdbyte",
		"\u0085\u2028":     `\u0085\u2028`,
	} {
		if got := plain(in); got != want {
			t.Errorf("plain(%q) = %q, want %q", in, got, want)
		}
	}
	if got := plainLines("a\n\x1bb"); got != "a\n\\x1bb" {
		t.Errorf("plainLines kept %q", got)
	}
}

// FuzzPlain: nothing that a terminal acts on comes through.
func FuzzPlain(f *testing.F) {
	for _, s := range []string{"", "alice", "\x1b[2J", "\u202e", "\xff", "a\nb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range plain(s) {
			if harmful(r) {
				t.Errorf("plain(%q) lets %q through", s, r)
			}
		}
	})
}

func TestAgo(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	e := &env{now: func() time.Time { return now }}
	for d, want := range map[time.Duration]string{
		0: "just now", -time.Second: "just now", 5 * time.Second: "5 seconds ago", 119 * time.Second: "119 seconds ago",
		2 * time.Minute: "2 minutes ago", 2 * time.Hour: "2 hours ago", 49 * time.Hour: "2 days ago",
		1000 * 24 * time.Hour: "2 years ago", -3 * time.Hour: "in 3 hours", -24 * time.Hour: "in 24 hours",
	} {
		if got := e.ago(admin.Time(now.Add(-d).UnixMilli())); got != want {
			t.Errorf("ago(%v) = %q, want %q", d, got, want)
		}
	}
	if got := e.ago(0); got != "never" {
		t.Errorf("ago(none) = %q", got)
	}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	e := &env{out: &out, err: io.Discard}
	tb := &table{head: []string{"NAME", "X"}}
	tb.add("Žo", "")
	tb.add("longer\n", "y")
	tb.write(e, "")
	if want := "NAME      X\nŽo        -\nlonger\\n  y\n"; out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestSentence(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "it failed": "it failed.", "it failed.": "it failed.", "did you mean x?": "did you mean x?",
		"run `x`": "run `x`", "a\nb": "a\nb", "ends\n": "ends.",
	} {
		if got := sentence(in); got != want {
			t.Errorf("sentence(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestEverySettingIsAFlag: a setting added to the configuration cannot be
// forgotten here, and a secret cannot become a flag.
func TestEverySettingIsAFlag(t *testing.T) {
	parser, err := newParser(newGrammar(), &env{out: io.Discard, err: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range commandNode(t, parser, "serve").Flags {
		if f.Tag.Has("setting") {
			got = append(got, f.Tag.Get("setting")+" --"+f.Name)
		}
	}
	var want []string
	for _, k := range config.Keys() {
		if k.Kind != config.KindSecret && k.Name != "data" {
			want = append(want, k.Name+" --"+k.Flag())
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("flags:\n%s\nsettings:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for name := range shownSettings {
		if !strings.Contains(strings.Join(want, "\n"), name+" --") {
			t.Errorf("shownSettings names %q, which is no setting", name)
		}
	}
}

func commandNode(t *testing.T, parser *kong.Kong, name string) *kong.Node {
	t.Helper()
	for _, n := range parser.Model.Children {
		if n.Name == name {
			return n
		}
	}
	t.Fatalf("no command %s", name)
	return nil
}

// watcher ends a context when a text has been written.
type watcher struct {
	buf  bytes.Buffer
	text string
	stop func()
}

func (w *watcher) Write(p []byte) (int, error) {
	n, err := w.buf.Write(p)
	if strings.Contains(w.buf.String(), w.text) {
		w.stop()
	}
	return n, err
}

// TestAuditFollow: -f shows a record that comes later, and an interrupt is
// its good end.
func TestAuditFollow(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	serving, stopServing := context.WithCancel(context.Background())
	served := make(chan int, 1)
	go func() {
		served <- Main(serving, []string{"serve", "--data", dir, "--listen", "127.0.0.1:0", "--private-listen", "127.0.0.1:0"}, strings.NewReader(""), io.Discard, io.Discard, nil)
	}()
	client := admin.NewSocketClient(filepath.Join(dir, socketName))
	for ready := time.NewTicker(10 * time.Millisecond); client.Ping(serving) != nil; <-ready.C {
	}

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	add := func(name string) {
		if code := Main(ctx, []string{"user", "add", name, "--no-password", "--data", dir}, strings.NewReader(""), io.Discard, io.Discard, nil); code != 0 {
			t.Errorf("user add %s: exit code %d", name, code)
		}
	}
	add("first")
	following, stop := context.WithCancel(ctx)
	out := &watcher{text: "username=second", stop: stop}
	seen := &watcher{text: "username=first", stop: func() { go add("second") }}
	code := Main(following, []string{"audit", "tail", "-f", "--kind", "user.create", "--data", dir}, strings.NewReader(""), io.MultiWriter(&once{w: seen}, out), io.Discard, nil)
	if code != 0 || strings.Count(out.buf.String(), "username=first") != 1 || strings.Count(out.buf.String(), "username=second") != 1 {
		t.Errorf("exit code %d, printed:\n%s", code, out.buf.String())
	}
	stopServing()
	if code := <-served; code != 0 {
		t.Errorf("serve: exit code %d", code)
	}
}

// once passes the first write on.
type once struct {
	w    io.Writer
	done bool
}

func (o *once) Write(p []byte) (int, error) {
	if o.done {
		return len(p), nil
	}
	o.done = true
	return o.w.Write(p)
}

// TestPanicIsLoud: leaving the parser for --help must not hide a defect.
func TestPanicIsLoud(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a panic was swallowed")
		}
	}()
	rt := runtime{serve: func(context.Context, *env, *config.Config) error { panic(errors.New("defect")) }}
	run(context.Background(), newEnv(strings.NewReader(""), io.Discard, io.Discard, nil, rt), []string{"serve"})
}

// TestInterrupted: a read that waits for stdin ends with its context.
func TestInterrupted(t *testing.T) {
	r, w := io.Pipe()
	defer func() { _ = w.Close() }()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, args := range [][]string{
		{"netosecret", "decode"}, {"token", "inspect"}, {"netosecret", "encode"},
	} {
		var errOut bytes.Buffer
		if code := Main(ctx, args, r, io.Discard, &errOut, nil); code != 1 || errOut.String() != "sallyport: interrupted. Nothing was changed.\n" {
			t.Errorf("%v: exit code %d, %q", args, code, errOut.String())
		}
	}
}
