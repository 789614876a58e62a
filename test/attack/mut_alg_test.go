package attack_test

import (
	_ "embed"
	"fmt"
	"strings"
)

// algHeader is the header with another alg, or none for "".
func (b *base) algHeader(alg string) string { return member(b.header, "alg", alg) }

func algNone(b *base) {
	for _, alg := range []string{
		"none", "None", "NONE", "nOnE", "NonE", "none ", " none", "none\\u0000", "n\\u006fne", "\\u006eone", "none,HS256", "", "null", "undefined", "false", "plain", "nil", "0",
	} {
		h := b.algHeader(`"` + alg + `"`)
		b.add(alg+" with signature", enc(h)+"."+b.p+"."+b.s)
		b.add(alg+" without signature", enc(h)+"."+b.p+".")
		b.add(alg+" in two segments", enc(h)+"."+b.p)
		b.add(alg+" with a signature of one byte", enc(h)+"."+b.p+".AA")
		b.add(alg+" alone", enc(`{"alg":"`+alg+`"}`)+"."+b.p+".")
		b.resign(alg, h, b.payload, false)
	}
}

func algTypes(b *base) {
	for _, alg := range []string{"", "null", "0", "1", "-1", "256", `["none"]`, `["` + b.alg + `"]`, `{}`, `{"alg":"` + b.alg + `"}`, "true", "false", `[]`, `[null]`} {
		h := b.algHeader(alg)
		b.add("alg "+alg+" with signature", enc(h)+"."+b.p+"."+b.s)
		b.add("alg "+alg+" without", enc(h)+"."+b.p+".")
		b.resign("alg "+alg, h, b.payload, false)
	}
}

// registered are the algorithms of the IANA registry, and spellings of them.
var registered = []string{
	"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "ES256K", "EdDSA", "Ed25519", "Ed448",
	"ML-DSA-44", "dir", "RSA-OAEP", "A128KW", "PBES2-HS256+A128KW", "ECDH-ES", "hs256", "es256", "eddsa", "HS256 ", " ES256", "HS256\\u0000", "HMAC", "SHA256", "RS256/HS256",
}

func algNames(b *base) {
	for _, alg := range registered {
		if alg == b.alg {
			continue
		}
		h := b.algHeader(`"` + alg + `"`)
		b.add(alg+" with the signature of "+b.alg, enc(h)+"."+b.p+"."+b.s)
		b.resign(alg, h, b.payload, false)
	}
}

func algUnsigned(b *base) {
	b.add("empty signature", b.h+"."+b.p+".")
	b.add("two segments", b.h+"."+b.p)
	b.add("one segment", b.h)
	for _, sig := range []string{"AA", "AAAA", "null", "e30", "-", "_", "none", enc("none"), b.h, b.p} {
		b.add("signature "+sig, b.h+"."+b.p+"."+sig)
	}
	b.add("signature of zeros", b.h+"."+b.p+"."+b64.EncodeToString(make([]byte, len(b.sig))))
}

// confusionMAC MACs with what everybody knows: the public keys, in every form
// that a confused verifier may hold them in.
func confusionMAC(b *base) {
	jwks := b.w.jwks
	if b.c.key.priv != nil && b.c.foreign {
		var own map[string]string
		mustUnmarshal(b.w.t, b.c.key.jwk(), &own)
		jwks = append([]map[string]string{own}, jwks...)
	}
	for _, jwk := range jwks {
		for name, secret := range publicForms(b.w.t, jwk) {
			for _, header := range []string{b.algHeader(`"HS256"`), `{"alg":"HS256","typ":"JWT","kid":"` + jwk["kid"] + `"}`, b.header} {
				b.later("HS256 with "+jwk["kty"]+" "+name, func() string { return macWith(secret, header, b.payload) })
			}
		}
	}
}

func confusionAlg(b *base) {
	for _, jwk := range b.w.jwks {
		for _, alg := range []string{"ES384", "ES512", "RS256", "EdDSA", "PS256", "HS256", "ES256"} {
			if alg != b.alg {
				b.add(alg+" for "+jwk["kty"], enc(`{"alg":"`+alg+`","kid":"`+jwk["kid"]+`"}`)+"."+b.p+"."+b.s)
			}
		}
	}
	// A true signature by the very key, under an algorithm that is not its own.
	for _, alg := range []string{"ES384", "ES512", "PS256", "RS384", "RS512", "HS384", "HS512"} {
		for _, header := range []string{b.algHeader(`"` + alg + `"`), b.header} {
			input := enc(header) + "." + b.p
			if sig := b.c.key.otherwise(input)[alg]; sig != nil {
				b.add(alg+" by the same key under "+header, input+"."+b64.EncodeToString(sig))
			}
		}
	}
}

func confusionNothing(b *base) {
	for name, secret := range map[string][]byte{
		"the empty key": {}, "a zero byte": {0}, "32 zero bytes": make([]byte, 32), "64 zero bytes": make([]byte, 64), "the issuer": []byte(b.w.app.URL()),
		"its header": []byte(b.h), "its kid": []byte(b.c.key.kid), "null": []byte("null"), "undefined": []byte("undefined"), "its sub": []byte(b.c.sub),
		"a line end": []byte("\n"), "its account": []byte("default"), "[object Object]": []byte("[object Object]"), "the token before": []byte(b.c.text),
	} {
		for _, header := range []string{b.algHeader(`"HS256"`), b.header} {
			b.add("HS256 with "+name, macWith(secret, header, b.payload))
		}
	}
}

// wellKnown are secrets of the public lists: of documentation, of tutorials and
// of the lists that crackers ship.
//
//go:embed testdata/secrets.txt
var wellKnown string

func knownSecrets(b *base) {
	for secret := range strings.Lines(wellKnown) {
		if secret = strings.TrimRight(secret, "\r\n"); secret == "" || strings.HasPrefix(secret, "# ") {
			continue
		}
		b.later("HS256 with "+secret, func() string { return macWith([]byte(secret), b.algHeader(`"HS256"`), b.payload) })
		if raw, err := b64.DecodeString(secret); err == nil && len(raw) > 0 {
			b.later("HS256 with the bytes of "+secret, func() string { return macWith(raw, b.algHeader(`"HS256"`), b.payload) })
		}
	}
	for range 20 * b.round { // and what nobody has listed
		secret := fmt.Sprintf("secret%d", b.r.IntN(1_000_000))
		b.later("HS256 with "+secret, func() string { return macWith([]byte(secret), b.algHeader(`"HS256"`), b.payload) })
	}
}
