package oauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
	"github.com/sallyport/sallyport/internal/httpd"
	tok "github.com/sallyport/sallyport/internal/token"
)

// introspection is RFC 7662 section 2.2. Members beyond it: sid, account, and
// token_use, because a client may ask about a refresh token of its own and
// must see that it is none to call an API with.
type introspection struct {
	Active    bool            `json:"active"`
	Scope     string          `json:"scope,omitempty"`
	ClientID  string          `json:"client_id,omitempty"`
	Username  string          `json:"username,omitempty"`
	TokenType string          `json:"token_type,omitempty"`
	TokenUse  string          `json:"token_use,omitempty"`
	Expires   int64           `json:"exp,omitempty"`
	IssuedAt  int64           `json:"iat,omitempty"`
	NotBefore int64           `json:"nbf,omitempty"`
	Subject   string          `json:"sub,omitempty"`
	Audience  json.RawMessage `json:"aud,omitempty"`
	Issuer    string          `json:"iss,omitempty"`
	ID        string          `json:"jti,omitempty"`
	Session   string          `json:"sid,omitempty"`
	Account   string          `json:"account,omitempty"`
}

// introspect answers what a token is worth now. For everything that is not
// good the body is {"active":false} and nothing else (section 2.2): why is not
// the asker's business.
func (h *Handler) introspect(c *call) error {
	client, err := h.client(c)
	if err != nil {
		return err
	}
	raw, err := c.need("token")
	if err != nil {
		return err
	}
	p, err := h.svc.Introspect(c.ctx(), &authserver.IntrospectRequest{Auth: client, Token: raw, Client: c.from})
	if errors.Is(err, authserver.ErrInactive) {
		return httpd.WriteJSON(c.w, http.StatusOK, introspection{}, httpd.NoStore)
	}
	if err != nil {
		return err
	}
	return httpd.WriteJSON(c.w, http.StatusOK, told(p), httpd.NoStore)
}

func told(p *core.Principal) *introspection {
	out := &introspection{
		Active: true, Scope: strings.Join(p.Scopes, " "), ClientID: p.ClientID, TokenUse: string(p.Kind),
		Expires: p.ExpiresAt / 1000, IssuedAt: p.IssuedAt / 1000, Subject: p.Subject.ID, ID: p.TokenID, Account: p.Subject.AccountShortname,
	}
	if p.Subject.Kind != core.SubjectClient {
		out.Username = p.Subject.Username
	}
	if p.Kind != tok.Refresh {
		out.TokenType = "Bearer"
	}
	if p.Session != (core.SessionID{}) {
		out.Session = p.Session.String()
	}
	var claims struct {
		Issuer    string          `json:"iss"`
		Audience  json.RawMessage `json:"aud"`
		NotBefore int64           `json:"nbf"`
	}
	if json.Unmarshal(p.Claims, &claims) == nil { // it was verified, so it is an object with these types
		out.Issuer, out.Audience, out.NotBefore = claims.Issuer, claims.Audience, claims.NotBefore
	}
	return out
}

// revoke ends a token. The answer is 200 whether there was anything to end or
// not (RFC 7009 section 2.2); a store that fails is a 503, for the client must
// know that the token may still count.
func (h *Handler) revoke(c *call) error {
	client, err := h.client(c)
	if err != nil {
		return err
	}
	raw, err := c.need("token")
	if err != nil {
		return err
	}
	if err := h.svc.RevokeToken(c.ctx(), &authserver.RevokeRequest{Auth: client, Token: raw, Client: c.from}); err != nil {
		return err
	}
	httpd.NoStore(c.w.Header())
	c.w.WriteHeader(http.StatusOK)
	return nil
}
