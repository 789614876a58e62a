package core

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/token"
)

// mountRules is what verifying the tokens of a mount needs, made once.
type mountRules struct {
	mount *Mount
	rules map[token.Kind]*token.Rules
	more  []KeySet // further sets that sign id tokens of the mount
}

// refreshLifetimeBound is 50 years in seconds: no bound of its own, see RegisterMount.
const refreshLifetimeBound = 50 * 365 * 86_400

// endedSessionKeptMS is how long a store keeps the row of a session after its
// deadline, at least.
const endedSessionKeptMS = 24 * 3600 * 1000

// verifyKinds is the order in which a token's kind is looked for.
var verifyKinds = []token.Kind{token.Access, token.Application, token.Refresh, token.ID}

// RegisterMount makes a mount known. It is called for every mount before the
// listener opens; registering an id twice is an error.
func (s *Service) RegisterMount(m *Mount) error {
	if m.Policy.Access == nil && (m.Policy.Refresh == nil || m.Policy.Rotation.IdleMS == 0) {
		return fmt.Errorf("mount %q: it has neither access tokens nor refresh tokens with a lifetime", m.ID)
	}
	if m.Policy.Rotation.IdleMS == 0 {
		// A mount without refresh tokens: a session is kept alive by renewing,
		// and lives as long as its last access token.
		m.Policy.Rotation.IdleMS = m.Policy.Access.LifetimeMS
	}
	if err := m.checkLifetimes(); err != nil {
		return err
	}
	if err := m.checkVariants(); err != nil {
		return err
	}
	mr := &mountRules{mount: m, rules: map[token.Kind]*token.Rules{}}
	for _, kind := range verifyKinds {
		spec := m.Policy.Spec(kind)
		if spec == nil {
			continue
		}
		r := &token.Rules{
			Kind: kind, KindClaim: m.Policy.KindClaim, KindValue: spec.KindValue, Audience: spec.Audience,
			Issuers: s.issuers, NoExpiry: spec.LifetimeMS == 0, RequireSession: kind != token.Application,
		}
		if spec.Issuer != "" {
			r.Issuers = []string{spec.Issuer}
		}
		// Refresh tokens live as long as the policy said at their move; the row
		// holds the deadlines. The others have a fixed lifetime.
		r.MaxLifetime = m.Policy.longestOf(kind) / 1000
		if kind == token.Refresh {
			r.MaxLifetime = refreshLifetimeBound
		}
		if m.Policy.PerClient != nil {
			r.Typ = spec.Header.Typ
			// Clients have audiences of their own; PerClient.Principal compares
			// aud with the session's.
			r.AnyAudience = kind != token.Refresh
		}
		mr.rules[kind] = r
		if kind == token.Access {
			raise(&s.longestAccess, m.Policy.longestOf(kind))
		}
		if m.Policy.PerClient == nil || kind == token.Access {
			s.raiseLongest(m.Policy.longestOf(kind))
		}
	}
	if m.Policy.PerClient != nil {
		mr.more = m.Policy.PerClient.IDKeys
	} else {
		s.raiseLongest(max(m.Policy.Rotation.IdleMS, m.Policy.Rotation.AbsoluteMS))
		for name := range m.Policy.Variants {
			r := m.as(name).Policy.Rotation
			s.raiseLongest(max(r.IdleMS, r.AbsoluteMS))
		}
	}
	if _, loaded := s.mounts.LoadOrStore(m.ID, mr); loaded {
		return fmt.Errorf("mount %q is there twice", m.ID)
	}
	return nil
}

func (s *Service) raiseLongest(ms int64) { raise(&s.longest, ms) }

// Mounts returns all registered mounts, by id.
func (s *Service) Mounts() []*Mount {
	var all []*Mount
	s.mounts.Range(func(_, v any) bool {
		all = append(all, v.(*mountRules).mount)
		return true
	})
	slices.SortFunc(all, func(a, b *Mount) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// tokenMounts are those whose tokens others may ask about. A browser's login is
// nobody else's business: it has no access tokens.
func (s *Service) tokenMounts() []*Mount {
	var out []*Mount
	for _, m := range s.Mounts() {
		if m.Policy.Access != nil {
			out = append(out, m)
		}
	}
	return out
}

func (s *Service) rulesOf(m *Mount) (*mountRules, error) {
	v, ok := s.mounts.Load(m.ID)
	if !ok || v.(*mountRules).mount != m {
		return nil, &Error{Code: Internal, Reason: "mount " + m.ID + " is not registered"}
	}
	return v.(*mountRules), nil
}

// Identified is a token whose signature a key of ours made. Nothing is said yet
// of what stands behind it.
type Identified struct {
	Mount  *Mount
	Kind   token.Kind
	Claims *token.Claims // nil where the payload could not be read
}

// Revoked refuses the token: what it stands on is over. The reason is for logs.
func (id *Identified) Revoked(reason string) error {
	return &Error{Code: TokenRevoked, Reason: reason, Principal: &Principal{Mount: id.Mount.ID, Kind: id.Kind}}
}

// OfMachine reports an access token that a client or an API key has for itself.
// It has no session row: it stands on the machine's own.
func (id *Identified) OfMachine() bool {
	sub := id.Claims.Subject
	return id.Mount.Policy.PerClient != nil && id.Kind == token.Access && (strings.HasPrefix(sub, ClientIDPrefix) || strings.HasPrefix(sub, apiKeyIDPrefix))
}

// identify finds the mount and kind of a token by its signature: the algorithm
// comes from the keys, nothing unverified does more than order candidates.
// It returns an error of Code TokenExpired (with what was identified, so that a
// refusal can speak in the mount's words) for a good token past its exp.
func (s *Service) identify(raw string, mounts []*Mount, now int64) (*Identified, error) {
	type slot struct {
		mount *Mount
		kind  token.Kind
	}
	var room [16]slot
	var croom [16]token.Candidate
	slots, cands := room[:0], croom[:0]
	for _, m := range mounts {
		mr, err := s.rulesOf(m)
		if err != nil {
			return nil, err
		}
		for _, kind := range verifyKinds {
			r := mr.rules[kind]
			if r == nil {
				continue
			}
			slots = append(slots, slot{m, kind})
			cands = append(cands, token.Candidate{Keys: s.keys.Verifying(KeySet{Mount: m.ID, Kind: kind}), Rules: r})
			if kind != token.ID {
				continue
			}
			for _, set := range mr.more {
				slots = append(slots, slot{m, kind})
				cands = append(cands, token.Candidate{Keys: s.keys.Verifying(set), Rules: r})
			}
		}
	}
	i, claims, err := token.Identify(raw, cands, now)
	var id *Identified
	if i >= 0 {
		id = &Identified{Mount: slots[i].mount, Kind: slots[i].kind, Claims: claims}
	}
	if f, ok := s.keys.(interface{ Fault() error }); ok && errors.Is(err, token.ErrSignature) && f.Fault() != nil {
		// A key that does not open, or was not read, may have made it: a 503, never
		// "invalid token".
		return nil, &Error{Code: Unavailable, Reason: "the signing keys are not all known", Err: f.Fault()}
	}
	return id, tokenErr(err, id)
}

// tokenErr turns an error of the verifier into one of ours.
func tokenErr(err error, id *Identified) error {
	if err == nil {
		return nil
	}
	e := &Error{Code: TokenInvalid, Reason: err.Error()}
	switch {
	case errors.Is(err, token.ErrMalformed):
		e.Code = TokenMalformed
	case errors.Is(err, token.ErrExpired), errors.Is(err, token.ErrLifetime):
		// A lifetime too long means that the contract was shortened since: for
		// the client that is the same as expired, and a refresh mends it.
		e.Code = TokenExpired
	case errors.Is(err, token.ErrKind):
		e.Code = TokenWrongKind
	}
	if id != nil {
		e.Principal = &Principal{Mount: id.Mount.ID, Kind: id.Kind}
	}
	return e
}
