package contract

import "strings"

// gateway reads where the gateway finds the token and its words.
func (p *parser) gateway(n *node) gatewayDef {
	g := gatewayDef{places: []place{{kind: fromScheme, name: "Bearer"}}, challenge: true}
	if n = p.mapping(n, "`gateway`"); n == nil {
		return g
	}
	p.keys(n, "`gateway`", []string{"token", "errors", "challenge", "secret_in_url"})
	g.errors = p.errorMap(n.get("errors"), nil)
	g.challenge = p.boolean(n, "challenge", true)
	inURL := p.boolean(n, "secret_in_url", false)
	v := n.get("token")
	if v == nil {
		return g
	}
	items := []*node{v}
	if v.kind == listNode {
		items = v.items
	}
	g.places = nil
	for _, it := range items {
		if pl, ok := p.gatewayPlace(it, inURL); ok {
			g.places = append(g.places, pl)
		}
	}
	if len(g.places) == 0 {
		p.add(v.pos, "`token` names no place; want `bearer`, or one of {authorization: SCHEME}, {header: NAME}, {cookie: NAME}")
	}
	return g
}

func (p *parser) gatewayPlace(n *node, inURL bool) (place, bool) {
	if n.kind == scalarNode && n.text == "bearer" {
		return place{kind: fromScheme, name: "Bearer", pos: n.pos}, true
	}
	prefix := ""
	if n.kind == mapNode && len(n.entries) == 2 && n.entries[1].key == "prefix" {
		prefix = p.str(n, "prefix", "")
		if k := n.entries[0].key; k != "header" && k != "cookie" {
			p.add(n.entries[1].pos, "`prefix` goes with {header: NAME} or {cookie: NAME}; leave it out")
		}
		n = &node{kind: mapNode, pos: n.pos, entries: n.entries[:1]}
	}
	if n.kind != mapNode || len(n.entries) != 1 || n.entries[0].val.kind != scalarNode || n.entries[0].val.value == nil {
		p.add(n.pos, "the gateway's token is %s; want `bearer`, or one of {authorization: SCHEME}, {header: NAME}, {cookie: NAME}, {basic: password}", n.what())
		return place{}, false
	}
	en := n.entries[0]
	name := en.val.text
	switch placeKind(en.key) {
	case fromScheme:
		return place{kind: fromScheme, name: p.scheme(name, en.val.pos), pos: n.pos}, true
	case fromHeader, fromCookie:
		if !isToken(name) || strings.EqualFold(name, "authorization") || strings.EqualFold(name, "cookie") {
			p.add(en.val.pos, "%q is no name for it; use letters, digits and dashes (for Authorization, write {authorization: SCHEME})", clip(name))
		}
		return place{kind: placeKind(en.key), name: name, prefix: prefix, pos: n.pos}, true
	case fromBasic:
		return place{kind: fromBasic, name: p.choiceOf(n, "basic", "password", []string{"username", "password"}), pos: n.pos}, true
	case fromQuery:
		if !inURL {
			p.add(en.pos, "a token in the query: URLs end up in logs and histories; use a header, or say `secret_in_url: true` here if the clients leave no choice")
		}
		if strings.EqualFold(name, "access_token") {
			p.add(en.val.pos, "the gateway refuses a token in ?access_token= whatever a contract says (RFC 6750 section 2.3); use a header, as most clients can")
		}
		return place{kind: fromQuery, name: name, pos: n.pos}, true
	}
	p.add(en.pos, "%q is no place for the gateway's token; %s", clip(en.key), suggest(en.key, []string{"authorization", "header", "cookie", "query", "basic"}))
	return place{}, false
}
