package authserver

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
)

// NamedConsent is a consent and the name of the client that has it.
type NamedConsent struct {
	core.Consent
	ClientName string
}

// ConsentsOf lists what a user allowed, by client id.
func (s *Server) ConsentsOf(ctx context.Context, user string) ([]NamedConsent, error) {
	list, err := s.store.ListConsents(ctx, user)
	if err != nil {
		return nil, core.StoreError(err)
	}
	out := make([]NamedConsent, 0, len(list))
	for _, c := range list {
		name, err := s.clientName(ctx, c.Client)
		if err != nil {
			return nil, err
		}
		out = append(out, NamedConsent{Consent: *c, ClientName: name})
	}
	return out, nil
}

// Consented reports whether a user has given a client at least the scope.
func (s *Server) Consented(ctx context.Context, user, client string, scope []string) (bool, error) {
	c, err := s.store.ConsentOf(ctx, user, client)
	if errors.Is(err, core.ErrNoRow) {
		return false, nil
	}
	if err != nil {
		return false, core.StoreError(err)
	}
	return subset(scope, c.Scope), nil
}

// Consent records a user's word, beside what was given before.
func (s *Server) Consent(ctx context.Context, b *BrowserLogin, client *core.ClientRecord, scope []string, from *core.Client) error {
	now := s.now()
	c := core.Consent{User: b.Subject.ID, Client: client.ID, Scope: slices.Clone(scope), CreatedAt: now, UpdatedAt: now}
	ev := from.Event("consent.give")
	ev.Actor, ev.Account, ev.Subject = "user:"+c.User, b.Subject.Account, c.User
	ev.Detail = map[string]string{"client": c.Client, "scope": strings.Join(scope, " ")}
	return core.StoreError(s.store.PutConsent(ctx, &core.PutConsentParams{Consent: c, Now: now, Event: ev}))
}

// WithdrawConsent takes it back and ends the sessions it carried. *Error:
// NotFound.
func (s *Server) WithdrawConsent(ctx context.Context, actor core.Actor, user, client string) error {
	now := s.now()
	ev := actor.Event("consent.withdraw")
	ev.Subject, ev.Detail = user, map[string]string{"client": client}
	err := s.store.DeleteConsent(ctx, &core.DeleteConsentParams{User: user, Client: client, FactPurgeAt: s.engine.FactPurgeAt(core.FactSession, now), Now: now, Event: ev})
	if err = s.engine.Applied(ctx, err); errors.Is(err, core.ErrNoRow) {
		return core.Errorf(core.NotFound, "this user has not given consent to that client")
	}
	return err
}

// WithdrawOwnConsent takes back what the user of a browser allowed a client.
// What was never allowed is no error.
func (s *Server) WithdrawOwnConsent(ctx context.Context, b *BrowserLogin, client string, c *core.Client) error {
	actor := c.Actor("user:" + b.Subject.ID)
	err := s.WithdrawConsent(ctx, actor, b.Subject.ID, client)
	if core.CodeOf(err) == core.NotFound {
		return nil
	}
	return err
}
