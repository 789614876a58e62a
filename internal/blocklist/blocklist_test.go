package blocklist

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestSecurity48_TheListIsThere(t *testing.T) {
	set, err := decode(passwordsData)
	if err != nil || len(set) < 80_000 || !slices.IsSorted(set) {
		t.Fatalf("%d words, %v", len(set), err)
	}
	if len(passwordsData) > 500<<10 {
		t.Errorf("%d bytes in the binary", len(passwordsData))
	}
	for _, w := range []string{
		"password", "Password", "P@SSW0RD", "ｐａｓｓｗｏｒｄ", "123456", "qwerty123", "iloveyou", "liverpool", "sunshine7",
		"trustno1", "dragon", "football1", "superman", "1q2w3e4r5t", "letmein", "princess1",
	} {
		if !Password(w) {
			t.Errorf("%q is not on the list", w)
		}
	}
}

func TestOthersAreNot(t *testing.T) {
	if Password("") {
		t.Error("nothing is a word")
	}
	found := 0
	for range 200_000 {
		var raw [10]byte
		_, _ = rand.Read(raw[:])
		if Password(base32.StdEncoding.EncodeToString(raw[:])) {
			found++
		}
	}
	if found > 5 { // one in a million is expected
		t.Errorf("%d of 200,000 random words are taken for listed ones", found)
	}
}

func TestEncodedSetsDecode(t *testing.T) {
	for _, n := range []int{0, 1, 2, 7, 1000} {
		words := make([]string, n)
		for i := range words {
			words[i] = fmt.Sprintf("word %d of %d", i, n)
		}
		data := Encode(words)
		set, err := decode(data)
		if err != nil || len(set) != n {
			t.Fatalf("%d words: %d, %v", n, len(set), err)
		}
		for _, w := range words {
			if _, ok := slices.BinarySearch(set, place(w, uint64(n))); !ok {
				t.Fatalf("%q is lost", w)
			}
		}
		if n > 0 {
			for _, cut := range [][]byte{nil, data[:3], data[:len(data)-1]} {
				if _, err := decode(cut); err == nil {
					t.Errorf("a set cut to %d of %d bytes is taken", len(cut), len(data))
				}
			}
		}
	}
}

func TestWithout(t *testing.T) {
	for _, c := range []struct {
		text, want string
		most       int
	}{
		{"liverpool-chelsea", "\x00-\x00", 2},
		{"liverpool-chelsea", "\x00-chelsea", 1},
		{"mauve otter", "mauve otter", 0},
		{"liverchelseapool", "liver\x00pool", 1}, // what is left is no new word
	} {
		if got := Without(c.text, c.most); got != c.want {
			t.Errorf("%q less %d: %q, want %q", c.text, c.most, got, c.want)
		}
	}
	if got := Without(strings.Repeat("x", 1024), 2); len(got) > 1024 {
		t.Error("it grew")
	}
}

func FuzzWithout(f *testing.F) {
	f.Add("liverpool-chelsea", 2)
	f.Add("ẞ\xff٣", 1)
	f.Fuzz(func(t *testing.T, s string, most int) {
		if len(s) > 200 {
			return
		}
		folded := Fold(s)
		out := Without(folded, min(max(most, 0), 3))
		if strings.Count(out, string(Cut)) > strings.Count(folded, string(Cut))+3 {
			t.Fatalf("%q gave %q", s, out)
		}
	})
}

func BenchmarkWithout(b *testing.B) {
	for b.Loop() {
		Without("mauve otter kneads the dough while nine lamps hum over the canal", 2)
	}
}
