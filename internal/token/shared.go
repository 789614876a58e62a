package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/internal/jose/strictjson"
)

// Our own MAC is the last member of the payload, so that it can be cut off and put on as text.
const (
	macName   = "mac"
	macPrefix = `,"mac":"`
	macSuffix = `"}`
	macLen    = 43 // of 32 bytes in base64url
	macTail   = len(macPrefix) + macLen + len(macSuffix)
	// macLabel keeps the MAC apart from any other use of its key. It ends with a byte that no segment can hold.
	macLabel = "sallyport token under a shared secret v1\x00"
)

// SignShared makes a token with a secret that others hold, too. Whoever holds it can mint tokens that it verifies, so
// a member "mac" is appended to the payload: an HMAC under macKey, which only we have, over header and payload. The
// payload must be a JSON object with at least one member, none of them called mac; macKey at least 32 bytes.
func SignShared(key *Key, h Header, payload, macKey []byte) (string, error) {
	if len(macKey) < sha256.Size {
		return "", fmt.Errorf("sign under a shared secret: MAC key of %d bytes, at least %d are needed", len(macKey), sha256.Size)
	}
	members, err := strictjson.ParseObject(string(payload), nil)
	if err != nil {
		return "", fmt.Errorf("sign under a shared secret: payload: %w", err)
	}
	if len(members) == 0 || payload[len(payload)-1] != '}' || strictjson.Find(members, macName) != "" {
		return "", errors.New(`sign under a shared secret: payload must end with "}", have a member and none called "mac"`)
	}
	header, err := key.EncodedHeader(h)
	if err != nil {
		return "", err
	}
	out := make([]byte, 0, len(payload)+macTail)
	out = append(append(out, payload[:len(payload)-1]...), macPrefix...)
	out = appendMAC(out, macKey, header, payload[:len(payload)-1])
	return key.Sign(h, append(out, macSuffix...))
}

// appendMAC appends the MAC, in base64url, over a header segment and an open payload, which is one without its last
// brace.
func appendMAC(dst, macKey []byte, header string, open []byte) []byte {
	h := hmac.New(sha256.New, macKey)
	for _, part := range [...][]byte{[]byte(macLabel), []byte(header), {'.'}, open, {'}'}} {
		_, _ = h.Write(part) // a hash never fails
	}
	return base64.RawURLEncoding.AppendEncode(dst, h.Sum(nil))
}

// checkMAC demands our own MAC. The payload was read: it is one strict JSON object, so text of this form at its end is
// the last member of the object itself, and its name is there once.
func (v *verification) checkMAC(macKey []byte) bool {
	p := v.payload
	n := len(p) - macTail
	if n < 1 || len(macKey) < sha256.Size || v.members[len(v.members)-1].Name != macName {
		return false
	}
	tail := p[n:]
	if string(tail[:len(macPrefix)]) != macPrefix || string(tail[macTail-len(macSuffix):]) != macSuffix {
		return false
	}
	var store [macLen]byte
	want := appendMAC(store[:0], macKey, v.parsed.HeaderSegment(), p[:n])
	return hmac.Equal(want, tail[len(macPrefix):len(macPrefix)+macLen])
}
