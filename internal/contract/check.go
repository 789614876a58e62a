package contract

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// checkFile looks at what no single section can see.
func (p *parser) checkFile(root *node) {
	for _, r := range p.def.routes {
		p.checkTokens(r)
	}
	p.checkShared()
	p.checkLifetimes()
	if len(p.list) == 0 {
		p.checkInputsUsed()
	}
}

// answersName says whether any answer of the route writes the value.
func (r *routeDef) answersName(value string) bool {
	for _, a := range r.answers {
		if uses(a.body, value) {
			return true
		}
		for _, h := range a.headers {
			if uses(h.value, value) {
				return true
			}
		}
		for _, c := range a.cookies {
			if c.value != nil && uses(c.value, value) {
				return true
			}
		}
	}
	return false
}

// checkTokens holds a route's answers to the tokens that the contract has.
func (p *parser) checkTokens(r *routeDef) {
	need := func(kind token.Kind, value string) {
		if p.def.tokens.specs[kind] == nil && r.answersName(value) {
			p.add(r.pos, "an answer names $%s, and `tokens` has no %s; add `tokens: {%s: {}}`, or leave it out", value, kind, kind)
		}
	}
	need(token.Refresh, "refresh_token")
	need(token.ID, "id_token")
	need(token.Application, "application_token")
	has := func(kind token.Kind) bool { return p.def.tokens.specs[kind] != nil }
	switch {
	case r.grant.name == "refresh" && !has(token.Refresh):
		p.add(r.pos, "`grant: refresh` without refresh tokens; add `tokens: {refresh: {}}`")
	case r.grant.name == "application_token" && !has(token.Application):
		p.add(r.pos, "`grant: application_token` without application tokens; add `tokens: {application: {}}`")
	case r.grant.name == "refresh" && p.def.tokens.rotates(p.def.routes) && !r.answersName("refresh_token"):
		p.add(r.pos, "refresh tokens rotate, and the answer of this refresh carries no $refresh_token: clients would be logged out; add it, or say `rotation: never`")
	case r.grant.scope == inGranted && !r.hands():
		p.add(r.pos, "no answer of this route hands out a token; add one such as $access_token")
	}
	for _, a := range r.answers {
		p.forgottenDollar(r, a)
	}
	for _, k := range r.kinds {
		if p.def.tokens.specs[k] == nil && !slices.Contains(r.grant.defaults["token"], k) {
			p.add(r.pos, "`kinds` lists %s, and `tokens` has no such token; leave it out", k)
		}
	}
}

// forgottenDollar finds an answer that writes the word access_token where the
// token should be.
func (p *parser) forgottenDollar(r *routeDef, a *answerDef) {
	if r.grant.scope != inGranted {
		return
	}
	for _, name := range []string{"access_token", "refresh_token", "id_token", "application_token"} {
		if !r.answersName(name) && writes(a.body, name) {
			p.add(a.pos, "this answer writes the word %s and no answer of the route the token; write $%s", name, name)
		}
	}
}

// writes says whether a template has a member that is this text.
func writes(t template, word string) bool {
	switch t := t.(type) {
	case *constant:
		return t.isText && t.text == word
	case *object:
		return slices.ContainsFunc(t.members, func(m objectMember) bool { return writes(m.val, word) })
	case *array:
		return slices.ContainsFunc(t.items, func(i template) bool { return writes(i, word) })
	}
	return false
}

func (r *routeDef) hands() bool {
	for _, v := range []string{"access_token", "refresh_token", "id_token", "application_token"} {
		if r.answersName(v) {
			return true
		}
	}
	return false
}

// samePattern says whether two patterns match exactly the same paths.
func samePattern(a, b []segment) bool {
	return slices.EqualFunc(a, b, func(x, y segment) bool { return x.param == y.param && (x.param || x.text == y.text) })
}

// checkShared looks at routes with the same method and path: an input must
// choose between them.
func (p *parser) checkShared() {
	for i, r := range p.def.routes {
		if r.path == "" {
			continue
		}
		for _, later := range p.def.routes[i+1:] {
			if !samePattern(r.segments, later.segments) || later.path == "" {
				continue
			}
			if r.path != later.path {
				p.add(later.pos, "%s and %s (line %d) name the parameters of one path differently; use the same names", later.path, r.path, r.pos.Line)
				continue
			}
			for _, m := range r.methods {
				if slices.Contains(later.methods, m) && r.when == nil {
					p.add(later.pos, "%s %s is a route already (line %d) and that one has no `when`; give it one such as `when: {grant_type: password}`", m, r.path, r.pos.Line)
					break
				}
			}
		}
	}
}

// checkInputsUsed names inputs that the contract declares and no route reads.
func (p *parser) checkInputsUsed() {
	names := make([]string, 0, len(p.def.inputs))
	for name := range p.def.inputs {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		used := slices.ContainsFunc(p.def.routes, func(r *routeDef) bool { return r.byName[name] != nil })
		if !used {
			p.add(p.def.inputPos[name], "the input %s is declared here but no route reads it; name it in an `accept` as $%s, or leave it out", name, name)
		}
	}
}

// completeErrors gives every code its words: those of the nearest ancestor.
func completeErrors(own map[core.Code]*errorDef) map[core.Code]*errorDef {
	out := map[core.Code]*errorDef{}
	for _, c := range core.Codes() {
		for k := c; k != ""; k = k.Parent() {
			if d := own[k]; d != nil {
				out[c] = d
				break
			}
		}
	}
	return out
}

// pattern joins segments again.
func pattern(segs []segment) string {
	var b strings.Builder
	for _, s := range segs {
		b.WriteByte('/')
		if s.param {
			b.WriteString("{" + s.text + "}")
		} else {
			b.WriteString(s.text)
		}
	}
	return b.String()
}
