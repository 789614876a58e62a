package oauth

import (
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
	"github.com/sallyport/sallyport/internal/httpd"
)

// tokenAnswer is RFC 6749 section 5.1, with id_token and issued_token_type of
// their own specifications.
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	IssuedType   string `json:"issued_token_type,omitempty"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	Scope        string `json:"scope,omitempty"`
}

// token is the token endpoint.
func (h *Handler) token(c *call) error {
	grant, err := c.need("grant_type")
	if err != nil {
		return err
	}
	var f func(*call, *core.ClientRecord) (*authserver.Granted, error)
	switch grant {
	case core.GrantCode:
		f = h.byCode
	case core.GrantRefresh:
		f = h.byRefresh
	case core.GrantCredentials:
		f = h.byCredentials
	case core.GrantExchange:
		f = h.byExchange
	case core.GrantAssertion:
		return h.byAssertion(c)
	default:
		e := core.Errorf(core.BadRequest, "This grant type is not served here")
		e.OAuth = authserver.UnsupportedGrantType
		return e
	}
	client, err := h.client(c)
	if err != nil {
		return err
	}
	g, err := f(c, client)
	if err != nil {
		return err
	}
	return h.grant(c, grant, g)
}

// grant answers, and leaves a line in the log: tokens of machines open no
// session that the audit log would tell of.
func (h *Handler) grant(c *call, grant string, g *authserver.Granted) error {
	h.log.Info("tokens issued", "grant", grant, "subject", g.Subject.ID, "session", g.Session.ID.String(), "verdict", g.Verdict,
		"address", c.from.Address.String(), "request_id", c.from.RequestID)
	return httpd.WriteJSON(c.w, http.StatusOK, tokenAnswer{
		AccessToken: g.AccessToken, IssuedType: g.IssuedType, TokenType: "Bearer", ExpiresIn: (g.AccessExpires - g.Now) / 1000,
		RefreshToken: g.RefreshToken, IDToken: g.IDToken, Scope: strings.Join(g.Scope, " "),
	}, httpd.NoStore)
}

func (h *Handler) byCode(c *call, client *core.ClientRecord) (*authserver.Granted, error) {
	r := &authserver.RedeemRequest{Auth: client, Client: c.from}
	var err error
	if r.Code, err = c.need("code"); err != nil {
		return nil, err
	}
	if r.RedirectURI, err = c.need("redirect_uri"); err != nil {
		return nil, err
	}
	if r.Verifier, err = c.need("code_verifier"); err != nil {
		return nil, err
	}
	if r.Audience, err = c.audience(); err != nil {
		return nil, err
	}
	return h.svc.RedeemCode(c.ctx(), r)
}

func (h *Handler) byRefresh(c *call, client *core.ClientRecord) (*authserver.Granted, error) {
	r := &authserver.RefreshRequest{Auth: client, Client: c.from}
	var err error
	if r.Token, err = c.need("refresh_token"); err != nil {
		return nil, err
	}
	if r.Scope, err = c.scope(); err != nil {
		return nil, err
	}
	if r.Audience, err = c.audience(); err != nil {
		return nil, err
	}
	return h.svc.Refresh(c.ctx(), r)
}

func (h *Handler) byCredentials(c *call, client *core.ClientRecord) (*authserver.Granted, error) {
	scope, err := c.scope()
	if err != nil {
		return nil, err
	}
	aud, err := c.audience()
	if err != nil {
		return nil, err
	}
	return h.svc.ClientCredentials(c.ctx(), &authserver.CredentialsRequest{Auth: client, Scope: scope, Audience: aud, Client: c.from})
}

// byAssertion is the one grant that needs no client authentication: the
// assertion says who calls (RFC 7523 section 3.1).
func (h *Handler) byAssertion(c *call) error {
	r := &authserver.AssertionRequest{Client: c.from}
	cred, err := c.credential()
	if err != nil {
		return err
	}
	if cred != nil {
		if r.Auth, err = h.svc.AuthenticateClient(c.ctx(), cred); err != nil {
			return err
		}
	}
	if r.Assertion, err = c.need("assertion"); err != nil {
		return err
	}
	if r.Scope, err = c.scope(); err != nil {
		return err
	}
	if r.Audience, err = c.audience(); err != nil {
		return err
	}
	g, err := h.svc.AssertionGrant(c.ctx(), r)
	if err != nil {
		return err
	}
	return h.grant(c, core.GrantAssertion, g)
}

func (h *Handler) byExchange(c *call, client *core.ClientRecord) (*authserver.Granted, error) {
	r := &authserver.ExchangeRequest{Auth: client, Client: c.from}
	var err error
	if r.Subject, err = c.need("subject_token"); err != nil {
		return nil, err
	}
	if typ, err := c.need("subject_token_type"); err != nil {
		return nil, err
	} else if typ != authserver.TypeAccessToken {
		return nil, invalidRequest("subject_token_type must be " + authserver.TypeAccessToken)
	}
	if typ := c.form.Get("requested_token_type"); typ != "" && typ != authserver.TypeAccessToken {
		return nil, invalidRequest("requested_token_type must be " + authserver.TypeAccessToken)
	}
	if c.form.Get("actor_token") != "" || c.form.Get("actor_token_type") != "" {
		return nil, invalidRequest("acting for somebody (actor_token) is not served here; exchange narrows a token")
	}
	if r.Scope, err = c.scope(); err != nil {
		return nil, err
	}
	if r.Audience, err = c.audience(); err != nil {
		return nil, err
	}
	return h.svc.ExchangeToken(c.ctx(), r)
}

func (c *call) scope() ([]string, error) { return authserver.ParseScope(c.form.Get("scope")) }

// audience is what a token is asked for by RFC 8693 (audience) or RFC 8707
// (resource); the two say the same here.
func (c *call) audience() ([]string, error) {
	a, b := c.form.Get("audience"), c.form.Get("resource")
	switch {
	case a != "" && b != "" && a != b:
		return nil, invalidRequest("audience and resource differ; give one")
	case a == "" && b == "":
		return nil, nil
	case a == "":
		a = b
	}
	return []string{a}, nil
}
