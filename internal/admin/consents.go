package admin

import (
	"net/http"

	"github.com/sallyport/sallyport/internal/core/authserver"
)

// Consent is a user's word that an OAuth client may have a scope.
type Consent struct {
	Client     string   `json:"client"` // id
	ClientName string   `json:"client_name"`
	Scopes     []string `json:"scopes"`
	CreatedAt  Time     `json:"created_at"`
	UpdatedAt  Time     `json:"updated_at"`
}

func consentOf(c *authserver.NamedConsent) *Consent {
	return &Consent{
		Client: c.Client, ClientName: c.ClientName, Scopes: append([]string{}, c.Scope...),
		CreatedAt: Time(c.CreatedAt), UpdatedAt: Time(c.UpdatedAt),
	}
}

// listConsents answers all in one page: there is at most one a client.
func (a *api) listConsents(c *call) error {
	if _, err := c.query("limit"); err != nil {
		return err
	}
	u, err := a.user(c)
	if err != nil {
		return err
	}
	list, err := a.clients.ConsentsOf(c.ctx, u.ID)
	if err != nil {
		return err
	}
	page := Page[*Consent]{Items: []*Consent{}}
	for i := range list {
		page.Items = append(page.Items, consentOf(&list[i]))
	}
	return c.answer(http.StatusOK, page)
}

func (a *api) withdrawConsent(c *call) error {
	u, err := a.user(c)
	if err != nil {
		return err
	}
	if err := a.clients.WithdrawConsent(c.ctx, c.actor, u.ID, c.r.PathValue("client")); err != nil {
		return err
	}
	return c.noContent()
}
