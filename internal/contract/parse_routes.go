package contract

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

var routeKeys = []string{"route", "grant", "summary", "accept", "inputs", "when", "headers", "answer", "errors", "kinds", "sessions", "max_age", "lenient", "secret_in_url", "tokens"}

var routeMethods = []string{"GET", "POST", "PUT", "PATCH", "DELETE"}

func (p *parser) routes(root *node) {
	n := root.get("routes")
	if n == nil || n.kind != listNode || len(n.items) == 0 {
		at := pos{1, 1}
		if n != nil {
			at = n.pos
		}
		p.add(at, "`routes` is missing; list at least one, beginning with `- route: POST /login`")
		return
	}
	if len(n.items) > 200 {
		p.add(n.pos, "%d routes; a contract has at most 200", len(n.items))
		return
	}
	for _, it := range n.items {
		if m := p.mapping(it, "a route"); m != nil {
			for _, one := range perPath(m) {
				if r := p.route(one); r != nil {
					p.def.routes = append(p.def.routes, r)
				}
			}
		}
	}
}

// perPath makes one entry each of a route that lists several method-and-path
// lines; mistakes in it are the same each time and reported once.
func perPath(m *node) []*node {
	lines := m.get("route")
	if lines == nil || lines.kind != listNode || len(lines.items) == 0 {
		return []*node{m}
	}
	var out []*node
	for _, line := range lines.items {
		one := *m
		one.entries = slices.Clone(m.entries)
		for i := range one.entries {
			if one.entries[i].key == "route" {
				one.entries[i].val = line
			}
		}
		out = append(out, &one)
	}
	return out
}

func (p *parser) route(n *node) *routeDef {
	p.keys(n, "a route", routeKeys)
	r := &routeDef{pos: n.pos, byName: map[string]*inputDef{}}
	p.routeLine(n, r)
	p.grantOf(n, r)
	r.summary = p.str(n, "summary", "")
	r.secretURL = p.boolean(n, "secret_in_url", false)
	r.lenient = p.boolean(n, "lenient", false)
	own, ownAt := p.inputNodes(n.get("inputs"))
	p.accept(n.get("accept"), r, own)
	for name, at := range ownAt {
		if r.byName[name] == nil {
			p.add(at, "the input %s is declared here but comes from nowhere; name it in `accept` as $%s", name, name)
		}
	}
	if r.grant == nil {
		return nil
	}
	p.kindsOf(n, r)
	p.maxAgeOf(n, r)
	p.checkInputs(r)
	p.checkPath(r)
	in := &templates{rep: p.report, scope: 0, where: "a condition of a route", inputs: r.byName}
	if w := n.get("when"); w != nil {
		r.when = in.condition(w)
	}
	always := &templates{rep: p.report, scope: 0, where: "a header of a route", inputs: r.byName}
	r.headers = p.headers(n.get("headers"), always)
	p.answers(n, r)
	r.variant = p.variant(n.get("tokens"), r)
	r.errors = p.errorMap(n.get("errors"), r.byName)
	return r
}

func (p *parser) routeLine(n *node, r *routeDef) {
	v := n.get("route")
	if v == nil || v.kind != scalarNode {
		p.add(n.pos, "a route without `route`; want method and path, such as `route: POST /login`")
		return
	}
	methods, path, ok := strings.Cut(v.text, " ")
	if !ok || path == "" {
		p.add(v.pos, "`route: %s` is not method and path; want them as in POST /login or POST,GET /refresh", clip(v.text))
		return
	}
	for _, m := range strings.Split(methods, ",") {
		if !slices.Contains(routeMethods, m) {
			p.add(v.pos, "%q is no method for a route; %s", clip(m), suggest(m, routeMethods))
			continue
		}
		if slices.Contains(r.methods, m) {
			p.add(v.pos, "%s stands twice; keep one", m)
			continue
		}
		r.methods = append(r.methods, m)
	}
	r.path = path
	segs, problem := splitPattern(path)
	if problem != "" {
		p.add(v.pos, "the path %s %s", clip(path), problem)
		r.path = ""
	}
	r.segments = segs
}

// splitPattern cuts a path into segments and says what is wrong with it.
func splitPattern(path string) ([]segment, string) {
	if path[0] != '/' {
		return nil, "must begin with a slash"
	}
	if len(path) > 512 {
		return nil, "is longer than 512 characters"
	}
	if strings.Contains(path, "//") {
		return nil, "has a doubled slash; write one (doubled slashes of clients are understood anyway)"
	}
	var out []segment
	seen := map[string]bool{}
	for _, s := range strings.Split(path[1:], "/") {
		name, isParam := strings.CutPrefix(s, "{")
		if isParam {
			name, isParam = strings.CutSuffix(name, "}")
			if !isParam || !inputName(strings.ToLower(name)) {
				return nil, "has a parameter that is not a whole segment; write it as /{name}/"
			}
			if seen[name] {
				return nil, "has the parameter {" + name + "} twice"
			}
			seen[name] = true
			out = append(out, segment{name, true})
			continue
		}
		if s != "" && strings.IndexByte(":<*", s[0]) >= 0 {
			return nil, "has " + s + ", which is no parameter here; write it as {name}"
		}
		if s == "." || s == ".." || strings.ContainsAny(s, "{}%?#;\\ ") || !isPrintable(s) {
			return nil, "has characters that no route needs; use letters, digits and -._~!$&'()*+,=:@"
		}
		out = append(out, segment{s, false})
	}
	return out, ""
}

func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

func (p *parser) grantOf(n *node, r *routeDef) {
	v := n.get("grant")
	if v == nil {
		p.add(n.pos, "a route without `grant`; want one of %s", strings.Join(grantNames(), ", "))
		return
	}
	if r.grant = findGrant(v.text); r.grant == nil || v.kind != scalarNode {
		p.add(v.pos, "`grant: %s` is not known; %s", clip(v.text), suggest(v.text, grantNames()))
		r.grant = nil
	}
	r.logout = core.LogoutThis
	if s := n.get("sessions"); s != nil {
		r.logout = core.LogoutScope(p.choiceOf(n, "sessions", "this", []string{"this", "others", "all"}))
		if r.grant != nil && r.grant.name != "logout" {
			p.add(s.pos, "`sessions` is for `grant: logout`; leave it out")
		}
	}
	if l := n.get("lenient"); l != nil && r.grant != nil && r.grant.name != "logout" {
		p.add(l.pos, "`lenient` is for `grant: logout`; a route that gives something away is never lenient")
	}
}

// kindsOf reads which kinds of token the route takes.
func (p *parser) kindsOf(n *node, r *routeDef) {
	for _, name := range r.grant.oneOf {
		if r.byName[name] != nil {
			r.kinds = r.grant.defaults[name]
		}
	}
	v := n.get("kinds")
	if v == nil {
		return
	}
	if !r.grant.kinds {
		p.add(v.pos, "`kinds` is for verify, whoami, logout and application_token; leave it out")
		return
	}
	r.kinds = nil
	allowed := []string{"access", "refresh", "id", "application"}
	switch r.grant.name {
	case "application_token", "logout":
		allowed = []string{"access", "refresh"}
	case "whoami":
		allowed = []string{"access", "application"}
	}
	for _, k := range p.strings(v, "`kinds`") {
		if !slices.Contains(allowed, k) {
			p.add(v.pos, "%q is no kind of token for `grant: %s`; %s", clip(k), r.grant.name, suggest(k, allowed))
			continue
		}
		r.kinds = append(r.kinds, token.Kind(k))
	}
	if len(r.kinds) == 0 {
		p.add(v.pos, "`kinds` lists none; want one of %s", strings.Join(allowed, ", "))
	}
}

// maxAgeOf reads how fresh a login must be for minting.
func (p *parser) maxAgeOf(n *node, r *routeDef) {
	v := n.get("max_age")
	switch {
	case v == nil:
	case r.grant.name != "application_token":
		p.add(v.pos, "`max_age` is for `grant: application_token`; leave it out")
	case v.kind == scalarNode && v.text == "none":
		r.maxAge = core.AnyAge
	default:
		r.maxAge = p.duration(n, "max_age", core.DefaultMintAgeMS, 10*second, day)
	}
}

// freshness is how old a login may be for a route that mints, in milliseconds;
// 0 where nothing is asked.
func (r *routeDef) freshness() int64 {
	switch {
	case r.grant.name != "application_token", r.maxAge == core.AnyAge:
		return 0
	case r.maxAge == 0:
		return core.DefaultMintAgeMS
	}
	return r.maxAge
}

// checkInputs sees that the grant gets what it needs.
func (p *parser) checkInputs(r *routeDef) {
	g := r.grant
	for _, name := range g.needs {
		if in := r.byName[name]; in == nil {
			p.add(r.pos, "`grant: %s` needs $%s, and `accept` does not name it; %s", g.name, name, r.howToRead(name))
		} else if in.optional {
			p.add(in.pos, "$%s cannot be optional: `grant: %s` needs it", name, g.name)
		}
	}
	if len(g.oneOf) > 0 {
		var have []string
		for _, name := range g.oneOf {
			if in := r.byName[name]; in != nil {
				have = append(have, name)
				if in.optional {
					p.add(in.pos, "$%s cannot be optional: `grant: %s` needs it", name, g.name)
				}
			}
		}
		if len(have) != 1 {
			p.add(r.pos, "`grant: %s` needs exactly one of $%s; `accept` names %d of them", g.name, strings.Join(g.oneOf, ", $"), len(have))
		}
	}
	for _, in := range r.inputs {
		if k := findInput(in.name); k != nil && !slices.Contains(g.needs, in.name) && !slices.Contains(g.oneOf, in.name) && !slices.Contains(g.may, in.name) {
			p.add(in.pos, "`grant: %s` has no use for $%s; leave it out, or read it as an input of your own", g.name, in.name)
		}
	}
}

// howToRead says how an input gets into `accept`, and finds the one whose
// dollar sign was forgotten.
func (r *routeDef) howToRead(name string) string {
	for i := range r.places {
		if pl := &r.places[i]; pl.in.name == "" && len(pl.in.enum) == 1 && pl.in.enum[0] == name {
			return "`" + pl.name + ": " + name + "` is a constant; write `" + pl.name + ": $" + name + "`"
		}
	}
	return "add it, such as `accept: {json: {" + name + ": $" + name + "}}`"
}

// checkPath sees that each parameter of the path is read.
func (p *parser) checkPath(r *routeDef) {
	for _, s := range r.segments {
		if s.param && !slices.ContainsFunc(r.places, func(pl place) bool { return pl.kind == fromPath && pl.name == s.text }) {
			p.add(r.pos, "the parameter {%s} of the path goes nowhere; name it in `accept: {path: {%s: $…}}`", s.text, s.text)
		}
	}
}

var answerKeys = []string{"when", "status", "headers", "cookies", "content_type", "body"}

func (p *parser) answers(n *node, r *routeDef) {
	v := n.get("answer")
	if v == nil {
		p.add(r.pos, "a route without `answer`; want `answer: {body: {…}}`, or `answer: {status: 204}`")
		return
	}
	items := []*node{v}
	if v.kind == listNode {
		items = v.items
		if len(items) == 0 {
			p.add(v.pos, "`answer` is an empty list; write at least one answer")
		}
	}
	for i, it := range items {
		a := p.answer(it, r)
		if a == nil {
			continue
		}
		if last := i == len(items)-1; a.when == nil && !last {
			p.add(it.pos, "this answer has no `when`, so those after it are never given; put it last")
		} else if last && a.when != nil {
			p.add(it.pos, "the last answer has a `when`, so there may be none; leave it out there")
		}
		r.answers = append(r.answers, a)
	}
}

// answerKeysOf refuses unknown keys; whoever forgot `body` is told so.
func (p *parser) answerKeysOf(n *node) {
	if n.get("body") == nil {
		for _, en := range n.entries {
			if !slices.Contains(answerKeys, en.key) {
				p.add(en.pos, "%q is no key of an answer; what the client reads stands under `body`: `answer: {body: {%s: …}}`", clip(en.key), clip(en.key))
				return
			}
		}
	}
	p.keys(n, "an answer", answerKeys)
}

func (p *parser) answer(n *node, r *routeDef) *answerDef {
	if n = p.mapping(n, "`answer`"); n == nil {
		return nil
	}
	p.answerKeysOf(n)
	t := &templates{rep: p.report, scope: r.grant.scope, where: "an answer of `grant: " + r.grant.name + "`", inputs: r.byName}
	a := &answerDef{pos: n.pos, status: http.StatusOK}
	if w := n.get("when"); w != nil {
		a.when = t.condition(w)
	}
	a.headers = p.headers(n.get("headers"), t)
	a.cookies = p.cookies(n.get("cookies"), t)
	a.content = p.content(n)
	b := n.get("body")
	if b != nil && (b.kind != scalarNode || b.value != nil) {
		a.body = t.parse(b)
	} else {
		a.status = http.StatusNoContent
	}
	if s := n.get("status"); s != nil {
		v, ok := s.value.(int64)
		if !ok || (v < 200 || v > 299) && !redirects(int(v)) {
			p.add(s.pos, "`status: %s` is no success; want 200 to 299, or 302 or 303 for a form's redirect", clip(s.text))
			return a
		}
		a.status = int(v)
	}
	p.location(a.status, a.headers, n.pos)
	if a.body != nil && (a.status == http.StatusNoContent || a.status == http.StatusResetContent) {
		p.add(n.pos, "status %d has no body; leave `body` out, or answer 200", a.status)
	}
	return a
}

// redirects says whether a status sends a browser elsewhere after a form.
func redirects(status int) bool {
	return status == http.StatusFound || status == http.StatusSeeOther
}

// location demands a redirect's target, and that no input chooses it: an open
// redirect sends people who trust this host wherever a stranger likes.
func (p *parser) location(status int, headers []headerDef, at pos) {
	i := slices.IndexFunc(headers, func(h headerDef) bool { return h.name == "Location" })
	if !redirects(status) {
		return
	}
	if i < 0 {
		p.add(at, "a redirect without a target; add `headers: {Location: /}`")
		return
	}
	if _, fixed := headers[i].value.(*constant); !fixed {
		p.add(at, "the target of a redirect must be fixed in the file; write a constant such as `headers: {Location: /}`")
	}
}

var cookieKeys = []string{"value", "path", "domain", "http_only", "secure", "same_site", "max_age", "delete", "when"}

func (p *parser) cookies(n *node, t *templates) []cookieDef {
	if n = p.mapping(n, "`cookies`"); n == nil {
		return nil
	}
	var out []cookieDef
	for _, en := range n.entries {
		if !isToken(en.key) {
			p.add(en.pos, "%q is no cookie name; use letters, digits, dashes and underscores", clip(en.key))
		}
		if m := p.mapping(en.val, "a cookie"); m != nil {
			out = append(out, p.cookie(en.key, m, t))
		}
	}
	return out
}

func (p *parser) cookie(name string, n *node, t *templates) cookieDef {
	p.keys(n, "a cookie", cookieKeys)
	c := cookieDef{
		name: name, path: p.str(n, "path", "/"), domain: p.str(n, "domain", ""),
		httpOnly: p.boolean(n, "http_only", true),
		secure:   p.choiceOf(n, "secure", "auto", []string{"auto", "always", "never", "true", "false"}),
		sameSite: p.choiceOf(n, "same_site", "lax", []string{"strict", "lax", "none"}),
		remove:   p.boolean(n, "delete", false),
	}
	switch c.secure {
	case "true":
		c.secure = "always"
	case "false":
		c.secure = "never"
	}
	if c.sameSite == "none" && c.secure == "never" {
		p.add(n.pos, "`same_site: none` without secure: browsers drop such a cookie; say `secure: auto` or `always`")
	}
	if w := n.get("when"); w != nil {
		c.when = t.condition(w)
	}
	v := n.get("value")
	switch {
	case c.remove && v != nil:
		p.add(v.pos, "a cookie that is deleted has no value; leave one of the two out")
	case !c.remove && (v == nil || v.kind != scalarNode):
		p.add(n.pos, "the cookie %s has no value; add one such as `value: $refresh_token`, or `delete: true`", name)
		c.remove = true
	case !c.remove:
		c.value = t.parse(v)
	}
	p.maxAge(&c, n, t)
	return c
}

// maxAge reads a fixed length of time, or a value such as $refresh_expires_in.
func (p *parser) maxAge(c *cookieDef, n *node, t *templates) {
	v := n.get("max_age")
	switch {
	case v == nil:
	case v.isString() && strings.HasPrefix(v.text, "$"):
		x := t.expression(v.text, v.pos)
		if x != nil && x.out != tDuration {
			p.add(v.pos, "`max_age: %s` is %s; want a duration such as $refresh_expires_in or 7d", clip(v.text), typeNames[x.out])
		}
		if x != nil {
			c.maxAge = x
		}
	default:
		c.maxAgeS = int(p.duration(n, "max_age", 0, 0, 10*year) / 1000)
	}
}
