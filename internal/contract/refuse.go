package contract

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/sallyport/sallyport/internal/core"
)

// refusal is an error on its way into a contract's words.
type refusal struct {
	code       core.Code
	status     int
	message    string
	violations []core.Violation
	retryAfter int64 // seconds, 0 = unknown
	allow      string
}

// methodError is a method that a path does not have.
type methodError struct{ allow string }

func (e *methodError) Error() string { return "method not allowed; allowed: " + e.allow }

// refuse turns any error into a refusal. What is not ours is Internal: opaque
// to the client, loud in the log.
func (c *Contract) refuse(err error) *refusal {
	out := &refusal{code: core.CodeOf(err)}
	var ce *core.Error
	var be *bodyError
	var me *methodError
	switch {
	case errors.As(err, &ce):
		out.message, out.violations = ce.Message, ce.Violations
		out.retryAfter = (ce.RetryAfter + 999) / 1000
	case errors.As(err, &be):
		v := violations{words: c.def.words}
		v.add(&problem{be.kind, be.expected}, be.loc)
		out.code, out.violations = problemCode(be.kind), v.list
	case errors.As(err, &me):
		out.code, out.allow = core.MethodNotAllowed, me.allow
	}
	if out.message == "" && len(out.violations) > 0 && out.code.Is(core.BadRequest) {
		out.message = out.violations[0].Message
	}
	if out.message == "" {
		out.message = ownWords(out.code)
	}
	if out.retryAfter == 0 && out.code.Is(core.Unavailable) {
		out.retryAfter = 1
	}
	return out
}

// ownWords is what we say where a contract leaves the message to us.
func ownWords(code core.Code) string {
	for c := code; c != ""; c = c.Parent() {
		switch c {
		case core.BodyMalformed:
			return "The body cannot be read"
		case core.BodyTooLarge:
			return "The body is too large"
		case core.MediaTypeUnsupported:
			return "Unsupported media type"
		case core.MethodNotAllowed:
			return "Method not allowed"
		case core.FieldInvalid:
			return "Invalid input"
		case core.BadRequest:
			return "Bad request"
		case core.LoginTooOld:
			return "Log in again"
		case core.BadCredentials:
			return "Wrong credentials"
		case core.TokenMissing:
			return "Token missing"
		case core.TokenExpired:
			return "Token has expired"
		case core.TokenInvalid:
			return "Invalid token"
		case core.Unauthorized:
			return "Unauthorized"
		case core.Forbidden:
			return "Forbidden"
		case core.NotFound:
			return "Not found"
		case core.Conflict:
			return "Conflict"
		case core.TooMany:
			return "Too many attempts, try again later"
		case core.Unavailable:
			return "Temporarily unavailable, try again"
		}
	}
	return "Internal error"
}

// find looks a code up in maps that are complete below the codes they name:
// the route's first, then the contract's.
func (c *Contract) find(code core.Code, first map[core.Code]*errorDef) *errorDef {
	if d := first[code]; d != nil {
		return d
	}
	if d := c.words[code]; d != nil {
		return d
	}
	return c.words[core.Internal]
}

// render writes a refusal: status, headers and body.
func (c *Contract) render(rf *refusal, first map[core.Code]*errorDef, q *request, now int64) (http.Header, []byte) {
	d := c.find(rf.code, first)
	rf.status = d.status
	if s := fixedStatus(rf.code); s != 0 && d.code != rf.code {
		rf.status = s // borrowed words, HTTP's own status
	}
	e := &env{refusal: rf, req: q, now: now}
	if d.message != nil {
		rf.message = renderText(d.message, e)
	}
	h := http.Header{}
	noStore(h)
	if c.def.shape != nil {
		setHeaders(h, c.def.shape.headers, e)
	}
	setHeaders(h, d.headers, e)
	if rf.allow != "" {
		h.Set("Allow", rf.allow)
	}
	if rf.retryAfter > 0 && (rf.code.Is(core.TooMany) || rf.code.Is(core.Unavailable)) {
		h.Set("Retry-After", strconv.FormatInt(rf.retryAfter, 10))
	}
	body, content := d.body, d.content
	if body == nil && !d.noBody && c.def.shape != nil {
		body = c.def.shape.body
	}
	if body == nil {
		return h, nil
	}
	h.Set("Content-Type", content.header())
	return h, content.appendBody(nil, body, e)
}

func setHeaders(h http.Header, defs []headerDef, e *env) {
	for _, d := range defs {
		if !d.value.there(e) {
			continue
		}
		if v := headerText(renderText(d.value, e)); v != "" {
			h.Set(d.name, v)
		}
	}
}

// headerText drops what would end a header line or confuse a proxy: values may
// come from attributes that a person wrote.
func headerText(s string) string {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			out := make([]byte, 0, len(s))
			for j := range len(s) {
				if s[j] >= ' ' && s[j] < 0x7f {
					out = append(out, s[j])
				}
			}
			return string(out)
		}
	}
	return s
}

// noStore keeps answers with tokens, and refusals, out of caches (RFC 6749
// section 5.1).
func noStore(h http.Header) {
	h["Cache-Control"] = headNoStore
	h["Pragma"] = headNoCache
}

// Header values that never change are shared: adding to one copies it first,
// its capacity being its length.
var (
	headNoStore = []string{"no-store"}
	headNoCache = []string{"no-cache"}
	headNoSniff = []string{"nosniff"}
	headJSON    = []string{"application/json"}
)
