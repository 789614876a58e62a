package contract

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// variantDef is the section `tokens` of a route: what its tokens have other
// than the contract's.
type variantDef struct {
	node     *node
	name     string
	tokens   map[token.Kind]*variantToken
	rotation *core.Rotation // nil: the contract's
}

// variantToken is one kind of token of a route.
type variantToken struct {
	lifetime int64 // 0: the contract's
	claims   *object
	replaces bool // claims are these, even if there are none
	subject  bool // claims writes sub itself
	own      core.OwnClaims
}

var (
	variantKeys        = []string{"name", "access", "id", "refresh", "session"}
	variantTokenKeys   = []string{"lifetime", "claims"}
	variantRefreshKeys = []string{"lifetime", "rotation"}
)

// variant reads the `tokens` of a route. Routes that open sessions may set all
// of it, those that prolong one only the tokens of their answer: how long a
// session lasts was said when it was opened.
func (p *parser) variant(n *node, r *routeDef) *variantDef {
	if n = p.mapping(n, "`tokens`"); n == nil {
		return nil
	}
	p.keys(n, "`tokens` of a route", variantKeys)
	opens := r.grant.name == "password" || r.grant.name == "request_token"
	if !opens && r.grant.name != "refresh" && r.grant.name != "renew" {
		p.add(n.pos, "`tokens` of a route is for password, request_token, refresh and renew; leave it out of `grant: %s`", r.grant.name)
		return nil
	}
	v := &variantDef{node: n, name: p.variantName(n, r), tokens: map[token.Kind]*variantToken{}}
	for _, kind := range []token.Kind{token.Access, token.ID} {
		if m := p.mapping(n.get(string(kind)), "`"+string(kind)+"`"); m != nil {
			v.tokens[kind] = p.variantToken(kind, m)
		}
	}
	for _, key := range []string{"refresh", "session"} {
		m := p.mapping(n.get(key), "`"+key+"`")
		switch carries := r.answersName("refresh_token"); {
		case m == nil:
		case !opens:
			p.add(m.pos, "`%s` at a route of `grant: %s`: how long a session lasts is said by the route that opens it; move it there", key, r.grant.name)
		case key == "refresh" && !carries:
			p.add(m.pos, "`refresh` at a route whose answer has no $refresh_token; set how long its sessions last with `session: {idle: …}`")
		case key == "session" && carries:
			p.add(m.pos, "`session` is for routes without $refresh_token; with it, set `refresh: {lifetime: …}`")
		case key == "refresh":
			v.rotation = p.variantRotation(m)
		default:
			v.rotation = p.variantSession(m, v)
		}
	}
	p.sameVariant(v)
	return v
}

// variantName is what sessions remember: given, else made of path and condition.
func (p *parser) variantName(n *node, r *routeDef) string {
	if given := n.get("name"); given != nil {
		name := p.str(n, "name", "")
		if !namePattern.MatchString(name) {
			p.add(given.pos, "%q is no name for a route's tokens; use lower-case letters, digits and dashes, a letter first", clip(name))
		}
		return name
	}
	made := r.path
	if r.when != nil {
		made += " " + r.when.String()
	}
	words := strings.FieldsFunc(strings.ToLower(made), func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') })
	name := strings.Join(words, "-")
	name = strings.TrimRight(name[:min(len(name), 60)], "-")
	if !namePattern.MatchString(name) { // it is empty or begins with a digit
		return strings.TrimRight("v-"+name, "-")
	}
	return name
}

func (p *parser) variantToken(kind token.Kind, n *node) *variantToken {
	p.keys(n, "a token of a route (the rest is the contract's, since all routes share keys and verification)", variantTokenKeys)
	if p.def.tokens.specs[kind] == nil {
		p.add(n.pos, "`%s` at a route, and the contract's `tokens` has no %s; add it there", kind, kind)
		return nil
	}
	t := &variantToken{}
	if n.get("lifetime") != nil {
		t.lifetime = p.lifetime(kind, n)
	}
	if c := p.mapping(n.get("claims"), "`claims`"); c != nil {
		t.claims, t.replaces = p.claims(kind, c, p.def.tokens.kindClaim), true
		t.subject, t.own = c.get("sub") != nil, ownClaims(c, p.def.tokens.kindClaim)
	}
	return t
}

// variantRotation reads a route's `refresh`. Without a `rotation` of its own
// the contract's holds, with the lifetime given.
func (p *parser) variantRotation(n *node) *core.Rotation {
	p.keys(n, "`refresh` of a route (the rest is the contract's)", variantRefreshKeys)
	base := p.def.tokens.specs[token.Refresh]
	if base == nil {
		return nil // an answer that names $refresh_token was told so
	}
	lifetime := p.duration(n, "lifetime", base.lifetime, 60*second, 10*year)
	if n.get("rotation") != nil {
		rot := p.rotation(n, lifetime)
		return &rot
	}
	rot := p.def.tokens.rotation
	rot.IdleMS = lifetime
	if rot.AbsoluteMS > 0 && rot.AbsoluteMS < lifetime {
		p.add(n.pos, "a refresh token of this route lives %s, and the contract ends sessions after %s; give the route a `rotation: {absolute: …}` of its own", spell(lifetime), spell(rot.AbsoluteMS))
	}
	return &rot
}

// variantSession reads a route's `session`: how long sessions without refresh
// tokens last.
func (p *parser) variantSession(n *node, v *variantDef) *core.Rotation {
	p.keys(n, "`session`", []string{"idle", "absolute"})
	least := p.def.tokens.specs[token.Access].lifetime
	if t := v.tokens[token.Access]; t != nil && t.lifetime != 0 {
		least = t.lifetime
	}
	rot := core.Rotation{IdleMS: p.duration(n, "idle", least, least, 10*year)}
	rot.AbsoluteMS = p.duration(n, "absolute", 0, rot.IdleMS, 20*year)
	return &rot
}

// sameVariant holds routes that call their tokens alike to alike settings:
// sessions remember the name alone.
func (p *parser) sameVariant(v *variantDef) {
	for _, other := range p.def.routes {
		if o := other.variant; o != nil && o.name == v.name && !sameNode(o.node, v.node) {
			p.add(v.node.pos, "these tokens are called %s like those on line %d and differ; give one of them another `name`", v.name, o.node.pos.Line)
			return
		}
	}
}

// sameNode compares two pieces of a file, wherever they stand.
func sameNode(a, b *node) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.kind == b.kind && a.value == b.value &&
		slices.EqualFunc(a.items, b.items, sameNode) &&
		slices.EqualFunc(a.entries, b.entries, func(x, y entry) bool { return x.key == y.key && sameNode(x.val, y.val) })
}

// checkLifetimes sees that no access token outlives its session: its row would
// be gone, and the token with it, before it expires.
func (p *parser) checkLifetimes() {
	t := &p.def.tokens
	access, shortest := t.specs[token.Access], t.rotation.IdleMS
	late := func(at pos, lives, idle int64) {
		if lives > idle+day {
			p.add(at, "access tokens live %s and their sessions end %s after the last refresh; let refresh tokens live at least as long", spell(lives), spell(idle))
		}
	}
	if t.specs[token.Refresh] != nil {
		late(access.pos, access.lifetime, shortest)
	}
	for _, r := range p.def.routes {
		if r.variant != nil && r.variant.rotation != nil {
			shortest = min(shortest, r.variant.rotation.IdleMS)
		}
	}
	for _, r := range p.def.routes {
		if r.variant == nil || r.variant.tokens[token.Access] == nil && r.variant.rotation == nil {
			continue
		}
		lives := access.lifetime
		if own := r.variant.tokens[token.Access]; own != nil && own.lifetime != 0 {
			lives = own.lifetime
		}
		switch opens := r.grant.scope == inGranted && r.grant.name != "refresh" && r.grant.name != "renew"; {
		case !opens && t.specs[token.Refresh] == nil:
			// Nothing but the access token renews: it must not outlive that.
			if lives > shortest {
				p.add(r.variant.node.pos, "access tokens of this route live %s, and sessions end %s after the last renewal; set `tokens: {session: {idle: %s}}` of the contract or of the routes that open sessions", spell(lives), spell(shortest), spell(lives))
			}
		case !opens:
			late(r.variant.node.pos, lives, shortest)
		case r.variant.rotation != nil:
			late(r.variant.node.pos, lives, r.variant.rotation.IdleMS)
		case t.specs[token.Refresh] != nil:
			late(r.variant.node.pos, lives, t.rotation.IdleMS)
		}
	}
}

// rotates says whether any session's refresh tokens do.
func (t *tokensDef) rotates(routes []*routeDef) bool {
	return t.rotation.Rotates || slices.ContainsFunc(routes, func(r *routeDef) bool {
		return r.variant != nil && r.variant.rotation != nil && r.variant.rotation.Rotates
	})
}

// compileVariants makes the core's variants of the routes' tokens.
func (c *Contract) compileVariants() {
	for _, r := range c.def.routes {
		if r.variant == nil || c.policy.Variants[r.variant.name] != nil {
			continue
		}
		if c.policy.Variants == nil {
			c.policy.Variants = map[string]*core.Variant{}
		}
		v := &core.Variant{Access: r.variant.spec(c.policy.Access), ID: r.variant.spec(c.policy.ID)}
		if r.variant.rotation != nil {
			rot := *r.variant.rotation
			v.Rotation = &rot
		}
		if v.Rotation == nil && c.policy.Refresh == nil && v.Access != nil && v.Access.LifetimeMS > c.policy.Rotation.IdleMS {
			// Without refresh tokens a session is as long as one access token.
			rot := c.policy.Rotation
			rot.IdleMS = v.Access.LifetimeMS
			v.Rotation = &rot
		}
		c.policy.Variants[r.variant.name] = v
	}
}

// spec is the contract's with the variant's lifetime and claims; nil when the
// variant says nothing of the kind.
func (v *variantDef) spec(base *core.TokenSpec) *core.TokenSpec {
	if base == nil || v.tokens[base.Kind] == nil {
		return nil
	}
	own, t := *base, v.tokens[base.Kind]
	if t.lifetime != 0 {
		own.LifetimeMS = t.lifetime
	}
	if t.replaces {
		own.Claims, own.OwnSubject, own.Own = nil, t.subject, t.own
		if t.claims != nil && len(t.claims.members) > 0 {
			own.Claims = &claims{t.claims}
		}
	}
	return &own
}

// describe says in a few words what differs.
func (v *variantDef) describe() string {
	var out []string
	for _, kind := range []token.Kind{token.Access, token.ID} {
		t := v.tokens[kind]
		if t == nil {
			continue
		}
		if t.lifetime != 0 {
			out = append(out, string(kind)+" lives "+spell(t.lifetime))
		}
		if t.replaces {
			out = append(out, string(kind)+" has claims of its own")
		}
	}
	if r := v.rotation; r != nil {
		s := "a session lasts " + spell(r.IdleMS) + " after its last refresh"
		if r.AbsoluteMS > 0 {
			s += " and " + spell(r.AbsoluteMS) + " in all"
		}
		out = append(out, s)
	}
	return v.name + ": " + strings.Join(out, ", ")
}
