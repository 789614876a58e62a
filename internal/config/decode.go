package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// decode puts v into the field of k, or says what is wrong. A nothing in YAML
// leaves the default.
func (k Key) decode(v value) Problems {
	if v.kind == kindNull && !v.plain {
		return nil
	}
	fail := func(format string, args ...any) Problems {
		return Problems{{Source: v.source, Key: k.Name, Message: fmt.Sprintf(format, args...)}}
	}
	var parsed any
	switch p := k.ptr.(type) {
	case *[]Rule:
		rules, ps := decodeRules(k.Name, v)
		*p = rules
		return ps
	case *[]Mount:
		mounts, ps := decodeMounts(k.Name, v)
		*p = mounts
		return ps
	case *Secret:
		*p = Secret(v.text)
		return nil
	case *StoreURL:
		if !v.scalar() {
			return fail("want a URL, got %s", v.what())
		}
		*p = StoreURL(strings.TrimSpace(v.text))
		parsed = *p
	case *[]string:
		list, ps := decodeList(k.Name, v)
		if ps != nil {
			return ps
		}
		*p, parsed = list, list
	case *string:
		if !v.scalar() {
			return fail("want %s, got %s", article(k.Kind), v.what())
		}
		*p, parsed = v.text, v.text
	case *bool:
		b, ok := parseBool(v)
		if !ok {
			return fail("want true or false, got %s", v.what())
		}
		*p, parsed = b, b
	case *int:
		n, ok := parseInt(v)
		if !ok {
			return fail("want a whole number, got %s", v.what())
		}
		*p, parsed = n, n
	case *time.Duration:
		d, msg := parseDuration(v)
		if msg != "" {
			return fail("%s", msg)
		}
		*p, parsed = d, d
	}
	if k.check != nil {
		if msg := k.check(parsed); msg != "" {
			return fail("%s", msg)
		}
	}
	return nil
}

func article(k Kind) string {
	switch k {
	case KindPath, KindURL:
		return "a " + string(k)
	}
	return "a text"
}

func parseBool(v value) (b, ok bool) {
	if v.kind != kindBool && !v.plain {
		return false, false
	}
	switch strings.ToLower(v.text) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	if v.plain && (v.text == "1" || v.text == "0") {
		return v.text == "1", true
	}
	return false, false
}

func parseInt(v value) (int, bool) {
	if v.kind != kindInt && !v.plain {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(v.text, "_", ""), 10, 32)
	return int(n), err == nil
}

// parseDuration reads Go's form. A number alone is refused: is it seconds, or
// milliseconds?
func parseDuration(v value) (time.Duration, string) {
	if !v.scalar() {
		return 0, "want a duration such as 15m or 720h, got " + v.what()
	}
	d, err := time.ParseDuration(v.text)
	if err == nil && (d == 0 || v.text != "0") {
		return d, ""
	}
	if _, nerr := strconv.ParseFloat(v.text, 64); nerr == nil {
		return 0, fmt.Sprintf("%s has no unit; write %ss, %sm or %sh", v.text, v.text, v.text, v.text)
	}
	if strings.HasSuffix(v.text, "d") {
		if n, nerr := strconv.Atoi(strings.TrimSuffix(v.text, "d")); nerr == nil && n >= 0 && n < 100_000 {
			return 0, fmt.Sprintf("days are written in hours: %dh", n*24)
		}
	}
	return 0, "want a duration such as 15m or 720h, got " + v.what()
}

// decodeList reads a YAML list of plain values, one plain value as a list of
// itself, or text separated by commas.
func decodeList(key string, v value) ([]string, Problems) {
	list := []string{}
	switch {
	case v.plain:
		for part := range strings.SplitSeq(v.text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				list = append(list, part)
			}
		}
	case v.kind == kindList:
		for i, item := range v.items {
			if !item.scalar() || item.kind == kindNull {
				return nil, Problems{{Source: item.source, Key: fmt.Sprintf("%s[%d]", key, i), Message: "want a text, got " + item.what()}}
			}
			list = append(list, item.text)
		}
	case v.kind == kindMap:
		return nil, Problems{{Source: v.source, Key: key, Message: "want a list, got " + v.what()}}
	default:
		list = append(list, v.text)
	}
	return list, nil
}

// structured gives the value of a list of rules or mounts; text from a
// variable or a flag is YAML itself.
func structured(key string, v value) (value, Problems) {
	if !v.plain {
		return v, nil
	}
	source := v.source
	return parseYAML([]byte(v.text), func(int, int) string { return source })
}

// object reads the members of one rule or mount.
type object struct {
	key      string
	problems *Problems
	known    []string
	fields   map[string]value
}

// members checks the names in v against known ones.
func members(key string, v value, problems *Problems, known ...string) object {
	o := object{key: key, problems: problems, known: known, fields: map[string]value{}}
	if v.kind == kindNull {
		return o
	}
	if v.kind != kindMap {
		o.fail(v.source, "", "want a group of keys (%s), got %s", strings.Join(known, ", "), v.what())
		return o
	}
	for _, f := range v.fields {
		if !contains(known, f.name) {
			hint := didYouMean(f.name, known)
			if hint == "" {
				hint = "; it takes " + strings.Join(known, ", ")
			}
			o.fail(f.source, f.name, "unknown key%s", hint)
			continue
		}
		if _, twice := o.fields[f.name]; twice {
			o.fail(f.source, f.name, "is set twice")
		}
		o.fields[f.name] = f.value
	}
	return o
}

func (o object) fail(source, member, format string, args ...any) {
	key := o.key
	if member != "" {
		key += "." + member
	}
	*o.problems = append(*o.problems, Problem{Source: source, Key: key, Message: fmt.Sprintf(format, args...)})
}

// text reads an optional member; check may be nil.
func (o object) text(name string, into *string, check func(any) string) {
	v, ok := o.fields[name]
	if !ok || v.kind == kindNull {
		return
	}
	if !v.scalar() {
		o.fail(v.source, name, "want a text, got %s", v.what())
		return
	}
	*into = v.text
	if check != nil {
		if msg := check(v.text); msg != "" {
			o.fail(v.source, name, "%s", msg)
		}
	}
}

// flag reads an optional member.
func (o object) flag(name string, into *bool) {
	v, ok := o.fields[name]
	if !ok || v.kind == kindNull {
		return
	}
	b, ok := parseBool(v)
	if !ok {
		o.fail(v.source, name, "want true or false, got %s", v.what())
		return
	}
	*into = b
}

// list reads an optional member; check may be nil.
func (o object) list(name string, into *[]string, check func(any) string) {
	v, ok := o.fields[name]
	if !ok || v.kind == kindNull {
		return
	}
	list, ps := decodeList(o.key+"."+name, v)
	if ps != nil {
		*o.problems = append(*o.problems, ps...)
		return
	}
	*into = list
	if check != nil {
		if msg := check(list); msg != "" {
			o.fail(v.source, name, "%s", msg)
		}
	}
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}
