package contract

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/httpd"
	"github.com/sallyport/sallyport/internal/token"
)

// Options are what an operator may set over a contract file.
type Options struct {
	// Lifetimes replace those of the file, by kind; zero keeps the file's.
	Lifetimes map[token.Kind]time.Duration
	// Audiences replace those of the file, by kind.
	Audiences map[token.Kind]string
}

// Contract is a compiled contract: handlers, policy and words. It is constant
// and safe for concurrent use.
type Contract struct {
	def    *Definition
	policy core.Policy
	paths  []*pathGroup
	words  map[core.Code]*errorDef // contract level, complete
	gate   map[core.Code]*errorDef // of the gateway, where it has its own
}

// Name is the contract's name.
func (c *Contract) Name() string { return c.def.Name }

// Title is the contract's name for people.
func (c *Contract) Title() string { return c.def.Title }

// File is where the contract was read from.
func (c *Contract) File() string { return c.def.File }

// Policy is what the contract says about its tokens.
func (c *Contract) Policy() core.Policy { return c.policy }

// pathGroup is one path with all its methods: a contract owns its paths.
type pathGroup struct {
	segments  []segment
	pattern   string
	pos       pos
	endpoints []*endpoint
	allow     string
}

// endpoint is one method of one path: the routes it may be, and how their
// inputs are found in one pass.
type endpoint struct {
	method   string
	routes   []*boundRoute
	slots    []slot
	jsonRoot *jsonNode
	uses     map[placeKind]bool
	refuses  bool     // a route refuses unknown body fields
	parts    bool     // forms may come as multipart/form-data
	types    []string // further media types of JSON
}

// boundRoute is a route with its inputs bound to the endpoint's slots.
type boundRoute struct {
	*routeDef
	slots  [][]int // by input, in order of preference
	errors map[core.Code]*errorDef
	noRef  bool // its answers carry no refresh token
	cors   *httpd.CORS
	vary   []string
}

// slot is one place of an endpoint.
type slot struct {
	kind   placeKind
	name   string
	prefix string // before the value; a value without it is not there
	path   []string
	loc    []string
}

// Compile makes a Contract of a Definition. It fails only for options that do
// not fit the file.
func Compile(def *Definition, opts Options) (*Contract, error) {
	c := &Contract{def: def, words: completeErrors(def.errors), gate: completeErrors(def.gateway.errors)}
	if err := c.compilePolicy(opts); err != nil {
		return nil, err
	}
	c.compileVariants()
	for _, r := range def.routes {
		g := c.group(r)
		for _, m := range r.methods {
			g.endpoint(m).add(c.bind(r))
		}
	}
	for _, g := range c.paths {
		for _, e := range g.endpoints {
			e.finish()
		}
		g.allow = c.allowed(g)
	}
	return c, nil
}

func (c *Contract) compilePolicy(opts Options) error {
	t := &c.def.tokens
	c.policy = core.Policy{Rotation: t.rotation, RequestWindowMS: t.requestWindow, KindClaim: t.kindClaim}
	for _, kind := range tokenKinds {
		d := t.specs[kind]
		if d == nil {
			continue
		}
		spec := d.spec
		if d.claims != nil && len(d.claims.members) > 0 {
			spec.Claims = &claims{d.claims}
		}
		if err := override(&spec, opts, c.def.Name); err != nil {
			return err
		}
		switch kind {
		case token.Access:
			c.policy.Access = &spec
			if t.specs[token.Refresh] == nil {
				c.policy.Rotation.IdleMS = max(c.policy.Rotation.IdleMS, spec.LifetimeMS)
			}
		case token.Refresh:
			c.policy.Refresh = &spec
			if spec.LifetimeMS != d.spec.LifetimeMS {
				c.policy.Rotation.IdleMS = spec.LifetimeMS
			}
		case token.ID:
			c.policy.ID = &spec
		case token.Application:
			c.policy.Application = &spec
		}
	}
	return nil
}

func override(spec *core.TokenSpec, opts Options, name string) error {
	if d := opts.Lifetimes[spec.Kind]; d != 0 {
		if spec.Kind == token.Application || d < 10*time.Second || d > 10*365*24*time.Hour || d%time.Second != 0 {
			return fmt.Errorf("contract %s: a lifetime of %s for %s tokens does not do; want whole seconds, 10s to 10 years, and none for application tokens", name, d, spec.Kind)
		}
		spec.LifetimeMS = d.Milliseconds()
	}
	if a := opts.Audiences[spec.Kind]; a != "" {
		if len(a) > 1024 {
			return fmt.Errorf("contract %s: the audience of %s tokens has more than 1024 bytes", name, spec.Kind)
		}
		spec.Audience = a
	}
	return nil
}

// claims implements core.Claims by a template.
type claims struct{ o *object }

var _ core.Claims = (*claims)(nil)

// AppendMembers writes the contract's own claims.
func (c *claims) AppendMembers(dst []byte, v *core.TokenValues) ([]byte, error) {
	return c.o.appendMembers(dst, &env{token: v, now: v.IssuedAt}), nil
}

func (c *Contract) group(r *routeDef) *pathGroup {
	for _, g := range c.paths {
		if samePattern(g.segments, r.segments) {
			return g
		}
	}
	g := &pathGroup{segments: r.segments, pattern: pattern(r.segments), pos: r.pos}
	c.paths = append(c.paths, g)
	return g
}

func (g *pathGroup) endpoint(method string) *endpoint {
	if e := g.find(method); e != nil {
		return e
	}
	e := &endpoint{method: method, uses: map[placeKind]bool{}}
	g.endpoints = append(g.endpoints, e)
	return e
}

func (g *pathGroup) find(method string) *endpoint {
	for _, e := range g.endpoints {
		if e.method == method {
			return e
		}
	}
	return nil
}

func (c *Contract) allowed(g *pathGroup) string {
	var ms []string
	for _, e := range g.endpoints {
		ms = append(ms, e.method)
		if e.method == http.MethodGet && c.def.head {
			ms = append(ms, http.MethodHead)
		}
	}
	if c.def.options || c.def.cors != nil {
		ms = append(ms, http.MethodOptions)
	}
	slices.Sort(ms)
	return strings.Join(ms, ", ")
}

// bind prepares a route; its slots are filled in by add.
func (c *Contract) bind(r *routeDef) *boundRoute {
	b := &boundRoute{routeDef: r, errors: completeErrors(r.errors), cors: c.def.cors, noRef: c.policy.Refresh == nil || !r.answersName("refresh_token")}
	for i := range r.places {
		switch r.places[i].kind {
		case fromScheme, fromBasic:
			b.vary = appendNew(b.vary, "Authorization")
		case fromCookie:
			b.vary = appendNew(b.vary, "Cookie")
		case fromHeader:
			b.vary = appendNew(b.vary, canonicalHeader(r.places[i].name))
		}
	}
	return b
}

func appendNew(l []string, s string) []string {
	if slices.Contains(l, s) {
		return l
	}
	return append(l, s)
}

func (e *endpoint) add(b *boundRoute) {
	b.slots = make([][]int, len(b.inputs))
	for i := range b.places {
		pl := &b.places[i]
		e.uses[pl.kind] = true
		b.slots[pl.in.index] = append(b.slots[pl.in.index], e.slot(pl))
	}
	e.refuses = e.refuses || b.refuse
	e.parts = e.parts || b.multipart
	for _, t := range b.jsonTypes {
		e.types = appendNew(e.types, t)
	}
	e.routes = append(e.routes, b)
}

func (e *endpoint) slot(pl *place) int {
	name := pl.name
	if pl.kind == fromHeader {
		name = canonicalHeader(name)
	}
	for i := range e.slots {
		if e.slots[i].kind == pl.kind && slices.Equal(e.slots[i].path, pl.path) && (pl.kind == fromJSON || e.slots[i].name == name) && e.slots[i].prefix == pl.prefix {
			return i
		}
	}
	e.slots = append(e.slots, slot{kind: pl.kind, name: name, prefix: pl.prefix, path: pl.path, loc: pl.loc()})
	return len(e.slots) - 1
}

func (e *endpoint) finish() {
	e.jsonRoot = &jsonNode{slot: -1}
	for i := range e.slots {
		if e.slots[i].kind == fromJSON {
			e.jsonRoot.put(e.slots[i].path, i)
		}
	}
}
