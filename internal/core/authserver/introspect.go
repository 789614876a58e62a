package authserver

import (
	"context"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// IntrospectRequest asks about any token (RFC 7662).
type IntrospectRequest struct {
	Auth   *core.ClientRecord
	Token  string
	Client core.Client
}

// ErrInactive is the answer for every token of which nothing is told.
var ErrInactive = &core.Error{Code: core.TokenInvalid, Reason: "inactive"}

// Introspect says whose a token is: access and application tokens of every
// contract, and the client's own refresh tokens. ErrInactive for all others:
// dead, unknown, of an account that the client may not see, under a secret that
// others hold, id tokens, browser cookies.
func (s *Server) Introspect(ctx context.Context, r *IntrospectRequest) (*core.Principal, error) {
	if r.Auth.Type != core.ClientConfidential {
		return nil, badClient("public client at introspection")
	}
	now := s.now()
	id, err := s.engine.Find(ctx, r.Token, now)
	if err == nil {
		var p *core.Principal
		if p, err = s.engine.Principal(ctx, id, r.Token, now); err == nil {
			return p, mayTell(r.Auth, p)
		}
	}
	if c := core.CodeOf(err); c.Is(core.Unavailable) || c.Is(core.Internal) {
		return nil, err
	}
	return nil, ErrInactive
}

// mayTell guards what a client learns. A refresh token is told of to its own
// client alone: a resource server that asks must never take one for an access
// token.
func mayTell(c *core.ClientRecord, p *core.Principal) error {
	if p.Shared {
		return ErrInactive // it counts on its own mount and nowhere else
	}
	own := p.ClientID == c.ID
	switch p.Kind {
	case token.Access, token.Application:
		if own || c.IntrospectAll || p.Subject.Account == c.Account {
			return nil
		}
	case token.Refresh:
		if own {
			return nil
		}
	}
	return ErrInactive
}
