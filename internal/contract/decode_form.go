package contract

import (
	"bytes"
	"io"
	"mime/multipart"
	"unicode/utf8"
)

// maxParameters is how many parameters a form or query may have.
const maxParameters = 256

// decodeForm reads application/x-www-form-urlencoded strictly: every percent
// sign starts a triplet, names and values are UTF-8, no parameter stands twice
// (RFC 6749 section 3.2: a parameter given twice is an error, because two
// readers would take a different one). A semicolon is an ordinary character,
// as the URL standard has it.
//
// It decodes in place, so that a form of any length costs no memory: what visit
// is given are pieces of raw, and good until raw is used again.
func decodeForm(raw []byte, visit func(name, value []byte)) *bodyError {
	var store [8][]byte
	seen := store[:0]
	for n := 0; len(raw) > 0; n++ {
		if n == maxParameters {
			return &bodyError{kind: "form", expected: "it has too many parameters", loc: []string{"body"}}
		}
		var pair []byte
		pair, raw, _ = bytes.Cut(raw, []byte("&"))
		if len(pair) == 0 {
			continue
		}
		k, v, _ := bytes.Cut(pair, []byte("="))
		name, ok1 := unescapeForm(k)
		val, ok2 := unescapeForm(v)
		if !ok1 || !ok2 {
			return &bodyError{kind: "form", expected: "a percent sign must be followed by two hex digits, and text must be UTF-8", loc: []string{"body"}}
		}
		for _, s := range seen {
			if bytes.Equal(s, name) {
				return &bodyError{kind: "repeated", loc: []string{"body", clip(string(name[:min(len(name), shownName)]))}}
			}
		}
		seen = append(seen, name)
		visit(name, val)
	}
	return nil
}

// shownName is how much of a name is looked at to be shown; clip takes less.
const shownName = 1024

// unescapeForm decodes in place.
func unescapeForm(s []byte) ([]byte, bool) {
	if bytes.IndexByte(s, '%') < 0 && bytes.IndexByte(s, '+') < 0 {
		return s, utf8.Valid(s)
	}
	out := s[:0]
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '+':
			out = append(out, ' ')
		case '%':
			if i+2 >= len(s) {
				return nil, false
			}
			hi, ok1 := hexDigit(s[i+1])
			lo, ok2 := hexDigit(s[i+2])
			if !ok1 || !ok2 {
				return nil, false
			}
			out = append(out, hi<<4|lo)
			i += 2
		default:
			out = append(out, s[i])
		}
	}
	return out, utf8.Valid(out)
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// decodeMultipart reads multipart/form-data (RFC 7578) as strictly as a form:
// UTF-8 fields, none twice, no files.
func decodeMultipart(body []byte, boundary string, visit func(name, value []byte)) *bodyError {
	bad := func(why string) *bodyError {
		return &bodyError{kind: "form", expected: why, loc: []string{"body"}}
	}
	seen := map[string]bool{}
	mr := multipart.NewReader(bytes.NewReader(body), boundary)
	for len(seen) <= maxParameters {
		part, err := mr.NextRawPart()
		if err == io.EOF { // as it stands: wrapped, it is a body without its end
			return nil
		}
		if err != nil {
			return bad("it is no multipart/form-data")
		}
		val, err := io.ReadAll(part)
		name := part.FormName()
		switch {
		case err != nil || name == "":
			return bad("it is no multipart/form-data")
		case part.FileName() != "":
			return bad("it holds a file")
		case !utf8.ValidString(name) || !utf8.Valid(val):
			return bad("text must be UTF-8")
		case seen[name]:
			return &bodyError{kind: "repeated", loc: []string{"body", clip(name)}}
		}
		seen[name] = true
		visit([]byte(name), val)
	}
	return bad("it has too many parameters")
}
