package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// Options say where a configuration comes from.
type Options struct {
	// File is the YAML file. Empty means the variable SALLYPORT_CONFIG, or
	// none. A file that is named must exist.
	File string
	// Environ is the environment as name=value; nil means the process's own.
	Environ []string
	// Flags holds what stood on the command line, see [ParseFlags].
	Flags Flags
	// Env lists further SALLYPORT_… variables that are known elsewhere, so
	// that they cause no warning.
	Env []string
}

// EnvConfig is the variable that names the configuration file.
const EnvConfig = EnvPrefix + "CONFIG"

// Load reads the configuration: defaults, file, environment, flags, each over
// the one before. The error is [Problems] with every mistake that was found.
func Load(opts Options) (*Config, error) {
	if opts.Environ == nil {
		opts.Environ = os.Environ()
	}
	c := &Config{origins: map[string]string{}}
	l := &loader{c: c, keys: map[string]Key{}}
	for _, k := range bind(c) {
		l.keys[k.Name] = k
		l.order = append(l.order, k)
	}
	l.defaults()
	env := environMap(opts.Environ)
	if opts.File == "" {
		opts.File = env[EnvConfig]
	}
	if opts.File != "" {
		c.File = opts.File
		l.file(opts.File)
	}
	l.environ(env, opts.Env)
	l.flags(opts.Flags)
	if len(l.problems) == 0 { // what spans keys is judged on good values alone
		l.across()
	}
	if len(l.problems) > 0 {
		return nil, l.problems
	}
	return c, nil
}

type loader struct {
	c        *Config
	keys     map[string]Key
	order    []Key
	problems Problems
}

func (l *loader) fail(source, key, format string, args ...any) {
	l.problems = append(l.problems, Problem{Source: source, Key: key, Message: fmt.Sprintf(format, args...)})
}

// set gives a key a value and remembers where it came from.
func (l *loader) set(k Key, v value) {
	if v.kind == kindNull && !v.plain {
		return
	}
	l.problems = append(l.problems, k.decode(v)...)
	l.c.origins[k.Name] = v.source
}

func (l *loader) defaults() {
	for _, k := range l.order {
		if k.Default != "" {
			l.problems = append(l.problems, k.decode(value{source: originDefault, kind: kindString, text: k.Default, plain: true})...)
		}
	}
	l.c.Mounts = defaultMounts()
}

func (l *loader) file(path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		reason := err
		var pe *fs.PathError
		if errors.As(err, &pe) {
			reason = pe.Err
		}
		l.fail(path, "", "the configuration file cannot be read: %v", reason)
		return
	}
	v, ps := parseYAML(text, func(line, col int) string { return fmt.Sprintf("%s:%d:%d", path, line, col) })
	l.problems = append(l.problems, ps...)
	switch {
	case len(ps) > 0 || v.kind == kindNull:
	case v.kind != kindMap:
		l.fail(v.source, "", "want keys such as listen: 127.0.0.1:8080, got %s", v.what())
	default:
		l.section("", v)
	}
}

// section takes the keys of one level of the file.
func (l *loader) section(prefix string, v value) {
	seen := map[string]bool{}
	for _, f := range v.fields {
		name := prefix + f.name
		if seen[name] {
			l.fail(f.source, name, "is set twice")
			continue
		}
		seen[name] = true
		k, ok := l.keys[name]
		switch {
		case ok && k.Kind == KindSecret:
			l.fail(f.source, name, "a secret does not belong into the configuration; put it into a file and name that with %s_file, or set %s", name, k.Env())
		case ok:
			l.set(k, f.value)
		case l.isSection(name):
			if f.value.kind == kindMap {
				l.section(name+".", f.value)
			} else if f.value.kind != kindNull {
				l.fail(f.value.source, name, "want a group of keys (%s), got %s", strings.Join(l.below(name+"."), ", "), f.value.what())
			}
		default:
			l.fail(f.source, name, "unknown key%s", l.suggest(prefix, f.name))
		}
	}
}

func (l *loader) isSection(name string) bool { return len(l.below(name+".")) > 0 }

// below lists the names of one level.
func (l *loader) below(prefix string) []string {
	var out []string
	for _, k := range l.order {
		if rest, ok := strings.CutPrefix(k.Name, prefix); ok {
			rest, _, _ = strings.Cut(rest, ".")
			if !slices.Contains(out, rest) {
				out = append(out, rest)
			}
		}
	}
	return out
}

// suggest looks on the same level first, then everywhere.
func (l *loader) suggest(prefix, name string) string {
	if n := nearest(name, l.below(prefix)); n != "" {
		return "; did you mean " + prefix + n + "?"
	}
	all := make([]string, 0, len(l.order))
	for _, k := range l.order {
		all = append(all, k.Name)
	}
	if hint := didYouMean(name, all); hint != "" {
		return hint
	}
	if prefix != "" {
		return fmt.Sprintf("; %s takes %s", strings.TrimSuffix(prefix, "."), strings.Join(l.below(prefix), ", "))
	}
	return "; sallyport config print lists them all"
}
