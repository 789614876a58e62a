package core

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

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

// InspectToken explains a token over all mounts: it verifies it as Authenticate does, for
// every kind, and keeps account of each step.
func (s *Service) InspectToken(ctx context.Context, raw string) (*Inspection, error) {
	raw = strings.TrimSpace(raw)
	in := &Inspection{}
	in.Header, in.Payload = peek(raw)
	now := s.now()
	id, err := s.identifyOrRow(ctx, raw, s.Mounts(), now)
	code := TokenInvalid
	if err != nil {
		code = CodeOf(err)
	}
	if code.Is(Unavailable) || code.Is(Internal) {
		return nil, err
	}
	if err != nil && code == TokenMalformed {
		in.check("form", false, why(err))
		in.Verdict = "This is not a token: " + why(err)
		return in, nil
	}
	in.check("form", true, "three canonical base64url parts, a strict header")
	if id == nil {
		in.check("signature", false, "no key of any mount here made it")
		in.Verdict = "Refused: no key of this server signed it. It comes from another issuer, its key was dropped, or it was altered."
		return in, nil
	}
	in.Kind, in.Mount = id.Kind, id.Mount.ID
	if id.Claims != nil {
		in.KeyID = id.Claims.KeyID
	}
	if id.Kind == token.Application && err == nil && in.KeyID == "" {
		in.check("signature", true, "its key was dropped; it counts by its row, byte for byte")
	} else {
		in.check("signature", true, "signed by the "+string(id.Kind)+" keys of mount "+id.Mount.ID)
	}
	if err != nil {
		name := "claims"
		if code == TokenExpired {
			name = "expiry"
		}
		in.check(name, false, why(err))
		in.Verdict = "Refused: " + why(err)
		return in, nil
	}
	in.check("claims", true, "issuer, audience, kind and times are as the contract says")
	return in, s.inspectLive(ctx, in, id, raw, now)
}

// inspectLive looks at what stands behind the token now.
func (s *Service) inspectLive(ctx context.Context, in *Inspection, id *Identified, raw string, now int64) error {
	var p *Principal
	var err error
	if id.Kind == token.Application {
		p, err = s.applicationPrincipal(ctx, id, raw)
	} else {
		if sid, perr := ParseSessionID(id.Claims.SessionID); perr == nil {
			if sess, _, serr := s.store.SessionByID(ctx, sid); serr == nil {
				in.Session = sess
			}
		}
		p, err = s.sessionPrincipal(ctx, id, now)
	}
	var e *Error
	if err != nil && (!errors.As(err, &e) || e.Code == Unavailable) {
		return err
	}
	if err != nil {
		in.check("live", false, e.Reason)
		in.Verdict = "Refused: " + e.Reason
		return nil
	}
	in.Subject, in.Valid = &p.Subject, true
	in.check("live", true, "session or token, subject and account are active, nothing revokes it")
	in.Verdict = "Good: this " + string(id.Kind) + " token speaks for " + p.Subject.Username + "."
	if id.Kind == token.Refresh || id.Kind == token.ID {
		in.Verdict += " It does not open the API; only access and application tokens do."
	}
	return nil
}

func (in *Inspection) check(name string, ok bool, detail string) {
	in.Checks = append(in.Checks, Check{Name: name, OK: ok, Detail: detail})
}

// peek decodes header and payload for showing, verified or not.
func peek(raw string) (header, payload string) {
	parts := strings.SplitN(raw, ".", 4)
	if len(parts) != 3 || len(raw) > token.MaxSize {
		return "", ""
	}
	h, err1 := base64.RawURLEncoding.DecodeString(parts[0])
	p, err2 := base64.RawURLEncoding.DecodeString(parts[1])
	if err1 != nil || err2 != nil {
		return "", ""
	}
	return string(h), string(p)
}

// why is the reason of a refusal without the codes and the repeats that
// wrapping leaves in an error's text.
func why(err error) string {
	text := err.Error()
	var e *Error
	if errors.As(err, &e) && e.Reason != "" {
		text = e.Reason
	}
	parts := strings.Split(text, ": ")
	return strings.Join(slices.Compact(parts), ": ")
}
