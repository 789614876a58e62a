package verify

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/token"
)

// Claims are what an accepted token says. They cannot be changed, so one value serves any number of goroutines; that is
// why they are methods and not fields.
type Claims struct {
	c     token.Claims
	epoch int64 // of the sid; for the comparison with facts
	acct  string
	uid   string // the subject's id, where the contract writes a sub of its own
	// parent is the jti of the token that this one narrows (RFC 8693); it dies with that one.
	parent string
	status *statusRef // nil where the token names no status list, or none are looked up
}

// newClaims reads what revocations are told by where they are followed.
func newClaims(c *token.Claims, followed bool) *Claims {
	out := &Claims{c: *c, epoch: noEpoch}
	if !followed {
		return out
	}
	if epoch, ok := epochOf(c.SessionID); ok {
		out.epoch = epoch
	}
	c.EachText(func(name, value string) {
		switch name {
		case "acct":
			out.acct = value
		case "uid":
			out.uid = value
		case "parent":
			out.parent = value
		}
	})
	return out
}

// Subject is whose token it is (sub): the id of a user, an API key or a client.
func (c *Claims) Subject() string { return c.c.Subject }

// Issuer is who issued it (iss).
func (c *Claims) Issuer() string { return c.c.Issuer }

// Audience is whom it is for (aud), the first where there are several, "" when it names nobody.
func (c *Claims) Audience() string {
	if len(c.c.Audience) == 0 {
		return ""
	}
	return c.c.Audience[0]
}

// Audiences are all of aud, for OAuth access tokens that Config.SharedAudience lets in.
func (c *Claims) Audiences() []string { return slices.Clone(c.c.Audience) }

// SessionID names the session (sid), "" in an application token.
func (c *Claims) SessionID() string { return c.c.SessionID }

// ID names the token (jti).
func (c *Claims) ID() string { return c.c.ID }

// ClientID is the OAuth client it was issued to, "" when there is none.
func (c *Claims) ClientID() string { return c.c.ClientID }

// Scope is the scope as the token has it: words with a space between them.
func (c *Claims) Scope() string { return c.c.Scope }

// Scopes are the words of the scope.
func (c *Claims) Scopes() []string { return strings.Fields(c.c.Scope) }

// HasScope reports whether name is one of them.
func (c *Claims) HasScope(name string) bool {
	for word := range strings.SplitSeq(c.c.Scope, " ") {
		if word == name && name != "" {
			return true
		}
	}
	return false
}

// IssuedAt is when it was issued (iat), to the second.
func (c *Claims) IssuedAt() time.Time { return time.Unix(c.c.IssuedAt, 0) }

// ExpiresAt is when it ends (exp); the zero time for an application token, which does not.
func (c *Claims) ExpiresAt() time.Time {
	if c.c.ExpiresAt == token.Absent {
		return time.Time{}
	}
	return time.Unix(c.c.ExpiresAt, 0)
}

// KeyID is the id of the key that verified it, whatever its header says; "" for a shared secret.
func (c *Claims) KeyID() string { return c.c.KeyID }

// Text returns a top-level claim that is a string.
func (c *Claims) Text(name string) (string, bool) { return c.c.Text(name) }

// Int returns a top-level claim that is written as an integer of at most 18 digits.
func (c *Claims) Int(name string) (int64, bool) { return c.c.Int(name) }

// Bool returns a top-level claim that is true or false; ok is false for anything else.
func (c *Claims) Bool(name string) (value, ok bool) { return c.c.Bool(name) }

// Raw returns the JSON text of a top-level claim, nil when it is not there.
func (c *Claims) Raw(name string) json.RawMessage {
	text := c.c.JSON(name)
	if text == "" {
		return nil
	}
	return json.RawMessage(text)
}

// Payload returns a copy of the JSON text of all claims.
func (c *Claims) Payload() []byte { return slices.Clone(c.c.Payload) }

// Decode puts all claims into a struct or map, as json.Unmarshal does. Mind that it matches names without regard to
// case; what decides about access is better read with Text, Int and Bool, which do not.
func (c *Claims) Decode(v any) error { return json.Unmarshal(c.c.Payload, v) }
