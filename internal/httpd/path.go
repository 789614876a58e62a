package httpd

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// NormalizeSlashes collapses runs of slashes, so that a client that joined
// "https://host/" and "/token" is understood without a redirect, which would
// make it repeat its credentials. It is for contract routes alone; proxied
// paths must reach the upstream as they came, see [CheckPath].
func NormalizeSlashes(path string) string {
	i := strings.Index(path, "//")
	if i < 0 {
		return path
	}
	out := make([]byte, 0, len(path))
	out = append(out, path[:i+1]...)
	for ; i < len(path); i++ {
		if path[i] == '/' && out[len(out)-1] == '/' {
			continue
		}
		out = append(out, path[i])
	}
	return string(out)
}

// Reasons why [CheckPath] refuses a path. Each is a way to make two programs
// read one path differently, which lets a request past a rule (SECURITY 61).
var (
	ErrPathRelative   = errors.New("path: does not begin with a slash")
	ErrPathCharacter  = errors.New("path: contains a character that must be percent-encoded")
	ErrPathEncoding   = errors.New("path: contains an incomplete percent-encoding")
	ErrPathDotSegment = errors.New("path: contains a dot segment")
	ErrPathEmpty      = errors.New("path: contains an empty segment")
	ErrPathSlash      = errors.New("path: contains an encoded slash")
	ErrPathBackslash  = errors.New("path: contains a backslash")
	ErrPathControl    = errors.New("path: contains a control character")
	ErrPathSemicolon  = errors.New("path: contains a semicolon")
	ErrPathDouble     = errors.New("path: contains an encoded percent sign")
	ErrPathUnreserved = errors.New("path: encodes a character that needs no encoding")
	ErrPathUTF8       = errors.New("path: does not decode to UTF-8")
)

// CheckPath says whether every program that reads the escaped path (no query)
// will read the same one: what is accepted has one spelling per segment, no
// segment that a server would resolve away, and nothing that a second decoding
// could change. It is strict on purpose; a literal percent sign in a path, for
// one, cannot pass.
func CheckPath(escaped string) error {
	if escaped == "" || escaped[0] != '/' {
		return ErrPathRelative
	}
	segStart, ascii := 1, true
	for i := 1; i < len(escaped); i++ {
		switch c := escaped[i]; {
		case c == '/':
			if err := checkSegment(escaped[segStart:i], false); err != nil {
				return err
			}
			segStart = i + 1
		case c == '%':
			b, err := decodeTriplet(escaped[i:])
			if err != nil {
				return err
			}
			ascii = ascii && b < utf8.RuneSelf
			i += 2
		default:
			if err := checkRaw(c); err != nil {
				return err
			}
		}
	}
	if err := checkSegment(escaped[segStart:], true); err != nil {
		return err
	}
	if !ascii && !utf8.ValidString(unescapePath(escaped)) {
		return ErrPathUTF8 // overlong forms of '/' and '.' live here
	}
	return nil
}

// checkSegment refuses dot segments and empty ones; the last may be empty, a
// trailing slash is a path of its own.
func checkSegment(seg string, last bool) error {
	switch seg {
	case "":
		if !last {
			return ErrPathEmpty
		}
	case ".", "..":
		return ErrPathDotSegment
	}
	return nil
}

// checkRaw judges an unencoded byte: RFC 3986 pchar without ';', which some
// servers cut off as a parameter before they route.
func checkRaw(c byte) error {
	switch {
	case isUnreserved(c), strings.IndexByte("!$&'()*+,=:@", c) >= 0:
		return nil
	case c == ';':
		return ErrPathSemicolon
	case c == '\\':
		return ErrPathBackslash
	case c < 0x20 || c == 0x7f:
		return ErrPathControl
	}
	return ErrPathCharacter
}

// decodeTriplet reads %XX at the start of s and judges what it stands for.
func decodeTriplet(s string) (byte, error) {
	if len(s) < 3 || !isHex(s[1]) || !isHex(s[2]) {
		return 0, ErrPathEncoding
	}
	b := unhex(s[1])<<4 | unhex(s[2])
	switch {
	case b == '.':
		return 0, ErrPathDotSegment
	case b == '/':
		return 0, ErrPathSlash
	case b == '\\':
		return 0, ErrPathBackslash
	case b == '%':
		return 0, ErrPathDouble
	case b == ';':
		return 0, ErrPathSemicolon
	case b < 0x20 || b == 0x7f:
		return 0, ErrPathControl
	case isUnreserved(b):
		return 0, ErrPathUnreserved
	}
	return b, nil
}

// unescapePath decodes a path whose triplets are known to be whole.
func unescapePath(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' {
			out = append(out, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}

func isUnreserved(c byte) bool {
	return isAlnum(c) || c == '-' || c == '.' || c == '_' || c == '~'
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}
