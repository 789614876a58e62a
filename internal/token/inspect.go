package token

import (
	"encoding/base64"

	"github.com/sallyport/sallyport/internal/jose"
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
