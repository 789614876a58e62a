package attack_test

import (
	"fmt"
	"strings"
)

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// inSegment puts the token with one segment replaced on the list.
func (b *base) inSegment(name string, i int, text string) {
	f := []string{b.h, b.p, b.s}
	f[i] = text
	if tok := strings.Join(f, "."); tok != b.c.text {
		b.add(fmt.Sprintf("%s in segment %d", name, i), tok)
	}
}

func encAlphabet(b *base) {
	for i, s := range []string{b.h, b.p, b.s} {
		b.inSegment("padding", i, s+"=")
		b.inSegment("double padding", i, s+"==")
		b.inSegment("full padding", i, s+strings.Repeat("=", (4-len(s)%4)%4))
		b.inSegment("padding inside", i, s[:4]+"="+s[4:])
		b.inSegment("plus and slash", i, strings.NewReplacer("-", "+", "_", "/").Replace(s))
		b.inSegment("plus", i, strings.ReplaceAll(s, "-", "+"))
		b.inSegment("slash", i, strings.ReplaceAll(s, "_", "/"))
		for range 4 {
			at := b.r.IntN(len(s))
			b.inSegment("percent", i, fmt.Sprintf("%s%%%02X%s", s[:at], s[at], s[at+1:]))
			b.inSegment("percent twice", i, fmt.Sprintf("%s%%25%02X%s", s[:at], s[at], s[at+1:]))
			b.inSegment("backslash u", i, fmt.Sprintf("%s\\u%04x%s", s[:at], s[at], s[at+1:]))
			b.inSegment("full width", i, s[:at]+string(rune(s[at])+0xfee0)+s[at+1:])
			b.inSegment("high bit", i, s[:at]+string([]byte{s[at] | 0x80})+s[at+1:])
			b.inSegment("unused character", i, s[:at]+string("!#$&*,:;<>?@[]^`{|}~"[b.r.IntN(20)])+s[at+1:])
		}
		all := ""
		for _, ch := range []byte(s[:min(len(s), 300)]) {
			all += fmt.Sprintf("%%%02X", ch)
		}
		b.inSegment("all percent", i, all+s[min(len(s), 300):])
		b.inSegment("hex", i, fmt.Sprintf("%x", s[:min(len(s), 200)]))
	}
}

func encBits(b *base) {
	for i, s := range []string{b.h, b.p, b.s} {
		if len(s)%4 != 0 {
			last := strings.IndexByte(alphabet, s[len(s)-1])
			spare := 3 // of the last character, after the bytes
			if len(s)%4 == 2 {
				spare = 15
			}
			for bit := 1; bit <= spare; bit++ {
				b.inSegment("spare bits", i, s[:len(s)-1]+string(alphabet[last^bit]))
			}
		}
		for _, n := range []int{1, 2, 3, 4, 5} {
			b.inSegment(fmt.Sprint(n, " characters more"), i, s+"AAAAA"[:n])
			b.inSegment(fmt.Sprint(n, " characters less"), i, s[:len(s)-n])
		}
		for n := range 6 {
			b.inSegment(fmt.Sprint("only ", n), i, s[:n])
		}
		b.inSegment("a character before", i, "A"+s)
	}
}

// encBetween puts characters into the text that decoders are known to skip.
// Line ends in a header are another attack: see transport_test.go.
func encBetween(b *base) {
	segments := strings.Split(b.c.text, ".")
	for i, s := range segments {
		for _, c := range []string{"\r", "\n", "\r\n", "\t", " ", "\x00", "\v", "\f", "\x7f", "\ufeff", "\u00a0", "\u2028", "\u00ad", "\u200b", "=", "~", "\\n", "%0a"} {
			at := b.r.IntN(len(s) + 1)
			for place, text := range map[string]string{"start": c + s, "middle": s[:len(s)/2] + c + s[len(s)/2:], "end": s + c, "somewhere": s[:at] + c + s[at:]} {
				f := append([]string(nil), segments...)
				f[i] = text
				b.add(fmt.Sprintf("%q at %s of segment %d", c, place, i), strings.Join(f, "."))
			}
		}
	}
}
