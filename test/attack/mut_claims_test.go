package attack_test

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// change signs a payload with one claim changed, with the right key.
func (b *base) change(name, value string, may bool) {
	b.resign(name+" "+value[:min(len(value), 60)], b.header, b.claim(name, value), may)
}

// oddValues are what is no integer, or none of those that we take.
var oddValues = []string{
	`"x"`, `""`, `1e999`, `-1e999`, `-1`, `-0`, `9223372036854775807`, `9223372036854775808`, `18446744073709551616`, `99999999999999999999999999`, `1.5`, `1.0`, `1e3`, `1E9`, `1790000100.0`, `true`, `false`,
	`null`, `[]`, `[1]`, `[1790000100]`, `{}`, `{"a":1}`, `"1e9"`, `" 1"`, `"1790000100 "`, `"0x6ab0"`, `01`, `NaN`, `Infinity`, `+1`, `0x10`, `1_000`, `1,0`, `9007199254740993`,
}

func claimTypes(b *base) {
	for _, v := range oddValues {
		for _, name := range []string{"exp", "nbf", "iat"} {
			b.change(name, v, v == `-0` && name == "nbf")
		}
	}
	may := b.c.kind == token.Request // whose clients write numbers as text
	for _, name := range []string{"iat", "nbf"} {
		b.change(name, fmt.Sprintf(`"%d"`, b.w.now()), may)
	}
	b.change("exp", fmt.Sprintf(`"%d"`, b.w.now()+60), may)
}

func claimTimes(b *base) {
	now := b.w.now()
	at := func(d int64) string { return fmt.Sprint(now + d) }
	b.change("nbf", at(600), false)
	b.change("iat", at(600), false)
	// The row of the session says how long a refresh token, or a browser's
	// login, lives; its exp says it to others.
	long := b.c.kind == token.Refresh || b.c.kind == kindCookie
	switch b.c.kind {
	case token.Request:
		for _, d := range []int64{-301, -3600, -86400, 301, 3600} {
			b.change("iat", at(d), false)
			b.change("iat", `"`+at(d)+`"`, false)
		}
		b.change("exp", at(-1), false)
		b.change("exp", at(0), false)
		b.change("iat", "", false)
		return
	case kindAssertion, kindKeyProof:
		for _, d := range []int64{-61, -3600, 3661, 86400} {
			b.change("exp", at(d), false)
		}
		b.change("exp", "", false)
		b.resign("exp before iat", b.header, member(b.claim("iat", at(30)), "exp", at(10)), false)
		return
	case token.Application:
		b.change("exp", at(60), false)
		b.change("exp", at(-60), false)
		b.change("iat", "", false)
		return
	}
	for _, d := range []int64{0, -1, -100, -86400} {
		b.change("exp", at(d), false)
		b.asHint()
	}
	b.change("exp", "", false)
	b.change("iat", "", false)
	b.change("iat", "0", long)
	b.resign("exp before iat", b.header, member(b.claim("iat", at(50)), "exp", at(40)), false)
	for _, d := range []int64{400 * 86400, 4000 * 86400, 1 << 40} {
		b.change("exp", at(d), long)
	}
	for range 20 * b.round {
		b.change("exp", at(-b.r.Int64N(1_000_000)), false)
		b.asHint()
		b.change("nbf", at(61+b.r.Int64N(1_000_000)), false)
	}
}

func claimAudience(b *base) {
	may := b.c.kind == token.Request // they have none by contract, and nobody reads it
	iss := b.w.app.URL()
	for _, v := range []string{
		`""`, `[]`, `[[]]`, `[""]`, `["x"]`, `"sallyport"`, `null`, `7`, `["netography"]`, `{"a":1}`, `[` + strings.Repeat(`"a",`, 900) + `"b"]`, `true`, `[null]`, `["x","y"]`, `"x y"`,
		fmt.Sprintf(`["%s","https://elsewhere.example"]`, iss), fmt.Sprintf(`["%s","%s"]`, iss, iss), fmt.Sprintf(`"%s/"`, iss), fmt.Sprintf(`"%s"`, strings.ToUpper(iss)), fmt.Sprintf(`"%s"`, iss[:len(iss)-1]),
		fmt.Sprintf(`"%s "`, iss), fmt.Sprintf(`[["%s"]]`, iss), fmt.Sprintf(`{"aud":"%s"}`, iss), fmt.Sprintf(`"%s.attacker.example"`, iss), fmt.Sprintf(`"%s/oauth2/token"`, iss),
	} {
		// Our gateway takes an OAuth token that is for others besides.
		b.change("aud", v, may || b.c.set == core.KeySet{Mount: "oauth", Kind: token.Access} && strings.HasPrefix(v, `["`+iss+`",`))
		b.out[len(b.out)-1].told = b.c.set.Mount == "oauth"
	}
	if strings.Contains(b.payload, `"aud"`) {
		b.change("aud", "", may)
	} else {
		b.change("aud", `"`+iss+`"`, may)
	}
	for range 20 * b.round {
		b.change("aud", fmt.Sprintf(`"%s%c"`, iss, 'a'+rune(b.r.IntN(26))), may)
		b.out[len(b.out)-1].told = b.c.set.Mount == "oauth"
	}
}

func claimIssuer(b *base) {
	iss := b.w.app.URL()
	may := b.c.kind == token.Request // they have none, and nobody reads it
	for _, v := range []string{
		`"http://127.0.0.1:1"`, `"` + iss + `/"`, `"` + iss + `x"`, `"` + strings.ToUpper(iss) + `"`, `"` + iss + `/."`, `"` + strings.Replace(iss, "http", "https", 1) + `"`, `"` + strings.Replace(iss, "127.0.0.1", "localhost", 1) + `"`,
		`"` + iss + ` "`, `["` + iss + `"]`, `null`, `7`, `{}`, `""`, `"` + strings.Repeat("i", 2000) + `"`, `"client_aaaaaaaaaaaaaaaaaaaaaaaaaa"`, `"key_aaaaaaaaaaaaaaaaaaaaaaaaaa"`,
	} {
		b.change("iss", v, may)
	}
	if strings.Contains(b.payload, `"iss"`) {
		b.change("iss", "", false)
	}
	for _, c := range b.w.clients {
		b.change("iss", `"`+c.ID+`"`, may || strings.Contains(b.payload, `"iss":"`+c.ID+`"`))
	}
}

// claimNames are names of whom and what: of another type, of others, of nobody.
func claimNames(b *base) {
	odd := []string{`7`, `""`, `null`, `[]`, `{}`, `true`, `"` + strings.Repeat("s", 300) + `"`, `["x"]`, `1.5`}
	if b.c.kind == token.Request {
		for _, name := range []string{"appname", "appkey", "shortname"} {
			for _, v := range append(odd, ``, `"other"`, `"daemon "`, `"DAEMON"`, `"*"`, `"%"`, `"' OR 1=1 --"`, `"..%2f"`) {
				if !strings.Contains(b.payload, `"`+name+`":`+v+`,`) {
					b.change(name, v, false)
				}
			}
		}
		return
	}
	names := []string{"sub", "jti", "iss"}
	if b.c.kind != kindAssertion && b.c.kind != kindKeyProof && b.c.mount != "machine" {
		names = append(names, "sid")
	}
	for _, name := range names {
		for _, v := range odd {
			b.change(name, v, false)
		}
	}
	// A session's row, or a token's own, says whom it is for; where the claims
	// name another, nobody may become him. What contracts put there is theirs.
	other := `"a6caf0bd-dbdf-4dfb-bcab-34f73e4c5b64"`
	row := b.c.set.Kind == token.Refresh || b.c.set.Kind == token.Application // whom it is for stands in the row alone
	b.change("sub", other, row || !strings.HasPrefix(b.c.set.Mount, "oauth") && b.c.kind != kindAssertion && b.c.kind != kindKeyProof)
	b.asHint()
	if b.c.kind == token.Application {
		b.change("jti", other, false)
		b.change("identity", `"root"`, false)
	}
	if strings.Contains(b.payload, `"sid"`) {
		for _, sid := range []string{`"0-aaaaaaaaaaaaaaaaaaaaaaaaaa"`, `"999999-aaaaaaaaaaaaaaaaaaaaaaaaaa"`, `"-1-aaaaaaaaaaaaaaaaaaaaaaaaaa"`, `"0"`, `"x"`, ``} {
			// A machine's token has no session; its sid says when it was made.
			b.change("sid", sid, b.c.mount == "machine" && strings.Contains(sid, "-a") && sid[1] != '-')
			b.asHint()
		}
	}
	for _, c := range b.w.creds {
		if o := newBase(b.w, b.r, c, 0); c.jwt() && c.sub != b.c.sub {
			for _, name := range []string{"sub", "client_id"} {
				if v := valueOf(o.payload, name); v != "" && strings.HasPrefix(b.c.set.Mount, "oauth") && strings.Contains(b.payload, `"`+name+`"`) {
					b.change(name, v, row)
					b.asHint()
				}
			}
		}
	}
}

// valueOf is the JSON text of a string member, "" when it is not there.
func valueOf(object, name string) string {
	_, rest, ok := strings.Cut(object, `"`+name+`":"`)
	if !ok {
		return ""
	}
	v, _, _ := strings.Cut(rest, `"`)
	return `"` + v + `"`
}

func claimScope(b *base) {
	// Only tokens that are read by package token have scopes; of request tokens
	// nobody reads it.
	may := b.c.kind == token.Request
	for _, v := range []string{`"a  b"`, `" a"`, `"a "`, `"a\tb"`, `"a\nb"`, `["a"]`, `7`, `null`, `true`, `{}`, `"a\u0000"`, `"` + strings.Repeat("s ", 2100) + `s"`, `"\u00a0a"`} {
		b.change("scope", v, may)
	}
}

// claimKind lets a token say that it is another kind. Where a contract's kinds
// are told apart by their keys alone nothing reads the claim.
func claimKind(b *base) {
	for _, v := range []string{`"refresh"`, `"access"`, `"id"`, `"application"`, `7`, `null`, `""`, ``, `["access"]`, `"Access"`} {
		for _, name := range []string{"type", "token_use", "typ", "gen"} {
			if name == "gen" && (v == "" || v[0] == '"' || v == "7") {
				continue
			}
			b.change(name, v, name != "gen" || b.c.kind == token.Request)
		}
	}
}

func claimTwice(b *base) {
	open := strings.TrimSuffix(b.payload, "}")
	for _, name := range []string{"exp", "iat", "sub", "iss", "jti", "sid", "aud", "appname", "shortname", "nbf", "gen", "scope", "identity"} {
		if v := valueIn(b.payload, name); v != "" {
			b.resign(name+" twice", b.header, open+`,"`+name+`":`+v+"}", false)
			b.resign(name+" twice, other first", b.header, `{"`+name+`":0,`+strings.TrimPrefix(b.payload, "{"), false)
			b.resign(name+" twice, escaped", b.header, open+fmt.Sprintf(`,"\u%04x%s":%s}`, name[0], name[1:], v), false)
		}
		if len(name) == 3 {
			b.resign(name+" in capitals", b.header, open+`,"`+strings.ToUpper(name)+`":0}`, false)
			b.resign(name+" with a capital", b.header, open+`,"`+strings.ToUpper(name[:1])+name[1:]+`":0}`, false)
		}
	}
	b.resign("unknown twice", b.header, open+`,"zz":1,"zz":2}`, false)
	b.resign("deep inside twice", b.header, open+`,"zz":{"a":{"b":1,"b":2}}}`, false)
	b.resign("__proto__", b.header, open+`,"__proto__":{"admin":true},"constructor":{}}`, true)
}

// valueIn is the JSON text of a scalar member.
func valueIn(object, name string) string {
	_, rest, ok := strings.Cut(object, `"`+name+`":`)
	if !ok {
		return ""
	}
	end := strings.IndexAny(rest, ",}")
	if end < 0 || strings.ContainsAny(rest[:end], "[{") {
		return ""
	}
	return rest[:end]
}

func claimShape(b *base) {
	for _, p := range []string{`[1]`, `null`, `"x"`, `7`, `true`, `{}`, `[]`, ``, ` `, `{`, `[` + b.payload + `]`, b.payload + b.payload, b.payload + "{}", `{"a":` + b.payload + `}`, strings.TrimSuffix(b.payload, "}") + ",}", strings.ReplaceAll(b.payload, `"`, `'`), `<xml/>`, strings.TrimSuffix(b.payload, "}")} {
		b.add("payload "+p[:min(len(p), 30)], b.h+"."+enc(p)+"."+b.s)
		b.out = append(b.out, mutation{name: "payload " + p[:min(len(p), 30)] + " (signed)", ours: b.ours(), lazy: func() string { return b.c.key.token(b.header, p) }})
	}
}
