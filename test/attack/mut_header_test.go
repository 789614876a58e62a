package attack_test

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/token"
)

func mustUnmarshal(t testing.TB, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatal(err)
	}
}

// with is the header with members behind its own.
func (b *base) with(more string) string { return strings.TrimSuffix(b.header, "}") + "," + more + "}" }

// both sends a header with the old signature, and with a new one.
func (b *base) both(name, header string, may bool) {
	if header != b.header {
		b.add(name, enc(header)+"."+b.p+"."+b.s)
	}
	b.resign(name, header, b.payload, may)
}

func kidOdd(b *base) {
	for _, c := range []struct {
		kid string
		may bool // text like other text: it orders keys and does no more
	}{
		{`"../../../../../dev/null"`, true},
		{`"/dev/null"`, true},
		{`"` + b.w.watch.file + `"`, true},
		{`"file://` + b.w.watch.file + `"`, true},
		{`"http://` + b.w.watch.sinks[0] + `/key"`, true},
		{`"x' UNION SELECT 'AAAA' --"`, true},
		{`"'; DROP TABLE keys; --"`, true},
		{`"|| sleep 5 ||"`, true},
		{`"$(id)"`, true},
		{`"%00"`, true},
		{`"${jndi:ldap://` + b.w.watch.sinks[0] + `/x}"`, true},
		{`"` + strings.Repeat("k", 2000) + `"`, false},
		{`"` + strings.Repeat("k", 5000) + `"`, false},
		{`"` + strings.Repeat("k", 65536) + `"`, false},
		{`7`, false},
		{`-1`, false},
		{`1e999`, false},
		{`null`, false},
		{`true`, false},
		{`["a"]`, false},
		{`{}`, false},
		{`"a\u0000b"`, false},
		{`"\u0000"`, false},
		{`"a\nb"`, false},
		{`"\u001b[2J"`, false},
		{`"\ud800"`, false},
		{`""`, true},
	} {
		if strings.Contains(b.header, `"kid"`) {
			b.both("kid "+c.kid[:min(len(c.kid), 60)], member(b.header, "kid", c.kid), c.may)
		} else {
			b.both("kid "+c.kid[:min(len(c.kid), 60)], b.with(`"kid":`+c.kid), c.may)
		}
	}
}

// kidOther names keys that exist, and did not sign.
func kidOther(b *base) {
	kids := []string{b.w.foreign[0].kid, "retired", "next", "0", "default"}
	for _, jwk := range b.w.jwks {
		kids = append(kids, jwk["kid"])
	}
	for _, k := range b.w.signers {
		kids = append(kids, k.kid)
	}
	for _, kid := range kids {
		h := member(b.header, "kid", fmt.Sprintf("%q", kid))
		b.both("kid "+kid, h, true)
		for _, k := range b.w.foreign {
			b.later("kid "+kid+", signed by the attacker's "+k.alg, func() string { return k.token(member(h, "alg", `"`+k.alg+`"`), b.payload) })
		}
	}
}

// headerKey brings the attacker's key along.
func headerKey(b *base) {
	for _, k := range b.w.foreign {
		der, err := x509.MarshalPKIXPublicKey(k.priv.Public())
		if err != nil {
			b.w.t.Fatal(err)
		}
		cert, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{SerialNumber: big.NewInt(1)}, k.priv.Public(), k.priv)
		if err != nil {
			b.w.t.Fatal(err)
		}
		for _, more := range []string{
			`"jwk":` + k.jwk(),
			`"jwk":"` + enc(k.jwk()) + `"`,
			`"JWK":` + k.jwk(),
			`"jwks":{"keys":[` + k.jwk() + `]}`,
			`"x5c":["` + base64.StdEncoding.EncodeToString(cert) + `"]`,
			`"x5c":["` + base64.StdEncoding.EncodeToString(der) + `"]`,
			`"x5t":"` + b64.EncodeToString(der[:20]) + `"`,
			`"epk":` + k.jwk(),
			`"key":` + k.jwk(),
		} {
			h := `{"alg":"` + k.alg + `","typ":"JWT",` + more + `}`
			own := member(b.header, "alg", `"`+k.alg+`"`)
			b.later("signed by it: "+more[:8], func() string { return k.token(h, b.payload) })
			b.later("signed by it under our kid: "+more[:8], func() string { return k.token(strings.TrimSuffix(own, "}")+","+more+"}", b.payload) })
			b.both(more[:8], b.with(more), !strings.HasPrefix(more, `"jwk":`) && !strings.HasPrefix(more, `"x5c"`) && !strings.HasPrefix(more, `"JWK"`))
		}
	}
}

// headerURL names places where a key might be fetched: loopback, where we
// listen, the metadata address of clouds, a name, a file.
func headerURL(b *base) {
	urls := []string{
		"http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://metadata.google.internal/", "https://attacker.example/jwks.json",
		"file://" + b.w.watch.file, b.w.watch.file, "file:///etc/passwd", "//attacker.example/x", "gopher://127.0.0.1:1/_", "data:application/json,{}", "http://0/", "",
	}
	for _, s := range b.w.watch.sinks {
		urls = append(urls, "http://"+s+"/jwks", "https://"+s+"/jwks", "http://user@"+s+"/")
	}
	k := b.w.foreign[0]
	for _, u := range urls {
		for _, name := range []string{"jku", "x5u"} {
			b.both(name+" "+u, b.with(`"`+name+`":"`+u+`"`), false)
			b.later(name+" "+u+", the attacker's signature", func() string {
				return k.token(`{"alg":"ES256","kid":"`+k.kid+`","`+name+`":"`+u+`"}`, b.payload)
			})
		}
		b.resign("iss "+u, b.header, b.claim("iss", `"`+u+`"`), false)
		b.resign("jwks_uri "+u, b.header, b.claim("jwks_uri", `"`+u+`"`), true)
	}
}

func headerCrit(b *base) {
	for _, more := range []string{
		`"crit":["exp"],"exp":1`, `"crit":["x"],"x":1`, `"crit":[]`, `"crit":["b64","b64"],"b64":true`, `"crit":["b64"],"b64":false`, `"crit":["b64"],"b64":true`,
		`"crit":null`, `"crit":"b64"`, `"crit":{}`, `"crit":[1]`, `"crit":["alg"]`, `"crit":["crit"]`, `"crit":["missing"]`, `"crit":true`, `"crit":[""]`,
		`"CRIT":["x"]`, `"Crit":["x"]`, `"cri\u0074":["x"]`,
	} {
		b.both(more, b.with(more), false)
	}
}

func headerB64(b *base) {
	for _, more := range []string{`"b64":false`, `"b64":true`, `"b64":0`, `"b64":"false"`, `"B64":false`, `"b64":null`} {
		b.both(more, b.with(more), false)
	}
	// The payload as it is, which an unencoded one would be.
	h := enc(b.with(`"b64":false,"crit":["b64"]`))
	b.later("raw payload", func() string {
		input := h + "." + b.payload
		return input + "." + b64.EncodeToString(b.c.key.sign(input))
	})
	b.later("detached payload", func() string { return h + ".." + b.s })
}

func headerTwice(b *base) {
	own := `"` + b.alg + `"`
	for _, more := range []string{
		`"alg":"none"`, `"alg":` + own, `"\u0061lg":"none"`, `"alg":"HS256"`, `"typ":"JWT","typ":"JWT"`, `"kid":"a","kid":"a"`, `"x":{"a":1,"a":2}`, `"x":1,"x":1`,
		`"zip":"DEF"`, `"enc":"A128GCM"`, `"x":[{"a":1,"a":1}]`, `"":1,"":2`,
	} {
		b.both(more, b.with(more), false)
	}
	b.both("alg none first", `{"alg":"none",`+strings.TrimPrefix(b.header, "{"), false)
}

func headerCase(b *base) {
	for _, more := range []string{`"Alg":"none"`, `"ALG":"none"`, `"aLg":"` + b.alg + `"`, `"Kid":"x"`, `"TYP":"x"`, `"Jku":"http://x"`, `"X5U":"x"`, `"ENC":"x"`, `"Zip":"DEF"`, `"B64":false`} {
		b.both(more, b.with(more), false)
	}
	for _, name := range []string{"Alg", "ALG", " alg", "alg ", "alg\\u0000", "a\\u200dlg"} {
		b.both("only "+name, strings.Replace(b.header, `"alg"`, `"`+name+`"`, 1), false)
	}
	b.both("alg escaped", strings.Replace(b.header, `"alg"`, `"\u0061lg"`, 1), true) // JSON: the same name
}

func headerTyp(b *base) {
	for _, typ := range []string{`7`, `null`, `[]`, `{}`, `true`, `"a\u0000b"`, `"` + strings.Repeat("t", 3000) + `"`} {
		b.both("typ "+typ[:min(len(typ), 30)], member(b.header, "typ", typ), false)
	}
	for _, typ := range []string{"at+jwt", "JWT", "jwt", "rt+jwt", "refresh+jwt", "revocations+jwt", "logout+jwt", "JOSE", "JOSE+JSON", "JWE", "secevent+jwt", "application/at+jwt", "dpop+jwt", "statuslist+jwt", "id+jwt", ""} {
		b.both("typ "+typ, member(b.header, "typ", fmt.Sprintf("%q", typ)), true)
	}
	b.both("no typ", member(b.header, "typ", ""), true)
	for _, cty := range []string{"JWT", "jwt", "application/jwt"} {
		b.both("cty "+cty, b.with(`"cty":"`+cty+`"`), true)
	}
}

func headerShape(b *base) {
	for _, h := range []string{
		`[]`, `null`, `""`, `0`, `true`, `{}`, `{`, `}`, ``, ` `, `[` + b.header + `]`, b.header + b.header, b.header + "x", b.header + "\x00", "\ufeff" + b.header,
		strings.TrimSuffix(b.header, "}"), strings.TrimSuffix(b.header, "}") + ",}", strings.ReplaceAll(b.header, `"`, `'`), strings.Replace(b.header, ":", "=", 1),
		"{\"alg\":\"" + b.alg + "\",\"x\":\"\xff\"}", "{\"alg\":\"" + b.alg + "\",\"x\":\"\xc0\xaf\"}", `{"alg":"` + b.alg + `","x":"\ud800"}`, `{"alg":"` + b.alg + `","x":01}`, `{"alg":"` + b.alg + `",/**/"x":1}`,
		`{"alg":"` + b.alg + `","x":NaN}`, `{alg:"` + b.alg + `"}`, b.with(`"x":` + strings.Repeat("[", 700) + strings.Repeat("]", 700)), b.with(`"x":"` + strings.Repeat("x", 3000) + `"`),
	} {
		b.both("header "+h[:min(len(h), 40)], h, false)
	}
	b.both("header with blanks", " "+strings.ReplaceAll(b.header, ",", " ,\n\t"), true)
	if b.c.kind == token.Request {
		b.both("header of a client in the field", "{\n\t\"typ\":\"JWT\",\n\t\"alg\":\"HS256\"\n}", true)
	}
}
