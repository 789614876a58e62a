package token

import (
	"fmt"
	"strings"
	"testing"
)

// TestClaims changes one claim a row. Each token is signed by the right key.
func TestClaims(t *testing.T) {
	k := newKey(t, HS256, "k1")
	type row struct {
		claim, value string
		want         error
	}
	rows := []row{
		{"n", "6", nil},
		{"x", `{"exp":"a","Exp":1}`, nil},
		{"sub", "", nil},
		{"jti", "", nil},
		{"nbf", "", nil},
		{"gen", "", nil},
		{"scope", "", nil},
		{"scope", `""`, nil},
		{"scope", `"a"`, nil},
		{"sub", `"עברית"`, nil},
		{"client_id", "", nil},

		{"type", `"refresh"`, ErrKind},
		{"type", `"Access"`, ErrKind},
		{"type", `"access "`, ErrKind},
		{"type", "", ErrKind},
		{"type", `["access"]`, ErrKind},
		{"type", "null", ErrKind},
		{"type", "1", ErrKind},
		{"type", `""`, ErrKind},

		{"iss", `"https://old.example"`, nil},
		{"iss", `"https://auth.example/"`, ErrIssuer},
		{"iss", `"https://AUTH.example"`, ErrIssuer},
		{"iss", `"https://auth.exampl"`, ErrIssuer},
		{"iss", `"https://staging.example"`, ErrIssuer},
		{"iss", "", ErrIssuer},
		{"iss", `["https://auth.example"]`, ErrClaims},
		{"iss", "null", ErrClaims},
		{"iss", `""`, ErrClaims},

		{"aud", `["api"]`, nil},
		{"aud", `"API"`, ErrAudience},
		{"aud", `"ap"`, ErrAudience},
		{"aud", `"api2"`, ErrAudience},
		{"aud", `"api "`, ErrAudience},
		{"aud", "", ErrAudience},
		{"aud", `["api","other"]`, ErrAudience},
		{"aud", `["other","api"]`, ErrAudience},
		{"aud", `["api","api"]`, ErrAudience},
		{"aud", "[]", ErrClaims},
		{"aud", `""`, ErrClaims},
		{"aud", `[""]`, ErrClaims},
		{"aud", `[["api"]]`, ErrClaims},
		{"aud", `{"api":1}`, ErrClaims},
		{"aud", "null", ErrClaims},
		{"aud", "true", ErrClaims},
		{"aud", "[" + strings.Repeat(`"a",`, 1000) + `"api"]`, ErrClaims},

		{"sid", "", ErrClaims},
		{"sid", `""`, ErrClaims},
		{"sid", "7", ErrClaims},
		{"sid", "null", ErrClaims},
		{"sub", "1", ErrClaims},
		{"sub", `""`, ErrClaims},
		{"sub", "null", ErrClaims},
		{"sub", `"a\u0000"`, ErrClaims},
		{"sub", `"a\u202eb"`, ErrClaims},
		{"sub", `"a\u2066b"`, ErrClaims},
		{"sub", `"a\u007f"`, ErrClaims},
		{"sub", `"a\u0085"`, ErrClaims},
		{"sub", `"` + strings.Repeat("s", 256) + `"`, nil},
		{"sub", `"` + strings.Repeat("s", 257) + `"`, ErrClaims},
		{"sub", `"\ud800"`, ErrClaims},
		{"sub", "\"\xff\"", ErrClaims},
		{"sub", `["4b5c"]`, ErrClaims},
		{"jti", "1", ErrClaims},
		{"jti", `""`, ErrClaims},
		{"client_id", "1", ErrClaims},
		{"client_id", `"a\n"`, ErrClaims},
		{"scope", `" a"`, ErrClaims},
		{"scope", `"a "`, ErrClaims},
		{"scope", `"a  b"`, ErrClaims},
		{"scope", `" "`, ErrClaims},
		{"scope", `"a\tb"`, ErrClaims},
		{"scope", `"a\u00a0b"`, ErrClaims},
		{"scope", `"a\u2003b"`, ErrClaims},
		{"scope", `["a"]`, ErrClaims},
		{"scope", "null", ErrClaims},
		{"gen", "-1", ErrClaims},
		{"gen", `"3"`, ErrClaims},
		{"gen", "3.0", ErrClaims},
		{"gen", "null", ErrClaims},

		{"exp", "", ErrClaims},
		{"iat", "", ErrClaims},
		{"exp", "1699999999", ErrLifetime},
		{"exp", "1700000901", ErrLifetime},
		{"iat", "1699999999", ErrLifetime},
		{"exp", "0", ErrLifetime},
		{"exp", "9007199254740992", ErrLifetime},
		{"iat", "0", ErrLifetime},
		{"iat", "1700000901", ErrLifetime},
		{"nbf", "1700000060", nil},
		{"nbf", "1700000061", ErrNotYetValid},
		{"nbf", "9007199254740992", ErrNotYetValid},
		{"nbf", "0", nil},
		{"iat", "1700000060", nil},
		{"iat", "1700000061", ErrNotYetValid},
		{"exp", "1700000001", nil},
		{"exp", "1700000000", ErrExpired},
	}
	for _, claim := range []string{"exp", "iat", "nbf"} {
		for _, value := range []string{
			`"1700000100"`, "1e999", "1.7e9", "17e8", "1700000100.0", "1700000100.5", "-1", "-0", "9223372036854775808",
			"18446744073709551616", "9007199254740993", "true", "false", "null", "[1700000100]", "{}", `""`,
		} {
			rows = append(rows, row{claim, value, ErrClaims})
		}
	}
	for _, name := range []string{"iss", "sub", "sid", "jti", "aud", "iat", "nbf", "exp", "gen"} {
		rows = append(rows, row{strings.ToUpper(name), "1", ErrClaims}, row{strings.ToUpper(name[:1]) + name[1:], "1", ErrClaims})
	}
	for _, r := range rows {
		payload := with(accessClaims, r.claim, r.value)
		c, err := Verify(sign(t, k, payload), []*Key{k}, accessRules(), nowMs)
		expect(t, r.claim+" "+shorten(r.value), c, err, r.want)
	}
}

func shorten(text string) string {
	if len(text) > 40 {
		return text[:40] + "…"
	}
	return text
}

func TestPayloads(t *testing.T) {
	k := newKey(t, HS256, "k1")
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"%d":1,`, i)
		}
		return b.String()
	}
	for name, tc := range map[string]struct {
		payload string
		want    error
	}{
		"negative control":  {accessClaims, nil},
		"white space":       {" " + strings.ReplaceAll(accessClaims, ",", " ,\n\t") + "\r\n", nil},
		"100 more claims":   {`{` + many(100) + accessClaims[1:], nil},
		"700 more claims":   {`{` + many(700) + accessClaims[1:], ErrClaims},
		"twice the same":    {`{"exp":1700000900,` + accessClaims[1:], ErrClaims},
		"escaped twice":     {`{"\u0065xp":1700000900,` + accessClaims[1:], ErrClaims},
		"deep inside twice": {`{"x":[{"a":1,"a":1}],` + accessClaims[1:], ErrClaims},
		"garbage after":     {accessClaims + "x", ErrClaims},
		"two objects":       {accessClaims + accessClaims, ErrClaims},
		"array":             {"[" + accessClaims + "]", ErrClaims},
		"string":            {`"` + strings.ReplaceAll(accessClaims, `"`, `\"`) + `"`, ErrClaims},
		"null":              {"null", ErrClaims},
		"no JSON":           {"x", ErrClaims},
		"NUL after":         {accessClaims + "\x00", ErrClaims},
		"byte order mark":   {"\ufeff" + accessClaims, ErrClaims},
		"nested token":      {sign(t, k, accessClaims), ErrClaims},
		"depth 100":         {`{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "," + accessClaims[1:], ErrClaims},
		"empty object":      {"{}", ErrKind},
	} {
		raw, err := k.Sign(Header{}, []byte(tc.payload))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		c, err := Verify(raw, []*Key{k}, accessRules(), nowMs)
		expect(t, name, c, err, tc.want)
	}
}

// TestRules changes one rule a row.
func TestRules(t *testing.T) {
	k := newKey(t, ES256, "k1")
	noExp, noIss, noAud := with(accessClaims, "exp", ""), with(accessClaims, "iss", ""), with(accessClaims, "aud", "")
	for name, tc := range map[string]struct {
		change  func(*Rules)
		payload string
		want    error
	}{
		"negative control":            {func(*Rules) {}, accessClaims, nil},
		"zero rules":                  {func(r *Rules) { *r = Rules{} }, accessClaims, ErrIssuer},
		"zero rules, bare token":      {func(r *Rules) { *r = Rules{} }, `{"iat":1700000000,"exp":1700000001}`, ErrIssuer},
		"no issuer known":             {func(r *Rules) { r.Issuers = nil }, accessClaims, ErrIssuer},
		"no issuer known, iss absent": {func(r *Rules) { r.Issuers = nil }, noIss, ErrIssuer},
		"iss may be absent, and is":   {func(r *Rules) { r.AllowNoIssuer = true }, noIss, nil},
		"iss may be absent, is there": {func(r *Rules) { r.AllowNoIssuer = true }, accessClaims, nil},
		"iss must be absent":          {func(r *Rules) { r.Issuers, r.AllowNoIssuer = nil, true }, accessClaims, ErrIssuer},
		"no audience, none there":     {func(r *Rules) { r.Audience = "" }, noAud, nil},
		"no audience, one there":      {func(r *Rules) { r.Audience = "" }, accessClaims, ErrAudience},
		"no audience, empty list":     {func(r *Rules) { r.Audience = "" }, with(accessClaims, "aud", "[]"), ErrClaims},
		"other audience":              {func(r *Rules) { r.Audience = "api/" }, accessClaims, ErrAudience},
		"no lifetime":                 {func(r *Rules) { r.MaxLifetime = 0 }, accessClaims, ErrLifetime},
		"shorter lifetime":            {func(r *Rules) { r.MaxLifetime = 899 }, accessClaims, ErrLifetime},
		"never expires, exp there":    {func(r *Rules) { r.NoExpiry = true }, accessClaims, ErrLifetime},
		"never expires":               {func(r *Rules) { r.NoExpiry, r.MaxLifetime = true, 0 }, noExp, nil},
		"never expires, iat missing":  {func(r *Rules) { r.NoExpiry = true }, with(noExp, "iat", ""), ErrClaims},
		"no session needed":           {func(r *Rules) { r.RequireSession = false }, with(accessClaims, "sid", ""), nil},
		"kind by keys alone":          {func(r *Rules) { r.KindClaim = "" }, with(accessClaims, "type", ""), nil},
		"other kind claim":            {func(r *Rules) { r.KindClaim = "token_use" }, accessClaims, ErrKind},
		"typ":                         {func(r *Rules) { r.Typ = "jwt" }, accessClaims, nil},
		"typ with prefix":             {func(r *Rules) { r.Typ = "application/JWT" }, accessClaims, nil},
		"other typ":                   {func(r *Rules) { r.Typ = "at+jwt" }, accessClaims, ErrKind},
		"plain typ":                   {func(r *Rules) { r.PlainTyp = true }, accessClaims, nil},
		"forbidden claim":             {func(r *Rules) { r.KindClaim, r.ForbiddenClaim = "", "type" }, accessClaims, ErrKind},
		"forbidden claim, null":       {func(r *Rules) { r.KindClaim, r.ForbiddenClaim = "", "type" }, with(accessClaims, "type", "null"), ErrKind},
		"forbidden claim, absent":     {func(r *Rules) { r.KindClaim, r.ForbiddenClaim = "", "type" }, with(accessClaims, "type", ""), nil},
		"client needed":               {func(r *Rules) { r.RequireClient = true }, with(accessClaims, "client_id", `"c"`), nil},
		"client needed, missing":      {func(r *Rules) { r.RequireClient = true }, with(accessClaims, "client_id", ""), ErrClaims},
		"client needed, sub missing":  {func(r *Rules) { r.RequireClient = true }, with(with(accessClaims, "client_id", `"c"`), "sub", ""), ErrClaims},
		"client needed, jti missing":  {func(r *Rules) { r.RequireClient = true }, with(with(accessClaims, "client_id", `"c"`), "jti", ""), ErrClaims},
		"shared audience":             {func(r *Rules) { r.SharedAudience = true }, with(accessClaims, "aud", `["other","api"]`), nil},
		"shared audience, alone":      {func(r *Rules) { r.SharedAudience = true }, accessClaims, nil},
		"shared audience, of others":  {func(r *Rules) { r.SharedAudience = true }, with(accessClaims, "aud", `["other","api2"]`), ErrAudience},
		"shared audience, none":       {func(r *Rules) { r.SharedAudience = true }, noAud, ErrAudience},
	} {
		r := accessRules()
		tc.change(r)
		c, err := Verify(sign(t, k, tc.payload), []*Key{k}, r, nowMs)
		expect(t, name, c, err, tc.want)
	}
}

// TestPlainTyp: what calls itself something else is no contract's token.
func TestPlainTyp(t *testing.T) {
	k := newKey(t, EdDSA, "k1")
	r := accessRules()
	r.PlainTyp = true
	for typ, want := range map[string]error{
		"": nil, "JWT": nil, "jwt": nil, "application/jwt": nil,
		"at+jwt": ErrKind, "application/at+jwt": ErrKind, "logout+jwt": ErrKind, "statuslist+jwt": ErrKind, "JWS": ErrKind,
	} {
		raw, err := k.Sign(Header{Typ: typ}, []byte(accessClaims))
		if err != nil {
			t.Fatal(err)
		}
		c, err := Verify(raw, []*Key{k}, r, 1_700_000_100_000)
		expect(t, "typ "+typ, c, err, want)
	}
}

func TestSecurity08_Times(t *testing.T) {
	k := newKey(t, EdDSA, "k1")
	raw := sign(t, k, accessClaims)
	foreign := accessRules()
	foreign.ExpirySkew = 60
	greedy := accessRules()
	greedy.ExpirySkew = 3600
	const exp = 1_700_000_900_000
	for _, tc := range []struct {
		name  string
		rules *Rules
		at    int64
		want  error
	}{
		{"at iat", accessRules(), 1_700_000_000_000, nil},
		{"60 s before iat", accessRules(), 1_700_000_000_000 - 60_000, nil},
		{"a millisecond more", accessRules(), 1_700_000_000_000 - 60_001, ErrNotYetValid},
		{"at 1970", accessRules(), 0, ErrNotYetValid},
		{"a millisecond before exp", accessRules(), exp - 1, nil},
		{"at exp", accessRules(), exp, ErrExpired},
		{"a second after exp", accessRules(), exp + 1000, ErrExpired},
		{"a year after exp", accessRules(), exp + 31_536_000_000, ErrExpired},
		{"foreign, within skew", foreign, exp + 59_999, nil},
		{"foreign, at the end of skew", foreign, exp + 60_000, ErrExpired},
		{"skew is capped", greedy, exp + 60_000, ErrExpired},
	} {
		c, err := Verify(raw, []*Key{k}, tc.rules, tc.at)
		expect(t, tc.name, c, err, tc.want)
		if c != nil && c.Subject != "4b5c" {
			t.Errorf("%s: claims %+v", tc.name, c)
		}
	}
	// Expiry is last: a token that is wrong otherwise is never reported as expired.
	for claim, want := range map[string]error{"type": ErrKind, "iss": ErrIssuer, "aud": ErrAudience, "sid": ErrClaims} {
		c, err := Verify(sign(t, k, with(accessClaims, claim, "")), []*Key{k}, accessRules(), exp+1)
		expect(t, "expired, and without "+claim, c, err, want)
	}
}
