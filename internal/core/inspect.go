package core

import (
	"context"

	"github.com/sallyport/sallyport/internal/token"
)

// Inspection says what a token is and why it is, or is not, good. It is for
// operators: it shows reasons that no contract may show.
type Inspection struct {
	Valid   bool       // a verifier would accept it now
	Verdict string     // one sentence
	Kind    token.Kind // "" when no key of ours made it
	Mount   string
	KeyID   string
	Header  string // the header's JSON, as sent
	Payload string // the payload's JSON, as sent
	Checks  []Check
	Session *Session
	Subject *Subject
	Token   *ApplicationToken
}

// Check is one step of verification and its outcome.
type Check struct {
	Name   string // "form", "signature", "kind", "expiry", "revocation", "session", "subject"
	OK     bool
	Detail string
}

// InspectToken explains a token over all mounts.
func (s *Service) InspectToken(ctx context.Context, raw string) (*Inspection, error) {
	return s.inspect(ctx, raw)
}
