package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	yamlparser "github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxFile is the largest contract file read: a hundred routes fit in it.
const maxFile = 256 << 10

// maxNesting is how deep a file may nest; the parser below us recurses.
const maxNesting = 64

type nodeKind uint8

const (
	scalarNode nodeKind = iota
	mapNode
	listNode
)

// node is a YAML value reduced to what a contract may use: no anchors, no
// tags, no merge keys, keys are strings and stand once.
type node struct {
	kind    nodeKind
	pos     pos
	entries []entry // of a mapping, in file order
	items   []*node // of a list
	value   any     // of a scalar: nil, bool, int64, json.Number or string
	text    string  // of a scalar, as written (unquoted)
}

type entry struct {
	key string
	pos pos
	val *node
}

func (n *node) get(key string) *node {
	for i := range n.entries {
		if n.entries[i].key == key {
			return n.entries[i].val
		}
	}
	return nil
}

// isString reports whether n is a scalar written as a string.
func (n *node) isString() bool {
	_, ok := n.value.(string)
	return n.kind == scalarNode && ok
}

// what names the kind of a node for messages.
func (n *node) what() string {
	switch n.kind {
	case mapNode:
		return "a mapping"
	case listNode:
		return "a list"
	}
	switch n.value.(type) {
	case nil:
		return "nothing"
	case bool:
		return "true or false"
	case int64, json.Number:
		return "a number"
	}
	return "text"
}

// readYAML parses one document. Mistakes go to the report; nil comes back when
// nothing of use could be read.
func readYAML(data []byte, rep *report) *node {
	switch {
	case len(data) > maxFile:
		rep.add(pos{1, 1}, "the file has %d bytes; a contract file has at most %d", len(data), maxFile)
		return nil
	case !utf8.Valid(data):
		rep.add(pos{1, 1}, "the file is not valid UTF-8; save it as UTF-8")
		return nil
	case nestsTooDeep(data):
		rep.add(pos{1, 1}, "the file nests deeper than %d levels; a contract needs far fewer", maxNesting)
		return nil
	}
	data = bytes.TrimPrefix(data, []byte("\uFEFF")) // some editors write one
	file, err := parseYAML(data)
	if err != nil {
		at, msg := yamlProblem(err)
		if strings.Contains(msg, "'\t' that cannot start") {
			rep.add(at, "not YAML: a tab; YAML is indented with spaces alone")
			return nil
		}
		rep.add(at, "not YAML: %s; check indentation, colons and quotes (within [ ] and { }, text with braces, brackets, commas or colons stands in quotes)", msg)
		return nil
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc == nil || doc.Body == nil {
			continue
		}
		if body != nil {
			rep.add(position(doc.Body), "a second document; a contract file holds one")
			return nil
		}
		body = doc.Body
	}
	if body == nil {
		rep.add(pos{1, 1}, "the file is empty; begin with `format: 1`")
		return nil
	}
	return convert(body, rep, 0)
}

// parseYAML keeps a panic of the YAML library on odd input from ending the
// process: a contract file may come from an upload later.
func parseYAML(data []byte) (file *ast.File, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("the YAML reader cannot make sense of it")
		}
	}()
	return yamlparser.ParseBytes(data, 0, yamlparser.AllowDuplicateMapKey())
}

func yamlProblem(err error) (pos, string) {
	var ye yaml.Error
	if errors.As(err, &ye) && ye.GetToken() != nil {
		return tokenPos(ye.GetToken()), ye.GetMessage()
	}
	return pos{1, 1}, err.Error()
}

// nestsTooDeep counts open brackets and indentation without parsing.
func nestsTooDeep(data []byte) bool {
	open := 0
	for _, c := range data {
		switch c {
		case '{', '[':
			open++
			if open > maxNesting*4 {
				return true
			}
		case '}', ']':
			open = max(0, open-1)
		}
	}
	for line := range bytes.Lines(data) {
		indent, dashes := 0, 0
	scan:
		for _, c := range line {
			switch c {
			case ' ':
				indent++
			case '-', '?':
				dashes++
			default:
				break scan
			}
		}
		if indent > maxNesting*8 || dashes > maxNesting {
			return true
		}
	}
	return false
}

func tokenPos(t *token.Token) pos {
	if t == nil || t.Position == nil {
		return pos{1, 1}
	}
	return pos{t.Position.Line, t.Position.Column}
}

func position(n ast.Node) pos {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return tokenPos(n.Values[0].Key.GetToken())
		}
	case *ast.MappingValueNode:
		return tokenPos(n.Key.GetToken())
	}
	return tokenPos(n.GetToken())
}

func convert(n ast.Node, rep *report, depth int) *node {
	at := position(n)
	if depth > maxNesting {
		rep.add(at, "nested deeper than %d levels; a contract needs far fewer", maxNesting)
		return &node{pos: at}
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		return convertMap(n.Values, at, rep, depth)
	case *ast.MappingValueNode:
		return convertMap([]*ast.MappingValueNode{n}, at, rep, depth)
	case *ast.SequenceNode:
		out := &node{kind: listNode, pos: at}
		for _, v := range n.Values {
			out.items = append(out.items, convert(v, rep, depth+1))
		}
		return out
	case *ast.NullNode:
		return &node{pos: at, text: "null"}
	case *ast.BoolNode:
		return &node{pos: at, value: n.Value, text: n.GetToken().Value}
	case *ast.StringNode:
		return &node{pos: at, value: n.Value, text: n.Value}
	case *ast.LiteralNode:
		return &node{pos: at, value: n.Value.Value, text: n.Value.Value}
	case *ast.IntegerNode:
		return convertInt(n, at, rep)
	case *ast.FloatNode:
		return convertFloat(n, at, rep)
	}
	rep.add(at, "anchors, aliases, tags and merge keys are not part of the format; write the value itself")
	return &node{pos: at}
}

func convertMap(values []*ast.MappingValueNode, at pos, rep *report, depth int) *node {
	out := &node{kind: mapNode, pos: at}
	for _, v := range values {
		kt := v.Key.GetToken()
		keyAt := tokenPos(kt)
		if !plainKey(v.Key) {
			rep.add(keyAt, "this key is not plain text; write it as text, in quotes if need be")
			continue
		}
		if out.get(kt.Value) != nil {
			rep.add(keyAt, "%s stands here twice; keep one", kt.Value)
			continue
		}
		val := &node{pos: keyAt, text: "null"}
		if v.Value != nil {
			val = convert(v.Value, rep, depth+1)
		}
		out.entries = append(out.entries, entry{key: kt.Value, pos: keyAt, val: val})
	}
	return out
}

func plainKey(k ast.MapKeyNode) bool {
	switch k.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return k.GetToken() != nil
	}
	return false
}

func convertInt(n *ast.IntegerNode, at pos, rep *report) *node {
	out := &node{pos: at, text: n.GetToken().Value}
	switch v := n.Value.(type) {
	case int64:
		out.value = v
	case uint64:
		if v > math.MaxInt64 {
			rep.add(at, "%s is too large a number; want at most %d", out.text, int64(math.MaxInt64))
			v = 0
		}
		out.value = int64(v) // bounded just above
	default:
		rep.add(at, "%s is no number", out.text)
	}
	return out
}

func convertFloat(n *ast.FloatNode, at pos, rep *report) *node {
	if math.IsInf(n.Value, 0) || math.IsNaN(n.Value) {
		rep.add(at, "%s is no number that JSON knows", n.GetToken().Value)
		return &node{pos: at}
	}
	return &node{pos: at, text: n.GetToken().Value, value: json.Number(strconv.FormatFloat(n.Value, 'f', -1, 64))}
}
