package contract

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
)

func (p *parser) violations(n *node) map[string]wording {
	out := map[string]wording{}
	for _, pr := range problems {
		out[pr.kind] = wording{pr.message, pr.kind}
	}
	if n = p.mapping(n, "`violations`"); n == nil {
		return out
	}
	p.keys(n, "`violations`", problemKinds())
	for _, en := range n.entries {
		w := out[en.key]
		if en.val.kind == mapNode {
			p.keys(en.val, "a violation", []string{"message", "type"})
			w.message, w.typ = p.str(en.val, "message", w.message), p.str(en.val, "type", w.typ)
		} else if s, ok := en.val.value.(string); ok {
			w.message = s
		} else {
			p.add(en.val.pos, "the words for %s are %s; want text, or {message, type}", en.key, en.val.what())
		}
		out[en.key] = w
	}
	return out
}

// shape reads what errors look like unless they say otherwise.
func (p *parser) shape(n *node) *errorShape {
	if n = p.mapping(n, "`error`"); n == nil {
		return nil
	}
	p.keys(n, "`error`", []string{"headers", "content_type", "body"})
	t := p.errorTemplates(nil)
	s := &errorShape{pos: n.pos, headers: p.headers(n.get("headers"), t), content: p.content(n)}
	if b := n.get("body"); b != nil {
		s.body = t.parse(b)
	}
	return s
}

func (p *parser) errorTemplates(inputs map[string]*inputDef) *templates {
	if inputs == nil {
		inputs = p.fileInputs()
	}
	return &templates{rep: p.report, scope: inError, where: "an error", inputs: inputs}
}

func (p *parser) errorMap(n *node, inputs map[string]*inputDef) map[core.Code]*errorDef {
	if n = p.mapping(n, "`errors`"); n == nil {
		return nil
	}
	out := map[core.Code]*errorDef{}
	codes := codeNames()
	for _, en := range n.entries {
		if !slices.Contains(codes, en.key) {
			p.add(en.pos, "%q is no kind of error; %s", clip(en.key), suggest(en.key, codes))
			continue
		}
		if d := p.errorDef(core.Code(en.key), en, inputs); d != nil {
			out[core.Code(en.key)] = d
		}
	}
	return out
}

// fileInputs are the inputs that the file declares for all routes, for errors
// of all routes. Where the route does not read one, it is null.
func (p *parser) fileInputs() map[string]*inputDef {
	out := map[string]*inputDef{}
	for name, n := range p.def.inputs {
		if findInput(name) == nil {
			in := &inputDef{name: name, pos: n.pos, typ: typeText, max: maxOther, index: anyRoute}
			p.settings(in, n)
			out[name] = in
		}
	}
	return out
}

func codeNames() []string {
	var out []string
	for _, c := range core.Codes() {
		out = append(out, string(c))
	}
	slices.Sort(out)
	return out
}

var errorKeys = []string{"status", "headers", "message", "content_type", "body"}

func (p *parser) errorDef(code core.Code, en entry, inputs map[string]*inputDef) *errorDef {
	if en.val.kind == scalarNode && en.val.value == nil {
		p.add(en.val.pos, "%s is nothing; write {} for the usual status and the body of `error`", en.key)
		return nil
	}
	n := p.mapping(en.val, en.key)
	if n == nil {
		return nil
	}
	p.keys(n, "an error", errorKeys)
	t := p.errorTemplates(inputs)
	d := &errorDef{pos: en.pos, code: code, headers: p.headers(n.get("headers"), t), content: p.content(n)}
	if d.content.mediaType == "" && p.def.shape != nil {
		d.content = p.def.shape.content
	}
	if m := n.get("message"); m != nil {
		if !m.isString() {
			p.add(m.pos, "`message` is %s; want text", m.what())
		} else {
			inner := *t
			d.message = inner.parse(m)
			if uses(d.message, "message") {
				p.add(m.pos, "`message` names $message, itself; write the text, or leave `message` out for our own")
			}
		}
	}
	if b := n.get("body"); b != nil {
		if d.noBody = b.kind == scalarNode && b.value == nil; !d.noBody {
			d.body = t.parse(b)
		}
	} else if p.def.shape == nil || p.def.shape.body == nil {
		p.add(en.pos, "%s has no body; give it one, write `body: null` for none, or set `error: {body: …}` for all", en.key)
	}
	d.status = p.errorStatus(code, n)
	p.location(d.status, d.headers, en.pos)
	return d
}

// errorStatus holds statuses to what the kinds mean: a store that fails is
// never told as a wrong token, and bad input is never a 5xx.
func (p *parser) errorStatus(code core.Code, n *node) int {
	v := n.get("status")
	if v == nil {
		return defaultStatus(code)
	}
	s, ok := v.value.(int64)
	server := code.Is(core.Unavailable) || code.Is(core.Internal)
	switch {
	case v.isString():
		p.add(v.pos, "`status: %q` is text; write the number without quotes", clip(v.text))
	case !ok || v.kind != scalarNode || s != 200 && !redirects(int(s)) && (s < 400 || s > 599):
		p.add(v.pos, "`status: %s` is no error status; want 400 to 599, here %d (or 200, where old clients read the error from the body alone, or 302 or 303 for a form's redirect)", clip(v.text), defaultStatus(code))
	case server && s < 500:
		p.add(v.pos, "%s is a failure of the server: its status is 500 to 599, such as %d, or clients would throw good tokens away", code, defaultStatus(code))
	case !server && s >= 500 && !(code == core.TooMany && s == 503):
		p.add(v.pos, "%s is about the request: its status is 400 to 499, such as %d", code, defaultStatus(code))
	default:
		return int(s)
	}
	return 500
}

// fixedStatus is the status HTTP itself gives a kind.
func fixedStatus(code core.Code) int {
	switch code {
	case core.MethodNotAllowed:
		return http.StatusMethodNotAllowed
	case core.MediaTypeUnsupported:
		return http.StatusUnsupportedMediaType
	case core.BodyTooLarge:
		return http.StatusRequestEntityTooLarge
	case core.UpstreamFailed:
		return http.StatusBadGateway
	case core.UpstreamTimeout:
		return http.StatusGatewayTimeout
	}
	return 0
}

// defaultStatus is what most APIs answer.
func defaultStatus(code core.Code) int {
	if s := fixedStatus(code); s != 0 {
		return s
	}
	for root := code; root != ""; root = root.Parent() {
		switch root {
		case core.BadRequest:
			return 400
		case core.Unauthorized:
			return 401
		case core.Forbidden:
			return 403
		case core.NotFound:
			return 404
		case core.Conflict:
			return 409
		case core.TooMany:
			return 429
		case core.Unavailable:
			return 503
		}
	}
	return 500
}

func (p *parser) roots(root *node) {
	at := pos{1, 1}
	for _, en := range root.entries {
		if en.key == "errors" {
			at = en.pos
		}
	}
	var missing []string
	for _, c := range core.Roots() {
		found := p.def.errors[c] != nil
		if n := root.get("errors"); n != nil && n.kind == mapNode {
			found = found || n.get(string(c)) != nil
		}
		if !found {
			missing = append(missing, string(c))
		}
	}
	if len(missing) > 0 {
		p.add(at, "`errors` has no words for %s; every contract needs them, all other kinds fall back on these; {} takes the usual status and the body of `error`", strings.Join(missing, ", "))
	}
}
