package contract

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
)

// choose finds the route that the inputs select and reads its inputs.
func (q *request) choose(words map[string]wording) error {
	for _, r := range q.ep.routes {
		q.bind(r, nil)
		if r.when == nil || r.when.holds(&env{req: q}) {
			v := &violations{words: words}
			q.bind(r, v)
			return q.judge(v)
		}
	}
	return q.noRoute(words)
}

// bind reads the inputs of a route; wrong ones go to v, when it is not nil.
func (q *request) bind(r *boundRoute, v *violations) {
	q.route = r
	if cap(q.values) < len(r.inputs) {
		q.values = make([]value, len(r.inputs))
	}
	q.values = q.values[:len(r.inputs)]
	q.cookie = false
	for i, in := range r.inputs {
		q.values[i] = q.input(r, i, in, v)
	}
	if v != nil && r.refuse {
		q.unknownFields(r, v)
	}
}

func (q *request) input(r *boundRoute, i int, in *inputDef, v *violations) value {
	for _, s := range r.slots[i] {
		c := &q.got[s]
		if c.kind == absent || in.optional && (c.kind == gotNull || c.kind == gotText && c.s == "") {
			continue
		}
		val, pr := in.read(c)
		if pr != nil {
			if v != nil {
				v.add(pr, q.ep.slots[s].loc)
			}
			return value{}
		}
		if q.ep.slots[s].kind == fromCookie && in.secret {
			q.cookie = true
		}
		return val
	}
	if in.optional {
		return in.fallback()
	}
	if v != nil {
		q.missing(r, i, in, v)
	}
	return value{}
}

// missing names an input that did not come: a credential that lives in headers
// is a 401, a field is bad input.
func (q *request) missing(r *boundRoute, i int, in *inputDef, v *violations) {
	code := in.missing
	if code == "" {
		code = core.FieldMissing
		if in.token && !slices.ContainsFunc(r.slots[i], func(s int) bool {
			return q.ep.slots[s].kind != fromScheme && q.ep.slots[s].kind != fromBasic && q.ep.slots[s].kind != fromCookie && q.ep.slots[s].kind != fromHeader
		}) {
			code = core.TokenMissing
		}
		if in.name == "username" || in.name == "password" {
			if len(r.slots[i]) == 1 && q.ep.slots[r.slots[i][0]].kind == fromBasic {
				code = core.TokenMissing
			}
		}
	}
	if code == core.TokenMissing {
		scheme := slices.ContainsFunc(r.slots[i], func(s int) bool { k := q.ep.slots[s].kind; return k == fromScheme || k == fromBasic })
		switch {
		case q.auth != nil && scheme:
			v.token = q.auth
		case scheme:
			v.token = &core.Error{Code: core.TokenMissing, Message: "Missing Authorization Header"}
		default:
			v.token = &core.Error{Code: core.TokenMissing, Message: "Missing token"}
		}
		return
	}
	v.add(&problem{"missing", ""}, in.loc)
}

func (q *request) unknownFields(r *boundRoute, v *violations) {
	for _, loc := range q.unknown {
		v.add(&problem{"unknown", ""}, loc)
	}
	for s := range q.got {
		if q.got[s].kind == absent || !q.ep.slots[s].kind.body() {
			continue
		}
		if !slices.ContainsFunc(r.slots, func(l []int) bool { return slices.Contains(l, s) }) {
			v.add(&problem{"unknown", ""}, q.ep.slots[s].loc)
		}
	}
}

// judge turns what is wrong into one error. A missing credential goes first:
// a stranger learns nothing about the fields of a route.
func (q *request) judge(v *violations) error {
	if v.token != nil {
		return v.token
	}
	if err := v.err(); err != nil {
		return err
	}
	if q.cookie && !q.sameOrigin() {
		return &core.Error{Code: core.Forbidden, Reason: "cookie from another site", Message: "This request comes from another site"}
	}
	return nil
}

// noRoute answers an endpoint whose routes all ask for another value of an
// input.
func (q *request) noRoute(words map[string]wording) error {
	v := &violations{words: words}
	first := q.ep.routes[0]
	q.bind(first, nil)
	for _, t := range first.when.tests {
		in := t.x.input
		if in == nil {
			continue
		}
		before := len(v.list)
		val := q.input(first, in.index, in, v)
		if len(v.list) > before || v.token != nil {
			continue
		}
		if val.t == tNull {
			v.add(&problem{"missing", ""}, in.loc)
		} else {
			v.add(&problem{"enum", oneOf(q.ep.wanted(in.name))}, in.loc)
		}
	}
	if v.token != nil {
		return v.token
	}
	if len(v.list) == 0 { // a condition on nothing that was sent
		v.add(&problem{"missing", ""}, []string{"body"})
	}
	return v.err()
}

// wanted lists the values of an input that choose a route.
func (e *endpoint) wanted(name string) []string {
	var out []string
	for _, r := range e.routes {
		for _, t := range r.when.tests {
			if t.x.input != nil && t.x.input.name == name {
				for _, w := range t.want {
					out = appendNew(out, w)
				}
			}
		}
	}
	return out
}

// sameOrigin keeps other sites from acting with their visitors' cookies: a
// browser says where a request comes from (Sec-Fetch-Site, Origin); whoever
// says nothing is no browser.
func (q *request) sameOrigin() bool {
	if q.http.Method == http.MethodGet || q.http.Method == http.MethodHead {
		return true
	}
	origin := q.http.Header.Get("Origin")
	switch q.http.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return true
	case "":
		if origin == "" {
			return true
		}
	}
	if u, err := url.Parse(origin); err == nil && u.Host != "" && strings.EqualFold(u.Host, q.http.Host) {
		return true
	}
	return q.route.cors != nil && q.route.cors.Credentials && slices.Contains(q.route.cors.Origins, origin)
}

// violations collects what is wrong with inputs, in the contract's words.
type violations struct {
	words map[string]wording
	kinds []string
	list  []core.Violation
	token *core.Error
}

func (v *violations) add(p *problem, loc []string) {
	if len(v.list) >= 32 {
		return
	}
	w := v.words[p.kind]
	msg := strings.ReplaceAll(w.message, "$expected", p.expected)
	item := core.Violation{Loc: loc, Type: w.typ}
	item.Message = strings.ReplaceAll(msg, "$field", fieldOf(&item))
	v.kinds = append(v.kinds, p.kind)
	v.list = append(v.list, item)
}

func (v *violations) err() error {
	if len(v.list) == 0 {
		return nil
	}
	return &core.Error{Code: problemCode(v.kinds[0]), Violations: v.list}
}

func problemCode(kind string) core.Code {
	switch kind {
	case "missing":
		return core.FieldMissing
	case "unknown":
		return core.FieldUnknown
	case "repeated":
		return core.FieldRepeated
	case "json", "form":
		return core.BodyMalformed
	}
	return core.FieldInvalid
}
