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

// TestSecurity09_KindsAreExclusive: every kind at every place, and only the diagonal is accepted, even under one key.
func TestSecurity09_KindsAreExclusive(t *testing.T) {
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
