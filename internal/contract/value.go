package contract

import (
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sallyport/sallyport/internal/core"
)

// valueType is what a value is before it is written; it decides which filters
// apply and how JSON shows it.
type valueType uint8

const (
	tNull valueType = iota
	tText
	tInt
	tBool
	tTime       // Unix milliseconds; JSON shows seconds
	tDuration   // milliseconds; JSON shows seconds
	tList       // of text
	tJSON       // raw JSON
	tViolations // what is wrong with the inputs
)

var typeNames = map[valueType]string{
	tNull: "null", tText: "text", tInt: "number", tBool: "true or false", tTime: "time",
	tDuration: "duration", tList: "list", tJSON: "any JSON", tViolations: "violations",
}

// value is one value on its way into an answer, a claim or a header.
type value struct {
	t    valueType
	s    string
	n    int64
	b    bool
	list []string
	raw  []byte
	viol []core.Violation
}

func text(s string) value     { return value{t: tText, s: s} }
func number(n int64) value    { return value{t: tInt, n: n} }
func boolean(b bool) value    { return value{t: tBool, b: b} }
func list(l []string) value   { return value{t: tList, list: l} }
func instant(ms int64) value  { return value{t: tTime, n: ms} }
func duration(ms int64) value { return value{t: tDuration, n: ms} }

// textOrNull is null for "": a token that was not issued, an e-mail not there.
func textOrNull(s string) value {
	if s == "" {
		return value{}
	}
	return text(s)
}

func instantOrNull(ms int64) value {
	if ms == 0 {
		return value{}
	}
	return instant(ms)
}

// there says whether a `when` on the value holds: it is neither null, false
// nor empty.
func (v value) there() bool {
	switch v.t {
	case tNull:
		return false
	case tText:
		return v.s != ""
	case tBool:
		return v.b
	case tList:
		return len(v.list) > 0
	case tViolations:
		return len(v.viol) > 0
	case tJSON:
		s := string(v.raw)
		return s != "null" && s != "false" && s != `""` && s != "[]" && s != "{}"
	}
	return true
}

// appendJSON writes the value as JSON.
func (v value) appendJSON(dst []byte) []byte {
	switch v.t {
	case tText:
		return appendString(dst, v.s)
	case tInt:
		return strconv.AppendInt(dst, v.n, 10)
	case tBool:
		return strconv.AppendBool(dst, v.b)
	case tTime, tDuration:
		return strconv.AppendInt(dst, floorSeconds(v.n), 10)
	case tList:
		dst = append(dst, '[')
		for i, s := range v.list {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(dst, s)
		}
		return append(dst, ']')
	case tJSON:
		return append(dst, v.raw...)
	case tViolations:
		return appendViolations(dst, v.viol)
	}
	return append(dst, "null"...)
}

// appendText writes the value as it stands inside a longer text, a header or
// a cookie.
func (v value) appendText(dst []byte) []byte {
	switch v.t {
	case tNull:
		return dst
	case tText:
		return append(dst, v.s...)
	case tList:
		return append(dst, strings.Join(v.list, " ")...)
	case tJSON:
		if len(v.raw) > 0 && v.raw[0] == '"' {
			if out, err := jsontext.AppendUnquote(dst, v.raw); err == nil {
				return out
			}
		}
		if string(v.raw) == "null" {
			return dst
		}
	}
	return v.appendJSON(dst)
}

func (v value) text() string {
	if v.t == tText {
		return v.s
	}
	return string(v.appendText(nil))
}

// appendString writes a JSON string. Text that is no UTF-8 gets replacement
// characters instead of an error: the answer stays valid JSON.
func appendString(dst []byte, s string) []byte {
	if out, err := jsontext.AppendQuote(dst, s); err == nil {
		return out
	}
	out, _ := jsontext.AppendQuote(dst, strings.ToValidUTF8(s, "\uFFFD")) // valid now, so it cannot fail
	return out
}

func appendViolations(dst []byte, vs []core.Violation) []byte {
	dst = append(dst, '[')
	for i := range vs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"loc":`...)
		dst = list(vs[i].Loc).appendJSON(dst)
		dst = append(dst, `,"msg":`...)
		dst = appendString(dst, vs[i].Message)
		dst = append(dst, `,"type":`...)
		dst = appendString(dst, vs[i].Type)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// fieldOf names the wrong input the way most APIs do: the place without
// "body", nested names joined by dots; "" for the body as a whole.
func fieldOf(v *core.Violation) string {
	if len(v.Loc) < 2 {
		return ""
	}
	return strings.Join(v.Loc[1:], ".")
}

func floorSeconds(ms int64) int64 {
	s := ms / 1000
	if ms%1000 < 0 {
		s--
	}
	return s
}

func utc(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
