package token

import (
	"strings"
	"unicode"

	"github.com/sallyport/sallyport/internal/jose/strictjson"
)

// Kind is what a token is good for. Kinds exclude each other.
type Kind string

// The kinds.
const (
	Access      Kind = "access"      // calls the API until it expires
	Refresh     Kind = "refresh"     // gets a new access token
	ID          Kind = "id"          // tells a client who logged in (OpenID Connect); opens nothing
	Application Kind = "application" // calls the API and never expires
	Request     Kind = "request"     // made by an API key to get the others
)

// Absent is the value of a time claim that is not there.
const Absent int64 = -1

// Bounds on claims.
const (
	maxText     = 256  // bytes of an identifier
	maxURI      = 1024 // bytes of iss and of an audience
	maxScope    = 4096 // bytes of scope
	maxAudience = 16   // entries of aud
	maxTime     = 1 << 53
)

// Claims are the claims of a token whose signature was verified. Text that is not there is "". A claim of a wrong type
// or range never gets here: the token was refused.
type Claims struct {
	Issuer    string   // iss
	Subject   string   // sub
	SessionID string   // sid
	ID        string   // jti
	ClientID  string   // client_id
	Scope     string   // scope, as it came
	Audience  []string // aud, one entry for the string form; nil when absent
	// Unix seconds, Absent when not there.
	IssuedAt, NotBefore, ExpiresAt int64
	Generation                     int64 // gen, 0 when absent
	// KeyID is the id of the key that verified the token, whatever its kid says.
	KeyID     string
	Algorithm Algorithm
	Typ       string // typ of the header
	// Shared says that others hold the secret that verified the token; our own
	// MAC in it says that we made it all the same.
	Shared bool
	// Payload is the JSON text of the claims. It is not to be changed.
	Payload []byte

	text string // Payload
}

// Text returns a top-level string claim. Anything else by that name, or nothing, answers false.
func (c *Claims) Text(name string) (string, bool) { return c.member(name).Text() }

// EachText calls f with every top-level string claim. It reads the claims once, where Text does so for each name.
func (c *Claims) EachText(f func(name, value string)) {
	members, err := strictjson.ParseObject(c.text, nil)
	if err != nil {
		return // they were read before
	}
	for i := range members {
		if text, ok := members[i].Value.Text(); ok {
			f(members[i].Name, text)
		}
	}
}

// Int returns a top-level claim that is written as an integer of at most 18 digits. Anything else answers false.
func (c *Claims) Int(name string) (int64, bool) { return c.member(name).Int() }

// Bool returns a top-level boolean claim. Anything else answers false for ok.
func (c *Claims) Bool(name string) (value, ok bool) { return c.member(name).Bool() }

// JSON returns the text of any top-level claim, "" when it is not there.
func (c *Claims) JSON(name string) string { return string(c.member(name)) }

func (c *Claims) member(name string) strictjson.Value {
	members, err := strictjson.ParseObject(c.text, nil)
	if err != nil {
		return ""
	}
	return strictjson.Find(members, name)
}

// read fills the claims from the members of the payload.
func (c *Claims) read(members []strictjson.Member) error {
	c.IssuedAt, c.NotBefore, c.ExpiresAt = Absent, Absent, Absent
	for i := range members {
		name, v := members[i].Name, members[i].Value
		var err error
		switch name {
		case "iss":
			c.Issuer, err = identifier(name, v, maxURI)
		case "sub":
			c.Subject, err = identifier(name, v, maxText)
		case "sid":
			c.SessionID, err = identifier(name, v, maxText)
		case "jti":
			c.ID, err = identifier(name, v, maxText)
		case "client_id":
			c.ClientID, err = identifier(name, v, maxText)
		case "scope":
			c.Scope, err = scope(v)
		case "aud":
			c.Audience, err = audience(v)
		case "iat":
			c.IssuedAt, err = seconds(name, v)
		case "nbf":
			c.NotBefore, err = seconds(name, v)
		case "exp":
			c.ExpiresAt, err = seconds(name, v)
		case "gen":
			c.Generation, err = seconds(name, v) // the same range
		default:
			err = foldedClaim(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// foldedClaim refuses a name that differs from a claim we act on in case alone: a reader that ignores case (the JSON
// package of Go does) would let it override the real one.
func foldedClaim(name string) error {
	if len(name) != 3 {
		return nil
	}
	switch strings.ToLower(name) {
	case "iss", "sub", "sid", "jti", "aud", "iat", "nbf", "exp", "gen":
		return refuse(ErrClaims, "%q is spelt in upper case", name)
	}
	return nil
}

// seconds reads a NumericDate. RFC 7519 allows fractions and exponents; we issue none, and 1e999 or 2^63 must not
// become a date (SECURITY.md requirement 8).
func seconds(name string, v strictjson.Value) (int64, error) {
	n, ok := v.Int()
	if !ok || n < 0 || n > maxTime {
		return Absent, claimError(name, "is not an integer from 0 to 2^53")
	}
	return n, nil
}

func identifier(name string, v strictjson.Value, limit int) (string, error) {
	text, ok := v.Text()
	if !ok || text == "" || len(text) > limit || !plain(text) {
		return "", claimError(name, "is not text without control characters, or is too long or empty")
	}
	return text, nil
}

// plain reports that text holds neither control characters nor those that change the direction of what follows; the
// latter make one name look like another in a log or console.
func plain(text string) bool {
	for _, r := range text {
		if r < ' ' || r >= 0x7f && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			return false
		}
	}
	return true
}

// scope reads a list of words with single spaces between them (RFC 6749 section 3.3), possibly empty.
func scope(v strictjson.Value) (string, error) {
	text, ok := v.Text()
	if !ok || len(text) > maxScope || !plain(text) {
		return "", claimError("scope", "is not text without control characters, or is too long")
	}
	if text == "" {
		return "", nil
	}
	space := true
	for _, r := range text {
		if r == ' ' && space || r != ' ' && unicode.IsSpace(r) {
			return "", claimError("scope", "has odd spaces")
		}
		space = r == ' '
	}
	if space {
		return "", claimError("scope", "ends with a space")
	}
	return text, nil
}

// audience reads aud in both of its forms (RFC 7519 section 4.1.3).
func audience(v strictjson.Value) ([]string, error) {
	if v.Kind() == strictjson.String {
		one, err := identifier("aud", v, maxURI)
		return []string{one}, err
	}
	var store [maxAudience]strictjson.Value
	entries, ok := v.AtMost(maxAudience, store[:0])
	if !ok || len(entries) == 0 {
		return nil, claimError("aud", "is neither text nor an array of 1 to 16 entries")
	}
	out := make([]string, len(entries))
	for i, entry := range entries {
		text, err := identifier("aud", entry, maxURI)
		if err != nil {
			return nil, err
		}
		out[i] = text
	}
	return out, nil
}
