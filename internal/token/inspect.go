package token

import (
	"encoding/base64"

	"github.com/sallyport/sallyport/internal/jose"
	"github.com/sallyport/sallyport/internal/jose/strictjson"
)

// Unverified is what a token says about itself. Nobody has vouched for any of it.
type Unverified struct {
	Algorithm Algorithm
	KeyID     string
	Typ       string
	Header    string // JSON text
	Payload   string // any bytes
}

// Inspect opens a token for a person to look at, without keys. It is for telling why a token is refused and never for
// deciding on one. The error is ErrMalformed.
func Inspect(raw string) (*Unverified, error) {
	p, err := jose.Parse(raw)
	if err != nil {
		return nil, err
	}
	header, err := base64.RawURLEncoding.DecodeString(p.HeaderSegment())
	if err != nil {
		return nil, refuse(ErrMalformed, "header: %s", err)
	}
	return &Unverified{
		Algorithm: p.Algorithm(), KeyID: p.KeyID(), Typ: p.Typ(), Header: string(header), Payload: string(p.UnverifiedPayload()),
	}, nil
}

// PeekIssuer returns the iss of a token that nobody has vouched for. It is for choosing whose keys are tried, and for
// nothing else. The error is ErrMalformed or ErrClaims.
func PeekIssuer(raw string) (string, error) {
	p, err := jose.Parse(raw)
	if err != nil {
		return "", err
	}
	members, err := strictjson.ParseObject(string(p.UnverifiedPayload()), nil)
	if err != nil {
		return "", refuse(ErrClaims, "payload: %s", err)
	}
	return identifier("iss", strictjson.Find(members, "iss"), maxURI)
}
