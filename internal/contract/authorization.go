package contract

import (
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/core"
)

// readAuthorization sorts the one Authorization header into the slots.
func (q *request) readAuthorization() {
	vals := q.http.Header["Authorization"]
	if len(vals) == 0 {
		return
	}
	want := ""
	for i := range q.ep.slots {
		s := &q.ep.slots[i]
		switch s.kind {
		case fromScheme:
			if tok, err := schemeToken(vals, s.name); err == nil {
				q.got[i] = captured{kind: gotText, wire: true, s: tok}
				return
			}
			want = strings.TrimSpace(s.name + " TOKEN")
		case fromBasic:
			user, pass, ok := basicPair(vals)
			if ok {
				q.got[i] = captured{kind: gotText, wire: true, s: map[string]string{"username": user, "password": pass}[s.name]}
				q.auth = nil
				q.basicRest(user, pass)
				return
			}
			want = "Basic CREDENTIALS"
		}
	}
	q.auth = &core.Error{
		Code: core.TokenMalformed, Reason: "authorization header",
		Message: "Bad Authorization header. Expected value '" + want + "'",
	}
}

func (q *request) basicRest(user, pass string) {
	for i := range q.ep.slots {
		if s := &q.ep.slots[i]; s.kind == fromBasic {
			q.got[i] = captured{kind: gotText, wire: true, s: map[string]string{"username": user, "password": pass}[s.name]}
		}
	}
}

// errToken are the ways an Authorization header carries no token of a scheme.
var errToken = errors.New("no token of this scheme")

// schemeToken reads `Scheme token`: one header, the scheme in any case (RFC
// 9110 section 11.1), one space, one token of the characters of RFC 6750
// section 2.1. Two headers or a comma would let two programs take different
// tokens.
func schemeToken(vals []string, scheme string) (string, error) {
	if len(vals) != 1 {
		return "", errToken
	}
	tok := vals[0]
	if scheme != "" {
		if len(tok) <= len(scheme)+1 || tok[len(scheme)] != ' ' || !strings.EqualFold(tok[:len(scheme)], scheme) {
			return "", errToken
		}
		tok = tok[len(scheme)+1:]
	}
	if !isB64Token(tok) || len(tok) > maxToken {
		return "", errToken
	}
	return tok, nil
}

func isB64Token(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~+/=", c) >= 0 {
			continue
		}
		return false
	}
	return s != ""
}

// basicPair reads RFC 7617 credentials, UTF-8 alone.
func basicPair(vals []string) (user, pass string, ok bool) {
	if len(vals) != 1 || len(vals[0]) < 6 || !strings.EqualFold(vals[0][:6], "basic ") {
		return "", "", false
	}
	raw, err := base64.StdEncoding.DecodeString(vals[0][6:])
	if err != nil || !utf8.Valid(raw) {
		return "", "", false
	}
	return strings.Cut(string(raw), ":")
}
