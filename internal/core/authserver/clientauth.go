package authserver

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"slices"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// ClientCredential is how a request says which client it comes from.
type ClientCredential struct {
	Method    core.ClientAuth
	ID        string // "" for an assertion without client_id
	Secret    string
	Assertion string
	Client    core.Client
}

// badClient is the one answer to an unknown client, a wrong secret, a wrong
// method, and a disabled client.
func badClient(reason string) *core.Error {
	return &core.Error{Code: core.BadCredentials, OAuth: InvalidClient, Reason: reason, Message: "The client is unknown or did not prove who it is"}
}

// AuthenticateClient says which client a request comes from. *Error
// BadCredentials with OAuth "invalid_client"; Unavailable.
func (s *Server) AuthenticateClient(ctx context.Context, r *ClientCredential) (*core.ClientRecord, error) {
	c, err := s.authenticateClient(ctx, r)
	if e := (*core.Error)(nil); errors.As(err, &e) && e.Code == core.BadCredentials && e.OAuth == "" {
		err = badClient(e.Reason)
	}
	s.engine.Outcome("client", s.mount, &r.Client, err)
	return c, err
}

func (s *Server) authenticateClient(ctx context.Context, r *ClientCredential) (*core.ClientRecord, error) {
	now := s.now()
	id := r.ID
	if r.Method == core.AuthPrivateKey {
		maker, err := token.PeekIssuer(r.Assertion)
		if err != nil || r.ID != "" && r.ID != maker {
			return nil, badClient("assertion malformed or of another client")
		}
		id = maker // it only chooses whose keys are tried
	}
	c, err := s.clientByID(ctx, id)
	if err != nil {
		return nil, err
	}
	// Unknown clients cost what known ones do: a hash and a comparison.
	proven := secretMatches(c, r.Secret, now)
	switch {
	case c == nil:
		return nil, badClient("unknown client")
	case c.Auth != r.Method:
		e := badClient("another method of authentication")
		if proven && c.Live() {
			// Who knows the secret may know the rest; libraries differ in what they
			// do unasked, and without a word nobody finds out.
			e.Message = "This client authenticates with " + string(c.Auth) + ", not with " + string(r.Method)
		}
		return nil, e
	case r.Method == core.AuthPrivateKey:
		a, err := s.verifyClientAssertion(r.Assertion, c, now)
		if err != nil {
			return nil, err
		}
		if !c.Live() {
			return nil, badClient("client or account not active")
		}
		return c, s.useAssertion(ctx, a, now)
	case r.Method != core.AuthNone && !proven:
		return nil, badClient("wrong secret")
	case !c.Live():
		return nil, badClient("client or account not active")
	}
	return c, nil
}

// clientByID reads a client; nil for one that is not there or deleted.
func (s *Server) clientByID(ctx context.Context, id string) (*core.ClientRecord, error) {
	if len(id) > 100 {
		return nil, nil
	}
	c, err := s.store.ClientByID(ctx, id)
	if errors.Is(err, core.ErrNoRow) || err == nil && c.State == core.Deleted {
		return nil, nil
	}
	if err != nil {
		return nil, core.StoreError(err)
	}
	s.engine.RaiseLongest(max(c.RefreshIdleMS, c.SessionMS)) // a client made by another process
	return c, nil
}

// maxSecret is more than any secret of a client or any code has, in bytes.
const maxSecret = 256

// secretMatches compares a secret with all live ones, in constant time. Secrets
// are 256 random bits, so a plain hash hides them.
func secretMatches(c *core.ClientRecord, secret string, now int64) bool {
	if len(secret) > maxSecret {
		secret = "" // nobody's, and not worth copying
	}
	sum := sha256.Sum256([]byte(secret))
	none := [32]byte{}
	ok := subtle.ConstantTimeCompare(sum[:], none[:])
	if c == nil {
		return false
	}
	for i := range c.Secrets {
		match := subtle.ConstantTimeCompare(sum[:], c.Secrets[i].Hash[:])
		if c.Secrets[i].ExpiresAt != 0 && now >= c.Secrets[i].ExpiresAt {
			match = 0
		}
		ok |= match
	}
	return ok == 1 && secret != ""
}

func (s *Server) verifyClientAssertion(raw string, c *core.ClientRecord, now int64) (*assertion, error) {
	if len(c.JWKS) == 0 {
		return nil, &core.Error{Code: core.BadCredentials, Reason: "client without keys"}
	}
	keys, err := token.ParseForeignJWKS(c.JWKS)
	if err != nil {
		return nil, &core.Error{Code: core.Internal, Reason: "keys of client " + c.ID, Err: err}
	}
	return s.verifyAssertion(raw, c.ID, keys, now)
}

// PublicClient finds a live client by its id alone, for the authorization
// endpoint, which authenticates nobody. *Error BadCredentials.
func (s *Server) PublicClient(ctx context.Context, id string) (*core.ClientRecord, error) {
	c, err := s.clientByID(ctx, id)
	if err != nil {
		return nil, err
	}
	if c == nil || !c.Live() {
		return nil, badClient("unknown or disabled client")
	}
	return c, nil
}

// FeedClient says which client reads the revocation feed, by its own
// credentials: a confidential one with core.RoleRevocations among its scopes.
// *Error: BadCredentials, ScopeInsufficient.
func (s *Server) FeedClient(ctx context.Context, cred *ClientCredential) (string, error) {
	if s.mount == nil {
		return "", badClient("OAuth is off")
	}
	c, err := s.AuthenticateClient(ctx, cred)
	if err != nil {
		return "", err
	}
	if c.Type != core.ClientConfidential || !slices.Contains(c.Scopes, core.RoleRevocations) {
		return "", core.Errorf(core.ScopeInsufficient, "This client does not have the scope %s", core.RoleRevocations)
	}
	return c.ID, nil
}
