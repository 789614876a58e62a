package contract

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/httpd"
)

// MaxBody is the largest request body that is read, in bytes.
const MaxBody = httpd.DefaultMaxBody

// request is one request while it is served.
type request struct {
	http    *http.Request
	id      string
	params  []string // of the path, in order
	ep      *endpoint
	route   *boundRoute
	got     []captured // by slot
	room    [4]captured
	unknown [][]string
	values  []value // by input
	cookie  bool    // a secret came from a cookie
	auth    *core.Error
}

// value is the value of an input; null before inputs are read.
func (q *request) value(in *inputDef) value {
	if in.index == anyRoute { // the contract's own errors name it: whatever the route calls so
		if q.route == nil || q.route.byName[in.name] == nil {
			return value{}
		}
		in = q.route.byName[in.name]
	}
	if in.index < len(q.values) {
		return q.values[in.index]
	}
	return value{}
}

// text is the text of a named input of the route, "" when it is not there.
func (q *request) text(name string) string {
	if in := q.route.byName[name]; in != nil {
		return q.value(in).s
	}
	return ""
}

func (q *request) list(name string) []string {
	if in := q.route.byName[name]; in != nil {
		return q.value(in).list
	}
	return nil
}

// read fills the slots from everywhere the endpoint looks.
func (q *request) read() error {
	if n := len(q.ep.slots); n <= len(q.room) {
		q.got = q.room[:n]
	} else {
		q.got = make([]captured, n)
	}
	if q.ep.uses[fromQuery] {
		if err := q.readQuery(); err != nil {
			return err
		}
	}
	authorization := q.ep.uses[fromScheme] || q.ep.uses[fromBasic]
	if authorization {
		q.readAuthorization()
	}
	for i := range q.ep.slots {
		s := &q.ep.slots[i]
		switch s.kind {
		case fromHeader:
			q.wire(i, q.http.Header[s.name])
		case fromCookie:
			q.readCookie(i, s.name)
		case fromPath:
			q.readPath(i, s.name)
		}
	}
	if q.ep.uses[fromJSON] || q.ep.uses[fromForm] {
		return q.readBody()
	}
	return nil
}

// wire notes what stands in text form.
func (q *request) wire(slot int, vals []string) {
	switch {
	case len(vals) > 1:
		q.got[slot] = captured{kind: gotTwice}
	case len(vals) == 1 && !utf8.ValidString(vals[0]):
		q.got[slot] = captured{kind: gotOther}
	case len(vals) == 1:
		if s, ok := cutPrefixFold(vals[0], q.ep.slots[slot].prefix); ok {
			q.got[slot] = captured{kind: gotText, wire: true, s: s}
		}
	}
}

// cutPrefixFold cuts a prefix in any case, as schemes may be written.
func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	return s[len(prefix):], true
}

func (q *request) readQuery() error {
	if q.http.URL.RawQuery == "" {
		return nil
	}
	err := decodeForm([]byte(q.http.URL.RawQuery), func(name, val []byte) {
		for i := range q.ep.slots {
			if q.ep.slots[i].kind == fromQuery && q.ep.slots[i].name == string(name) {
				q.wire(i, []string{fieldText(val)})
			}
		}
	})
	if err != nil {
		err.loc[0] = "query"
		return err
	}
	return nil
}

func (q *request) readCookie(slot int, name string) {
	var vals []string
	for _, c := range q.http.CookiesNamed(name) {
		vals = append(vals, c.Value)
	}
	q.wire(slot, vals)
	if len(vals) > 0 {
		q.got[slot].wire = true
	}
}

func (q *request) readPath(slot int, name string) {
	at := 0
	for _, s := range q.route0().segments {
		if !s.param {
			continue
		}
		if s.text == name && at < len(q.params) {
			q.wire(slot, []string{q.params[at]})
		}
		at++
	}
}

func (q *request) route0() *boundRoute { return q.ep.routes[0] }
