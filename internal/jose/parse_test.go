package jose

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

const goodHeader = `{"typ":"JWT","alg":"HS256"}`

// TestSecurity07_Headers signs every header with the right key, so that only the header can be the reason of a refusal.
func TestSecurity07_Headers(t *testing.T) {
	k := testKeys()[HS256]
	for _, tc := range []struct {
		name, header string
		want         error // nil = accepted
	}{
		{"negative control", goodHeader, nil},
		{"alg alone", `{"alg":"HS256"}`, nil},
		{"white space", "{\n\t\"typ\" : \"JWT\",\r\n \"alg\":\"HS256\" }\n", nil},
		{"escaped names and values", `{"\u0061lg":"\u0048S256"}`, nil},
		{"unknown parameters", `{"alg":"HS256","x":{"y":[1]},"x5t":"abc","cty":"JWT"}`, nil},
		{"kid of anybody", `{"alg":"HS256","kid":"../../etc/passwd' OR 1=1"}`, nil},
		{"kid empty", `{"alg":"HS256","kid":""}`, nil},
		{"kid of 256 bytes", `{"alg":"HS256","kid":"` + strings.Repeat("k", 256) + `"}`, nil},

		{"alg missing", `{"typ":"JWT"}`, ErrMalformed},
		{"alg null", `{"alg":null}`, ErrMalformed},
		{"alg number", `{"alg":256}`, ErrMalformed},
		{"alg array", `{"alg":["HS256"]}`, ErrMalformed},
		{"alg object", `{"alg":{"HS256":1}}`, ErrMalformed},
		{"alg empty", `{"alg":""}`, ErrMalformed},
		{"alg none", `{"alg":"none"}`, ErrAlgorithm},
		{"alg None", `{"alg":"None"}`, ErrAlgorithm},
		{"alg NONE", `{"alg":"NONE"}`, ErrAlgorithm},
		{"alg nOnE", `{"alg":"nOnE"}`, ErrAlgorithm},
		{"alg none and a space", `{"alg":"none "}`, ErrAlgorithm},
		{"alg none and NUL", `{"alg":"none\u0000"}`, ErrAlgorithm},
		{"alg lower case", `{"alg":"hs256"}`, ErrAlgorithm},
		{"alg HS384", `{"alg":"HS384"}`, ErrAlgorithm},
		{"alg HS512", `{"alg":"HS512"}`, ErrAlgorithm},
		{"alg ES256", `{"alg":"ES256"}`, ErrAlgorithm},
		{"alg twice", `{"alg":"HS256","alg":"HS256"}`, ErrMalformed},
		{"alg twice, one escaped", `{"alg":"none","\u0061lg":"HS256"}`, ErrMalformed},
		{"alg folded beside", `{"alg":"HS256","ALG":"none"}`, ErrMalformed},
		{"alg folded alone", `{"Alg":"HS256"}`, ErrMalformed},
		{"kid folded", `{"alg":"HS256","KID":"a"}`, ErrMalformed},
		{"crit folded", `{"alg":"HS256","Crit":["exp"]}`, ErrMalformed},

		{"kid number", `{"alg":"HS256","kid":1}`, ErrMalformed},
		{"kid null", `{"alg":"HS256","kid":null}`, ErrMalformed},
		{"kid object", `{"alg":"HS256","kid":{}}`, ErrMalformed},
		{"kid with NUL", `{"alg":"HS256","kid":"a\u0000"}`, ErrMalformed},
		{"kid with C1 control", `{"alg":"HS256","kid":"a\u0085"}`, ErrMalformed},
		{"kid of 257 bytes", `{"alg":"HS256","kid":"` + strings.Repeat("k", 257) + `"}`, ErrMalformed},
		{"kid of 5 KiB", `{"alg":"HS256","kid":"` + strings.Repeat("k", 5<<10) + `"}`, ErrMalformed},
		{"kid of 64 KiB", `{"alg":"HS256","kid":"` + strings.Repeat("k", 64<<10) + `"}`, ErrMalformed},
		{"typ number", `{"alg":"HS256","typ":1}`, ErrMalformed},
		{"typ with newline", `{"alg":"HS256","typ":"J\nT"}`, ErrMalformed},

		{"crit of unknown", `{"alg":"HS256","crit":["x"],"x":1}`, ErrMalformed},
		{"crit of known", `{"alg":"HS256","crit":["exp"],"exp":1}`, ErrMalformed},
		{"crit empty", `{"alg":"HS256","crit":[]}`, ErrMalformed},
		{"crit twice", `{"alg":"HS256","crit":["exp"],"crit":["exp"]}`, ErrMalformed},
		{"crit null", `{"alg":"HS256","crit":null}`, ErrMalformed},
		{"b64 false", `{"alg":"HS256","b64":false,"crit":["b64"]}`, ErrMalformed},
		{"b64 false without crit", `{"alg":"HS256","b64":false}`, ErrMalformed},
		{"b64 true", `{"alg":"HS256","b64":true}`, ErrMalformed},
		{"zip", `{"alg":"HS256","zip":"DEF"}`, ErrMalformed},
		{"enc", `{"alg":"HS256","enc":"A128GCM"}`, ErrMalformed},
		{"jku to loopback", `{"alg":"HS256","jku":"http://127.0.0.1/jwks"}`, ErrMalformed},
		{"jku to metadata address", `{"alg":"HS256","jku":"http://169.254.169.254/"}`, ErrMalformed},
		{"x5u to a file", `{"alg":"HS256","x5u":"file:///etc/passwd"}`, ErrMalformed},
		{"jwk", `{"alg":"HS256","jwk":{"kty":"oct","k":"AA"}}`, ErrMalformed},
		{"x5c", `{"alg":"HS256","x5c":["MIIB"]}`, ErrMalformed},

		{"no JSON", `alg=HS256`, ErrMalformed},
		{"array", `["alg","HS256"]`, ErrMalformed},
		{"string", `"HS256"`, ErrMalformed},
		{"empty object", `{}`, ErrMalformed},
		{"trailing garbage", goodHeader + "x", ErrMalformed},
		{"two objects", goodHeader + goodHeader, ErrMalformed},
		{"byte order mark", "\ufeff" + goodHeader, ErrMalformed},
		{"NUL at the end", goodHeader + "\x00", ErrMalformed},
		{"invalid UTF-8", "{\"alg\":\"HS256\",\"kid\":\"\xff\"}", ErrMalformed},
		{"lone surrogate", `{"alg":"HS256","kid":"\ud800"}`, ErrMalformed},
		{"depth 33", `{"alg":"HS256","x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`, ErrMalformed},
		{"JSON serialisation as header", `{"payload":"e30","signatures":[]}`, ErrMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := accepts(forge(t, k, tc.header, testPayload), k); !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestSecurity14_EncryptedAndOtherShapes(t *testing.T) {
	k := testKeys()[HS256]
	good := mustSign(t, k, Header{Typ: "JWT"}, testPayload)
	seg := strings.Split(good, ".")
	h, p, s := seg[0], seg[1], seg[2]
	if err := accepts(good, k); err != nil {
		t.Fatalf("negative control: %v", err)
	}
	for _, tc := range []struct {
		name, token string
		want        error
	}{
		{"nothing", "", errSegments},
		{"one segment", h, errSegments},
		{"two segments", h + "." + p, errSegments},
		{"empty signature", h + "." + p + ".", errEmpty},
		{"empty payload", h + ".." + s, errEmpty},
		{"empty header", "." + p + "." + s, errEmpty},
		{"dots", "..", errEmpty},
		{"four segments", good + "." + s, errSegments},
		{"trailing dot", good + ".", errSegments},
		{"leading dot", "." + good, errSegments},
		{"five segments", h + "." + p + "." + s + "." + s + "." + s, errJWE},
		{"direct encryption", b64(`{"alg":"dir","enc":"A128GCM"}`) + "..AAAA.AAAA.AAAA", errJWE},
		{"huge p2c", b64(`{"alg":"PBES2-HS256+A128KW","p2c":2147483647,"enc":"A128GCM"}`) + ".AA.AA.AA.AA", errJWE},
		{"six segments", good + "." + good, errSegments},
		{"JSON serialisation", `{"payload":"` + p + `","protected":"` + h + `","signature":"` + s + `"}`, errSegments},
		{"a megabyte of dots", strings.Repeat(".", 1<<20), errSize},
		{"8 KiB of dots", strings.Repeat(".", MaxTokenSize), errSegments},
		{"8 KiB and a byte", h + "." + p + "." + strings.Repeat("A", MaxTokenSize+1-len(h)-len(p)-2), errSize},
		{"16 MiB", strings.Repeat("A", 16<<20), errSize},
		{"Bearer before", "Bearer " + good, errEncoding},
		{"quotes around", `"` + good + `"`, errEncoding},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := accepts(tc.token, k); !errors.Is(err, tc.want) || !errors.Is(err, ErrMalformed) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
		})
	}
}

// TestSecurity05_Encoding puts what no segment may hold at its start, middle and end.
func TestSecurity05_Encoding(t *testing.T) {
	k := testKeys()[HS256]
	good := mustSign(t, k, Header{Typ: "JWT"}, testPayload)
	junk := []string{
		"\r", "\n", "\r\n", "\t", " ", "\x00", "\ufeff", "\u200b", "=", "==", "+", "/", "%2E", "%41", "?", "#", ",", ";", "*", "\x7f", "é",
	}
	for i := range 3 {
		for _, bad := range junk {
			for name, at := range map[string]func(string) int{
				"start":  func(string) int { return 0 },
				"middle": func(s string) int { return len(s) / 2 },
				"end":    func(s string) int { return len(s) },
			} {
				seg := strings.Split(good, ".")
				n := at(seg[i])
				seg[i] = seg[i][:n] + bad + seg[i][n:]
				if err := accepts(strings.Join(seg, "."), k); !errors.Is(err, ErrMalformed) {
					t.Errorf("%q at the %s of segment %d: %v", bad, name, i+1, err)
				}
			}
		}
	}
	// One character more than a multiple of four stands for no byte.
	seg := strings.Split(good, ".")
	for i := range seg {
		bad := slices.Clone(seg)
		bad[i] = strings.Repeat("A", 5)
		if err := accepts(strings.Join(bad, "."), k); !errors.Is(err, errEncoding) {
			t.Errorf("length 1 mod 4 in segment %d: %v", i+1, err)
		}
	}
}

// TestSecurity05_TrailingBits: of the spellings that a lax decoder takes for the same bytes, one is accepted.
func TestSecurity05_TrailingBits(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for _, n := range []int{1, 2, 4, 5} { // bytes that leave bits over
		good := rawURL.EncodeToString(sum256("x")[:n])
		accepted := 0
		for i := range len(alphabet) {
			spelt := good[:len(good)-1] + alphabet[i:i+1]
			lax, err := rawURL.DecodeString(spelt)
			if err != nil {
				t.Fatal(err)
			}
			if string(lax) != string(sum256("x")[:n]) {
				continue
			}
			if _, ok := appendDecoded(nil, spelt); ok {
				accepted++
			}
		}
		if accepted != 1 {
			t.Errorf("%d bytes have %d accepted spellings", n, accepted)
		}
	}
}

// TestCuts: every prefix, every extension by one character and every change of case is another token.
func TestCuts(t *testing.T) {
	for alg, k := range testKeys() {
		good := mustSign(t, k, Header{Typ: "JWT"}, testPayload)
		if err := accepts(good, k); err != nil {
			t.Fatalf("%s: negative control: %v", alg, err)
		}
		for i := range good {
			if alg == RS256 && i%7 != 0 {
				continue // the same code path, and slow
			}
			if accepts(good[:i], k) == nil {
				t.Errorf("%s: prefix of %d bytes accepted", alg, i)
			}
			if flip := good[i] ^ 0x20; 'A' <= good[i]&^0x20 && good[i]&^0x20 <= 'Z' {
				if accepts(good[:i]+string(rune(flip))+good[i+1:], k) == nil {
					t.Errorf("%s: byte %d in the other case accepted", alg, i)
				}
			}
		}
		for c := range 256 {
			if accepts(good+string([]byte{byte(c)}), k) == nil {
				t.Errorf("%s: accepted with byte %#x after it", alg, c)
			}
			if accepts(string([]byte{byte(c)})+good, k) == nil {
				t.Errorf("%s: accepted with byte %#x before it", alg, c)
			}
		}
	}
}

// TestRefusalAllocations: refusing garbage by its shape costs no memory at all (CVE-2025-30204).
func TestRefusalAllocations(t *testing.T) {
	for name, token := range map[string]string{
		"a megabyte of dots": strings.Repeat(".", 1<<20),
		"8 KiB of dots":      strings.Repeat(".", MaxTokenSize),
		"dots and letters":   strings.Repeat("a.", MaxTokenSize/2),
		"no dot":             strings.Repeat("a", MaxTokenSize),
		"empty":              "",
	} {
		if n := testing.AllocsPerRun(100, func() {
			if _, err := Parse(token); err == nil {
				t.Fatal("accepted")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestParsedAccessors(t *testing.T) {
	k := testKeys()[EdDSA]
	token := mustSign(t, k, Header{Typ: "at+jwt"}, testPayload)
	for range 2 { // the second time the header is known
		p, err := ParseFor(token, slices.Values([]*Key{k}))
		if err != nil {
			t.Fatal(err)
		}
		if p.Algorithm() != EdDSA || p.KeyID() != "key-EdDSA" || p.Typ() != "at+jwt" || p.Token() != token {
			t.Errorf("alg %s, kid %s, typ %s, token %s", p.Algorithm(), p.KeyID(), p.Typ(), p.Token())
		}
		if want, _ := segments(t, token); string(p.SigningInput()) != want || p.HeaderSegment() != strings.Split(want, ".")[0] {
			t.Errorf("signing input %s, header segment %s", p.SigningInput(), p.HeaderSegment())
		}
		if payload, err := p.Verify(k); err != nil || string(payload) != testPayload || string(p.UnverifiedPayload()) != testPayload {
			t.Errorf("payload %s, %v", payload, err)
		}
	}
}

// TestKnownHeaders: remembering changes no outcome and is bounded.
func TestKnownHeaders(t *testing.T) {
	k, err := GenerateKey(HS256, "a")
	if err != nil {
		t.Fatal(err)
	}
	bad := forge(t, k, `{"alg":"HS256","crit":["x"]}`, testPayload)
	forged := b64(`{"alg":"HS256","kid":"stranger"}`) + "." + b64(testPayload) + "." + b64(string(sum256("")))
	for range 3 {
		if _, err := ParseFor(bad, slices.Values([]*Key{k})); !errors.Is(err, ErrMalformed) {
			t.Fatalf("crit: %v", err)
		}
		p, err := ParseFor(forged, slices.Values([]*Key{k}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Verify(k); !errors.Is(err, ErrSignature) {
			t.Fatalf("forged: %v", err)
		}
	}
	if k.checks.Load() != nil {
		t.Fatal("the header of a token that did not verify was remembered")
	}
	for i := range 3 * maxCached {
		h := Header{Typ: strings.Repeat("t", 1+i)}
		token := mustSign(t, k, h, testPayload)
		for range 2 {
			p, err := ParseFor(token, slices.Values([]*Key{k}))
			if err != nil || p.Typ() != h.Typ {
				t.Fatalf("typ %q: %v, %v", h.Typ, p, err)
			}
			if _, err := p.Verify(k); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n, m := len(*k.checks.Load()), len(*k.signs.Load()); n != maxCached || m != maxCached {
		t.Errorf("%d and %d headers remembered, want %d", n, m, maxCached)
	}
}
