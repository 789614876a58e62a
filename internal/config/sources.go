package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"sort"
	"strings"
)

func environMap(environ []string) map[string]string {
	m := make(map[string]string)
	for _, e := range environ {
		if name, v, ok := strings.Cut(e, "="); ok && strings.HasPrefix(name, EnvPrefix) {
			m[name] = v
		}
	}
	return m
}

// environ takes the SALLYPORT_… variables. An empty one of a text or list
// empties it; an empty one of another type counts as unset, which is what
// compose files make of a variable without a value.
func (l *loader) environ(env map[string]string, others []string) {
	known := append([]string{EnvConfig}, others...)
	for _, k := range l.order {
		known = append(known, k.Env())
		text, ok := env[k.Env()]
		if !ok {
			continue
		}
		switch k.ptr.(type) {
		case *string, *[]string, *StoreURL:
		default:
			if text == "" {
				continue
			}
		}
		l.set(k, value{source: k.Env(), kind: kindString, text: text, plain: true})
	}
	l.unknownEnv(env, known)
}

// serviceLink matches the variables that Kubernetes gives every pod of a
// namespace with a Service called sallyport.
var serviceLink = regexp.MustCompile(`^SALLYPORT_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// unknownEnv refuses what looks like a typing mistake, since a setting that
// silently does nothing can leave a door open, and warns of the rest, which
// may belong to something else.
func (l *loader) unknownEnv(env map[string]string, known []string) {
	names := make([]string, 0, len(env))
	for name := range env {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if slices.Contains(known, name) || serviceLink.MatchString(name) {
			continue
		}
		best := nearest(name, known)
		if best != "" && distance(name, best) <= 2 {
			l.fail(name, "", "unknown variable; did you mean %s?", best)
			continue
		}
		l.c.Warnings = append(l.c.Warnings, fmt.Sprintf("%s: unknown variable, ignored", name))
	}
}

// Flags holds the flags that were given, by the name of their key; a flag
// given several times has several values.
type Flags map[string][]string

// ParseFlags takes the flags of the configuration out of args, in the forms
// --name value and --name=value (--name alone for true), and returns the
// rest in order. Arguments after "--" are left alone. The error, [Problems],
// names flags without a value and secrets on the command line.
func ParseFlags(args []string) (Flags, []string, error) {
	byFlag := map[string]Key{}
	for _, k := range Keys() {
		if f := k.Flag(); f != "" {
			byFlag[f] = k
		}
	}
	flags, rest, problems := Flags{}, []string{}, Problems(nil)
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			rest = append(rest, args[i:]...)
			break
		}
		name, text, hasText := strings.Cut(strings.TrimPrefix(args[i], "--"), "=")
		k, ok := byFlag[name]
		if !ok || !strings.HasPrefix(args[i], "--") {
			if p := secretFlag(args[i]); p != nil {
				problems = append(problems, *p)
			}
			rest = append(rest, args[i])
			continue
		}
		switch {
		case hasText:
		case k.Kind == KindBool:
			text = "true"
		case i+1 < len(args):
			i++
			text = args[i]
		default:
			problems = append(problems, Problem{Source: "--" + name, Message: "a value is missing"})
			continue
		}
		flags[k.Name] = append(flags[k.Name], text)
	}
	if problems != nil {
		return nil, nil, problems
	}
	return flags, rest, nil
}

func secretFlag(arg string) *Problem {
	for _, k := range Keys() {
		if k.Kind != KindSecret {
			continue
		}
		name := "--" + strings.NewReplacer(".", "-", "_", "-").Replace(k.Name)
		if arg == name || strings.HasPrefix(arg, name+"=") {
			return &Problem{Source: name, Message: fmt.Sprintf("a secret on the command line can be read by every user of the machine; put it into a file and give %s-file, or set %s", name, k.Env())}
		}
	}
	return nil
}

func (l *loader) flags(flags Flags) {
	names := make([]string, 0, len(flags))
	for name := range flags {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		k, ok := l.keys[name]
		if !ok || k.Kind == KindSecret {
			l.fail("", name, "cannot be set by a flag")
			continue
		}
		texts, source := flags[name], "--"+k.Flag()
		if _, list := k.ptr.(*[]string); !list && len(texts) > 1 {
			l.fail(source, "", "is given twice")
			continue
		}
		l.set(k, value{source: source, kind: kindString, text: strings.Join(texts, ","), plain: true})
	}
}

// ReadSecret reads a secret from a file: the content without the line break
// that editors put at its end.
func ReadSecret(path string) (Secret, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return "", fmt.Errorf("secret file %s: %w", path, err)
	}
	s := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if s == "" {
		return "", fmt.Errorf("secret file %s: it is empty", path)
	}
	return Secret(s), nil
}
