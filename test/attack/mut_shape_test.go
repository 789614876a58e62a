package attack_test

import (
	"bytes"
	"compress/flate"
	"fmt"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/internal/token"
)

// parts gives three segments also of what has none.
func (b *base) parts() (h, p, s string) {
	if b.h != "" {
		return b.h, b.p, b.s
	}
	return enc(`{"alg":"HS256","typ":"JWT"}`), enc(`{"sub":"` + b.c.sub + `"}`), enc(b.c.text)
}

// bomb is 16 MiB of zeros, deflated.
var bomb = sync.OnceValue(func() string {
	var z bytes.Buffer
	w, _ := flate.NewWriter(&z, 9) // a level there is
	_, _ = w.Write(make([]byte, 16<<20))
	_ = w.Close()
	return b64.EncodeToString(z.Bytes()[:min(z.Len(), 5000)])
})

func shapeJWE(b *base) {
	_, p, s := b.parts()
	iv, tag := enc("123456789012"), enc("tag1tag1tag1tag1")
	for _, h := range []string{
		`{"alg":"dir","enc":"A128GCM"}`, `{"alg":"dir","enc":"A128GCM","zip":"DEF"}`, `{"alg":"dir","enc":"A256CBC-HS512"}`, `{"alg":"RSA1_5","enc":"A128GCM"}`, `{"alg":"RSA-OAEP","enc":"A256GCM"}`,
		`{"alg":"ECDH-ES","enc":"A128GCM","epk":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}}`, `{"alg":"A128KW","enc":"A128GCM"}`,
		`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"p2s":"AAAA"}`, `{"alg":"PBES2-HS512+A256KW","enc":"A128GCM","p2c":1e18,"p2s":"AAAA"}`,
		`{"alg":"none","enc":"none"}`, `{"alg":"dir","enc":"A128GCM","cty":"JWT"}`,
	} {
		for _, key := range []string{"", enc("key"), s} {
			b.add("JWE "+h, enc(h)+"."+key+"."+iv+"."+p+"."+tag)
		}
		b.later("zip bomb "+h, func() string { return enc(h) + "..." + bomb() + "." + tag })
		b.add("JWE with the token inside "+h, enc(h)+".."+iv+"."+enc(b.c.text)+"."+tag)
		b.add("three segments "+h, enc(h)+"."+p+"."+s)
	}
}

func shapeJSON(b *base) {
	h, p, s := b.parts()
	for _, text := range []string{
		`{"payload":"` + p + `","protected":"` + h + `","signature":"` + s + `"}`,
		`{"payload":"` + p + `","signatures":[{"protected":"` + h + `","signature":"` + s + `"}]}`,
		`{"payload":"` + p + `","signatures":[]}`,
		`{"payload":"` + p + `","header":{"alg":"none"},"signature":""}`,
		`["` + h + `","` + p + `","` + s + `"]`, `"` + b.c.text + `"`, `'` + b.c.text + `'`, `{"token":"` + b.c.text + `"}`, `[` + b.c.text + `]`, `<` + b.c.text + `>`,
	} {
		b.add("JSON "+text[:min(len(text), 30)], text)
		b.add("JSON in base64 "+text[:min(len(text), 30)], enc(text))
	}
}

func shapeNested(b *base) {
	h, _, s := b.parts()
	t := b.c.text
	for _, cty := range []string{`,"cty":"JWT"`, ""} {
		b.add("nested"+cty, enc(`{"alg":"HS256"`+cty+`}`)+"."+enc(t)+"."+s)
	}
	b.add("in base64", enc(t))
	b.add("in base64 twice", enc(enc(t)))
	b.add("as payload", h+"."+t+"."+s)
	if !b.c.jwt() {
		return
	}
	b.later("signed", func() string { return b.c.key.token(b.header, t) })
	b.later("signed, as text", func() string { return b.c.key.token(b.header, `"`+t+`"`) })
	b.resign("in a claim", b.header, b.claim("token", `"`+t[:min(len(t), 1500)]+`"`), true)
	b.later("a header of a token", func() string { return b.c.key.token(t, b.payload) })
}

func shapeSegments(b *base) {
	h, p, s := b.parts()
	t := b.c.text
	for name, text := range map[string]string{
		"four": t + ".x", "four, last empty": t + ".", "first empty": "." + t, "five": t + ".x.y", "six": t + "." + t, "seven": t + ".a.b.c.d", "one": h, "empty header": "." + p + "." + s,
		"empty payload": h + ".." + s, "no dots": strings.ReplaceAll(t+".", ".", ""), "empty signature": h + "." + p + ".", "empty both": h + "..", "two dots": "..", "one dot": ".", "three dots": "...", "four dots": "....",
		"commas": strings.ReplaceAll(h+"."+p+"."+s, ".", ","), "colons": h + ":" + p + ":" + s, "blanks": h + " " + p + " " + s, "swapped": p + "." + h + "." + s, "rolled": s + "." + h + "." + p,
		"payload twice": h + "." + p + "." + p + "." + s, "middle dot": h + "\u00b7" + p + "\u00b7" + s, "full width stop": h + "\uff0e" + p + "\uff0e" + s, "twice": t + t, "null": "null", "Bearer": "Bearer " + t,
	} {
		if text != t {
			b.add(name, text)
		}
	}
	for range 40 * b.round {
		f := []string{h, p, s, "", "x"}
		text := ""
		for range 1 + b.r.IntN(6) {
			text += f[b.r.IntN(len(f))] + "."[:b.r.IntN(2)]
		}
		if text != "" && text != t {
			b.add("segments", text)
		}
	}
}

func shapeDots(b *base) {
	h, p, s := b.parts()
	sizes := []int{100, 1000, 8190, 8192, 8193, 12_000, 60_000}
	if b.round == 0 {
		sizes = append(sizes, 1<<20)
	}
	for range 10 * b.round {
		sizes = append(sizes, 1+b.r.IntN(70_000))
	}
	for _, n := range sizes {
		dots := func() string { return strings.Repeat(".", n) }
		b.later(fmt.Sprint(n, " dots"), dots)
		b.later(fmt.Sprint(n, " dots behind"), func() string { return b.c.text + dots() })
		b.later(fmt.Sprint(n, " dots inside"), func() string { return h + dots() + p + "." + s })
		b.later(fmt.Sprint(n, " letters and dots"), func() string { return strings.Repeat("a.", n/2) })
	}
}

func shapeBig(b *base) {
	h, _, s := b.parts()
	sizes := []int{8193, 10_000, 12_000, 16_000, 20_000, 40_000, 65_000, 66_000, 200_000}
	if b.round == 0 {
		sizes = append(sizes, 1<<20, 16<<20)
	}
	for range 10 * b.round {
		sizes = append(sizes, 8193+b.r.IntN(100_000))
	}
	for _, n := range sizes {
		b.later(fmt.Sprint(n, " bytes"), func() string { return h + "." + strings.Repeat("A", n-min(n, len(h)+len(s)+2)) + "." + s })
		b.later(fmt.Sprint(n, " bytes behind"), func() string { return b.c.text + strings.Repeat("A", n) })
		b.later(fmt.Sprint(n, " bytes of header"), func() string { return strings.Repeat("A", n) + ".e30." + s })
		if n < 100_000 && b.c.jwt() {
			b.later(fmt.Sprint(n, " bytes, signed"), func() string {
				return b.w.sign(b.c, b.header, strings.TrimSuffix(b.payload, "}")+`,"x":"`+strings.Repeat("x", n)+`"}`)
			})
		}
	}
}

func shapeDeep(b *base) {
	for _, depth := range []int{20, 64, 65, 100, 1000, 2500, 10_000, 100_000} {
		for _, pair := range [][2]string{{"[", "]"}, {`{"a":`, `1}`}, {"[[],", "0]"}} {
			name := fmt.Sprint("depth ", depth, " of ", pair[0])
			deep := func() string { return strings.Repeat(pair[0], depth) + strings.Repeat(pair[1], depth) }
			if pair[0] == `{"a":` {
				deep = func() string { return strings.Repeat(pair[0], depth) + "1" + strings.Repeat("}", depth) }
			}
			inside := func() string { return strings.TrimSuffix(b.payload, "}") + `,"x":` + deep() + "}" }
			b.later(name, func() string { return b.h + "." + enc(inside()) + "." + b.s })
			b.later(name+" in the header", func() string {
				return enc(strings.TrimSuffix(b.header, "}")+`,"x":`+deep()+"}") + "." + b.p + "." + b.s
			})
			b.later(name+" unclosed", func() string { return b.h + "." + enc(strings.Repeat(pair[0], depth)) + "." + b.s })
			if depth <= 2500 {
				b.out = append(b.out, mutation{name: name + " (signed)", ours: b.ours(), may: depth <= 64, lazy: func() string { return b.w.sign(b.c, b.header, inside()) }})
			}
		}
	}
}

func shapeWide(b *base) {
	for _, n := range []int{100, 300, 600, 1000, 10_000, 100_000} {
		wide := func() string {
			var s strings.Builder
			s.WriteString(strings.TrimSuffix(b.payload, "}"))
			for i := range n {
				fmt.Fprintf(&s, `,"c%d":1`, i+b.round*n)
			}
			return s.String() + "}"
		}
		b.later(fmt.Sprint(n, " claims"), func() string { return b.h + "." + enc(wide()) + "." + b.s })
		b.later(fmt.Sprint(n, " members of the header"), func() string {
			return enc(strings.TrimSuffix(b.header, "}")+strings.TrimPrefix(wide(), strings.TrimSuffix(b.payload, "}"))) + "." + b.p + "." + b.s
		})
		if n <= 1000 {
			b.out = append(b.out, mutation{name: fmt.Sprint(n, " claims (signed)"), ours: b.ours(), may: n <= 100, lazy: func() string { return b.w.sign(b.c, b.header, wide()) }})
			b.out = append(b.out, mutation{name: fmt.Sprint(n, " entries (signed)"), ours: b.ours(), may: true, lazy: func() string {
				return b.w.sign(b.c, b.header, b.claim("x", "["+strings.TrimSuffix(strings.Repeat("1,", n), ",")+"]"))
			}})
		}
	}
}

func shapeText(b *base) {
	open := strings.TrimSuffix(b.payload, "}")
	for _, text := range []string{"\xff", "\xc0\xaf", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80", "\xe2\x82", "\xf8\x88\x80\x80\x80", `\ud800`, `\udc00\ud800`, `\u12`, `\x41`, "\x00", "\x1f", "\n"} {
		for _, payload := range []string{open + `,"x":"` + text + `"}`, open + `,"` + text + `":1}`} {
			b.add("payload "+fmt.Sprintf("%q", text), b.h+"."+enc(payload)+"."+b.s)
			b.resign("payload "+fmt.Sprintf("%q", text), b.header, payload, false)
		}
	}
	b.resign("byte order mark", b.header, "\ufeff"+b.payload, false)
	b.resign("UTF-16", b.header, "\xff\xfe{\x00}\x00", false)
	for _, odd := range []string{"a\\u0000b", "a\u202eb", "a\u2066b", "a\\u001fb", "a\\u007fb", ""} {
		if b.c.kind != token.Request {
			b.resign("sub "+odd, b.header, b.claim("sub", `"`+odd+`"`), false)
			b.resign("jti "+odd, b.header, b.claim("jti", `"`+odd+`"`), false)
		}
	}
}

func shapeGarbage(b *base) {
	h, p, s := b.parts()
	for _, text := range []string{"x", "garbage", " ", "  x", "}", "{}", "\x00", "\x00.", ",", ";", "&", "#", "%00", "%20", "\"", "'", "\\", "/../", "<script>", "${x}", "\u2028", "\u200b", "A", "AAAA", "=", "==", "?x=1"} {
		b.add("behind "+text, b.c.text+text)
		b.add("before "+text, text+b.c.text)
		if !b.c.jwt() {
			continue
		}
		b.add("behind the header "+text, enc(b.header+text)+"."+p+"."+s)
		b.add("behind the payload "+text, h+"."+enc(b.payload+text)+"."+s)
		if strings.TrimSpace(text) != "" {
			b.resign("behind the payload "+text, b.header, b.payload+text, false)
			b.resign("before the payload "+text, b.header, text+b.payload, false)
			b.resign("behind the header "+text, b.header+text, b.payload, false)
		}
	}
}
