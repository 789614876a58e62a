package contract

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/core"
)

var inputKeys = []string{"type", "optional", "default", "enum", "max", "earliest", "latest", "earlier", "later", "missing"}

var inputName = func(s string) bool {
	name, rest := scanName(s, false)
	return name != "" && rest == "" && !strings.Contains(s, ".") && len(s) <= 64
}

// inputNodes reads a section `inputs` as far as the names: each route that
// uses an input reads its settings for itself.
func (p *parser) inputNodes(n *node) (map[string]*node, map[string]pos) {
	nodes, at := map[string]*node{}, map[string]pos{}
	if n = p.mapping(n, "`inputs`"); n == nil {
		return nodes, at
	}
	for _, en := range n.entries {
		switch {
		case !inputName(en.key):
			p.add(en.pos, "%q is no name for an input; use lower-case letters, digits and underscores", clip(en.key))
			continue
		case findInput(en.key) == nil && isValueName(en.key):
			// It is read all the same, so that its uses are no mistakes, too.
			p.add(en.pos, "%s is the name of a value; name the input otherwise, such as %s_given", en.key, en.key)
		}
		if m := p.mapping(en.val, en.key); m != nil {
			p.keys(m, "an input", inputKeys)
			nodes[en.key], at[en.key] = m, en.pos
		}
	}
	return nodes, at
}

func isValueName(s string) bool {
	k, _ := findValue(s)
	return k != nil
}

// input makes the input of a route from what is known of the name, the
// contract's settings and the route's.
func (p *parser) input(name string, at pos, r *routeDef, own map[string]*node) *inputDef {
	if in := r.byName[name]; in != nil {
		return in
	}
	in := &inputDef{name: name, pos: at, typ: typeText, max: maxOther}
	k := findInput(name)
	if k != nil {
		in.typ, in.secret, in.token, in.max = k.typ, k.secret, k.token, k.max
	}
	n, declared := own[name]
	if !declared {
		n, declared = p.def.inputs[name]
	}
	switch {
	case declared:
		p.settings(in, n)
	case k == nil:
		p.add(at, "$%s is no input; %s, or declare one of your own under `inputs: {%s: {}}`", name, suggest("$"+name, p.knownInputNames(own)), name)
	}
	if in.secret && in.def != nil {
		p.add(n.pos, "a default for the secret $%s would be a password that everybody knows; leave it out", name)
	}
	in.index = len(r.inputs)
	r.inputs = append(r.inputs, in)
	r.byName[name] = in
	return in
}

func (p *parser) knownInputNames(own map[string]*node) []string {
	var out []string
	for _, k := range knownInputs {
		out = append(out, "$"+k.name)
	}
	for name := range p.def.inputs {
		out = append(out, "$"+name)
	}
	for name := range own {
		out = append(out, "$"+name)
	}
	return out
}

func (p *parser) settings(in *inputDef, n *node) {
	before := in.typ
	in.typ = inputType(p.choiceOf(n, "type", string(in.typ), inputTypes))
	if k := findInput(in.name); k != nil && in.typ != before && (k.typ != typeText || in.typ != typeUUID && in.typ != typeText) {
		p.add(n.get("type").pos, "`type: %s` does not fit $%s; leave it out", in.typ, in.name)
		in.typ = before
	}
	in.optional = p.boolean(n, "optional", false)
	in.enum = p.strings(n.get("enum"), "`enum`")
	if m := n.get("max"); m != nil {
		v, ok := m.value.(int64)
		if !ok || v < 1 || v > maxToken {
			p.add(m.pos, "`max: %s` is no length; want 1 to %d characters", clip(m.text), maxToken)
		} else {
			in.max = int(v)
		}
	}
	if c := n.get("missing"); c != nil {
		in.missing = core.Code(c.text)
		if in.missing != core.TokenMissing && in.missing != core.FieldMissing {
			p.add(c.pos, "`missing: %s` is not known; want token_missing or field_missing", clip(c.text))
		}
	}
	p.dates(in, n)
	p.defaultOf(in, n)
}

func (p *parser) dates(in *inputDef, n *node) {
	for _, key := range []string{"earliest", "latest", "earlier", "later"} {
		if v := n.get(key); v != nil && in.typ != typeDate {
			p.add(v.pos, "`%s` is for dates; set `type: date`, or leave it out", key)
			return
		}
	}
	in.earliest, in.latest = p.date(n, "earliest"), p.date(n, "latest")
	if in.earliest != "" && in.latest != "" && in.earliest > in.latest {
		p.add(n.get("earliest").pos, "`earliest: %s` is after `latest: %s`; exchange them", in.earliest, in.latest)
	}
	in.clampLow = p.choiceOf(n, "earlier", "refuse", []string{"refuse", "clamp"}) == "clamp"
	in.clampTop = p.choiceOf(n, "later", "refuse", []string{"refuse", "clamp"}) == "clamp"
}

func (p *parser) date(n *node, key string) string {
	v := n.get(key)
	if v == nil {
		return ""
	}
	if _, err := time.Parse(time.DateOnly, v.text); err != nil || v.kind != scalarNode {
		p.add(v.pos, "`%s: %s` is no date; write it as 2006-01-02", key, clip(v.text))
		return ""
	}
	return v.text
}

func (p *parser) defaultOf(in *inputDef, n *node) {
	v := n.get("default")
	if v == nil {
		return
	}
	if v.kind != scalarNode || v.value == nil {
		p.add(v.pos, "`default` is %s; want a plain value", v.what())
		return
	}
	text := v.text
	in.def, in.optional = &text, true
	if _, pr := in.read(&captured{kind: gotText, wire: true, s: text}); pr != nil {
		p.add(v.pos, "`default: %s` is not what the input itself must be: %s", clip(text), strings.ReplaceAll(problemMessage(pr.kind), "$expected", pr.expected))
		in.def = nil
	}
}

func problemMessage(kind string) string {
	for _, pr := range problems {
		if pr.kind == kind {
			return pr.message
		}
	}
	return kind
}

var acceptKeys = []string{"json", "form", "query", "path", "header", "cookie", "basic", "bearer", "authorization", "unknown_fields", "multipart", "json_types"}

// accept reads where the inputs of a route come from. The order of the file
// is the order of preference where an input has several places.
func (p *parser) accept(n *node, r *routeDef, own map[string]*node) {
	if n = p.mapping(n, "`accept`"); n == nil {
		return
	}
	p.keys(n, "`accept`", acceptKeys)
	r.refuse = p.choiceOf(n, "unknown_fields", "ignore", []string{"ignore", "refuse"}) == "refuse"
	if r.multipart = p.boolean(n, "multipart", false); r.multipart && n.get("form") == nil {
		p.add(n.get("multipart").pos, "`multipart` lets a form come as multipart/form-data, and there is no `form`; add it, or leave `multipart` out")
	}
	if v := n.get("json_types"); v != nil {
		r.jsonTypes = p.jsonTypes(v, n.get("json") != nil)
	}
	for _, en := range n.entries {
		switch en.key {
		case "json":
			if m := p.mapping(en.val, "`json`"); m != nil {
				p.jsonPlaces(m, nil, r, own)
			}
		case "form", "query", "path", "header", "cookie":
			p.namedPlaces(placeKind(en.key), en.val, r, own)
		case "basic":
			p.basicPlaces(en.val, r, own)
		case "bearer":
			p.place(place{kind: fromScheme, name: "Bearer", pos: en.pos}, en.val, r, own)
		case "authorization":
			if m := p.mapping(en.val, "`authorization`"); m != nil {
				for _, s := range m.entries {
					p.place(place{kind: fromScheme, name: p.scheme(s.key, s.pos), pos: s.pos}, s.val, r, own)
				}
			}
		}
	}
}

// jsonTypes reads further media types under which clients send JSON.
func (p *parser) jsonTypes(n *node, hasJSON bool) []string {
	if !hasJSON {
		p.add(n.pos, "`json_types` names further media types of JSON, and there is no `json`; add it, or leave `json_types` out")
	}
	var out []string
	for _, t := range p.strings(n, "`json_types`") {
		t = strings.ToLower(t)
		main, sub, ok := strings.Cut(t, "/")
		if t != "*/*" && (!ok || !isToken(main) || !isToken(sub) || t == "application/x-www-form-urlencoded" || t == "multipart/form-data") {
			p.add(n.pos, "%q is no media type for JSON; want one such as text/plain, or */* for any", clip(t))
			continue
		}
		out = append(out, t)
	}
	return out
}

func (p *parser) scheme(s string, at pos) string {
	if s == "none" {
		return ""
	}
	if !isToken(s) || strings.EqualFold(s, "basic") {
		p.add(at, "%q is no scheme for a token; want one such as Bearer or Token, or none for a bare token", clip(s))
	}
	return s
}

func (p *parser) jsonPlaces(n *node, path []string, r *routeDef, own map[string]*node) {
	for _, en := range n.entries {
		at := append(slices.Clone(path), en.key)
		if en.val.kind == mapNode && len(at) < 8 {
			p.jsonPlaces(en.val, at, r, own)
			continue
		}
		p.place(place{kind: fromJSON, name: en.key, path: at, pos: en.pos}, en.val, r, own)
	}
}

func (p *parser) namedPlaces(kind placeKind, n *node, r *routeDef, own map[string]*node) {
	if n = p.mapping(n, "`"+string(kind)+"`"); n == nil {
		return
	}
	for _, en := range n.entries {
		name := en.key
		switch kind {
		case fromHeader:
			if !isToken(name) {
				p.add(en.pos, "%q is no header name; use letters, digits and dashes", clip(name))
			}
			if strings.EqualFold(name, "authorization") || strings.EqualFold(name, "cookie") {
				p.add(en.pos, "%s has a section of its own; use %s", name, map[bool]string{true: "`cookie: {NAME: $…}`", false: "`bearer: $…`, `basic: {…}` or `authorization: {SCHEME: $…}`"}[strings.EqualFold(name, "cookie")])
			}
		case fromPath:
			if !slices.ContainsFunc(r.segments, func(s segment) bool { return s.param && s.text == name }) {
				p.add(en.pos, "the route has no {%s} in its path; write it there, or leave it out here", clip(name))
			}
		case fromCookie:
			if !isToken(name) {
				p.add(en.pos, "%q is no cookie name; use letters, digits, dashes and underscores", clip(name))
			}
		}
		p.place(place{kind: kind, name: name, pos: en.pos}, en.val, r, own)
	}
}

func (p *parser) basicPlaces(n *node, r *routeDef, own map[string]*node) {
	if n = p.mapping(n, "`basic`"); n == nil {
		return
	}
	p.keys(n, "`basic`", []string{"username", "password"})
	for _, en := range n.entries {
		p.place(place{kind: fromBasic, name: en.key, pos: en.pos}, en.val, r, own)
	}
}

// place adds one spot: `$name` for an input, or a constant that must be there.
func (p *parser) place(pl place, n *node, r *routeDef, own map[string]*node) {
	if n.kind != scalarNode || n.value == nil {
		p.add(n.pos, "%s is %s; want an input such as $username, or the constant it must equal", pl.name, n.what())
		return
	}
	s, isText := n.value.(string)
	if before, name, ok := strings.Cut(s, "$"); ok && before != "" && name != "" && (pl.kind == fromHeader || pl.kind == fromCookie) && isText {
		pl.prefix, s = before, "$"+name
	}
	switch {
	case isText && strings.HasPrefix(s, "$$"):
		n.text = s[1:]
	case isText && strings.HasPrefix(s, "$"):
		name, rest := scanName(s[1:], false)
		if name == "" || rest != "" {
			p.add(n.pos, "%q is no input; write one such as $username", clip(s))
			return
		}
		in := p.input(name, n.pos, r, own)
		if len(in.loc) == 0 {
			in.loc = pl.loc()
		}
		pl.in = in
		p.secretPlace(&pl, in, r, n.pos)
		p.repeatedPlace(&pl, r)
		r.places = append(r.places, pl)
		return
	}
	if isText && strings.Contains(strings.ReplaceAll(s, "$$", ""), "$") {
		p.add(n.pos, "%q is neither an input nor a constant; write $name alone (in headers and cookies a fixed beginning may stand before it, as in `Bearer $access_token`), or $$ for a dollar sign", clip(s))
		return
	}
	in := &inputDef{name: "", pos: n.pos, typ: typeText, max: maxOther, enum: []string{n.text}, loc: pl.loc(), index: len(r.inputs)}
	switch v := n.value.(type) {
	case bool:
		in.typ, in.enum = typeBoolean, []string{strconv.FormatBool(v)}
	case int64:
		in.typ, in.enum = typeInteger, []string{strconv.FormatInt(v, 10)}
	}
	pl.in = in
	r.inputs = append(r.inputs, in)
	p.repeatedPlace(&pl, r)
	r.places = append(r.places, pl)
}

func (p *parser) repeatedPlace(pl *place, r *routeDef) {
	for i := range r.places {
		o := &r.places[i]
		if o.kind == pl.kind && slices.Equal(o.loc(), pl.loc()) && o.name == pl.name {
			p.add(pl.pos, "%s is read twice; give each place one input", strings.Join(pl.loc(), "."))
		}
	}
}

// secretPlace refuses secrets in URLs: logs, histories and Referer headers
// keep URLs.
func (p *parser) secretPlace(pl *place, in *inputDef, r *routeDef, at pos) {
	if !in.secret {
		return
	}
	if (pl.kind == fromQuery || pl.kind == fromPath) && !r.secretURL {
		p.add(at, "$%s in the %s: URLs end up in logs and histories; move it to the body or a header, or say `secret_in_url: true` at the route if the clients leave no choice", in.name, pl.kind)
	}
}
