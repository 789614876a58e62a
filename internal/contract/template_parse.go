package contract

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// templates compiles the templates of one place in a file.
type templates struct {
	rep    *report
	scope  scope
	where  string // for messages: "an answer", "claims of a refresh token"
	inputs map[string]*inputDef
	// testing: the value is compared and not written, so it may be a secret.
	testing bool
}

func (c *templates) parse(n *node) template {
	switch n.kind {
	case listNode:
		a := &array{}
		for _, it := range n.items {
			a.items = append(a.items, c.parse(it))
		}
		return a
	case mapNode:
		return c.mapping(n)
	}
	if s, ok := n.value.(string); ok {
		return c.text(s, n.pos)
	}
	return literal(n)
}

// literal makes a constant of a scalar that is not text.
func literal(n *node) template {
	switch v := n.value.(type) {
	case bool:
		return &constant{raw: strconv.AppendBool(nil, v), schem: map[string]any{"type": "boolean", "const": v}}
	case int64:
		return &constant{raw: strconv.AppendInt(nil, v, 10), schem: map[string]any{"type": "integer", "const": v}}
	case json.Number:
		return &constant{raw: []byte(v), schem: map[string]any{"type": "number", "const": v}}
	}
	return &constant{raw: []byte("null"), schem: map[string]any{"type": "null"}}
}

func textConstant(s string) *constant {
	return &constant{raw: appendString(nil, s), isText: true, text: s, schem: map[string]any{"type": "string", "const": s}}
}

// operators are the keys of a template mapping that are not members.
var operators = []string{"$when", "$value", "$else", "$each", "$item"}

func (c *templates) mapping(n *node) template {
	ops := map[string]entry{}
	o := &object{}
	for _, en := range n.entries {
		if strings.HasPrefix(en.key, "$") && !strings.HasPrefix(en.key, "$$") {
			if !slices.Contains(operators, en.key) {
				c.rep.add(en.pos, "%s is no operator of a template; %s (a member that begins with a dollar sign is written $$%s)", en.key, suggest(en.key, operators), en.key[1:])
			}
			ops[en.key] = en
			continue
		}
		name := en.key
		if strings.HasPrefix(name, "$$") {
			name = name[1:]
		}
		if slices.ContainsFunc(o.members, func(m objectMember) bool { return m.name == name }) {
			c.rep.add(en.pos, "%s stands here twice; keep one", name)
			continue
		}
		o.members = append(o.members, objectMember{name, append(appendString(nil, name), ':'), c.parse(en.val)})
	}
	if len(ops) == 0 {
		return o
	}
	return c.operator(n, ops, o)
}

func (c *templates) operator(n *node, ops map[string]entry, o *object) template {
	only := func(names ...string) {
		for name, en := range ops {
			if !slices.Contains(names, name) && slices.Contains(operators, name) {
				c.rep.add(en.pos, "%s has no place here; it goes with %s", name, map[string]string{"$value": "$when", "$else": "$when", "$item": "$each", "$when": "$value", "$each": "$item"}[name])
			}
		}
	}
	if en, ok := ops["$each"]; ok {
		only("$each", "$item")
		item, has := ops["$item"]
		over := c.over(en.val)
		if !has || len(o.members) > 0 {
			c.rep.add(en.pos, "$each wants exactly one thing beside it: $item, what to write for each")
			return o
		}
		if over == nil {
			return o
		}
		inner := *c
		inner.scope |= inEntry
		if over.out == tViolations {
			inner.scope = c.scope | inEach
		}
		return &each{over: over, item: inner.parse(item.val)}
	}
	when, ok := ops["$when"]
	if !ok {
		only("$when")
		return o
	}
	only("$when", "$value", "$else")
	ch := &choice{cond: c.condition(when.val), then: o}
	if v, ok := ops["$value"]; ok {
		if len(o.members) > 0 {
			c.rep.add(v.pos, "$value and members side by side; use one of the two")
		}
		ch.then = c.parse(v.val)
	}
	if v, ok := ops["$else"]; ok {
		ch.otherwise = c.parse(v.val)
	}
	return ch
}

// over reads what $each runs over.
func (c *templates) over(n *node) *expr {
	s, _ := n.value.(string)
	if !strings.HasPrefix(s, "$") {
		c.rep.add(n.pos, "$each runs over a list such as $user.roles, or over the wrong inputs of an error: `$each: $violations`")
		return nil
	}
	x := c.expression(s, n.pos)
	if x != nil && x.out != tViolations && x.out != tList {
		c.rep.add(n.pos, "$each runs over a list such as $user.roles; %s is %s", clip(s), typeNames[x.out])
		return nil
	}
	return x
}

// condition reads `$value` or a mapping of names to what they must be.
func (c *templates) condition(n *node) *condition {
	inner := *c
	inner.testing = true
	c = &inner
	out := &condition{}
	if s, ok := n.value.(string); ok && strings.HasPrefix(s, "$") {
		if x := c.expression(s, n.pos); x != nil {
			out.tests = append(out.tests, test{x: x})
		}
		return out
	}
	if n.kind != mapNode || len(n.entries) == 0 {
		c.rep.add(n.pos, "a condition is %s; want `$value` (it is there) or a mapping such as {mode: cookie}", n.what())
		return out
	}
	for _, en := range n.entries {
		x := c.expression("$"+strings.TrimPrefix(en.key, "$"), en.pos)
		if x == nil {
			continue
		}
		t := test{x: x}
		switch {
		case en.val.kind == listNode:
			t.want = []string{}
			for _, it := range en.val.items {
				if it.kind != scalarNode || it.value == nil {
					c.rep.add(it.pos, "a condition compares with plain values; this is %s", it.what())
					continue
				}
				t.want = append(t.want, it.text)
			}
		case en.val.kind == mapNode:
			c.rep.add(en.val.pos, "a condition compares with a value, a list of values, or null for absent; this is a mapping")
		case en.val.value == nil:
			t.absent = true
		default:
			t.want = []string{en.val.text}
		}
		out.tests = append(out.tests, t)
	}
	return out
}

// text compiles a string: one value, a constant, or text with values inside.
func (c *templates) text(s string, at pos) template {
	if name, filters, rest, ok := scanExpr(s, false); ok && rest == "" {
		if x := c.build(name, filters, s, at); x != nil {
			return x
		}
		return textConstant(s)
	}
	j := &joined{}
	lit := strings.Builder{}
	for s != "" {
		i := strings.IndexByte(s, '$')
		if i < 0 {
			lit.WriteString(s)
			break
		}
		lit.WriteString(s[:i])
		s = s[i:]
		if strings.HasPrefix(s, "$$") {
			lit.WriteByte('$')
			s = s[2:]
			continue
		}
		name, filters, rest, ok := scanExpr(s, true)
		if !ok {
			c.rep.add(at, "a lone dollar sign in %q; write $$ for a dollar sign, or $name for a value", clip(s))
			lit.WriteString(s)
			break
		}
		if lit.Len() > 0 {
			j.parts = append(j.parts, joinPart{lit: lit.String()})
			lit.Reset()
		}
		if x := c.build(name, filters, s[:len(s)-len(rest)], at); x != nil {
			if x.optional {
				c.rep.add(at, "|optional inside a longer text; it leaves out a whole member")
			}
			j.parts = append(j.parts, joinPart{x: x})
		}
		s = rest
	}
	if len(j.parts) == 0 {
		return textConstant(lit.String())
	}
	if lit.Len() > 0 {
		j.parts = append(j.parts, joinPart{lit: lit.String()})
	}
	return j
}

// expression reads a string that must be one value.
func (c *templates) expression(s string, at pos) *expr {
	name, filters, rest, ok := scanExpr(s, false)
	if !ok || rest != "" {
		c.rep.add(at, "%q is no value; write a name such as $mode", clip(s))
		return nil
	}
	return c.build(name, filters, s, at)
}

// scanExpr reads `$name`, `$name|filter(arg)` or `${name|filter}` at the start
// of s. Inside a longer text filters need the braces, so that a bar in the
// text is a bar.
func scanExpr(s string, inText bool) (name string, filters []string, rest string, ok bool) {
	if braced, found := strings.CutPrefix(s, "${"); found {
		body, tail, closed := cutClosing(braced)
		if !closed {
			return "", nil, s, false
		}
		n, after := scanName(body, true)
		if n == "" {
			return "", nil, s, false
		}
		filters, ok = scanFilters(after)
		return n, filters, tail, ok
	}
	if !strings.HasPrefix(s, "$") {
		return "", nil, s, false
	}
	n, after := scanName(s[1:], !inText)
	if n == "" {
		return "", nil, s, false
	}
	if inText {
		return n, nil, after, true
	}
	filters, ok = scanFilters(after)
	return n, filters, "", ok
}

// cutClosing cuts at the brace that closes, not at one inside an argument.
func cutClosing(s string) (body, rest string, ok bool) {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '(':
			depth++
		case ')':
			depth--
		case '}':
			if depth <= 0 {
				return s[:i], s[i+1:], true
			}
		}
	}
	return s, "", false
}

// scanName reads a name; dashes count only where nothing can follow directly.
func scanName(s string, dashes bool) (name, rest string) {
	end := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '_' || c >= 'a' && c <= 'z' || i > 0 && (c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || dashes && c == '-'):
			end = i + 1
			continue
		case c == '.' && i > 0 && i+1 < len(s) && isNameByte(s[i+1]):
			continue
		}
		break
	}
	return s[:end], s[end:]
}

func isNameByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func scanFilters(s string) ([]string, bool) {
	var out []string
	for s != "" {
		if s[0] != '|' {
			return nil, false
		}
		s = s[1:]
		depth, i := 0, 0
		for ; i < len(s) && (s[i] != '|' || depth > 0); i++ {
			switch s[i] {
			case '(':
				depth++
			case ')':
				depth--
			}
		}
		out = append(out, s[:i])
		s = s[i:]
	}
	return out, true
}

// build resolves a name and its filters; nil when something is wrong with it.
func (c *templates) build(name string, filters []string, src string, at pos) *expr {
	x := &expr{src: src, at: at}
	k, path := findValue(name)
	in, isInput := c.inputs[name]
	switch {
	case k != nil && k.in&c.scope != 0:
		// A value goes before an input of the same name: $refresh_token in the
		// answer of a refresh is the new one.
		x.known, x.path, x.out = k, path, k.t
	case isInput && in.secret && !c.testing:
		c.rep.add(at, "$%s is a secret that the client sent; a secret is never written back", name)
		return nil
	case isInput:
		x.input, x.out = in, in.valueType()
	default:
		c.unknown(name, k, at)
		return nil
	}
	for _, f := range filters {
		if !c.filter(x, f) {
			return nil
		}
	}
	return x
}

func (c *templates) unknown(name string, k *known, at pos) {
	if k != nil {
		c.rep.add(at, "$%s does not exist in %s; %s", name, c.where, c.instead(name))
		return
	}
	names := valueNames(c.scope)
	for in := range c.inputs {
		if !c.inputs[in].secret || c.testing {
			names = append(names, "$"+in)
		}
	}
	hint := suggest("$"+name, names)
	switch own, isUser := strings.CutPrefix(name, "user."); {
	case isUser && otherWords[name] == "" && c.scope&inSubject != 0:
		hint += " Data of your own are attributes: $user.attributes." + own
	case c.testing && c.scope == 0:
		hint += ", or read it in `accept` and declare it under `inputs`"
	}
	c.rep.add(at, "$%s is no value in %s; %s", name, c.where, hint)
}

func (c *templates) instead(name string) string {
	switch {
	case c.scope&inRefresh != 0:
		return "a refresh token is made again from the session's row alone, so it may name only constants and " + strings.Join(valueNames(inRefresh), ", ")
	case name == "user.username" || name == "login_name":
		return "a refusal must not tell who exists"
	}
	return "there " + suggest("$"+name, valueNames(c.scope)) + "."
}

func (c *templates) filter(x *expr, src string) bool {
	name, arg, hasArg := strings.Cut(src, "(")
	if hasArg {
		if !strings.HasSuffix(arg, ")") {
			c.rep.add(x.at, "%s: the bracket of |%s is not closed", clip(x.src), clip(src))
			return false
		}
		arg = strings.TrimSuffix(arg, ")")
	}
	if name == "optional" && !hasArg {
		x.optional = true
		return true
	}
	f := findFilter(name)
	switch {
	case f == nil:
		c.rep.add(x.at, "%s: |%s is no filter; %s", clip(x.src), clip(name), suggest(name, append(filterNames(), "optional")))
		return false
	case !f.applies(x.out):
		c.rep.add(x.at, "%s: |%s does not apply to %s; it wants %s", clip(x.src), name, typeNames[x.out], namesOf(f.from))
		return false
	case f.arg == "" && hasArg:
		c.rep.add(x.at, "%s: |%s takes nothing in brackets", clip(x.src), name)
		return false
	case f.arg != "" && !hasArg:
		c.rep.add(x.at, "%s: |%s wants %s in brackets", clip(x.src), name, f.arg)
		return false
	}
	run, err := f.make(arg)
	if err != nil {
		c.rep.add(x.at, "%s: %s", clip(x.src), err)
		return false
	}
	x.filters = append(x.filters, run)
	if f.to != tNull {
		x.out = f.to
	}
	return true
}

func namesOf(ts []valueType) string {
	out := make([]string, len(ts))
	for i, t := range ts {
		out[i] = "a " + typeNames[t]
	}
	return strings.Join(out, " or ")
}

func clip(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}
