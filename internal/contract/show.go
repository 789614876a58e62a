package contract

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
)

// Show describes a contract for people: tokens, routes with their inputs and
// answers, and the words for every kind of error.
func (c *Contract) Show() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s)\n", c.def.Title, c.def.Name)
	if c.def.Description != "" {
		fmt.Fprintf(&b, "%s\n", c.def.Description)
	}
	fmt.Fprintf(&b, "from %s\n\nTokens\n", c.def.File)
	c.showTokens(&b)
	b.WriteString("\nRoutes\n")
	for _, r := range c.def.routes {
		c.showRoute(&b, r)
	}
	b.WriteString("\nErrors\n")
	for _, code := range codeNames() {
		d := c.words[core.Code(code)]
		own := ""
		if string(d.code) != code {
			own = " (as " + string(d.code) + ")"
		}
		status := d.status
		if s := fixedStatus(core.Code(code)); s != 0 && own != "" {
			status = s
		}
		fmt.Fprintf(&b, "  %-24s %d%s\n", code, status, own)
	}
	b.WriteString("\nThe gateway reads the token from ")
	var places []string
	for i := range c.def.gateway.places {
		places = append(places, describePlace(&c.def.gateway.places[i]))
	}
	fmt.Fprintf(&b, "%s\n", strings.Join(places, ", else "))
	return b.String()
}

func (c *Contract) showTokens(b *strings.Builder) {
	for _, kind := range tokenKinds {
		s := c.policy.Spec(kind)
		if s == nil {
			continue
		}
		life := "never expires"
		if s.LifetimeMS > 0 {
			life = "lives " + spell(s.LifetimeMS)
		}
		fmt.Fprintf(b, "  %-12s %s, %s", kind, life, s.Algorithm)
		if s.Audience != "" {
			fmt.Fprintf(b, ", for %s", s.Audience)
		}
		if kind == "refresh" {
			if r := c.policy.Rotation; r.Rotates {
				fmt.Fprintf(b, ", rotates (grace %s)", spell(r.GraceMS))
			} else {
				b.WriteString(", never rotates")
			}
		}
		b.WriteByte('\n')
	}
}

func (c *Contract) showRoute(b *strings.Builder, r *routeDef) {
	fmt.Fprintf(b, "  %s %s\n      %s", strings.Join(r.methods, ","), r.path, r.grant.about)
	if r.when != nil {
		fmt.Fprintf(b, ", when %s", r.when)
	}
	b.WriteByte('\n')
	for i := range r.places {
		pl := &r.places[i]
		what := "must be " + strings.Join(pl.in.enum, " or ")
		if pl.in.name != "" {
			what = pl.in.name
			if pl.in.optional {
				what += ", optional"
			}
			if pl.in.enum != nil {
				what += ", " + oneOf(pl.in.enum)
			}
			if pl.in.def != nil {
				what += ", default " + *pl.in.def
			}
		}
		fmt.Fprintf(b, "      reads %s: %s\n", describePlace(pl), what)
	}
	if r.grant.name == "application_token" {
		age := "of any age"
		if ms := r.freshness(); ms > 0 {
			age = "at most " + spell(ms) + " old"
		}
		fmt.Fprintf(b, "      for logins %s\n", age)
	}
	if r.refuse {
		b.WriteString("      refuses other body fields\n")
	}
	if r.variant != nil {
		fmt.Fprintf(b, "      tokens of its own, %s\n", r.variant.describe())
	}
	for _, a := range r.answers {
		fmt.Fprintf(b, "      answers %d", a.status)
		if a.when != nil {
			fmt.Fprintf(b, " when %s", a.when)
		}
		if a.body != nil {
			fmt.Fprintf(b, " %s", sketch(a.body))
		}
		b.WriteByte('\n')
		for _, k := range a.cookies {
			fmt.Fprintf(b, "      %s the cookie %s\n", map[bool]string{true: "deletes", false: "sets"}[k.remove], k.name)
		}
	}
	var own []string
	for code, d := range r.errors {
		own = append(own, fmt.Sprintf("%s %d", code, d.status))
	}
	slices.Sort(own)
	if len(own) > 0 {
		fmt.Fprintf(b, "      own words for %s\n", strings.Join(own, ", "))
	}
}

func describePlace(p *place) string {
	switch p.kind {
	case fromJSON:
		return "JSON " + strings.Join(p.path, ".")
	case fromBasic:
		return "Basic " + p.name
	case fromScheme:
		if p.name == "" {
			return "Authorization without a scheme"
		}
		return "Authorization: " + p.name
	}
	if p.prefix != "" {
		return string(p.kind) + " " + p.name + " (after " + strconv.Quote(p.prefix) + ")"
	}
	return string(p.kind) + " " + p.name
}

// sketch writes a template the way it stands in the file, in one line.
func sketch(t template) string {
	switch t := t.(type) {
	case *constant:
		return string(t.raw)
	case *expr:
		return t.src
	case *joined:
		var b strings.Builder
		for _, p := range t.parts {
			if p.x != nil {
				b.WriteString(p.x.src)
			} else {
				b.WriteString(p.lit)
			}
		}
		return b.String()
	case *object:
		parts := make([]string, len(t.members))
		for i := range t.members {
			parts[i] = t.members[i].name + ": " + sketch(t.members[i].val)
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case *array:
		parts := make([]string, len(t.items))
		for i, it := range t.items {
			parts[i] = sketch(it)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case *choice:
		s := sketch(t.then) + " when " + t.cond.String()
		if t.otherwise != nil {
			s += ", else " + sketch(t.otherwise)
		}
		return s
	case *each:
		return "[" + sketch(t.item) + " for each of " + t.over.src + "]"
	}
	return "…"
}
