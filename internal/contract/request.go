package contract

import (
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
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
	unknown [][]string
	values  []value // by input
	cookie  bool    // a secret came from a cookie
	auth    *core.Error
}

// value is the value of an input; null before inputs are read.
func (q *request) value(in *inputDef) value {
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

var bodies = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// read fills the slots from everywhere the endpoint looks.
func (q *request) read() error {
	q.got = make([]captured, len(q.ep.slots))
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
		q.got[slot] = captured{kind: gotText, wire: true, s: vals[0]}
	}
}

func (q *request) readQuery() error {
	if q.http.URL.RawQuery == "" {
		return nil
	}
	err := decodeForm(q.http.URL.RawQuery, func(name, val string) {
		for i := range q.ep.slots {
			if q.ep.slots[i].kind == fromQuery && q.ep.slots[i].name == name {
				q.wire(i, []string{val})
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

// readBody reads JSON or a form. An empty body is a body without fields, and
// then the Content-Type says nothing.
func (q *request) readBody() error {
	bp := bodies.Get().(*[]byte)
	defer func() {
		clear((*bp)[:cap(*bp)]) // it held a password or a token
		bodies.Put(bp)
	}()
	body, err := readAll((*bp)[:0], q.http.Body)
	*bp = body[:0]
	if err != nil {
		return err
	}
	if len(body) == 0 {
		return nil
	}
	kind, boundary, err := q.mediaType()
	if err != nil {
		return err
	}
	var unknown *[][]string
	if q.ep.refuses {
		unknown = &q.unknown
	}
	if kind == fromJSON {
		return decodeJSON(body, q.ep.jsonRoot, q.got, unknown)
	}
	if boundary != "" {
		return asError(decodeMultipart(body, boundary, q.formField(unknown)))
	}
	return asError(decodeForm(string(body), q.formField(unknown)))
}

// asError keeps a nil *bodyError from becoming an error that is not nil.
func asError(err *bodyError) error {
	if err == nil {
		return nil
	}
	return err
}

func readAll(buf []byte, r io.Reader) ([]byte, error) {
	if r == nil {
		return buf, nil
	}
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):min(cap(buf), MaxBody+1)])
		buf = buf[:len(buf)+n]
		if len(buf) > MaxBody {
			return buf, &core.Error{Code: core.BodyTooLarge, Message: "The body has more than 65536 bytes"}
		}
		switch {
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			var tooLarge *httpd.BodyTooLarge
			if errors.As(err, &tooLarge) {
				return buf, &core.Error{Code: core.BodyTooLarge, Message: "The body is too large", Err: err}
			}
			return buf, &core.Error{Code: core.BodyMalformed, Message: "The body ended too early", Err: err}
		}
	}
}

// mediaType says how the body is read. A body without a Content-Type is taken
// for the one kind the endpoint reads: early clients send none.
func (q *request) mediaType() (kind placeKind, boundary string, err error) {
	vals := q.http.Header["Content-Type"]
	if len(vals) == 0 {
		if q.ep.uses[fromJSON] {
			return fromJSON, "", nil
		}
		return fromForm, "", nil
	}
	if len(vals) == 1 && vals[0] == "application/json" && q.ep.uses[fromJSON] {
		return fromJSON, "", nil
	}
	mt, params, perr := mime.ParseMediaType(vals[0])
	if perr == nil && len(vals) == 1 && (params["charset"] == "" || strings.EqualFold(params["charset"], "utf-8")) {
		switch {
		case q.ep.uses[fromJSON] && (mt == "application/json" || strings.HasPrefix(mt, "application/") && strings.HasSuffix(mt, "+json")):
			return fromJSON, "", nil
		case q.ep.uses[fromForm] && mt == "application/x-www-form-urlencoded":
			return fromForm, "", nil
		case q.ep.parts && mt == "multipart/form-data" && params["boundary"] != "":
			return fromForm, params["boundary"], nil
		}
	}
	return "", "", &core.Error{Code: core.MediaTypeUnsupported, Message: "Send the body as " + strings.Join(q.ep.mediaTypes(), " or ")}
}

func (e *endpoint) mediaTypes() []string {
	var out []string
	if e.uses[fromJSON] {
		out = append(out, "application/json")
	}
	if e.uses[fromForm] {
		out = append(out, "application/x-www-form-urlencoded")
	}
	if e.parts {
		out = append(out, "multipart/form-data")
	}
	return out
}

// formField notes a field of a form, whichever way the form came.
func (q *request) formField(unknown *[][]string) func(name, val string) {
	return func(name, val string) {
		hit := false
		for i := range q.ep.slots {
			if q.ep.slots[i].kind == fromForm && q.ep.slots[i].name == name {
				q.got[i] = captured{kind: gotText, wire: true, s: val}
				hit = true
			}
		}
		if !hit && unknown != nil && len(*unknown) < 8 {
			*unknown = append(*unknown, []string{"body", clip(name)})
		}
	}
}

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
			return q.ep.slots[s].kind != fromScheme && q.ep.slots[s].kind != fromCookie && q.ep.slots[s].kind != fromHeader
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
