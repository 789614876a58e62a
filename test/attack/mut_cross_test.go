package attack_test

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/internal/token"
)

// crossKeys signs the claims with every other key of the server: one set of
// keys must never do another's work.
func crossKeys(b *base) {
	for set, k := range b.w.signers {
		if k == b.c.key {
			continue
		}
		for _, h := range []string{b.header, member(b.header, "kid", fmt.Sprintf("%q", k.kid)), fmt.Sprintf(`{"alg":%q,"typ":"JWT","kid":%q}`, k.alg, k.kid)} {
			b.later(fmt.Sprintf("signed by %s/%s", set.Mount, set.Kind), func() string { return k.token(member(h, "alg", `"`+k.alg+`"`), b.payload) })
			b.out[len(b.out)-1].hint = set.Kind == token.ID && strings.HasPrefix(set.Mount, "oauth")
			// Where kinds differ by their keys alone this is a good token of the other
			// kind, and whoever holds it may end it.
			b.out[len(b.out)-1].homeOnly = set.Mount == b.c.set.Mount
		}
	}
	for _, c := range b.w.creds {
		if c.key != b.c.key && (c.kind == token.Request || c.kind == kindAssertion || c.kind == kindKeyProof) {
			b.later("signed by "+c.name(), func() string { return c.key.token(member(b.header, "alg", `"`+c.key.alg+`"`), b.payload) })
		}
	}
}

// crossParts writes the claims of one good token into another's, signed with
// the key of the first: what says who and what it is must not be what is near.
func crossParts(b *base) {
	for _, c := range b.w.creds {
		if !c.jwt() || c == b.c {
			continue
		}
		o := newBase(b.w, b.r, c, 0)
		if c.set == b.c.set {
			continue // its claims are as good
		}
		// Kinds of one mount may be alike but for their keys (PathStack's access
		// and refresh tokens), so that its own endpoint takes what is re-signed.
		// And what an API key signs, whoever holds it can make of every kind.
		may := c.mount == b.c.mount || ofAPIKey(c) && ofAPIKey(b.c)
		b.resign("the claims of "+c.name(), b.header, o.payload, may)
		b.out[len(b.out)-1].hint = c.kind == token.ID
		b.resign("header and claims of "+c.name(), member(o.header, "alg", `"`+b.c.key.alg+`"`), o.payload, may)
		b.out[len(b.out)-1].hint = c.kind == token.ID
		if o.h != b.h {
			b.add("header of "+c.name(), o.h+"."+b.p+"."+b.s)
		}
		b.add("claims of "+c.name(), b.h+"."+o.p+"."+b.s)
	}
}

// ofAPIKey reports what is signed with the secret of our one API key.
func ofAPIKey(c *credential) bool { return c.kind == token.Request || c.kind == kindKeyProof }

// crossStaging takes tokens of another installation with the same users,
// clients' names and contracts.
func crossStaging(b *base) {
	for _, c := range b.w.staging() {
		if c.kind == b.c.kind || c.mount == b.c.mount {
			b.add("staging's "+c.name(), c.text)
			if c.jwt() && b.c.jwt() {
				b.later("ours signed by staging's key of "+c.name(), func() string { return c.key.token(member(b.header, "alg", `"`+c.key.alg+`"`), b.payload) })
			}
		}
	}
}

// sharedMinted mints with the secret that the vendor's verifiers hold: from
// every token, as whatever kind, with or without the MAC that we would have made.
func sharedMinted(b *base) {
	now := b.w.now()
	k := &rawKey{alg: "HS256", secret: []byte(sharedSecret)}
	mac := ""
	good, _ := b64.DecodeString(b.p) // of a good token
	if _, m, ok := strings.Cut(string(good), `,"mac":"`); ok {
		mac = strings.TrimSuffix(m, `"}`)
	}
	claims := []struct{ name, value string }{
		{"iat", fmt.Sprint(now - 1)},
		{"exp", ""},
		{"exp", fmt.Sprint(now + 60)},
		{"type", `"refresh"`},
		{"type", `"access"`},
		{"type", `"application"`},
		{"token_use", `"access"`},
		{"identity", `"root"`},
		{"jti", `"6f9619ff-8b86-d011-b42d-00cf4fc964ff"`},
		{"sub", `"a6caf0bd-dbdf-4dfb-bcab-34f73e4c5b64"`},
		{"gen", "9"},
		{"nbf", fmt.Sprint(now - 1)},
	}
	for range 20 * b.round {
		claims = append(claims, struct{ name, value string }{"n", fmt.Sprint(b.r.Int64())})
	}
	for _, claim := range claims {
		payload := b.claim(claim.name, claim.value)
		if payload == b.payload {
			continue
		}
		open := strings.TrimSuffix(payload, "}")
		for _, h := range []string{`{"typ":"JWT","alg":"HS256"}`, member(b.header, "alg", `"HS256"`)} {
			b.add(claim.name+" "+claim.value, k.token(h, payload))
			b.add(claim.name+" "+claim.value+" with an empty mac", k.token(h, open+`,"mac":""}`))
			b.add(claim.name+" "+claim.value+" with a mac of the secret", k.token(h, open+`,"mac":"`+b64.EncodeToString(k.sign(enc(h)+"."+payload))+`"}`))
			if mac != "" {
				b.add(claim.name+" "+claim.value+" with its mac", k.token(h, open+`,"mac":"`+mac+`"}`))
				b.add(claim.name+" "+claim.value+" with its mac in front", k.token(h, `{"mac":"`+mac+`",`+strings.TrimPrefix(payload, "{")))
			}
		}
	}
}
