package strictjson

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// quoted reads a string and returns what stands between its quotes, and whether escapes are in it.
func (s *scanner) quoted() (raw string, escaped, ok bool) {
	s.pos++
	start := s.pos
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == '"':
			raw = s.text[start:s.pos]
			s.pos++
			return raw, escaped, true
		case c == '\\':
			escaped = true
			if !s.escape() {
				return "", false, false
			}
		case c < ' ':
			return "", false, s.fail("control character in a string")
		default:
			s.pos++
		}
	}
	return "", false, s.fail("string without end")
}

// escape reads one escape sequence, both halves of a surrogate pair included. A half without its other half denotes no
// character; decoders replace it by U+FFFD, which would make two different names one.
func (s *scanner) escape() bool {
	if s.pos+1 >= len(s.text) {
		return s.fail("string without end")
	}
	switch s.text[s.pos+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos += 2
		return true
	case 'u':
	default:
		return s.fail("unknown escape")
	}
	r := hexRune(s.text[s.pos:])
	if r < 0 {
		return s.fail("escape without four hexadecimal digits")
	}
	if utf16.IsSurrogate(r) {
		if utf16.DecodeRune(r, hexRune(s.text[s.pos+6:])) == utf8.RuneError {
			return s.fail("half a surrogate pair")
		}
		s.pos += 6
	}
	s.pos += 6
	return true
}

// hexRune returns the value of the \uXXXX escape that text begins with, or -1.
func hexRune(text string) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	var r rune
	for i := 2; i < 6; i++ {
		c := text[i]
		switch {
		case isDigit(c):
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// unescape decodes the inside of a string that the scanner has accepted.
func unescape(raw string) string {
	var b strings.Builder
	b.Grow(len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			b.WriteByte(raw[i])
			i++
			continue
		}
		switch c := raw[i+1]; c {
		case 'b':
			b.WriteByte('\b')
		case 'f':
			b.WriteByte('\f')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 't':
			b.WriteByte('\t')
		case 'u':
			r := hexRune(raw[i:])
			i += 4
			if utf16.IsSurrogate(r) {
				r = utf16.DecodeRune(r, hexRune(raw[i+2:]))
				i += 6
			}
			b.WriteRune(r)
		default:
			b.WriteByte(c)
		}
		i += 2
	}
	return b.String()
}

const hexDigits = "0123456789abcdef"

// AppendString appends text as a JSON string, quotes included. Only what must be escaped is (quote, backslash, control
// characters), so equal texts always give equal bytes. Text is taken to be UTF-8; the caller has checked it.
func AppendString(dst []byte, text string) []byte {
	dst = append(dst, '"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
