package core

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/internal/token"
)

// Variant is what one way to log in has of its own: a "remember me" whose
// tokens live longer, a client whose access tokens carry other claims. What is
// nil is the policy's. A variant changes lifetimes and claims alone: keys,
// audiences and kinds are the mount's, so its tokens verify like all others.
type Variant struct {
	Access   *TokenSpec
	ID       *TokenSpec
	Rotation *Rotation
}

// variantClaim is the claim of refresh tokens that names the session's
// variant. Other tokens have none: nobody judges them by it.
const variantClaim = "var"

// credentialOf is what a session remembers of its opening: how, and in which
// variant. A name that the mount does not know is none.
func credentialOf(how string, m *Mount, variant string) string {
	if m.Policy.Variants[variant] == nil {
		return how
	}
	return how + ":" + variant
}

// Variant is the name of the session's variant, "" for none.
func (s *Session) Variant() string {
	_, name, _ := strings.Cut(s.Credential, ":")
	return name
}

// as is the mount with the policy of a variant. A name that the mount does not
// know, perhaps because its contract was edited, is the mount as it is.
func (m *Mount) as(variant string) *Mount {
	v := m.Policy.Variants[variant]
	if v == nil {
		return m
	}
	own := *m
	if v.Access != nil {
		own.Policy.Access = v.Access
	}
	if v.ID != nil {
		own.Policy.ID = v.ID
	}
	if v.Rotation != nil {
		own.Policy.Rotation = *v.Rotation
	}
	return &own
}

// specs are the policy's spec of a kind and those of its variants.
func (p *Policy) specs(kind token.Kind) []*TokenSpec {
	all := []*TokenSpec{p.Spec(kind)}
	for _, v := range p.Variants {
		switch {
		case kind == token.Access && v.Access != nil:
			all = append(all, v.Access)
		case kind == token.ID && v.ID != nil:
			all = append(all, v.ID)
		}
	}
	return all
}

// longestOf is the longest lifetime that a token of the kind may have.
func (p *Policy) longestOf(kind token.Kind) int64 {
	var ms int64
	for _, spec := range p.specs(kind) {
		ms = max(ms, spec.LifetimeMS)
	}
	return ms
}

// checkVariants completes the variants of a mount and refuses those whose
// tokens would verify otherwise than the mount's, or outlive their session.
func (m *Mount) checkVariants() error {
	for name, v := range m.Policy.Variants {
		for _, pair := range [][2]*TokenSpec{{v.Access, m.Policy.Access}, {v.ID, m.Policy.ID}} {
			own, base := pair[0], pair[1]
			if own == nil {
				continue
			}
			if base == nil || own.Kind != base.Kind || own.Algorithm != base.Algorithm || own.KindValue != base.KindValue ||
				own.Audience != base.Audience || own.Issuer != base.Issuer || own.LifetimeMS == 0 {
				return fmt.Errorf("mount %q: the variant %q changes more of a token than lifetime and claims", m.ID, name)
			}
		}
		if err := m.as(name).checkLifetimes(); err != nil {
			return fmt.Errorf("variant %q: %w", name, err)
		}
	}
	return nil
}

// checkLifetimes refuses access tokens whose session would be purged, and they
// with it, before their exp.
func (m *Mount) checkLifetimes() error {
	if m.Policy.Access == nil {
		return nil // a browser's login opens nothing but our own pages
	}
	if a, idle := m.Policy.Access.LifetimeMS, m.Policy.Rotation.IdleMS; a > idle+endedSessionKeptMS {
		return fmt.Errorf("mount %q: access tokens live %d s and sessions only %d s after their last refresh; give refresh tokens at least the lifetime of access tokens",
			m.ID, a/1000, idle/1000)
	}
	return nil
}
