package token

import (
	"crypto/sha256"
	"strconv"

	"github.com/sallyport/sallyport/internal/jose"
	"github.com/sallyport/sallyport/internal/jose/strictjson"
)

// RequestToken is a token that an API key made (Netography's contract). Its members are what it claims; nobody has
// vouched for them before Verify. They are there to find the key.
type RequestToken struct {
	AppName   string // appname
	AppKey    string // appkey
	ShortName string // shortname, names the account
	ID        string // jti as text, "" when absent
	// Unix seconds. IssuedAt is always there; the others are Absent unless the client sent them.
	IssuedAt, NotBefore, ExpiresAt int64

	parsed *jose.Parsed
}

// ParseRequest reads a request token without verifying it. Clients in the field write iat as a number or as a string
// of digits and jti as text or as an integer, so both are read here, and here alone. Errors: ErrMalformed for the
// shape, ErrClaims for a claim.
func ParseRequest(raw string) (*RequestToken, error) {
	p, err := jose.Parse(raw)
	if err != nil {
		return nil, err
	}
	members, err := strictjson.ParseObject(string(p.UnverifiedPayload()), nil)
	if err != nil {
		return nil, refuse(ErrMalformed, "payload: %s", err)
	}
	t := &RequestToken{parsed: p, IssuedAt: Absent, NotBefore: Absent, ExpiresAt: Absent}
	for _, m := range members {
		if err := t.set(m.Name, m.Value); err != nil {
			return nil, err
		}
	}
	switch {
	case t.IssuedAt == Absent:
		return nil, claimError("iat", "is missing")
	case t.AppName == "" || t.AppKey == "" || t.ShortName == "":
		return nil, refuse(ErrClaims, "appname, appkey and shortname must be there")
	}
	return t, nil
}

func (t *RequestToken) set(name string, v strictjson.Value) (err error) {
	switch name {
	case "appname":
		t.AppName, err = identifier(name, v, maxText)
	case "appkey":
		t.AppKey, err = identifier(name, v, maxText)
	case "shortname":
		t.ShortName, err = identifier(name, v, maxText)
	case "jti":
		if _, ok := v.Int(); ok {
			t.ID = string(v)
			return nil
		}
		t.ID, err = identifier(name, v, maxText)
	case "iat":
		t.IssuedAt, err = requestSeconds(name, v)
	case "nbf":
		t.NotBefore, err = requestSeconds(name, v)
	case "exp":
		t.ExpiresAt, err = requestSeconds(name, v)
	default:
		err = foldedClaim(name)
	}
	return err
}

// requestSeconds is seconds that may stand in quotes.
func requestSeconds(name string, v strictjson.Value) (int64, error) {
	if text, ok := v.Text(); ok {
		v = strictjson.Value(text)
		for i := range len(text) {
			if text[i] < '0' || text[i] > '9' {
				return Absent, claimError(name, "is text other than digits")
			}
		}
	}
	return seconds(name, v)
}

// Verify checks the signature with the key of the API key that the token names. Only HS256 can verify. The error is
// ErrSignature.
func (t *RequestToken) Verify(key *Key) error {
	if key.Algorithm() != HS256 {
		return refuse(ErrSignature, "request tokens are HS256, the key is for %s", key.Algorithm())
	}
	if _, err := t.parsed.Verify(key); err != nil {
		return refuse(ErrSignature, "%s", err)
	}
	return nil
}

// CheckTimes demands that iat is at most windowMs from now, either way, and honours exp and nbf if they are there
// (skew 60 s on nbf). Errors: ErrExpired for a token that is too old, ErrNotYetValid for one from the future.
func (t *RequestToken) CheckTimes(nowMs, windowMs int64) error {
	switch iat := t.IssuedAt * 1000; {
	case iat > nowMs+windowMs:
		return refuse(ErrNotYetValid, "iat is %d s ahead of the clock", (iat-nowMs)/1000)
	case t.NotBefore != Absent && t.NotBefore*1000 > nowMs+Skew:
		return refuse(ErrNotYetValid, "nbf is %d s ahead of the clock", (t.NotBefore*1000-nowMs)/1000)
	case iat < nowMs-windowMs:
		return refuse(ErrExpired, "iat is %d s ago, the window is %d s", (nowMs-iat)/1000, windowMs/1000)
	case t.ExpiresAt != Absent && nowMs >= t.ExpiresAt*1000:
		return refuse(ErrExpired, "exp has passed")
	}
	return nil
}

// SigningInputHash is the SHA-256 of the token without its signature, by which the token is remembered: a jti is drawn
// from few values by some clients, and other bytes after the last dot make no other request.
func (t *RequestToken) SigningInputHash() [32]byte { return sha256.Sum256(t.parsed.SigningInput()) }

// MintRequest makes a request token like the vendor's clients do. IssuedAt and, if not Absent or zero, ExpiresAt and
// NotBefore are written as numbers, ID as text.
func MintRequest(key *Key, t *RequestToken) (string, error) {
	if key.Algorithm() != HS256 {
		return "", refuse(ErrSignature, "request tokens are HS256, the key is for %s", key.Algorithm())
	}
	out := strconv.AppendInt([]byte(`{"iat":`), t.IssuedAt, 10)
	for _, m := range [...]struct {
		name string
		at   int64
	}{{"nbf", t.NotBefore}, {"exp", t.ExpiresAt}} {
		if m.at > 0 {
			out = append(out, `,"`+m.name+`":`...)
			out = strconv.AppendInt(out, m.at, 10)
		}
	}
	for _, m := range [...][2]string{
		{"jti", t.ID}, {"appname", t.AppName}, {"appkey", t.AppKey}, {"shortname", t.ShortName},
	} {
		if m[1] == "" {
			continue
		}
		out = append(out, `,"`+m[0]+`":`...)
		out = strictjson.AppendString(out, m[1])
	}
	return key.Sign(Header{Typ: "JWT", OmitKeyID: true, Order: TypAlgKid}, append(out, '}'))
}
