package contract

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

const (
	second = int64(1000)
	day    = 24 * 3600 * second
	year   = 365 * day
)

// Defaults of tokens that a file does not speak of.
const (
	defaultAccess  = 15 * 60 * second
	defaultRefresh = 30 * day
	defaultGrace   = 120 * second
	defaultWindow  = 300 * second
)

var (
	tokenKeys    = []string{"lifetime", "alg", "header", "claims", "audience", "issuer", "kind", "nbf"}
	tokenKinds   = []token.Kind{token.Access, token.Refresh, token.ID, token.Application}
	algorithms   = map[string]token.Algorithm{"HS256": token.HS256, "ES256": token.ES256, "EdDSA": token.EdDSA, "RS256": token.RS256}
	headerOrders = map[string]token.Order{"alg typ kid": token.AlgTypKid, "typ alg kid": token.TypAlgKid, "alg kid typ": token.AlgKidTyp, "kid alg typ": token.KidAlgTyp}
	// reservedClaims are written by the core: verification and revocation
	// stand on them.
	reservedClaims = []string{"iss", "aud", "sid", "jti", "iat", "nbf", "exp", "gen", "mac"}
)

func (p *parser) tokens(n *node) tokensDef {
	out := tokensDef{kindClaim: "token_use", specs: map[token.Kind]*tokenDef{}, requestWindow: defaultWindow}
	if n = p.mapping(n, "`tokens`"); n == nil {
		n = &node{kind: mapNode, pos: pos{1, 1}}
	}
	p.keys(n, "`tokens`", []string{"kind_claim", "access", "refresh", "id", "application", "request", "session"})
	if kc := n.get("kind_claim"); kc != nil {
		out.kindClaim = p.str(n, "kind_claim", "")
		if kc.value == nil || out.kindClaim == "" || slices.Contains(reservedClaims, out.kindClaim) || out.kindClaim == "sub" {
			p.add(kc.pos, "`kind_claim: %s` cannot say a token's kind; name a claim of its own, such as token_use", clip(out.kindClaim))
		}
	}
	for _, kind := range tokenKinds {
		en := n.get(string(kind))
		if en == nil && kind != token.Access {
			continue
		}
		out.specs[kind] = p.token(kind, en, out.kindClaim)
	}
	if r := n.get("refresh"); r != nil && r.kind == mapNode {
		out.rotation = p.rotation(r, out.specs[token.Refresh].lifetime)
	} else {
		out.rotation = core.Rotation{IdleMS: out.specs[token.Access].lifetime}
		if r != nil {
			out.rotation = core.Rotation{Rotates: true, GraceMS: defaultGrace, IdleMS: defaultRefresh}
		}
	}
	p.session(n, &out)
	if r := p.mapping(n.get("request"), "`request`"); r != nil {
		p.keys(r, "`request`", []string{"window"})
		out.requestWindow = p.duration(r, "window", defaultWindow, 10*second, 3600*second)
	}
	p.checkKinds(n, &out)
	return out
}

func (p *parser) token(kind token.Kind, n *node, kindClaim string) *tokenDef {
	if n = p.mapping(n, "`"+string(kind)+"`"); n == nil {
		n = &node{kind: mapNode, pos: pos{1, 1}}
	}
	keys := tokenKeys
	if kind == token.Refresh {
		keys = append(slices.Clone(keys), "rotation")
	}
	p.keys(n, "a token", keys)
	d := &tokenDef{pos: n.pos}
	d.spec = core.TokenSpec{
		Kind: kind, Audience: p.str(n, "audience", ""), Issuer: p.str(n, "issuer", ""),
		NotBefore: p.boolean(n, "nbf", false), KindValue: p.str(n, "kind", string(kind)),
	}
	if len(d.spec.Audience) > 1024 || len(d.spec.Issuer) > 1024 {
		p.add(n.pos, "an audience or issuer has more than 1024 bytes; verifiers refuse that")
	}
	d.lifetime = p.lifetime(kind, n)
	d.spec.LifetimeMS = d.lifetime
	d.spec.Algorithm = p.algorithm(kind, n)
	d.spec.Header = p.header(n.get("header"))
	d.spec.Own = ownClaims(nil, kindClaim)
	if c := p.mapping(n.get("claims"), "`claims`"); c != nil {
		d.claims = p.claims(kind, c, kindClaim)
		d.spec.OwnSubject, d.spec.Own = c.get("sub") != nil, ownClaims(c, kindClaim)
	}
	return d
}

// ownClaims finds names that the contract uses itself and the core would else
// write. They are not reserved: contracts that had them work as before.
func ownClaims(c *node, kindClaim string) core.OwnClaims {
	own := func(name string) bool { return kindClaim == name || c != nil && c.get(name) != nil }
	return core.OwnClaims{Account: own("acct"), UserID: own("uid"), Status: own("status")}
}

func (p *parser) lifetime(kind token.Kind, n *node) int64 {
	switch kind {
	case token.Application:
		if v := n.get("lifetime"); v != nil {
			p.add(v.pos, "an application token never expires; leave `lifetime` out (it is revoked instead)")
		}
		return 0
	case token.Refresh:
		return p.duration(n, "lifetime", defaultRefresh, 60*second, 10*year)
	}
	return p.duration(n, "lifetime", defaultAccess, 10*second, year)
}

func (p *parser) algorithm(kind token.Kind, n *node) token.Algorithm {
	name := p.str(n, "alg", "HS256")
	alg, ok := algorithms[name]
	if !ok {
		p.add(n.get("alg").pos, "`alg: %s` is not known; %s", clip(name), suggest(name, []string{"HS256", "ES256", "EdDSA", "RS256"}))
		return token.HS256
	}
	if kind == token.Refresh && alg != token.HS256 {
		p.add(n.get("alg").pos, "`alg: %s` for a refresh token: only we read it, and it must come out the same byte for byte each time; want HS256", name)
		return token.HS256
	}
	if kind == token.ID && alg == token.HS256 && n.get("alg") != nil {
		p.add(n.get("alg").pos, "`alg: HS256` for an id token: those who read it have no key of ours but the published ones; want ES256, EdDSA or RS256")
	}
	if kind == token.ID && n.get("alg") == nil {
		return token.ES256
	}
	return alg
}

func (p *parser) header(n *node) token.Header {
	h := token.Header{Typ: "JWT"}
	if n = p.mapping(n, "`header`"); n == nil {
		return h
	}
	p.keys(n, "`header`", []string{"typ", "kid", "order"})
	if t := n.get("typ"); t != nil {
		h.Typ = p.str(n, "typ", "")
		if len(h.Typ) > 64 || !isToken(strings.ReplaceAll(h.Typ, "/", "")) && h.Typ != "" {
			p.add(t.pos, "`typ: %s` is no token type; want one such as JWT or at+jwt, or \"\" for none", clip(h.Typ))
		}
	}
	h.OmitKeyID = !p.boolean(n, "kid", true)
	if o := n.get("order"); o != nil {
		order, ok := headerOrders[strings.Join(p.strings(o, "`order`"), " ")]
		if !ok {
			p.add(o.pos, "this order of header members is not known; want one of [alg, typ, kid], [typ, alg, kid], [alg, kid, typ], [kid, alg, typ]")
		}
		h.Order = order
	}
	return h
}

func (p *parser) claims(kind token.Kind, n *node, kindClaim string) *object {
	t := &templates{rep: p.report, scope: inClaims, where: "claims"}
	if kind == token.Refresh {
		t.scope, t.where = inRefresh, "claims of a refresh token"
	}
	for _, en := range n.entries {
		switch {
		case slices.Contains(reservedClaims, strings.ToLower(en.key)):
			p.add(en.pos, "the claim %s is written for every token, verification and revocation stand on it; %s", en.key, claimHelp(strings.ToLower(en.key)))
		case kind == token.Refresh && en.key == "var":
			p.add(en.pos, "the claim var of a refresh token names a route's own `tokens`; name yours otherwise")
		case strings.ToLower(en.key) == "sub" && en.key != "sub":
			p.add(en.pos, "the claim %s differs from sub in case alone, which some readers ignore; name it otherwise", en.key)
		case en.key == kindClaim:
			p.add(en.pos, "the claim %s says the token's kind; set its value with `kind` instead", en.key)
		case (en.key == "scope" || en.key == "client_id") && !en.val.isString():
			p.add(en.val.pos, "the claim %s must be text (RFC 9068); use $scope, or name the claim otherwise", en.key)
		case en.key == "sub" && !en.val.isString():
			p.add(en.val.pos, "the claim sub must be text; use $subject or another value")
		}
	}
	o, ok := t.parse(n).(*object)
	if !ok {
		p.add(n.pos, "claims are a plain mapping of names to values; `$when` may stand at a claim, not around all of them")
		return nil
	}
	return o
}

func claimHelp(name string) string {
	switch name {
	case "iss":
		return "set a constant with `issuer`"
	case "aud":
		return "set it with `audience`"
	case "nbf":
		return "switch it on with `nbf: true`"
	case "exp":
		return "set `lifetime`"
	}
	return "name yours otherwise"
}

// rotation reads `rotation: never` or {grace, idle, absolute}.
func (p *parser) rotation(n *node, lifetime int64) core.Rotation {
	rot := core.Rotation{Rotates: true, GraceMS: defaultGrace, IdleMS: lifetime}
	r := n.get("rotation")
	if r == nil {
		return rot
	}
	if r.kind == scalarNode && r.text == "never" {
		return core.Rotation{IdleMS: lifetime}
	}
	if r.kind != mapNode {
		p.add(r.pos, "`rotation` is %s; want `never`, or a mapping such as {grace: 2m}", clip(r.text))
		return rot
	}
	p.keys(r, "`rotation`", []string{"grace", "idle", "absolute"})
	rot.GraceMS = p.duration(r, "grace", defaultGrace, 0, 600*second)
	rot.IdleMS = p.duration(r, "idle", lifetime, 60*second, 10*year)
	rot.AbsoluteMS = p.duration(r, "absolute", 0, 60*second, 20*year)
	if rot.IdleMS > lifetime {
		p.add(r.get("idle").pos, "`idle` is longer than the token's lifetime of %s; make it shorter, or leave it out", spell(lifetime))
	}
	if rot.AbsoluteMS > 0 && rot.AbsoluteMS < rot.IdleMS {
		p.add(r.get("absolute").pos, "`absolute` is shorter than one refresh token lives; make it at least %s", spell(rot.IdleMS))
	}
	return rot
}

// session reads how long sessions live that have no refresh token: by default
// as long as one access token, and a renewal starts that anew.
func (p *parser) session(n *node, out *tokensDef) {
	s := p.mapping(n.get("session"), "`session`")
	if s == nil {
		return
	}
	p.keys(s, "`session`", []string{"idle", "absolute"})
	if n.get("refresh") != nil {
		p.add(s.pos, "`session` is for contracts without refresh tokens; with them, set `lifetime` and `rotation` of `refresh`")
		return
	}
	least := out.specs[token.Access].lifetime
	out.rotation.IdleMS = p.duration(s, "idle", least, least, 10*year)
	out.rotation.AbsoluteMS = p.duration(s, "absolute", 0, out.rotation.IdleMS, 20*year)
}

// checkKinds keeps kinds apart: an access token must be nothing but one.
// Access and application tokens may share a value; they open the same doors,
// and application tokens count by their row.
func (p *parser) checkKinds(n *node, t *tokensDef) {
	seen := map[string]token.Kind{}
	for _, kind := range tokenKinds {
		s := t.specs[kind]
		if s == nil {
			continue
		}
		other, taken := seen[s.spec.KindValue]
		if taken && !(other == token.Access && kind == token.Application) {
			p.add(s.pos, "%s and %s tokens have the same `kind: %s`; a token must be of one kind alone", other, kind, s.spec.KindValue)
		}
		if !taken {
			seen[s.spec.KindValue] = kind
		}
		if s.spec.KindValue == "" {
			p.add(s.pos, "`kind` is empty; give the %s token a value of its own, such as %s", kind, kind)
		}
	}
}
