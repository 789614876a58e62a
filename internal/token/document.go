package token

import (
	"slices"

	"github.com/sallyport/sallyport/internal/jose"
)

// SignDocument signs a document that is no token and may be long, such as a list of revocations. Its header says alg,
// the given typ and, if the key has one, kid.
func SignDocument(key *Key, typ string, payload []byte) (string, error) {
	return key.SignDocument(Header{Typ: typ}, payload)
}

// VerifyDocument returns the payload of a document that one of the keys signed and whose typ is the one given, exactly:
// a token, whatever it claims, is no document. The payload is any bytes; the caller judges what they say. A key whose
// id the document names is tried first. Errors: ErrMalformed, ErrSignature, ErrKind.
func VerifyDocument(text string, keys []*Key, typ string) ([]byte, error) {
	p, err := jose.ParseDocument(text, keys)
	if err != nil {
		return nil, err
	}
	candidates := slices.Clone(keys)
	slices.SortStableFunc(candidates, func(a, b *Key) int {
		return rank(a.ID() != p.KeyID()) - rank(b.ID() != p.KeyID())
	})
	for _, k := range candidates {
		payload, err := p.Verify(k)
		if err != nil {
			continue
		}
		if p.Typ() != typ {
			return nil, refuse(ErrKind, "typ is %q, %q is needed", p.Typ(), typ)
		}
		return payload, nil
	}
	return nil, ErrSignature
}

func rank(later bool) int {
	if later {
		return 1
	}
	return 0
}
