package jose

import (
	"strings"
	"testing"
)

// FuzzParseJWKS: a set that is read is published again, if its keys have ids,
// and read as the same keys; ids are there once.
func FuzzParseJWKS(f *testing.F) {
	f.Add([]byte(`{"keys":[]}`))
	f.Add([]byte(`{"keys":[` + ecJWK + `,` + rfc8037JWK + `]}`))
	f.Add([]byte(`{"keys":[` + ecJWK + `,` + ecJWK + `]}`))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA"},{"kty":"EC","crv":"P-521"},{}]}`))
	f.Add([]byte(`{"keys":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := ParseJWKS(data)
		if err != nil {
			if keys != nil {
				t.Fatal("an error with keys")
			}
			return
		}
		seen := map[string]bool{}
		for _, k := range keys {
			if k.CanSign() || k.Algorithm().Symmetric() || seen[k.ID()] {
				t.Fatalf("%s gives %v", data, keys)
			}
			seen[k.ID()] = true
		}
		if seen[""] {
			return // what has no id is not published
		}
		out, err := MarshalJWKS(keys)
		if err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		again, err := ParseJWKS(out)
		if err != nil || len(again) != len(keys) {
			t.Fatalf("%s is published as %s: %v", data, out, err)
		}
		for i := range keys {
			if again[i].ID() != keys[i].ID() || again[i].Thumbprint() != keys[i].Thumbprint() {
				t.Fatalf("%s is published as %s", data, out)
			}
		}
	})
}

// FuzzParseDocument: a document is read like a token, but for its length; and
// what is read as either is spelt in one way.
func FuzzParseDocument(f *testing.F) {
	for _, alg := range Algorithms() {
		f.Add(mustSign(f, testKeys()[alg], Header{Typ: "revocations+jwt"}, testPayload))
	}
	f.Add("..")
	f.Add(b64(goodHeader) + "." + strings.Repeat("AAAA", 3000) + ".AAAA")
	f.Add(b64(`{"alg":"none"}`) + ".AA.")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDocument(text, []*Key{testKeys()[ES256]})
		p, perr := Parse(text)
		if (err == nil) != (perr == nil) && len(text) <= MaxTokenSize {
			t.Fatalf("%q: as a document %v, as a token %v", text, err, perr)
		}
		if err != nil {
			return
		}
		if perr == nil && (d.Algorithm() != p.Algorithm() || d.KeyID() != p.KeyID() || d.Typ() != p.Typ()) {
			t.Fatalf("%q is read in two ways", text)
		}
		if again := d.HeaderSegment() + "." + rawURL.EncodeToString(d.payload) + "." + rawURL.EncodeToString(d.signature); again != text {
			t.Fatalf("%q is spelt again as %q", text, again)
		}
	})
}
