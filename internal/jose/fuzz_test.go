package jose

import (
	"slices"
	"strings"
	"testing"
)

// FuzzParse: a token that is accepted is spelt in the one way in which its parts are spelt again, has a header that
// says what Parse says, and no key verifies it that has not signed it.
func FuzzParse(f *testing.F) {
	keys := testKeys()
	seeds := []string{
		"", "..", "a.b.c", "....", strings.Repeat(".", 100), b64(`{"alg":"none"}`) + "." + b64("{}") + ".AA",
		b64(`{"alg":"HS256","crit":["a"]}`) + "." + b64("{}") + ".AA", b64(goodHeader) + ".AB.AB",
		b64(`{"alg":"dir","enc":"A128GCM"}`) + "..AA.AA.AA",
	}
	signed := map[string]bool{}
	for _, alg := range Algorithms() {
		token := mustSign(f, keys[alg], Header{Typ: "JWT"}, testPayload)
		signed[token] = true
		seeds = append(seeds, token)
	}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, token string) {
		p, err := Parse(token)
		if err != nil {
			if p != nil {
				t.Fatal("a refusal with a token")
			}
			return
		}
		header, err := rawURL.DecodeString(p.HeaderSegment())
		if err != nil {
			t.Fatal(err)
		}
		again := rawURL.EncodeToString(header) + "." + rawURL.EncodeToString(p.payload) + "." + rawURL.EncodeToString(p.signature)
		if again != token || p.Token() != token || len(token) > MaxTokenSize {
			t.Fatalf("%q is spelt again as %q", token, again)
		}
		if p.Algorithm() == "" || strings.ContainsAny(token, "\r\n= ") {
			t.Fatalf("accepted %q", token)
		}
		for alg, k := range keys {
			// Keys are made anew in each process, so stored inputs were signed by others.
			if _, err := p.Verify(k); err == nil && !signed[token] {
				t.Fatalf("%s key verifies %q, which it did not sign", alg, token)
			}
		}
	})
}

// FuzzDecode: the decoder agrees with encoding/base64 wherever the text is what that one would write.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "A", "AA", "AB", "AAA", "AAE", "AAAA", "AAAAA", "-_-_", "+/+/", "AA==", "AA\n", "AAAA\r\n", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := appendDecoded([]byte("x"), text)
		lax, err := rawURL.DecodeString(text)
		canonical := err == nil && rawURL.EncodeToString(lax) == text
		if ok != canonical {
			t.Fatalf("%q: accepted %v, canonical %v", text, ok, canonical)
		}
		if ok && string(got) != "x"+string(lax) {
			t.Fatalf("%q: %x, want %x", text, got[1:], lax)
		}
	})
}

// FuzzFromJWK: a key that is accepted is published and read again as the same.
func FuzzFromJWK(f *testing.F) {
	f.Add([]byte(ecJWK))
	f.Add([]byte(rfc8037JWK))
	f.Add([]byte(`{"kty":"RSA","alg":"RS256","e":"AQAB","n":"AQ"}`))
	f.Add([]byte(`{"kty":"oct","k":"AA"}`))
	for _, alg := range []Algorithm{ES256, EdDSA, RS256} {
		jwk, err := testKeys()[alg].JWK()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(jwk)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := FromJWK(data)
		if err != nil {
			return
		}
		jwk, err := k.JWK()
		if err != nil || k.CanSign() {
			t.Fatalf("%s: %v", data, err)
		}
		again, err := FromJWK(jwk)
		if err != nil {
			t.Fatalf("%s published as %s: %v", data, jwk, err)
		}
		if again.ID() != k.ID() || again.Algorithm() != k.Algorithm() || again.Thumbprint() != k.Thumbprint() {
			t.Fatalf("%s published as %s", data, jwk)
		}
		k.verify([]byte("x"), slices.Repeat([]byte{1}, k.signatureSize())) // must not panic
	})
}

// FuzzImportPEM: no panic, and a key that is accepted can be used.
func FuzzImportPEM(f *testing.F) {
	for _, alg := range []Algorithm{ES256, EdDSA} {
		der, err := testKeys()[alg].MarshalPrivate()
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(pemText("PRIVATE KEY", der)))
	}
	f.Add([]byte(pemText("EC PARAMETERS", []byte{6, 1, 1})))
	f.Add([]byte(pemText("CERTIFICATE", []byte{0x30, 0})))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := ImportPEM("k", data)
		if err != nil || !k.CanSign() {
			return
		}
		token, err := k.Sign(Header{}, []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if err := accepts(token, k); err != nil {
			t.Fatal(err)
		}
	})
}
