package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/config"
)

// usageError is a command line that parses and still cannot be meant.
type usageError struct{ msg string }

func (u *usageError) Error() string { return u.msg }

// refused is how a command ends that worked and whose answer is no. printed
// means that stdout says so already.
type refused struct {
	msg     string
	printed bool
}

func (r *refused) Error() string { return r.msg }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// fail writes err to stderr, as one line or, with --json, as an RFC 9457
// problem, and gives the exit code. stdout stays what a reader expects.
func (e *env) fail(err error, code int) int {
	var u *usageError
	if errors.As(err, &u) {
		code = exitUsage
	}
	var r *refused
	if errors.As(err, &r) && r.printed {
		return code
	}
	if e.json {
		e.failJSON(err, code)
		return code
	}
	var ps config.Problems
	if errors.As(err, &ps) && len(ps) > 1 {
		_, _ = fmt.Fprintf(e.err, "sallyport: the configuration has %d mistakes.\n", len(ps)) // stderr gone: nobody to tell
		for _, p := range ps {
			_, _ = fmt.Fprintf(e.err, "  %s\n", plainLines(p.String()))
		}
		return code
	}
	_, _ = fmt.Fprintf(e.err, "sallyport: %s\n", sentence(plainLines(strings.ReplaceAll(err.Error(), "\n\t", "\n  "))))
	return code
}

func (e *env) failJSON(err error, code int) {
	var p *admin.Problem
	if !errors.As(err, &p) {
		p = &admin.Problem{Title: "Failed", Code: "failed", Detail: err.Error()}
		if code == exitUsage {
			p.Title, p.Code = "Usage", "usage"
		}
	}
	b, merr := json.Marshal(p)
	if merr != nil {
		b = []byte(`{"title":"Failed","code":"failed"}`)
	}
	_, _ = fmt.Fprintf(e.err, "%s\n", b)
}

// sentence ends a message with a full stop, unless it ends in a command or a
// list that one would be taken for a part of.
func sentence(s string) string {
	s = strings.TrimRight(s, "\n")
	if s == "" || strings.ContainsAny(s[len(s)-1:], ".!?`:") || strings.Contains(s, "\n") {
		return s
	}
	return s + "."
}

// missingArgument is how the parser asks for a positional argument.
var missingArgument = regexp.MustCompile(`^expected "<([a-z-]+)>`)

// missingValue is what the parser says of a flag that is the last word, or is
// followed by another flag; wrongDuration of a length of time that is none.
var (
	missingValue  = regexp.MustCompile(`^(--[a-z-]+): expected \S+ value but got "(.*)" \(`)
	wrongDuration = regexp.MustCompile(`^(--[a-z-]+): expected duration but got (".*?"):`)
)

// parserWords says in our words what the parser says in its own.
func parserWords(msg string) string {
	if m := missingArgument.FindStringSubmatch(msg); m != nil {
		return "the argument " + strings.ToUpper(m[1]) + " is missing"
	}
	if m := missingValue.FindStringSubmatch(msg); m != nil {
		if m[2] == "EOL" {
			return m[1] + " needs a value"
		}
		return plain(m[1] + " needs a value; if " + m[2] + " is meant as one: " + m[1] + "=" + shellWord(m[2]))
	}
	if m := wrongDuration.FindStringSubmatch(msg); m != nil {
		return plain(m[1] + ": want a time such as 30m or 24h, not " + m[2])
	}
	return plain(msg)
}

// usage answers a command line that the parser refused.
func (e *env) usage(err error) int {
	var pe *kong.ParseError
	if errors.As(err, &pe) && pe.Context != nil {
		node := pe.Context.Selected()
		if !e.json && node != nil && len(node.Children) > 0 && strings.HasPrefix(err.Error(), "expected ") {
			e.helpOn(pe.Context, e.err)
			return exitUsage
		}
		help := "sallyport --help"
		if node != nil {
			help = node.FullPath() + " --help"
		}
		err = fmt.Errorf("%s See `%s`", sentence(parserWords(err.Error())), help)
	}
	return e.fail(err, exitUsage)
}
