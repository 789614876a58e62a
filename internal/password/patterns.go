package password

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/blocklist"
)

// cut stands where something guessable was taken out.
const cut = blocklist.Cut

func longestFirst(words []string) []string {
	slices.SortFunc(words, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	return slices.Compact(words)
}

// withoutWords cuts every occurrence of the words, longest first.
func withoutWords(s string, words []string) string {
	for _, w := range words {
		if len(w) <= len(s) {
			s = strings.ReplaceAll(s, w, string(cut))
		}
	}
	return s
}

// alphabets are the orders in which fingers and minds run. The digits are
// there folded as well (see lookalikes): 0 is o, 1 is l, and so on.
var alphabets = func() []string {
	rows := []string{
		"abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm",
		"qwertzuiop", "yxcvbnm", "azertyuiop", "1q2w3e4r5t6y7u8i9o0p", "1qaz2wsx3edc4rfv5tgb6yhn7ujm", "!@#$%^&*()",
	}
	var all []string
	for _, row := range rows {
		row = foldGuess(row)
		backwards := []byte(row)
		slices.Reverse(backwards)
		all = append(all, row, string(backwards))
	}
	return all
}()

// shortestRun is how many characters in a row make a sequence or repetition.
const shortestRun = 4

// withoutRuns cuts repeated characters (aaaa) and sequences (cdef, 9876, asdf).
func withoutRuns(s string) string {
	runes := []rune(s)
	var out strings.Builder
	for i := 0; i < len(runes); {
		n := max(repeatLength(runes[i:]), sequenceLength(runes[i:]))
		if n < shortestRun {
			out.WriteRune(runes[i])
			i++
			continue
		}
		out.WriteRune(cut)
		i += n
	}
	return out.String()
}

func repeatLength(r []rune) int {
	n := 1
	for n < len(r) && r[n] == r[0] {
		n++
	}
	return n
}

func sequenceLength(r []rune) int {
	longest := 1
	for _, row := range alphabets {
		n := min(len(r), len(row))
		for n > longest && !strings.Contains(row, string(r[:n])) {
			n--
		}
		longest = max(longest, n)
	}
	return longest
}

// sameTwice says whether the text is one piece of up to a third of it, or of
// at most six characters, said over and over.
func sameTwice(s string) bool {
	runes := []rune(s)
	for size := 1; size <= max(len(runes)/3, 6) && size*2 <= len(runes); size++ {
		same := true
		for i := size; i < len(runes) && same; i++ {
			same = runes[i] == runes[i-size]
		}
		if same {
			return true
		}
	}
	return false
}

// meat counts the characters that are left, each of them at most twice.
func meat(s string) int {
	seen := make(map[rune]int)
	n := 0
	for _, r := range s {
		if r != cut && r != utf8.RuneError && seen[r] < 2 {
			seen[r]++
			n++
		}
	}
	return n
}
