package authserver

import (
	"context"
	"errors"
	"slices"

	"github.com/sallyport/sallyport/internal/core"
)

// CredentialsRequest asks for a token for the client itself.
type CredentialsRequest struct {
	Auth     *core.ClientRecord
	Scope    []string
	Audience []string
	Client   core.Client
}

// ClientCredentials gives a client a token for itself (RFC 6749 section 4.4).
// There is no refresh token: the credential is at hand.
func (s *Server) ClientCredentials(ctx context.Context, r *CredentialsRequest) (*Granted, error) {
	g, err := s.clientCredentials(ctx, r)
	s.machineOutcome("client_credentials", g, &r.Client, err)
	return g, err
}

// machineOutcome counts how a grant to a machine ended, and puts one that
// succeeded into the audit log, since no session is opened that would stand
// there.
func (s *Server) machineOutcome(grant string, g *Granted, c *core.Client, err error) {
	s.engine.Outcome(grant, s.mount, c, err)
	if err != nil {
		return
	}
	actor := "client:" + g.Subject.ID
	if g.Subject.Kind == core.SubjectAPIKey {
		actor = "apikey:" + g.Subject.ID
	}
	s.engine.Granted(grant, s.mount, actor, c)
}

func (s *Server) clientCredentials(ctx context.Context, r *CredentialsRequest) (*Granted, error) {
	c := &r.Auth.OAuthClient
	if err := mayUse(c, core.GrantCredentials); err != nil {
		return nil, err
	}
	if c.Type != core.ClientConfidential {
		return nil, oauthError(UnauthorizedClient, "public client", "A public client has no credentials of its own")
	}
	scope, err := machineScope(c, r.Scope)
	if err != nil {
		return nil, err
	}
	return s.machineToken(ctx, c.ID, c.ID, r.Auth.Version, scope, r.Audience, s.audienceOf(c), c.AccessMS)
}

// machineScope is what a client may have for itself: nothing of OpenID
// Connect, since there is no user.
func machineScope(c *core.OAuthClient, asked []string) ([]string, error) {
	scope, err := AllowedScope(c, asked, c.Scopes, true)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, w := range scope {
		if !slices.Contains(core.OIDCScopes(), w) {
			out = append(out, w)
		}
	}
	return out, nil
}

// machineToken is the gate of tokens without a session: machine and account
// are read in one moment with the epoch, so whatever ends them later is
// numbered above it.
func (s *Server) machineToken(ctx context.Context, machine, client string, version int64, scope, asked, allowed []string, life int64) (*Granted, error) {
	now := s.now()
	aud, err := narrowAudience(asked, allowed)
	if err != nil {
		return nil, err
	}
	if err := s.engine.Hearing(ctx, now); err != nil {
		return nil, err
	}
	subj, epoch, err := s.store.Machine(ctx, machine)
	switch {
	case errors.Is(err, core.ErrNoRow):
		return nil, invalidGrant("no such machine")
	case err != nil:
		return nil, core.StoreError(err)
	case !subj.Live() || subj.Version != version:
		return nil, &core.Error{Code: core.BadCredentials, Reason: "machine changed or not active"}
	}
	return s.issueMachine(subj, epoch, client, scope, aud, life, now)
}

func narrowAudience(asked, allowed []string) ([]string, error) {
	if len(asked) == 0 {
		return allowed, nil
	}
	if !subset(asked, allowed) {
		return nil, oauthError(InvalidTarget, "audience not allowed", "This audience or resource may not be asked for here")
	}
	return asked, nil
}
