// Package strictjson reads JSON texts that decide about access: token headers, token claims, JWKs.
//
// It accepts RFC 8259 and nothing beyond it, and refuses three things that RFC 8259 leaves open because two parsers
// that answer them differently can be played against each other: a member name that occurs twice in one object, at
// any level and however it is escaped; text or escapes that do not denote valid Unicode; and nesting deeper than
// MaxDepth. Names are compared by their characters, case counts.
//
// A text is scanned once, from start to end, before any of it is handed out. Values stay slices of the text, and a
// number is read as an integer by its digits, so nothing passes through float64. The package builds no trees, fills no
// structs and prints no documents: for ordinary request bodies there are ordinary JSON libraries.
package strictjson

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// MaxDepth is how many objects and arrays may be open at once.
const MaxDepth = 32

// MaxMembers is how many members one object may have. What a token says takes a dozen; remembering thousands of names
// would let a stranger's token cost more memory than its bytes.
const MaxMembers = 128

// linearNames is the number of members of one object up to which a new name is looked for among the earlier ones by
// walking them. Beyond it a map takes over, so that objects of many names cannot cost quadratic time.
const linearNames = 32

// ErrInvalid is wrapped by every error of this package.
var ErrInvalid = errors.New("invalid JSON")

// Kind is the type of a value.
type Kind uint8

// The kinds of RFC 8259 section 3. Invalid is the kind of the zero Value.
const (
	Invalid Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

// Member is one name and value of an object. Name is decoded; Value is the raw text.
type Member struct {
	Name  string
	Value Value
}

// Check reports whether text is one strict JSON value, of any kind, with nothing but white space around it. The error
// wraps ErrInvalid and says what was met at which byte offset.
func Check(text string) error {
	s := scanner{text: text}
	return s.document(false)
}

// ParseObject appends the members of the object that text consists of to dst, in their order. The whole text is
// checked before it returns, nested values included. The error wraps ErrInvalid, also when text is a valid value of
// another kind.
func ParseObject(text string, dst []Member) ([]Member, error) {
	s := scanner{text: text, members: dst, first: len(dst)}
	if err := s.document(true); err != nil {
		return dst, err
	}
	return s.members, nil
}

// Find returns the value of the member called name, or the zero Value.
func Find(members []Member, name string) Value {
	for i := range members {
		if members[i].Name == name {
			return members[i].Value
		}
	}
	return ""
}

// scanner walks a text. Its methods return false once reason is set.
type scanner struct {
	text    string
	pos     int
	depth   int
	reason  string
	names   []string // decoded member names of the open objects, innermost last; without those in members
	members []Member // of the outermost object, from index first on, when keep is set
	first   int
	keep    bool
}

func (s *scanner) document(object bool) error {
	if !utf8.ValidString(s.text) {
		return fmt.Errorf("%w: not UTF-8", ErrInvalid)
	}
	s.keep = object
	s.space()
	if object && s.peek() != '{' {
		return fmt.Errorf("%w: not an object", ErrInvalid)
	}
	if s.value() {
		s.space()
		if s.pos == len(s.text) {
			return nil
		}
		s.reason = "text after the value"
	}
	return fmt.Errorf("%w: %s at byte %d", ErrInvalid, s.reason, s.pos)
}

func (s *scanner) fail(reason string) bool {
	s.reason = reason
	return false
}

// peek returns the byte at the position, or 0 at the end (a NUL in the text fits nowhere, so the two need not differ).
func (s *scanner) peek() byte {
	if s.pos < len(s.text) {
		return s.text[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

func (s *scanner) value() bool {
	switch c := s.peek(); c {
	case '{':
		return s.object()
	case '[':
		return s.array()
	case '"':
		_, _, ok := s.quoted()
		return ok
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		if c == '-' || isDigit(c) {
			return s.number()
		}
		return s.fail("no value")
	}
}

func (s *scanner) literal(word string) bool {
	if len(s.text)-s.pos < len(word) || s.text[s.pos:s.pos+len(word)] != word {
		return s.fail("no value")
	}
	s.pos += len(word)
	return true
}

func (s *scanner) open() bool {
	s.pos++
	s.depth++
	if s.depth > MaxDepth {
		return s.fail("nested too deep")
	}
	s.space()
	return true
}

func (s *scanner) object() bool {
	if !s.open() {
		return false
	}
	outermost := s.keep && s.depth == 1
	first := len(s.names)
	var seen map[string]struct{}
	for n := 0; n > 0 || s.peek() != '}'; n++ {
		name, ok := s.name()
		if !ok {
			return false
		}
		switch n {
		case linearNames:
			seen = s.nameSet(outermost, first)
		case MaxMembers:
			return s.fail("more members than an object may have")
		}
		if s.twice(name, outermost, first, seen) {
			return s.fail("member name twice")
		}
		start := s.pos
		if !s.value() {
			return false
		}
		if outermost {
			s.members = append(s.members, Member{Name: name, Value: Value(s.text[start:s.pos])})
		}
		s.space()
		if s.peek() != ',' {
			break
		}
		s.pos++
		s.space()
	}
	s.names = s.names[:first]
	return s.shut('}', "no comma or brace after a member")
}

// name reads a member name and the colon, and stops before the value.
func (s *scanner) name() (string, bool) {
	if s.peek() != '"' {
		return "", s.fail("no member name")
	}
	raw, escaped, ok := s.quoted()
	if !ok {
		return "", false
	}
	if escaped {
		raw = unescape(raw)
	}
	s.space()
	if s.peek() != ':' {
		return "", s.fail("no colon after a member name")
	}
	s.pos++
	s.space()
	return raw, true
}

// twice reports that the open object has such a member already; if not, it notes the name. The names of the outermost
// object are in members, those of others in names from index first on, or in seen once there are many.
func (s *scanner) twice(name string, outermost bool, first int, seen map[string]struct{}) bool {
	if seen != nil {
		_, found := seen[name]
		seen[name] = struct{}{}
		return found
	}
	if outermost {
		for i := s.first; i < len(s.members); i++ {
			if s.members[i].Name == name {
				return true
			}
		}
		return false
	}
	for _, earlier := range s.names[first:] {
		if earlier == name {
			return true
		}
	}
	s.names = append(s.names, name)
	return false
}

// nameSet moves the names of the open object to a map.
func (s *scanner) nameSet(outermost bool, first int) map[string]struct{} {
	set := make(map[string]struct{}, MaxMembers)
	if outermost {
		for _, m := range s.members[s.first:] {
			set[m.Name] = struct{}{}
		}
		return set
	}
	for _, name := range s.names[first:] {
		set[name] = struct{}{}
	}
	return set
}

func (s *scanner) array() bool {
	if !s.open() {
		return false
	}
	if s.peek() == ']' {
		return s.shut(']', "")
	}
	for {
		if !s.value() {
			return false
		}
		s.space()
		if s.peek() != ',' {
			return s.shut(']', "no comma or bracket after an element")
		}
		s.pos++
		s.space()
	}
}

func (s *scanner) shut(c byte, reason string) bool {
	if s.peek() != c {
		return s.fail(reason)
	}
	s.pos++
	s.depth--
	return true
}

func (s *scanner) number() bool {
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if !s.digits() {
		return false
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return false
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		return s.digits()
	}
	return true
}

func (s *scanner) digits() bool {
	start := s.pos
	for isDigit(s.peek()) {
		s.pos++
	}
	if s.pos == start {
		return s.fail("no digit in a number")
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
