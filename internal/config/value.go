package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// value is a setting as it was written, with its place. YAML, variables and
// flags all become values, so that one decoder judges them.
type value struct {
	source string
	kind   valueKind
	// text is the scalar as written, without quotes.
	text string
	// plain says that it came as text alone (variable, flag): lists are then
	// separated by commas, and types are read from the text.
	plain  bool
	items  []value
	fields []field
}

type field struct {
	name   string
	source string // of the name
	value  value
}

type valueKind int

const (
	kindNull valueKind = iota
	kindString
	kindInt
	kindBool
	kindFloat
	kindList
	kindMap
)

// what names the kind in messages.
func (v value) what() string {
	switch v.kind {
	case kindNull:
		return "nothing"
	case kindInt, kindFloat:
		return "the number " + v.text
	case kindBool:
		return v.text
	case kindList:
		return "a list"
	case kindMap:
		return "a group of keys"
	}
	return fmt.Sprintf("%q", v.text)
}

func (v value) scalar() bool { return v.kind != kindList && v.kind != kindMap }

// Problem is one mistake.
type Problem struct {
	// Source is the place: file:line:column, a variable or a flag.
	Source string
	// Key is the setting, if one is known.
	Key string
	// Message says what is wrong and what would be right.
	Message string
}

// String is one line: place, key, message.
func (p Problem) String() string {
	s := p.Message
	if p.Key != "" {
		s = p.Key + ": " + s
	}
	if p.Source != "" {
		s = p.Source + ": " + s
	}
	return s
}

// Problems are all mistakes of a configuration; it is the error of [Load].
type Problems []Problem

// Error has one line a problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

const (
	// maxFile and maxDepth keep a wrong file (a log, a dump) from being parsed
	// for minutes. The deepest right configuration has four levels.
	maxFile  = 256 << 10
	maxDepth = 16
)

// parseYAML reads one document. place turns a position into a source.
func parseYAML(text []byte, place func(line, col int) string) (v value, problems Problems) {
	if len(text) > maxFile {
		return v, Problems{{Source: place(1, 1), Message: fmt.Sprintf("the file is larger than %d KiB; this is hardly a configuration", maxFile>>10)}}
	}
	if line, col, deep := tooDeep(text); deep {
		return v, Problems{{Source: place(line, col), Message: fmt.Sprintf("brackets are nested deeper than %d levels", maxDepth)}}
	}
	defer func() { // the parser is not ours; a panic in it is a mistake in the file
		if r := recover(); r != nil {
			v, problems = value{}, Problems{{Source: place(1, 1), Message: fmt.Sprintf("this is no YAML that can be read (%v)", r)}}
		}
	}()
	f, err := parser.ParseBytes(text, 0)
	if err != nil {
		return v, Problems{yamlProblem(err, place)}
	}
	r := reader{place: place}
	switch bodies := documents(f); len(bodies) {
	case 0:
		return value{source: place(1, 1)}, nil
	case 1:
		v = r.node(bodies[0], 0)
		return v, r.problems
	default:
		line, col := position(bodies[1])
		return v, Problems{{Source: place(line, col), Message: "a second document begins here; the configuration is one document"}}
	}
}

// tooDeep counts brackets before the parser recurses into them. Brackets in
// strings count too: no right file has so many in a row.
func tooDeep(text []byte) (line, col int, deep bool) {
	line, depth := 1, 0
	for _, b := range text {
		col++
		switch b {
		case '\n':
			line, col = line+1, 0
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(depth-1, 0)
		}
		if depth > maxDepth {
			return line, col, true
		}
	}
	return 0, 0, false
}

func documents(f *ast.File) []ast.Node {
	var out []ast.Node
	for _, d := range f.Docs {
		if d != nil && d.Body != nil && d.Body.Type() != ast.CommentType && d.Body.Type() != ast.CommentGroupType {
			out = append(out, d.Body)
		}
	}
	return out
}

func yamlProblem(err error, place func(line, col int) string) Problem {
	var ye yaml.Error
	if !errors.As(err, &ye) {
		return Problem{Source: place(1, 1), Message: err.Error()}
	}
	line, col := tokenPosition(ye.GetToken())
	return Problem{Source: place(line, col), Message: ye.GetMessage()}
}

func position(n ast.Node) (line, col int) {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 && !m.IsFlowStyle {
		return position(m.Values[0])
	}
	if m, ok := n.(*ast.MappingValueNode); ok {
		return tokenPosition(m.Key.GetToken())
	}
	return tokenPosition(n.GetToken())
}

func tokenPosition(t *token.Token) (line, col int) {
	if t == nil || t.Position == nil {
		return 1, 1
	}
	return t.Position.Line, t.Position.Column
}

// reader turns the parser's tree into values and refuses what a configuration
// has no use for.
type reader struct {
	place    func(line, col int) string
	problems Problems
}

func (r *reader) refuse(n ast.Node, msg string) value {
	line, col := position(n)
	r.problems = append(r.problems, Problem{Source: r.place(line, col), Message: msg})
	return value{source: r.place(line, col)}
}

func (r *reader) node(n ast.Node, depth int) value {
	if n == nil {
		return value{}
	}
	if depth > maxDepth {
		return r.refuse(n, fmt.Sprintf("keys are nested deeper than %d levels", maxDepth))
	}
	line, col := position(n)
	v := value{source: r.place(line, col)}
	switch n := n.(type) {
	case *ast.NullNode:
	case *ast.StringNode:
		v.kind, v.text = kindString, n.Value
	case *ast.LiteralNode:
		v.kind, v.text = kindString, strings.TrimSuffix(n.Value.Value, "\n")
	case *ast.IntegerNode:
		v.kind, v.text = kindInt, n.GetToken().Value
	case *ast.BoolNode:
		v.kind, v.text = kindBool, n.GetToken().Value
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		v.kind, v.text = kindFloat, n.GetToken().Value
	case *ast.SequenceNode:
		v.kind = kindList
		for _, item := range n.Values {
			v.items = append(v.items, r.node(item, depth+1))
		}
	case *ast.MappingNode:
		v.kind = kindMap
		for _, mv := range n.Values {
			v.fields = append(v.fields, r.field(mv, depth))
		}
	case *ast.MappingValueNode:
		v.kind = kindMap
		v.fields = append(v.fields, r.field(n, depth))
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return r.refuse(n, "anchors, aliases and merge keys are not read here; write the value out")
	case *ast.TagNode:
		return r.refuse(n, "tags such as !!str are not read here; write the plain value")
	default:
		return r.refuse(n, "this kind of YAML is not read here; write a plain value, a list or keys")
	}
	return v
}

func (r *reader) field(mv *ast.MappingValueNode, depth int) field {
	line, col := position(mv.Key)
	f := field{name: mv.Key.GetToken().Value, source: r.place(line, col)}
	if _, ok := mv.Key.(*ast.StringNode); !ok {
		switch mv.Key.Type() {
		case ast.IntegerType, ast.BoolType, ast.FloatType, ast.NullType:
		default:
			r.refuse(mv.Key, "a key must be a plain word")
		}
	}
	f.value = r.node(mv.Value, depth+1)
	if f.value.source == "" {
		f.value.source = f.source
	}
	return f
}
