package attack_test

import "fmt"

func cutPrefixes(b *base) {
	for i := 1; i < len(b.c.text); i++ {
		b.add(fmt.Sprintf("first %d", i), b.c.text[:i])
		b.add(fmt.Sprintf("last %d", i), b.c.text[i:])
	}
}

// cutExtensions adds every character there is, and some pairs.
func cutExtensions(b *base) {
	for ch := range 256 {
		if ch == '\r' || ch == '\n' {
			continue
		}
		b.add(fmt.Sprintf("%q behind", byte(ch)), b.c.text+string([]byte{byte(ch)}))
		b.add(fmt.Sprintf("%q before", byte(ch)), string([]byte{byte(ch)})+b.c.text)
	}
	for range 64 {
		more := string(alphabet[b.r.IntN(64)]) + string(alphabet[b.r.IntN(64)])
		b.add("two behind", b.c.text+more)
		b.add("two before", more+b.c.text)
	}
}

func cutCase(b *base) {
	flip := func(text []byte, i int) bool {
		if lower := text[i] | 0x20; lower < 'a' || lower > 'z' {
			return false
		}
		text[i] ^= 0x20
		return true
	}
	for i := range len(b.c.text) {
		if text := []byte(b.c.text); flip(text, i) {
			b.add(fmt.Sprintf("case of %d", i), string(text))
		}
	}
	for range 20 {
		text := []byte(b.c.text)
		n := 0
		for range 2 + b.r.IntN(20) {
			if flip(text, b.r.IntN(len(text))) {
				n++
			}
		}
		if n%2 == 1 { // an odd number of flips cannot undo itself
			b.add("case here and there", string(text))
		}
	}
}

func cutInside(b *base) {
	t := b.c.text
	for i := range len(t) {
		b.add(fmt.Sprintf("without %d", i), t[:i]+t[i+1:])
		if i > 0 && t[i] != t[i-1] {
			b.add(fmt.Sprintf("swapped %d", i), t[:i-1]+t[i:i+1]+t[i-1:i]+t[i+1:])
		}
		b.add(fmt.Sprintf("twice %d", i), t[:i]+t[i:i+1]+t[i:])
	}
	at := 1 + b.r.IntN(len(t)-1)
	b.add("rotated", t[at:]+t[:at])
	b.add("reversed", string(reversed([]byte(t))))
}
