package cli

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// Exit codes of [Main].
const (
	exitOK     = 0
	exitFailed = 1 // refused or failed
	exitUsage  = 2 // the command line itself is wrong
)

// Main runs one command line, without the program's name, and returns the
// exit code. environ is as os.Environ gives it. Nothing else of the process is
// looked at but the working directory and, for prompts, whether stdin is a
// terminal; so a test can run it in process.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, environ []string) int {
	return run(ctx, newEnv(stdin, stdout, stderr, environ, appRuntime()), args)
}

func newEnv(stdin io.Reader, stdout, stderr io.Writer, environ []string, rt runtime) *env {
	return &env{in: stdin, out: stdout, err: stderr, environ: environ, rt: rt, now: time.Now}
}

// exitCode is what the help flag panics with, to leave the parser.
type exitCode int

func run(ctx context.Context, e *env, args []string) (code int) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case exitCode:
			code = int(v)
		default:
			panic(v)
		}
	}()
	e.ctx, e.json = ctx, hasFlag(args, "--json")
	if len(args) == 0 {
		e.print(startPage)
		return exitOK
	}
	g := newGrammar()
	parser, err := newParser(g, e)
	if err != nil {
		return e.fail(err, exitFailed)
	}
	kctx, err := parser.Parse(args)
	if err != nil {
		return e.usage(err)
	}
	e.global, e.json = g.Global, g.JSON
	e.settings, err = givenSettings(kctx)
	if err == nil {
		err = kctx.Run(e)
	}
	err = errors.Join(err, e.close())
	if err != nil {
		return e.fail(err, exitFailed)
	}
	return exitOK
}

func newParser(g *grammar, e *env) (*kong.Kong, error) {
	return kong.New(g,
		kong.Name("sallyport"),
		kong.Writers(e.out, e.err),
		kong.Exit(func(c int) { panic(exitCode(c)) }),
		kong.Help(printHelp),
		kong.ExplicitGroups(groups),
	)
}

// hasFlag looks for a flag before the line is parsed, so that errors of
// parsing are written as asked, too.
func hasFlag(args []string, name string) bool {
	for _, a := range args {
		if a == "--" {
			return false
		}
		if a == name || strings.HasPrefix(a, name+"=t") {
			return true
		}
	}
	return false
}
