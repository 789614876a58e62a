package token

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestVerify(t *testing.T) {
	for _, alg := range []Algorithm{HS256, ES256, EdDSA, RS256} {
		k := newKey(t, alg, "k1")
		raw := sign(t, k, accessClaims)
		for range 2 { // the second time the header is known
			c, err := Verify(raw, []*Key{k}, accessRules(), nowMs)
			if err != nil {
				t.Fatalf("%s: %v", alg, err)
			}
			got := fmt.Sprint(c.Issuer, c.Subject, c.SessionID, c.ID, c.ClientID, c.Scope, c.Audience,
				c.IssuedAt, c.NotBefore, c.ExpiresAt, c.Generation, c.KeyID, c.Algorithm, c.Typ)
			want := fmt.Sprint("https://auth.example", "4b5c", "7.ab", "j1", "client_1", "read write", []string{"api"},
				1700000000, 1700000000, 1700000900, 3, "k1", alg, "JWT")
			if got != want || string(c.Payload) != accessClaims {
				t.Errorf("%s: %s, payload %s", alg, got, c.Payload)
			}
		}
	}
}

func TestMembers(t *testing.T) {
	k := newKey(t, HS256, "k1")
	c, err := Verify(sign(t, k, accessClaims), []*Key{k}, accessRules(), nowMs)
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := c.Text("s"); s != "t" || !ok {
		t.Errorf("Text = %q, %v", s, ok)
	}
	if n, ok := c.Int("n"); n != 5 || !ok {
		t.Errorf("Int = %d, %v", n, ok)
	}
	if b, ok := c.Bool("b"); !b || !ok {
		t.Errorf("Bool = %v, %v", b, ok)
	}
	if c.JSON("aud") != `"api"` || c.JSON("x") != "" {
		t.Errorf("JSON = %s, %s", c.JSON("aud"), c.JSON("x"))
	}
	_, text := c.Text("n")
	_, absent := c.Text("x")
	_, folded := c.Text("S")
	_, num := c.Int("s")
	_, boolean := c.Bool("s")
	if text || absent || folded || num || boolean {
		t.Error("a member of another type, or none, was given out")
	}
}

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
	many := strings.Builder{}
	for i := range 700 {
		fmt.Fprintf(&many, `"%d":1,`, i)
	}
	for name, tc := range map[string]struct {
		payload string
		want    error
	}{
		"negative control":  {accessClaims, nil},
		"white space":       {" " + strings.ReplaceAll(accessClaims, ",", " ,\n\t") + "\r\n", nil},
		"700 more claims":   {`{` + many.String() + accessClaims[1:], nil},
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
	} {
		r := accessRules()
		tc.change(r)
		c, err := Verify(sign(t, k, tc.payload), []*Key{k}, r, nowMs)
		expect(t, name, c, err, tc.want)
	}
}

func TestClock(t *testing.T) {
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

// TestKeys: the kid of a token moves keys to the front and decides nothing.
func TestKeys(t *testing.T) {
	a, b, foreign := newKey(t, HS256, "a"), newKey(t, HS256, "b"), newKey(t, HS256, "a")
	es, dropped := newKey(t, ES256, "a"), newKey(t, HS256, "gone")
	for name, tc := range map[string]struct {
		signer *Key
		keys   []*Key
		want   error
		kid    string
	}{
		"first":                     {a, []*Key{a, b}, nil, "a"},
		"last":                      {b, []*Key{es, a, b}, nil, "b"},
		"kid of another":            {foreign, []*Key{a, b}, ErrSignature, ""},
		"same kid, two keys":        {foreign, []*Key{a, b, foreign}, nil, "a"},
		"dropped key":               {dropped, []*Key{a, b}, ErrSignature, ""},
		"no keys":                   {a, nil, ErrSignature, ""},
		"only of another algorithm": {a, []*Key{es}, ErrSignature, ""},
		"nothing but its public":    {es, []*Key{a, es.Public()}, nil, "a"},
	} {
		c, err := Verify(sign(t, tc.signer, accessClaims), tc.keys, accessRules(), nowMs)
		expect(t, name, c, err, tc.want)
		if c != nil && c.KeyID != tc.kid {
			t.Errorf("%s: verified by %q, want %q", name, c.KeyID, tc.kid)
		}
	}
	raw, err := b.Sign(Header{OmitKeyID: true}, []byte(accessClaims))
	if err != nil {
		t.Fatal(err)
	}
	c, err := Verify(raw, []*Key{a, b}, accessRules(), nowMs)
	expect(t, "no kid", c, err, nil)
}

// TestCuts: every prefix, extension and change of case of every kind of token.
func TestCuts(t *testing.T) {
	k := newKey(t, ES256, "k1")
	raw := sign(t, k, accessClaims)
	if _, err := Verify(raw, []*Key{k}, accessRules(), nowMs); err != nil {
		t.Fatalf("negative control: %v", err)
	}
	try := func(raw, name string) {
		if c, err := Verify(raw, []*Key{k}, accessRules(), nowMs); err == nil || c != nil {
			t.Errorf("%s accepted", name)
		}
	}
	for i := range raw {
		try(raw[:i], fmt.Sprintf("prefix of %d bytes", i))
		if c := raw[i] &^ 0x20; 'A' <= c && c <= 'Z' {
			try(raw[:i]+string(rune(raw[i]^0x20))+raw[i+1:], fmt.Sprintf("byte %d in the other case", i))
		}
	}
	for c := range 256 {
		try(raw+string([]byte{byte(c)}), fmt.Sprintf("byte %#x after it", c))
	}
}

// TestCrossing: every kind at every place, and only the diagonal is accepted, even under one key.
func TestCrossing(t *testing.T) {
	key := newKey(t, HS256, "k1")
	kinds := []Kind{Access, Refresh, ID, Application}
	rules := func(kind Kind) *Rules {
		r := accessRules()
		r.Kind, r.KindValue, r.NoExpiry = kind, string(kind), kind == Application
		return r
	}
	token := func(kind Kind) string {
		payload := with(accessClaims, "type", `"`+string(kind)+`"`)
		if kind == Application {
			payload = with(payload, "exp", "")
		}
		return sign(t, key, payload)
	}
	for _, is := range kinds {
		for _, wanted := range kinds {
			var want error
			if is != wanted {
				want = ErrKind
			}
			c, err := Verify(token(is), []*Key{key}, rules(wanted), nowMs)
			expect(t, fmt.Sprintf("%s token as %s", is, wanted), c, err, want)
		}
		var candidates []Candidate
		for _, kind := range kinds {
			candidates = append(candidates, Candidate{Keys: []KeyGroup{{Keys: []*Key{key}}}, Rules: rules(kind)})
		}
		i, c, err := Identify(token(is), candidates, nowMs)
		expect(t, fmt.Sprintf("identify %s", is), c, err, nil)
		if i < 0 || candidates[i].Rules.Kind != is {
			t.Errorf("%s token identified as candidate %d", is, i)
		}
	}
	secret := []byte(strings.Repeat("s", 32))
	requestKey, err := NewRequestKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	request, err := MintRequest(requestKey, goodRequest())
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds {
		c, err := Verify(request, []*Key{key}, rules(kind), nowMs)
		expect(t, fmt.Sprintf("request token as %s", kind), c, err, ErrSignature)
		c, err = Verify(request, []*Key{requestKey}, rules(kind), nowMs)
		expect(t, fmt.Sprintf("request token as %s under its own key", kind), c, err, ErrKind)
	}
	for _, kind := range kinds {
		if _, err := ParseRequest(token(kind)); err == nil {
			t.Errorf("%s token read as a request token", kind)
		}
	}
}

func TestIdentify(t *testing.T) {
	accessKey, refreshKey, otherKey := newKey(t, ES256, "a"), newKey(t, HS256, "r"), newKey(t, ES256, "o")
	refresh := accessRules()
	refresh.Kind, refresh.KindValue = Refresh, "refresh"
	other := accessRules()
	other.Issuers = []string{"https://other.example"}
	group := func(keys ...*Key) []KeyGroup { return []KeyGroup{{Keys: keys}} }
	candidates := []Candidate{
		{group(accessKey), accessRules()},  // 0
		{group(refreshKey), refresh},       // 1
		{group(otherKey), other},           // 2
		{group(otherKey), accessRules()},   // 3: the key again, other rules
		{group(refreshKey), accessRules()}, // 4
	}
	refreshClaims := with(accessClaims, "type", `"refresh"`)
	const late = (nowSec + 900) * 1000
	for name, tc := range map[string]struct {
		raw   string
		at    int64
		index int
		want  error
	}{
		"access":                   {sign(t, accessKey, accessClaims), nowMs, 0, nil},
		"refresh":                  {sign(t, refreshKey, refreshClaims), nowMs, 1, nil},
		"refresh of access keys":   {sign(t, accessKey, refreshClaims), nowMs, 0, ErrKind},
		"second rules of a key":    {sign(t, otherKey, accessClaims), nowMs, 3, nil},
		"first rules of a key":     {sign(t, otherKey, with(accessClaims, "iss", `"https://other.example"`)), nowMs, 2, nil},
		"expired access":           {sign(t, accessKey, accessClaims), late, 0, ErrExpired},
		"expired, second rules":    {sign(t, otherKey, accessClaims), late, 3, ErrExpired},
		"furthest wins":            {sign(t, otherKey, with(accessClaims, "aud", `"x"`)), nowMs, 3, ErrAudience},
		"first of equals":          {sign(t, otherKey, with(accessClaims, "type", `"x"`)), nowMs, 2, ErrKind},
		"expired refresh":          {sign(t, refreshKey, refreshClaims), late, 1, ErrExpired},
		"access of refresh keys":   {sign(t, refreshKey, accessClaims), nowMs, 4, nil},
		"claims unreadable":        {sign(t, otherKey, "[]"), nowMs, 2, ErrClaims},
		"key of nobody":            {sign(t, newKey(t, ES256, "a"), accessClaims), nowMs, -1, ErrSignature},
		"no token":                 {"x", nowMs, -1, ErrMalformed},
		"a forged one of our kids": {sign(t, newKey(t, HS256, "r"), refreshClaims), nowMs, -1, ErrSignature},
	} {
		i, c, err := Identify(tc.raw, candidates, tc.at)
		expect(t, name, c, err, tc.want)
		if i != tc.index {
			t.Errorf("%s: candidate %d, want %d", name, i, tc.index)
		}
	}
	i, c, err := Identify(sign(t, accessKey, accessClaims), nil, nowMs)
	expect(t, "no candidates", c, err, ErrSignature)
	if i != -1 {
		t.Errorf("no candidates: %d", i)
	}
}

// TestRefusalAllocations: a hostile token of any size costs little memory.
func TestRefusalAllocations(t *testing.T) {
	k := newKey(t, HS256, "k1")
	keys := []*Key{k}
	rules := accessRules()
	for name, raw := range map[string]string{
		"a megabyte of dots": strings.Repeat(".", 1<<20), "16 MiB": strings.Repeat("a", 16<<20),
		"8 KiB of dots": strings.Repeat(".", MaxSize), "segments": strings.Repeat("a.", MaxSize/2),
	} {
		if n := testing.AllocsPerRun(20, func() {
			if _, err := Verify(raw, keys, rules, nowMs); err == nil {
				t.Fatal("accepted")
			}
		}); n > 12 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestProgress(t *testing.T) {
	if progress(nil) != -1 || !slices.IsSortedFunc(order, func(a, b error) int { return progress(a) - progress(b) }) {
		t.Error("errors are not ranked in their order")
	}
}

func TestInspect(t *testing.T) {
	raw := sign(t, newKey(t, HS256, "k1"), accessClaims)
	got, err := Inspect(raw)
	want := Unverified{HS256, "k1", "JWT", `{"alg":"HS256","typ":"JWT","kid":"k1"}`, accessClaims}
	if err != nil || *got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := Inspect(raw + "."); !errors.Is(err, ErrMalformed) || got != nil {
		t.Errorf("four segments: %+v, %v", got, err)
	}
}

func TestGroupsDoNotPrintTheirSecret(t *testing.T) {
	c := Candidate{Keys: []KeyGroup{{Keys: []*Key{newKey(t, HS256, "k1")}, MACKey: macKey}}}
	for _, format := range []string{"%v", "%+v", "%#v"} {
		got := fmt.Sprintf(format, c)
		if !strings.Contains(got, `shared [HS256 key "k1"]`) || strings.Contains(got, "109") || strings.Contains(got, "mmm") {
			t.Errorf("%s: %s", format, got)
		}
	}
}

// TestConcurrentUse is for the race detector: keys remember headers and keep MAC states while many use them.
func TestConcurrentUse(t *testing.T) {
	keys := []*Key{newKey(t, HS256, "a"), newKey(t, EdDSA, "b")}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				k := keys[(i+j)%2]
				raw, err := k.Sign(Header{Typ: strings.Repeat("t", 1+j%20)}, []byte(accessClaims))
				if err != nil {
					t.Error(err)
					return
				}
				if c, err := Verify(raw, keys, accessRules(), nowMs); err != nil || c.KeyID != k.ID() || len(c.Typ) != 1+j%20 {
					t.Errorf("%v, %v", c, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
