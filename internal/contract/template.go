package contract

import (
	"bytes"
	"slices"
	"strings"
)

// newBuffer lets the JSON decoder read b in place.
func newBuffer(b []byte) *bytes.Buffer { return bytes.NewBuffer(b) }

// template is a compiled piece of an answer, a claims set or an error body.
// It appends to a byte slice: nothing is looked up by name when it runs.
type template interface {
	// append writes the piece as JSON.
	append(dst []byte, e *env) []byte
	// there says whether a member with this piece is written at all.
	there(e *env) bool
	// schema describes it for the OpenAPI document.
	schema() map[string]any
	// walk visits every value it names.
	walk(visit func(*expr))
}

// constant is JSON fixed in the file.
type constant struct {
	raw    []byte
	schem  map[string]any
	isText bool
	text   string
}

func (c *constant) append(dst []byte, _ *env) []byte { return append(dst, c.raw...) }
func (c *constant) there(*env) bool                  { return true }
func (c *constant) schema() map[string]any           { return c.schem }
func (c *constant) walk(func(*expr))                 {}

// expr is `$name|filter…`.
type expr struct {
	src      string // as written, for messages and documentation
	at       pos
	known    *known    // or
	input    *inputDef // an input of the route
	path     []string  // behind an open-ended name
	filters  []func(value) value
	optional bool // left out when null or empty
	out      valueType
}

func (x *expr) eval(e *env) value {
	var v value
	if x.input != nil {
		if e.req != nil {
			v = e.req.value(x.input)
		}
	} else {
		v = x.known.get(e, x.path)
	}
	for _, f := range x.filters {
		v = f(v)
	}
	return v
}

func (x *expr) append(dst []byte, e *env) []byte { return x.eval(e).appendJSON(dst) }

func (x *expr) there(e *env) bool {
	if !x.optional {
		return true
	}
	v := x.eval(e)
	return v.t != tNull && (v.t != tText || v.s != "") && (v.t != tJSON || string(v.raw) != "null")
}

func (x *expr) walk(visit func(*expr)) { visit(x) }

func (x *expr) schema() map[string]any {
	switch x.out {
	case tText:
		return map[string]any{"type": "string"}
	case tInt, tTime, tDuration:
		return map[string]any{"type": "integer"}
	case tBool:
		return map[string]any{"type": "boolean"}
	case tList:
		return map[string]any{"type": "array", "items": map[string]any{"type": "string"}}
	case tViolations:
		return map[string]any{"type": "array", "items": map[string]any{"type": "object"}}
	}
	return map[string]any{}
}

// joined is text with values inside.
type joined struct{ parts []joinPart }

type joinPart struct {
	lit string
	x   *expr // nil: lit alone
}

func (j *joined) appendText(dst []byte, e *env) []byte {
	for i := range j.parts {
		if x := j.parts[i].x; x != nil {
			dst = x.eval(e).appendText(dst)
		} else {
			dst = append(dst, j.parts[i].lit...)
		}
	}
	return dst
}

func (j *joined) append(dst []byte, e *env) []byte {
	return appendString(dst, string(j.appendText(nil, e)))
}
func (j *joined) there(*env) bool        { return true }
func (j *joined) schema() map[string]any { return map[string]any{"type": "string"} }
func (j *joined) walk(visit func(*expr)) {
	for i := range j.parts {
		if j.parts[i].x != nil {
			visit(j.parts[i].x)
		}
	}
}

// object is a JSON object; members stay in file order.
type object struct{ members []objectMember }

type objectMember struct {
	name   string
	quoted []byte // `"name":`
	val    template
}

func (o *object) append(dst []byte, e *env) []byte {
	dst = append(dst, '{')
	return append(o.appendMembers(dst, e), '}')
}

func (o *object) appendMembers(dst []byte, e *env) []byte {
	first := true
	for i := range o.members {
		m := &o.members[i]
		if !m.val.there(e) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, m.quoted...)
		dst = m.val.append(dst, e)
	}
	return dst
}

func (o *object) there(*env) bool { return true }
func (o *object) walk(visit func(*expr)) {
	for i := range o.members {
		o.members[i].val.walk(visit)
	}
}

func (o *object) schema() map[string]any {
	props, required := map[string]any{}, []string{}
	for i := range o.members {
		m := &o.members[i]
		props[m.name] = m.val.schema()
		if !mayBeAbsent(m.val) {
			required = append(required, m.name)
		}
	}
	s := map[string]any{"type": "object", "properties": props, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

func mayBeAbsent(t template) bool {
	switch t := t.(type) {
	case *expr:
		return t.optional
	case *choice:
		return t.otherwise == nil || mayBeAbsent(t.then) || mayBeAbsent(t.otherwise)
	}
	return false
}

// array is a JSON array.
type array struct{ items []template }

func (a *array) append(dst []byte, e *env) []byte {
	dst = append(dst, '[')
	first := true
	for _, it := range a.items {
		if !it.there(e) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = it.append(dst, e)
	}
	return append(dst, ']')
}

func (a *array) there(*env) bool { return true }
func (a *array) walk(visit func(*expr)) {
	for _, it := range a.items {
		it.walk(visit)
	}
}

func (a *array) schema() map[string]any {
	s := map[string]any{"type": "array"}
	switch len(a.items) {
	case 0:
	case 1:
		s["items"] = a.items[0].schema()
	default:
		kinds := make([]any, len(a.items))
		for i, it := range a.items {
			kinds[i] = it.schema()
		}
		s["items"] = map[string]any{"anyOf": kinds}
	}
	return s
}

// choice is `$when` with `$value` (or the members beside it) and `$else`.
type choice struct {
	cond      *condition
	then      template
	otherwise template // nil: left out
}

func (c *choice) pick(e *env) template {
	if c.cond.holds(e) {
		return c.then
	}
	return c.otherwise
}

func (c *choice) append(dst []byte, e *env) []byte {
	if t := c.pick(e); t != nil {
		return t.append(dst, e)
	}
	return append(dst, "null"...)
}

func (c *choice) there(e *env) bool {
	t := c.pick(e)
	return t != nil && t.there(e)
}

func (c *choice) walk(visit func(*expr)) {
	c.cond.walk(visit)
	c.then.walk(visit)
	if c.otherwise != nil {
		c.otherwise.walk(visit)
	}
}

func (c *choice) schema() map[string]any {
	if c.otherwise == nil {
		return c.then.schema()
	}
	return map[string]any{"anyOf": []any{c.then.schema(), c.otherwise.schema()}}
}

// each writes an array with one item a violation, or one for each member of a
// list.
type each struct {
	over *expr
	item template
}

func (t *each) append(dst []byte, e *env) []byte {
	v := t.over.eval(e)
	inner := *e
	first := true
	one := func() {
		if !t.item.there(&inner) {
			return
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = t.item.append(dst, &inner)
	}
	dst = append(dst, '[')
	for i := range v.viol {
		inner.item = &v.viol[i]
		one()
	}
	for i := range v.list {
		inner.entry = &v.list[i]
		one()
	}
	return append(dst, ']')
}

func (t *each) there(*env) bool { return true }
func (t *each) walk(visit func(*expr)) {
	visit(t.over)
	t.item.walk(visit)
}

func (t *each) schema() map[string]any {
	return map[string]any{"type": "array", "items": t.item.schema()}
}

// condition is all of its tests.
type condition struct{ tests []test }

type test struct {
	x      *expr
	want   []string // any of these; nil: the value must be there
	absent bool     // the value must not be there
}

func (c *condition) holds(e *env) bool {
	for i := range c.tests {
		t := &c.tests[i]
		v := t.x.eval(e)
		switch {
		case t.absent:
			if v.there() {
				return false
			}
		case t.want == nil:
			if !v.there() {
				return false
			}
		case v.t == tNull || !slices.Contains(t.want, v.text()):
			return false
		}
	}
	return true
}

func (c *condition) walk(visit func(*expr)) {
	for i := range c.tests {
		visit(c.tests[i].x)
	}
}

// String writes the condition for documentation.
func (c *condition) String() string {
	out := make([]string, len(c.tests))
	for i, t := range c.tests {
		name := strings.TrimPrefix(t.x.src, "$")
		switch {
		case t.absent:
			out[i] = "no " + name
		case t.want == nil:
			out[i] = "a " + name
		default:
			out[i] = name + " is " + strings.Join(t.want, " or ")
		}
	}
	return strings.Join(out, " and ")
}

// renderText writes a template as plain text, for headers and cookies.
func renderText(t template, e *env) string {
	switch t := t.(type) {
	case *constant:
		if t.isText {
			return t.text
		}
		return string(t.raw)
	case *joined:
		return string(t.appendText(nil, e))
	case *expr:
		return t.eval(e).text()
	case *choice:
		if p := t.pick(e); p != nil {
			return renderText(p, e)
		}
		return ""
	}
	return string(t.append(nil, e))
}

// uses says whether a template names the value.
func uses(t template, name string) bool {
	if t == nil {
		return false
	}
	found := false
	t.walk(func(x *expr) { found = found || x.known != nil && x.known.name == name })
	return found
}

// appendBody writes a template as a body of the content's type.
func (c content) appendBody(dst []byte, t template, e *env) []byte {
	if c.plain {
		return append(dst, renderText(t, e)...)
	}
	return t.append(dst, e)
}

// header is the Content-Type.
func (c content) header() string {
	if c.mediaType == "" {
		return "application/json"
	}
	return c.mediaType
}
