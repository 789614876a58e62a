package contract

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth is how deep a body may nest. Nothing a contract can ask for is
// deeper than eight; the rest is skipped, and skipping must stay cheap.
const maxDepth = 32

// jsonNode is the part of a body that an endpoint reads, as a tree.
type jsonNode struct {
	slot     int // -1: no input here
	children []jsonChild
}

type jsonChild struct {
	name string
	node *jsonNode
}

func (n *jsonNode) put(path []string, slot int) {
	for _, name := range path {
		if c := n.child([]byte(name)); c != nil {
			n = c.node
			continue
		}
		next := &jsonNode{slot: -1}
		n.children = append(n.children, jsonChild{name, next})
		n = next
	}
	n.slot = slot
}

func (n *jsonNode) child(name []byte) *jsonChild {
	for i := range n.children {
		if n.children[i].name == string(name) {
			return &n.children[i]
		}
	}
	return nil
}

// bodyError is a body that cannot be read at all.
type bodyError struct {
	kind     string // of the problem: json, form, repeated
	expected string
	loc      []string
}

func (e *bodyError) Error() string { return "request body: " + e.kind + " " + e.expected }

type jsonReader struct {
	dec jsontext.Decoder
	buf bytes.Buffer
}

var jsonReaders = sync.Pool{New: func() any { return new(jsonReader) }}

// decodeJSON reads a body in one pass. It refuses whatever two readers could
// see differently: duplicate members at any depth, invalid UTF-8, anything
// behind the value (RFC 8259 sections 4 and 8).
func decodeJSON(body []byte, root *jsonNode, got []captured, unknown *[][]string) error {
	jr := jsonReaders.Get().(*jsonReader)
	defer jsonReaders.Put(jr)
	jr.buf = *bytes.NewBuffer(body)
	jr.dec.Reset(&jr.buf)
	d := &jsonPass{dec: &jr.dec, got: got, unknown: unknown}
	if k := jr.dec.PeekKind(); k != '{' {
		if k == 0 || jr.dec.SkipValue() != nil {
			return &bodyError{kind: "json", expected: "a JSON object is needed", loc: []string{"body"}}
		}
		return &bodyError{kind: "json", expected: "it must be a JSON object", loc: []string{"body"}}
	}
	if err := d.object(root); err != nil {
		return jsonProblem(err)
	}
	if _, err := jr.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return &bodyError{kind: "json", expected: "there is something behind it", loc: []string{"body"}}
	}
	return nil
}

// jsonProblem says what is wrong without repeating the body, which may hold a
// password.
func jsonProblem(err error) error {
	var be *bodyError
	if errors.As(err, &be) {
		return be
	}
	if errors.Is(err, jsontext.ErrDuplicateName) {
		loc := []string{"body"}
		var se *jsontext.SyntacticError
		if errors.As(err, &se) {
			for tok := range se.JSONPointer.Tokens() {
				loc = append(loc, clip(tok))
			}
		}
		return &bodyError{kind: "repeated", loc: loc}
	}
	return &bodyError{kind: "json", expected: "it cannot be parsed", loc: []string{"body"}}
}

type jsonPass struct {
	dec     *jsontext.Decoder
	got     []captured
	unknown *[][]string
	path    []string
}

func (d *jsonPass) object(n *jsonNode) error {
	if _, err := d.dec.ReadToken(); err != nil {
		return err
	}
	for d.dec.PeekKind() != '}' {
		name, err := d.dec.ReadValue()
		if err != nil {
			return err
		}
		child := n.childQuoted(name)
		if child == nil {
			if d.unknown != nil && len(*d.unknown) < 8 {
				*d.unknown = append(*d.unknown, append(append([]string{"body"}, d.path...), clip(unquote(name))))
			}
			err = d.skip()
		} else {
			err = d.value(child)
		}
		if err != nil {
			return err
		}
	}
	_, err := d.dec.ReadToken()
	return err
}

// childQuoted finds a child by its name as it stands in the body.
func (n *jsonNode) childQuoted(quoted []byte) *jsonChild {
	if len(quoted) < 2 {
		return nil
	}
	if inner := quoted[1 : len(quoted)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return n.child(inner)
	}
	return n.child([]byte(unquote(quoted)))
}

func unquote(quoted []byte) string {
	out, err := jsontext.AppendUnquote(nil, quoted)
	if err != nil {
		return ""
	}
	return string(out)
}

// skip passes over a value, counting its depth as it goes.
func (d *jsonPass) skip() error {
	start := d.dec.StackDepth()
	for {
		if _, err := d.dec.ReadToken(); err != nil {
			return err
		}
		depth := d.dec.StackDepth()
		if depth > maxDepth {
			return &bodyError{kind: "json", expected: "it nests too deep", loc: []string{"body"}}
		}
		if depth == start {
			return nil
		}
	}
}

func (d *jsonPass) value(c *jsonChild) error {
	n := c.node
	kind := d.dec.PeekKind()
	if kind == '{' && len(n.children) > 0 {
		if n.slot >= 0 {
			d.got[n.slot] = captured{kind: gotOther}
		}
		d.path = append(d.path, c.name)
		err := d.object(n)
		d.path = d.path[:len(d.path)-1]
		return err
	}
	if kind != 'n' {
		d.misplaced(n)
	}
	if n.slot < 0 {
		return d.skip()
	}
	return d.leaf(&d.got[n.slot], kind)
}

// misplaced marks the inputs below something that is no object.
func (d *jsonPass) misplaced(n *jsonNode) {
	for i := range n.children {
		c := n.children[i].node
		if c.slot >= 0 {
			d.got[c.slot] = captured{kind: gotOther}
		}
		d.misplaced(c)
	}
}

func (d *jsonPass) leaf(c *captured, kind jsontext.Kind) error {
	switch kind {
	case '[':
		return d.array(c)
	case '{':
		*c = captured{kind: gotOther}
		return d.skip()
	}
	if kind == '"' {
		text, err := d.text()
		*c = captured{kind: gotText, s: text}
		return err
	}
	tok, err := d.dec.ReadToken()
	if err != nil {
		return err
	}
	switch kind {
	case '0':
		*c = captured{kind: gotNumber, s: tok.String()}
	case 't', 'f':
		*c = captured{kind: gotBool, s: tok.String()}
	default:
		*c = captured{kind: gotNull}
	}
	return nil
}

// text reads a string, unless it is too long for any input.
func (d *jsonPass) text() (string, error) {
	raw, err := d.dec.ReadValue()
	if err != nil {
		return "", err
	}
	if len(raw) > maxToken && quotedLen(raw) > maxToken {
		return overLong, nil
	}
	return unquote(raw), nil
}

// quotedLen counts the characters of a valid JSON string without decoding it.
func quotedLen(raw []byte) int {
	n := -2 // the quotes
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '\\' && raw[i+1] == 'u':
			i += 5
			if raw[i-3]|0x20 == 'd' && raw[i-2]|0x20 >= 'c' {
				n-- // the second half of a surrogate pair
			}
		case c == '\\':
			i++
		case c&0xc0 == 0x80:
			n-- // not the first byte of a character
		}
		n++
	}
	return n
}

// array reads a list of strings; anything else in it makes it unfit.
func (d *jsonPass) array(c *captured) error {
	if _, err := d.dec.ReadToken(); err != nil {
		return err
	}
	*c = captured{kind: gotList, list: []string{}}
	for d.dec.PeekKind() != ']' {
		if d.dec.PeekKind() == '"' && len(c.list) < 1000 {
			tok, err := d.dec.ReadToken()
			if err != nil {
				return err
			}
			c.list = append(c.list, tok.String())
			continue
		}
		c.kind = gotOther
		if err := d.skip(); err != nil {
			return err
		}
	}
	_, err := d.dec.ReadToken()
	return err
}
