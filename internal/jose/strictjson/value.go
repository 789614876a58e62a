package strictjson

import "strings"

// Value is the raw text of one value inside a text that was accepted, without white space around it. The zero Value
// stands for a member that is not there. Values come from this package alone: its methods rely on the text's having
// been scanned.
type Value string

// Kind tells what the value is; Invalid for the zero Value.
func (v Value) Kind() Kind {
	if v == "" {
		return Invalid
	}
	switch v[0] {
	case '{':
		return Object
	case '[':
		return Array
	case '"':
		return String
	case 't', 'f':
		return Bool
	case 'n':
		return Null
	default:
		return Number
	}
}

// Text returns the characters of a string. Other kinds answer false.
func (v Value) Text() (string, bool) {
	if v.Kind() != String {
		return "", false
	}
	raw := string(v[1 : len(v)-1])
	if strings.IndexByte(raw, '\\') >= 0 {
		raw = unescape(raw)
	}
	return raw, true
}

// maxIntDigits is the length of the longest integer that surely fits an int64.
const maxIntDigits = 18

// Int returns a number that is written as an integer of at most 18 digits: no fraction, no exponent, no minus zero.
// Everything else answers false, so a value read here is exactly the one that was written.
func (v Value) Int() (int64, bool) {
	digits, negative := strings.CutPrefix(string(v), "-")
	if digits == "" || len(digits) > maxIntDigits || negative && digits == "0" {
		return 0, false
	}
	var n int64
	for i := range len(digits) {
		if !isDigit(digits[i]) {
			return 0, false
		}
		n = n*10 + int64(digits[i]-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}

// Bool returns a boolean. Other kinds answer false for ok.
func (v Value) Bool() (value, ok bool) {
	return v == "true", v == "true" || v == "false"
}

// Members appends the members of an object to dst. Other kinds answer false.
func (v Value) Members(dst []Member) ([]Member, bool) {
	if v.Kind() != Object {
		return dst, false
	}
	members, err := ParseObject(string(v), dst)
	return members, err == nil
}

// Elements appends the elements of an array to dst. Other kinds answer false.
func (v Value) Elements(dst []Value) ([]Value, bool) { return v.AtMost(len(v), dst) }

// AtMost is Elements for an array of at most n elements. A longer one answers false, and is not looked at to its end.
func (v Value) AtMost(n int, dst []Value) ([]Value, bool) {
	if v.Kind() != Array {
		return dst, false
	}
	s := scanner{text: string(v)}
	if !s.open() {
		return dst, false
	}
	for s.peek() != ']' {
		start := s.pos
		if n--; n < 0 || !s.value() {
			return dst, false
		}
		dst = append(dst, Value(s.text[start:s.pos]))
		s.space()
		if s.peek() == ',' {
			s.pos++
			s.space()
		}
	}
	return dst, true
}
