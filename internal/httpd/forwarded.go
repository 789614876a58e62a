package httpd

import (
	"errors"
	"strings"
)

// forwardedElement is one proxy's entry in a Forwarded header (RFC 7239
// section 4); by and host are of no use here.
type forwardedElement struct {
	forAddr, proto string
}

var errForwarded = errors.New("malformed Forwarded header")

// parseForwarded reads all elements, leftmost first. It accepts nothing it
// does not understand: half a header is no evidence of anything.
func parseForwarded(s string) ([]forwardedElement, error) {
	var elems []forwardedElement
	for {
		e, rest, err := parseForwardedElement(s)
		if err != nil {
			return nil, err
		}
		if e != nil {
			elems = append(elems, *e)
		}
		if rest == "" {
			return elems, nil
		}
		s = rest[1:] // the comma
	}
}

// parseForwardedElement reads name=value pairs up to a comma or the end. An
// empty element (RFC 9110 section 5.6.1) is nil.
func parseForwardedElement(s string) (e *forwardedElement, rest string, err error) {
	seen := map[string]bool{}
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" || s[0] == ',' {
			return e, s, nil
		}
		if s[0] == ';' {
			s = s[1:]
			continue
		}
		name, value, after, err := parsePair(s)
		if err != nil || seen[name] {
			return nil, "", errForwarded
		}
		seen[name] = true
		if e == nil {
			e = &forwardedElement{}
		}
		switch name {
		case "for":
			e.forAddr = value
		case "proto":
			e.proto = value
		}
		s = strings.TrimLeft(after, " \t")
		if s != "" && s[0] != ';' && s[0] != ',' {
			return nil, "", errForwarded
		}
	}
}

func parsePair(s string) (name, value, rest string, err error) {
	n := tokenLen(s)
	if n == 0 || n == len(s) || s[n] != '=' {
		return "", "", "", errForwarded
	}
	name, s = strings.ToLower(s[:n]), s[n+1:]
	if s != "" && s[0] == '"' {
		value, rest, err = parseQuoted(s[1:])
		return name, value, rest, err
	}
	n = tokenLen(s)
	if n == 0 {
		return "", "", "", errForwarded
	}
	return name, s[:n], s[n:], nil
}

func parseQuoted(s string) (value, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], nil
		case '\\':
			if i++; i == len(s) {
				return "", "", errForwarded
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", errForwarded
}

// tokenLen counts token characters (RFC 9110 section 5.6.2). A colon is let
// through too: proxies write for=192.0.2.1:80 without the quotes it needs.
func tokenLen(s string) int {
	n := 0
	for n < len(s) && (isAlnum(s[n]) || strings.IndexByte("!#$%&'*+-.^_`|~:", s[n]) >= 0) {
		n++
	}
	return n
}
