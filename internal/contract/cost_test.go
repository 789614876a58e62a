package contract

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// TestBodyCost: a body full of one field that is too long costs next to
// nothing, however it is written. Tokens of strangers come this way.
func TestBodyCost(t *testing.T) {
	root := &jsonNode{slot: -1}
	root.put([]string{"jwt"}, 0)
	var got []captured
	visit := func(name, val []byte) { got[0] = captured{kind: gotText, s: fieldText(val)} }
	for _, tc := range []struct {
		name, body string
		read       func([]byte) error
	}{
		{"JSON of dots", `{"jwt":"` + strings.Repeat(".", 60_000) + `"}`, func(b []byte) error { return decodeJSON(b, root, got, nil) }},
		{"JSON of escapes", `{"jwt":"` + strings.Repeat(`\u0061`, 10_000) + `"}`, func(b []byte) error { return decodeJSON(b, root, got, nil) }},
		{"JSON of pairs", `{"jwt":"` + strings.Repeat(`a\ud83d\ude00`, 4200) + `"}`, func(b []byte) error { return decodeJSON(b, root, got, nil) }},
		{"form of dots", "jwt=" + strings.Repeat(".", 60_000), func(b []byte) error { return asError(decodeForm(b, visit)) }},
		{"form of escapes", "jwt=" + strings.Repeat("%61", 20_000), func(b []byte) error { return asError(decodeForm(b, visit)) }},
		{"form of names", strings.Repeat("jwt%31x", 8000), func(b []byte) error { _ = decodeForm(b, visit); return nil }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			body := make([]byte, len(tc.body))
			const times = 20
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range times {
				got = make([]captured, 1)
				copy(body, tc.body)
				if err := tc.read(body); err != nil {
					t.Fatal(err)
				}
			}
			runtime.ReadMemStats(&after)
			if n := (after.TotalAlloc - before.TotalAlloc) / times; n > 8192 {
				t.Errorf("%d bytes allocated", n)
			}
			if got[0].s != overLong && tc.name != "form of names" {
				t.Errorf("read as %.20q of %d bytes", got[0].s, len(got[0].s))
			}
		})
	}
}

// TestQuotedLen counts characters as unquoting would give them.
func TestQuotedLen(t *testing.T) {
	for _, raw := range []string{`""`, `"a"`, `"\u0061"`, `"\n\\\"\/"`, `"é€"`, `"\ud83d\ude00"`, `"\uD83D\uDE00x"`, `"\ua000\ub000\uabcd"`, `"\\u0061"`, `"\\\u0061"`, `"😀\ue000"`} {
		if got, want := quotedLen([]byte(raw)), len([]rune(unquote([]byte(raw)))); got != want {
			t.Errorf("%s: %d, want %d", raw, got, want)
		}
	}
	for n := range 3 {
		raw := fmt.Sprintf("%q", strings.Repeat("é", maxToken-1+n))
		if got := quotedLen([]byte(raw)); got != maxToken-1+n {
			t.Errorf("%d, want %d", got, maxToken-1+n)
		}
	}
}
