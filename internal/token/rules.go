package token

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/jose/strictjson"
)

// Skew is how far, in milliseconds, nbf and iat may lie in the future, because clocks differ.
const Skew int64 = 60_000

// Rules say what a token of one kind of one mount must be like. The zero value refuses everything, since it knows no
// issuer and no lifetime.
type Rules struct {
	// Kind is the kind that these rules are about. It is for the caller; the token is judged by KindClaim.
	Kind Kind
	// KindClaim names the claim that says the kind ("type", "token_use"), KindValue the text it must have. With an
	// empty KindClaim the keys alone keep the kinds apart.
	KindClaim, KindValue string
	// Typ is the typ that the header must have, without regard to case, "application/" being optional (RFC 7515
	// section 4.1.9). "" asks for none.
	Typ string
	// PlainTyp, where Typ is "", asks that typ be JWT or absent. Other types say that the token is something else: a
	// logout token (logout+jwt), a status list, an OAuth access token.
	PlainTyp bool
	// ForbiddenClaim names a claim that must be absent, such as the KindClaim of tokens that are told apart by it.
	ForbiddenClaim string
	// Issuers are the values that iss may have. AllowNoIssuer lets iss be absent, too; when it is there, it must be one
	// of Issuers all the same.
	Issuers       []string
	AllowNoIssuer bool
	// Audience is the one audience that aud must name, as text or as an array of one. "" means that aud must be absent.
	Audience string
	// SharedAudience lets aud name others beside Audience.
	SharedAudience bool
	// AnyAudience asks that aud be there and leaves it to the caller to compare it.
	AnyAudience bool
	// NoIssuedAt lets iat be absent; MaxLifetime then bounds nothing. It is for assertions (RFC 7523 section 3).
	NoIssuedAt bool
	// MaxLifetime is the most seconds between iat and exp. Zero lets only NoExpiry tokens through.
	MaxLifetime int64
	// NoExpiry is for application tokens: exp must be absent. Otherwise it must be there.
	NoExpiry bool
	// RequireSession asks for sid.
	RequireSession bool
	// RequireClient asks for sub, jti and client_id, as RFC 9068 section 2.2 does of OAuth access tokens.
	RequireClient bool
	// ExpirySkew is for how many seconds after exp a token is still taken, at most 60. It is for tokens that others
	// issued; for ours it is 0, since one clock wrote exp and reads it.
	ExpirySkew int64
}

// check judges claims that were read. Its order is the order of the errors.
func (r *Rules) check(c *Claims, members []strictjson.Member, nowMs int64) error {
	if err := r.checkKind(c, members); err != nil {
		return err
	}
	if c.Issuer == "" && !r.AllowNoIssuer {
		return refuse(ErrIssuer, "iss is missing")
	}
	if c.Issuer != "" && !slices.Contains(r.Issuers, c.Issuer) {
		return refuse(ErrIssuer, "iss is %q", c.Issuer)
	}
	if err := r.checkAudience(c); err != nil {
		return err
	}
	if err := r.checkPresence(c); err != nil {
		return err
	}
	if err := r.checkLifetime(c); err != nil {
		return err
	}
	return r.checkClock(c, nowMs)
}

func (r *Rules) checkPresence(c *Claims) error {
	switch {
	case r.RequireSession && c.SessionID == "":
		return claimError("sid", "is missing")
	case r.RequireClient && c.Subject == "":
		return claimError("sub", "is missing")
	case r.RequireClient && c.ID == "":
		return claimError("jti", "is missing")
	case r.RequireClient && c.ClientID == "":
		return claimError("client_id", "is missing")
	}
	return nil
}

func (r *Rules) checkKind(c *Claims, members []strictjson.Member) error {
	if r.Typ != "" && !sameType(c.Typ, r.Typ) {
		return refuse(ErrKind, "typ is %q, %q is needed", c.Typ, r.Typ)
	}
	if r.Typ == "" && r.PlainTyp && c.Typ != "" && !sameType(c.Typ, "JWT") {
		return refuse(ErrKind, "typ is %q, JWT or none is needed", c.Typ)
	}
	if r.ForbiddenClaim != "" && strictjson.Find(members, r.ForbiddenClaim) != "" {
		return refuse(ErrKind, "%s is there, which tokens of this kind do not have", r.ForbiddenClaim)
	}
	if r.KindClaim == "" {
		return nil
	}
	value, ok := strictjson.Find(members, r.KindClaim).Text()
	if !ok || value != r.KindValue {
		return refuse(ErrKind, "%s is %q, %q is needed", r.KindClaim, value, r.KindValue)
	}
	return nil
}

// sameType compares media types (RFC 7515 section 4.1.9).
func sameType(a, b string) bool {
	const prefix = "application/"
	short := func(t string) string {
		if len(t) > len(prefix) && strings.EqualFold(t[:len(prefix)], prefix) {
			return t[len(prefix):]
		}
		return t
	}
	return strings.EqualFold(short(a), short(b))
}

// checkAudience demands exactly one audience or none. An array that holds ours among others is for others, too: such
// a token could be theirs, replayed here (CVE-2020-26160 was an array that skipped the check).
func (r *Rules) checkAudience(c *Claims) error {
	switch {
	case r.AnyAudience && c.Audience != nil:
		return nil
	case r.AnyAudience:
		return refuse(ErrAudience, "aud is missing")
	case r.Audience == "" && c.Audience != nil:
		return refuse(ErrAudience, "aud is there, none is expected")
	case r.Audience != "" && r.SharedAudience && slices.Contains(c.Audience, r.Audience):
		return nil
	case r.Audience != "" && (len(c.Audience) != 1 || c.Audience[0] != r.Audience):
		return refuse(ErrAudience, "aud is %q, exactly %q is needed", c.Audience, r.Audience)
	}
	return nil
}

func (r *Rules) checkLifetime(c *Claims) error {
	switch {
	case c.IssuedAt == Absent && r.NoIssuedAt && c.ExpiresAt != Absent:
		return nil
	case c.IssuedAt == Absent:
		return claimError("iat", "is missing")
	case r.NoExpiry && c.ExpiresAt != Absent:
		return refuse(ErrLifetime, "exp is there, this kind has none")
	case r.NoExpiry:
		return nil
	case c.ExpiresAt == Absent:
		return claimError("exp", "is missing")
	case c.ExpiresAt < c.IssuedAt:
		return refuse(ErrLifetime, "exp is before iat")
	case c.ExpiresAt-c.IssuedAt > r.MaxLifetime:
		return refuse(ErrLifetime, "%d s, the most is %d s", c.ExpiresAt-c.IssuedAt, r.MaxLifetime)
	}
	return nil
}

// checkClock compares with now. Seconds of at most 2^53 fit an int64 as milliseconds.
func (r *Rules) checkClock(c *Claims, nowMs int64) error {
	for _, t := range [...]struct {
		name string
		at   int64
	}{{"nbf", c.NotBefore}, {"iat", c.IssuedAt}} {
		if t.at != Absent && t.at*1000 > nowMs+Skew {
			return refuse(ErrNotYetValid, "%s is %d s ahead of the clock", t.name, (t.at*1000-nowMs)/1000)
		}
	}
	if c.ExpiresAt == Absent {
		return nil
	}
	skew := min(max(r.ExpirySkew, 0), Skew/1000)
	if nowMs >= (c.ExpiresAt+skew)*1000 {
		return ErrExpired
	}
	return nil
}
