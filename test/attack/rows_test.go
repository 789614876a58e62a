package attack_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	mrand "math/rand/v2"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/token"
)

// variant is one hostile token. may says that passing is no fault: what was
// changed is something that nobody reads, behind a good signature.
type variant struct {
	name, text string
	may        bool
}

// row is a kind of attack: it makes variants of a good token.
type row struct {
	name string
	make func(w *world, r *mrand.Rand, c *credential) []variant
}

var rows = []row{
	{"alg", algRow},
	{"confusion", confusionRow},
	{"header", headerRow},
	{"signatures", signatureRow},
	{"shapes", shapeRow},
	{"encoding", encodingRow},
	{"claims", claimRow},
	{"shared", sharedRow},
	{"cuts", cutRow},
}

var b64 = base64.RawURLEncoding

func enc(s string) string { return b64.EncodeToString([]byte(s)) }

// macWith signs with HS256 whatever header and payload say.
func macWith(secret []byte, header, payload string) string {
	input := enc(header) + "." + enc(payload)
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(input))
	return input + "." + b64.EncodeToString(m.Sum(nil))
}

// parts of a good token: segments as they are, header and payload decoded.
type parts struct {
	h, p, s         string
	header, payload string
	sig             []byte
}

func split(tok string) parts {
	f := strings.Split(tok, ".")
	h, _ := b64.DecodeString(f[0]) // the token is good
	p, _ := b64.DecodeString(f[1])
	s, _ := b64.DecodeString(f[2])
	return parts{f[0], f[1], f[2], string(h), string(p), s}
}

// held is the secret that an attacker may have: the one that the vendor's
// verifiers share, or that of an API key. nil for the others.
func held(w *world, c *credential) []byte {
	switch {
	case c.kind == token.Request:
		return []byte(w.key.SharedSecret)
	case c.mount == "held" && c.kind == token.Access:
		return []byte(sharedSecret)
	}
	return nil
}

func algRow(w *world, _ *mrand.Rand, c *credential) []variant {
	p := split(c.text)
	var out []variant
	var head map[string]any
	_ = json.Unmarshal([]byte(p.header), &head) // of a good token
	algs := []string{
		`"none"`, `"None"`, `"NONE"`, `"nOnE"`, `"none "`, `""`, `null`, `0`, `1`, `["HS256"]`, `["none"]`, `{}`, `true`, `"hs256"`, `"HS384"`, `"HS512"`,
		`"RS256"`, `"RS384"`, `"PS256"`, `"ES256"`, `"ES384"`, `"ES256K"`, `"EdDSA"`, `"Ed25519"`, `"dir"`, `"HS256\u0000"`, `" HS256"`, `"HS256"`,
	}
	own, _ := json.Marshal(head["alg"]) // a string
	for _, alg := range append(algs, "") {
		text := `{"typ":"JWT"}`
		if alg != "" {
			text = `{"alg":` + alg + `,"typ":"JWT"}`
		}
		h := enc(text)
		if alg != string(own) {
			out = append(out, variant{name: alg + " with signature", text: h + "." + p.p + "." + p.s})
			if key := held(w, c); key != nil {
				out = append(out, variant{name: alg + " signed", text: macWith(key, text, p.payload)})
			}
		}
		out = append(out, variant{name: alg + " no signature", text: h + "." + p.p + "."}, variant{name: alg + " two segments", text: h + "." + p.p})
	}
	return append(out, variant{name: "empty signature", text: p.h + "." + p.p + "."}, variant{name: "two segments", text: p.h + "." + p.p})
}

// confusionRow MACs with what everybody knows: the public keys, in every form
// that a confused verifier may hold them in.
func confusionRow(w *world, _ *mrand.Rand, c *credential) []variant {
	p := split(c.text)
	var out []variant
	for _, jwk := range w.jwks {
		for name, secret := range publicForms(w, jwk) {
			for _, header := range []string{`{"alg":"HS256","typ":"JWT"}`, `{"alg":"HS256","typ":"JWT","kid":"` + jwk["kid"] + `"}`, p.header} {
				out = append(out, variant{name: "HS256 with " + name, text: macWith(secret, header, p.payload)})
			}
		}
		for _, alg := range []string{"ES384", "RS256", "EdDSA", "PS256", "HS256"} {
			out = append(out, variant{name: alg + " for " + jwk["kid"], text: enc(`{"alg":"`+alg+`","kid":"`+jwk["kid"]+`"}`) + "." + p.p + "." + p.s})
		}
	}
	for name, secret := range map[string][]byte{"the empty key": {}, "a zero byte": {0}, "32 zero bytes": make([]byte, 32), "the issuer": []byte(w.app.URL())} {
		out = append(out, variant{name: "HS256 with " + name, text: macWith(secret, `{"alg":"HS256","typ":"JWT"}`, p.payload)})
	}
	return out
}

func publicForms(w *world, jwk map[string]string) map[string][]byte {
	w.t.Helper()
	x, err1 := b64.DecodeString(jwk["x"])
	y, err2 := b64.DecodeString(jwk["y"])
	if err1 != nil || err2 != nil || jwk["crv"] != "P-256" {
		w.t.Fatalf("an unexpected key in the JWKS: %v", jwk)
	}
	point := append(append([]byte{4}, x...), y...)
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		w.t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		w.t.Fatal(err)
	}
	sshKey, err := ssh.NewPublicKey(pub)
	if err != nil {
		w.t.Fatal(err)
	}
	text, _ := json.Marshal(jwk) // strings
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return map[string][]byte{
		"PEM": block, "PEM without newline": bytes.TrimSpace(block), "DER": der, "point": point, "x": x, "x and y": point[1:],
		"JWK": text, "kid": []byte(jwk["kid"]), "OpenSSH": ssh.MarshalAuthorizedKey(sshKey), "x in base64": []byte(jwk["x"]),
	}
}

func headerRow(w *world, _ *mrand.Rand, c *credential) []variant {
	p := split(c.text)
	var head map[string]any
	_ = json.Unmarshal([]byte(p.header), &head) // of a good token
	alg := fmt.Sprintf(`"alg":"%v","typ":"JWT"`, head["alg"])
	evil, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	point, _ := evil.PublicKey.Bytes()
	jwk := fmt.Sprintf(`{"kty":"EC","crv":"P-256","x":"%s","y":"%s"}`, b64.EncodeToString(point[1:33]), b64.EncodeToString(point[33:]))
	var out []variant
	for _, more := range []struct {
		text string
		may  bool // unread behind a good signature
	}{
		{`"kid":"../../../../dev/null"`, true},
		{`"kid":"x' UNION SELECT 'AAAA' --"`, true},
		{`"kid":"` + strings.Repeat("k", 5000) + `"`, false},
		{`"kid":7`, false},
		{`"kid":null`, false},
		{`"kid":["a"]`, false},
		{`"kid":"a\u0000b"`, false},
		{`"kid":"` + w.jwks[0]["kid"] + `"`, true},
		{`"jku":"http://` + w.sink + `/jwks"`, true},
		{`"jku":"http://169.254.169.254/latest/meta-data/"`, true},
		{`"x5u":"http://` + w.sink + `/cert"`, true},
		{`"x5u":"file:///etc/passwd"`, true},
		{`"jwk":` + jwk, true},
		{`"x5c":["MIIB"]`, true},
		{`"crit":["exp"]`, false},
		{`"crit":[]`, false},
		{`"crit":["b64","b64"],"b64":true`, false},
		{`"crit":["b64"],"b64":false`, false},
		{`"crit":null`, false},
		{`"b64":false`, false},
		{`"alg":"none"`, false},
		{`"alg":` + fmt.Sprintf("%q", head["alg"]), false},
		{`"\u0061lg":"none"`, false},
		{`"Alg":"none"`, false},
		{`"ALG":"none"`, false},
		{`"enc":"A128GCM"`, false},
		{`"zip":"DEF"`, true},
		{`"typ":"JWT"`, false},
		{`"x":{"a":1,"a":2}`, false},
	} {
		h := `{` + alg + `,` + more.text + `}`
		if h != p.header {
			out = append(out, variant{name: more.text, text: enc(h) + "." + p.p + "." + p.s})
		}
		if key := held(w, c); key != nil {
			out = append(out, variant{name: more.text + " signed", text: macWith(key, h, p.payload), may: more.may})
		}
	}
	own := enc(`{"alg":"ES256","typ":"JWT","jwk":` + jwk + `}`)
	sum := sha256.Sum256([]byte(own + "." + p.p))
	r, s, _ := ecdsa.Sign(rand.Reader, evil, sum[:])
	return append(out, variant{name: "the attacker's jwk, signed with it", text: own + "." + p.p + "." + b64.EncodeToString(rawSignature(r, s))})
}

func rawSignature(r, s *big.Int) []byte {
	var sig [64]byte
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return sig[:]
}

func signatureRow(_ *world, r *mrand.Rand, c *credential) []variant {
	p := split(c.text)
	var out []variant
	add := func(name string, sig []byte) {
		out = append(out, variant{name: name, text: p.h + "." + p.p + "." + b64.EncodeToString(sig)})
	}
	for i := range p.sig {
		flipped := bytes.Clone(p.sig)
		flipped[i] ^= 1 << r.IntN(8)
		add(fmt.Sprintf("byte %d", i), flipped)
		if i > 0 {
			add(fmt.Sprintf("first %d bytes", i), p.sig[:i])
		}
	}
	add("one byte more", append(bytes.Clone(p.sig), 0))
	add("twice", append(bytes.Clone(p.sig), p.sig...))
	add("zeros", make([]byte, len(p.sig)))
	if len(p.sig) == 64 {
		n := elliptic.P256().Params().N
		gr, gs := new(big.Int).SetBytes(p.sig[:32]), new(big.Int).SetBytes(p.sig[32:])
		odd := []*big.Int{new(big.Int), big.NewInt(1), new(big.Int).Sub(n, big.NewInt(1)), n, new(big.Int).Add(n, big.NewInt(1)), new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))}
		for i, a := range odd {
			add(fmt.Sprintf("r %d", i), rawSignature(a, gs))
			add(fmt.Sprintf("s %d", i), rawSignature(gr, a))
			for j, b := range odd {
				add(fmt.Sprintf("r %d s %d", i, j), rawSignature(a, b))
			}
		}
		add("n-s", rawSignature(gr, new(big.Int).Sub(n, gs)))
		add("swapped", rawSignature(gs, gr))
		der, _ := asn1.Marshal(struct{ R, S *big.Int }{gr, gs}) // two integers
		add("DER", der)
	}
	for _, secret := range []string{"", "secret", "your-256-bit-secret", "changeme", "jwt_secret", "super-secret", "default", "key", "password", "0123456789abcdef0123456789abcdef", "your-very-long-secret-key-here-32b"} {
		out = append(out, variant{name: "guessed secret " + secret, text: macWith([]byte(secret), `{"alg":"HS256","typ":"JWT"}`, p.payload)})
	}
	return out
}

func shapeRow(w *world, _ *mrand.Rand, c *credential) []variant {
	p := split(c.text)
	deep := `{"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`
	wide := strings.TrimSuffix(p.payload, "}")
	for i := range 600 {
		wide += fmt.Sprintf(`,"c%d":1`, i)
	}
	wide += "}"
	jwe := enc(`{"alg":"dir","enc":"A128GCM","zip":"DEF"}`) + ".." + enc("123456789012") + "." + enc("sealed") + "." + enc("tag1tag1tag1tag1")
	pbes := enc(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"p2s":"AAAA"}`) + "." + enc("k") + "." + enc("123456789012") + "." + enc("sealed") + "." + enc("tag1tag1tag1tag1")
	out := []variant{
		{name: "JWE dir", text: jwe},
		{name: "JWE p2c", text: pbes},
		{name: "JSON serialisation", text: `{"payload":"` + p.p + `","protected":"` + p.h + `","signature":"` + p.s + `"}`},
		{name: "general JSON", text: `{"payload":"` + p.p + `","signatures":[{"protected":"` + p.h + `","signature":"` + p.s + `"}]}`},
		{name: "nested", text: enc(`{"alg":"HS256","cty":"JWT"}`) + "." + enc(c.text) + "." + p.s},
		{name: "four", text: c.text + ".x"},
		{name: "four, last empty", text: c.text + "."},
		{name: "first empty", text: "." + c.text},
		{name: "six", text: c.text + "." + c.text},
		{name: "one", text: p.h},
		{name: "empty header", text: "." + p.p + "." + p.s},
		{name: "empty payload", text: p.h + ".." + p.s},
		{name: "dots", text: ".."},
		{name: "12,000 dots", text: strings.Repeat(".", 12_000)},
		{name: "60,000 dots", text: strings.Repeat(".", 60_000)},
		{name: "1 MiB of dots", text: strings.Repeat(".", 1<<20)},
		{name: "8 KiB and 1", text: p.h + "." + strings.Repeat("A", 8193-len(p.h)-len(p.s)-2) + "." + p.s},
		{name: "40 KiB", text: p.h + "." + strings.Repeat("A", 40_000) + "." + p.s},
		{name: "200 KiB", text: p.h + "." + strings.Repeat("A", 200_000) + "." + p.s},
		{name: "garbage behind", text: c.text + "garbage"},
		{name: "invalid UTF-8 in the header", text: enc("{\"alg\":\"HS256\",\"x\":\"\xff\"}") + "." + p.p + "." + p.s},
		{name: "bytes behind the header", text: enc(p.header+"x") + "." + p.p + "." + p.s},
		{name: "header is an array", text: enc(`[]`) + "." + p.p + "." + p.s},
		{name: "header is null", text: enc(`null`) + "." + p.p + "." + p.s},
	}
	for name, payload := range map[string]string{
		"deep": deep, "wide": wide, "array": "[1]", "null": "null", "text": `"x"`, "garbage behind": p.payload + "x", "object behind": p.payload + "{}",
		"invalid UTF-8":   strings.TrimSuffix(p.payload, "}") + ",\"x\":\"\xff\"}",
		"lone surrogate":  strings.TrimSuffix(p.payload, "}") + `,"x":"\ud800"}`,
		"byte order mark": "\ufeff" + p.payload,
	} {
		out = append(out, variant{name: "payload " + name, text: p.h + "." + enc(payload) + "." + p.s})
		if tok, err := w.sign(c, payload); err == nil {
			out = append(out, variant{name: "payload " + name + " signed", text: tok, may: name == "wide"})
		}
	}
	return out
}

// encodingRow writes the same token otherwise.
func encodingRow(_ *world, _ *mrand.Rand, c *credential) []variant {
	p := split(c.text)
	seg := []string{p.h, p.p, p.s}
	var out []variant
	put := func(name string, i int, text string) {
		f := []string{seg[0], seg[1], seg[2]}
		f[i] = text
		if tok := strings.Join(f, "."); tok != c.text {
			out = append(out, variant{name: fmt.Sprintf("%s in segment %d", name, i), text: tok})
		}
	}
	for i, s := range seg {
		put("padding", i, s+"=")
		put("full padding", i, s+strings.Repeat("=", (4-len(s)%4)%4))
		put("plus and slash", i, strings.NewReplacer("-", "+", "_", "/").Replace(s))
		put("percent", i, fmt.Sprintf("%%%02X%s", s[0], s[1:]))
		put("one character more", i, s+"A")
		put("one character less", i, s[:len(s)-1])
		if len(s)%4 != 0 {
			last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", s[len(s)-1])
			put("trailing bits", i, s[:len(s)-1]+string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last^1]))
		}
		for _, c := range []string{"\r", "\n", "\r\n", "\t", " ", "\x00", "\ufeff", "\u00a0", "\u2028", "=", "~"} {
			put(fmt.Sprintf("%q at start", c), i, c+s)
			put(fmt.Sprintf("%q in the middle", c), i, s[:len(s)/2]+c+s[len(s)/2:])
			put(fmt.Sprintf("%q at end", c), i, s+c)
		}
	}
	return out
}

// member replaces the value of a member of a flat object, or takes it away.
func member(payload, name, value string) string {
	var order []string
	got := map[string]json.RawMessage{}
	d := json.NewDecoder(strings.NewReader(payload))
	_, _ = d.Token() // of a good token, here and below
	for d.More() {
		k, _ := d.Token()
		var v json.RawMessage
		_ = d.Decode(&v)
		order = append(order, k.(string))
		got[k.(string)] = v
	}
	if _, there := got[name]; !there {
		order = append(order, name)
	}
	got[name] = json.RawMessage(value)
	var b strings.Builder
	for _, k := range order {
		if k == "mac" || k == name && value == "" {
			continue // the MAC is made anew by who signs
		}
		fmt.Fprintf(&b, `,"%s":%s`, k, got[k])
	}
	return "{" + strings.TrimPrefix(b.String(), ",") + "}"
}

// claimRow signs bad claims with the right key.
func claimRow(w *world, _ *mrand.Rand, c *credential) []variant {
	p := split(c.text)
	now := w.now()
	later := fmt.Sprint(now + 4000*86400)
	var out []variant
	add := func(name, value string) {
		payload := member(p.payload, name, value)
		tok, err := w.sign(c, payload)
		if err != nil {
			return // under a shared secret the keyring signs no broken JSON
		}
		// The session's row says who a token is for, and how long a refresh token
		// lives: contracts are free in what these claims hold.
		may := name == "sub" && strings.Contains(value, "a6ca") || c.kind == token.Refresh && value == later
		out = append(out, variant{name: name + " " + value, text: tok, may: may})
	}
	odd := []string{`"x"`, `""`, `1e999`, `-1`, `9223372036854775808`, `18446744073709551616`, `1.5`, `1e3`, `true`, `null`, `[]`, `[1]`, `{}`, `"1e9"`, `" 1"`, `01`, `NaN`, `+1`, `0x10`}
	for _, v := range odd {
		add("exp", v)
		add("nbf", v)
		add("iat", v)
	}
	add("iat", "")
	add("iat", fmt.Sprint(now+600))
	add("nbf", fmt.Sprint(now+600))
	add("exp", fmt.Sprint(now-1))
	add("exp", fmt.Sprint(now))
	for _, v := range []string{`7`, `""`, `"a\u0000b"`, `"a\u202eb"`, `null`, `[]`, `{}`, `true`} {
		if c.kind == token.Request {
			add("appname", v)
			add("appkey", v)
			add("shortname", v)
			continue
		}
		add("sub", v)
		add("sid", v)
		add("jti", v)
		add("iss", v)
	}
	if c.kind == token.Request {
		add("shortname", `"other"`)
		add("appname", `"daemon "`)
		add("appkey", `"DAEMON"`)
		add("iat", fmt.Sprint(now-301))
		add("iat", fmt.Sprintf(`"%d"`, now-301))
		return out
	}
	if c.kind != token.Application {
		add("exp", "")
		add("exp", later)
		add("exp", fmt.Sprint(now-100))
	}
	add("exp", fmt.Sprintf(`"%d"`, now+60))
	add("sub", `"a6caf0bd-dbdf-4dfb-bcab-34f73e4c5b64"`)
	add("iss", `"http://127.0.0.1:1"`)
	add("iss", fmt.Sprintf("%q", w.app.URL()+"/"))
	add("iss", "")
	for _, v := range []string{`""`, `[]`, `[[]]`, `["x"]`, `"sallyport"`, `null`, `7`, `["netography"]`, `{"a":1}`, `[` + strings.Repeat(`"a",`, 1000) + `"b"]`} {
		add("aud", v)
	}
	for _, v := range []string{`"a  b"`, `" a"`, `"a\tb"`, `["a"]`, `7`} {
		add("scope", v)
	}
	for _, v := range []string{`"refresh"`, `"access"`, `"id"`, `"application"`, `7`, `null`, `""`, ``} {
		for _, name := range []string{"type", "token_use"} {
			if tok, err := w.sign(c, member(p.payload, name, v)); err == nil {
				out = append(out, variant{name: "kind " + name + " " + v, text: tok, may: true})
			}
		}
	}
	return out
}

// sharedRow mints with the secret that the vendor's verifiers hold: from every
// token, as whatever kind, with or without the MAC that we would have made.
func sharedRow(w *world, _ *mrand.Rand, c *credential) []variant {
	p := split(c.text)
	var out []variant
	now := w.now()
	add := func(name, payload string) {
		for _, h := range []string{`{"typ":"JWT","alg":"HS256"}`, p.header} {
			out = append(out, variant{name: name, text: macWith([]byte(sharedSecret), h, payload)})
		}
	}
	mac := ""
	if _, m, ok := strings.Cut(p.payload, `,"mac":"`); ok {
		mac = strings.TrimSuffix(m, `"}`)
	}
	for _, claim := range []struct{ name, value string }{
		{"iat", fmt.Sprint(now - 1)},
		{"exp", ""},
		{"exp", fmt.Sprint(now + 60)},
		{"type", `"refresh"`},
		{"type", `"access"`},
		{"token_use", `"access"`},
		{"identity", `"root"`},
		{"jti", `"6f9619ff-8b86-d011-b42d-00cf4fc964ff"`},
		{"sub", `"a6caf0bd-dbdf-4dfb-bcab-34f73e4c5b64"`},
		{"gen", "9"},
	} {
		if claim.name == "type" && strings.Contains(p.payload, `"type":`+claim.value) {
			claim.name, claim.value = "nbf", fmt.Sprint(now-1)
		}
		payload := member(p.payload, claim.name, claim.value)
		add(claim.name+" "+claim.value, payload)
		if mac != "" {
			add(claim.name+" "+claim.value+" with its mac", strings.TrimSuffix(payload, "}")+`,"mac":"`+mac+`"}`)
		}
		add(claim.name+" "+claim.value+" with an empty mac", strings.TrimSuffix(payload, "}")+`,"mac":""}`)
	}
	return out
}

// cutRow cuts, extends and flips.
func cutRow(_ *world, r *mrand.Rand, c *credential) []variant {
	var out []variant
	for i := range len(c.text) {
		if i > 0 {
			out = append(out, variant{name: fmt.Sprintf("first %d", i), text: c.text[:i]})
		}
		ch := c.text[i]
		if lower := ch | 0x20; lower >= 'a' && lower <= 'z' {
			out = append(out, variant{name: fmt.Sprintf("case of %d", i), text: c.text[:i] + string(rune(ch^0x20)) + c.text[i+1:]})
		}
		out = append(out, variant{name: fmt.Sprintf("without %d", i), text: c.text[:i] + c.text[i+1:]})
	}
	for _, ch := range "ABZaz09-_.=+/ ~\x00" {
		out = append(out, variant{name: fmt.Sprintf("%q behind", ch), text: c.text + string(ch)}, variant{name: fmt.Sprintf("%q before", ch), text: string(ch) + c.text})
	}
	at := r.IntN(len(c.text))
	return append(out, variant{name: "twice", text: c.text + c.text}, variant{name: "rotated", text: c.text[at:] + c.text[:at]})
}
