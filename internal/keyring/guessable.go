package keyring

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"regexp"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/internal/blocklist"
)

// What follows recognises secrets that look long and are not: they have a
// shape that some person or some well known page gave them. Each rule refuses
// fewer than one random text in 100,000 of those that people use as secrets
// (bytes, hex, base64, letters): of 320,000 none was. A test tries fewer.

// shaped are texts that say themselves what they are.
var shaped = regexp.MustCompile(`(?i)^(eyJ[a-z0-9_-]+\.[a-z0-9_-]+\.|-----BEGIN|MI[GIE][a-z0-9+/]{2,6}(ADA|IBA|MBM|DAN|wDQ|QIB|IBI|CAQ|MA0)|ssh-(rsa|ed25519) |django-insecure-|\$2[aby]\$|\{bcrypt\}|\$argon2|\$pbkdf2|enc\()`)

// uuidLike are UUIDs that somebody changed, or made up.
var uuidLike = regexp.MustCompile(`(?i)^\{?[0-9a-z]{8}-[0-9a-z]{4}-[0-9a-z]{4}-[0-9a-z]{4}-[0-9a-z]{11,16}\}?$`)

// guessable says why a text of printable characters is easier than it looks, or "".
func guessable(s string) string {
	switch {
	case shaped.MatchString(s):
		return "it is a token, a key or a hash of something else, or marked as insecure"
	case uuidLike.MatchString(s):
		return "it is made like a UUID, which is a name and not a secret"
	case laddered(s):
		return "it is from a generator of a web page that gives everybody pieces of one sequence"
	case retold(s):
		return "much of it is said again and again"
	case mashed(s):
		return "it was typed by running over the middle row of a keyboard"
	case digestOfKnown(strings.ToLower(s)):
		return "it is the hash of a word that everybody tries"
	case tells(s):
		return "it says what it is, as random text does not, and has too little beside that"
	case sentence(s):
		return "it is made of words, and found by trying words"
	}
	return ""
}

// laddered recognises the "encryption keys" of a page that tutorials send
// their readers to. Its keys, often shown in hex, are cut from one text, in
// which each kind of character climbs by some three places every second
// character: KbPeShVmYq3t6w9z$B&E)H@McQfTjWnZr4u7x!A%D*G-.
func laddered(s string) bool {
	pairs, steps := 0, 0
	for i := 0; i+2 < len(s); i++ {
		if kindOf(s[i]) == 0 || kindOf(s[i]) != kindOf(s[i+2]) {
			continue
		}
		pairs++
		if d := int(s[i+2]) - int(s[i]); d >= 2 && d <= 5 {
			steps++
		}
	}
	return pairs >= 10 && steps*5 >= pairs*4
}

// kindOf is 0 for what is neither letter nor digit.
func kindOf(c byte) int {
	switch {
	case 'a' <= c && c <= 'z':
		return 1
	case 'A' <= c && c <= 'Z':
		return 2
	case '0' <= c && c <= '9':
		return 3
	}
	return 0
}

// retold reports that of all places where three characters stand, a third hold
// three that stood before.
func retold(s string) bool {
	if len(s) < 16 {
		return false
	}
	seen := map[string]bool{}
	again := 0
	for i := 0; i+3 <= len(s); i++ {
		if seen[s[i:i+3]] {
			again++
		}
		seen[s[i:i+3]] = true
	}
	return again*3 >= len(s)-2
}

// mashed reports that four fifths are of the nine letters in the middle.
func mashed(s string) bool {
	if len(s) < 32 {
		return false
	}
	middle := 0
	for _, c := range strings.ToLower(s) {
		if strings.ContainsRune("asdfghjkl", c) {
			middle++
		}
	}
	return middle*5 >= len(s)*4
}

// digestOfKnown looks a hash in hex up among those of known words.
func digestOfKnown(hexText string) bool {
	switch len(hexText) {
	case 32, 40, 64, 128:
		return digests()[hexText]
	}
	return false
}

var digests = sync.OnceValue(func() map[string]bool {
	all := map[string]bool{}
	add := func(word string) {
		b := []byte(word)
		all[hexOf(md5.Sum(b))] = true
		all[hexOf(sha1.Sum(b))] = true
		all[hexOf(sha256.Sum256(b))] = true
		all[hexOf(sha512.Sum512(b))] = true
	}
	for known := range knownSecrets() {
		add(known)
	}
	for _, word := range placeholderWords {
		add(word)
		add(strings.ToUpper(word[:1]) + word[1:])
	}
	add("")
	return all
})

func hexOf[T [16]byte | [20]byte | [32]byte | [64]byte](sum T) string {
	const digits = "0123456789abcdef"
	out := make([]byte, 0, 128)
	for i := range len(sum) {
		out = append(out, digits[sum[i]>>4], digits[sum[i]&15])
	}
	return string(out)
}

// telling are words that say what a text is for, or that a keyboard was run over.
var telling = regexp.MustCompile(`(?i)secret|passw(or)?d|passphrase|jwt[-_ ]?(key|sign|auth|secret)|token|example|change|replace|insecure|secure|this[-_ ]?is|sample|random|qwerty|asdfg|zxcvb|1qaz2|1234567|abcdef`)

// tells reports that a text holds such a word, and hardly more than 100 random
// bits beside it.
func tells(s string) bool {
	rest := telling.ReplaceAllString(s, string(blocklist.Cut))
	if rest == s {
		return false
	}
	others := 0
	for i := range len(rest) {
		if kindOf(rest[i]) != 0 {
			others++
		}
	}
	return others < 24
}

// little are words that stand in every sentence and in no passphrase drawn by lot.
var little = func() map[string]bool {
	all := map[string]bool{}
	for _, w := range strings.Fields(`a i am an and are as at be but by can do does for from had has have he her his how if in is it its just
		me my never no not of on one or our she should so some that the their them then there they this to too very was we what when
		where which who will with would you your el la los las de del que es un una mi tu su le les des et est une je il`) {
		all[w] = true
	}
	return all
}()

// The worth of the parts of a text, in tenths of a bit: what a guesser needs who
// tries words, and knows how people join them.
const (
	littleWorth = 60  // a word of every sentence
	holderWorth = 90  // a word of example secrets
	wordWorth   = 165 // one of the 82,855 of the blocklist
	strayWorth  = 57  // a letter or digit that belongs to nothing
	marksWorth  = 20  // what stands between words
	enough      = 800
)

// sentence splits a text into words at the least worth, and says whether that
// is less than 80 bits, or words make nearly all of it and several are little
// ones, as only in sentences.
func sentence(s string) bool {
	if len(s) > 256 {
		s = s[:256]
	}
	t := blocklist.Fold(s)
	if len(t) != len(s) {
		return false // not ASCII
	}
	type best struct{ worth, stray, little, letters int }
	at := make([]best, len(t)+1)
	for i := 1; i <= len(t); i++ {
		prev := at[i-1]
		if kindOf(t[i-1]) == 0 {
			at[i] = best{prev.worth + marksWorth, prev.stray, prev.little, prev.letters}
		} else {
			at[i] = best{prev.worth + strayWorth, prev.stray + 1, prev.little, prev.letters + 1}
		}
		for j := max(0, i-20); j < i; j++ {
			w := t[j:i]
			cost, isLittle := 0, 0
			switch {
			case len(w) > 1 && little[w]:
				// Random letters hold words of two by chance: those count half.
				cost, isLittle = littleWorth, min(len(w)-1, 2)
			case len(w) > 2 && placeholders()[w]:
				cost = holderWorth
			case len(w) > 3 && onlyLetters(w) && blocklist.Password(w):
				cost = wordWorth
			default:
				continue
			}
			if p := at[j]; p.worth+cost < at[i].worth {
				at[i] = best{p.worth + cost, p.stray, p.little + isLittle, p.letters + len(w)}
			}
		}
	}
	end := at[len(t)]
	if end.letters < 8 || end.stray*4 > end.letters {
		return false
	}
	return end.worth < enough || end.stray*6 <= end.letters && end.little >= max(6, end.letters/6)
}

func onlyLetters(s string) bool {
	for i := range len(s) {
		if kindOf(s[i]) != 1 {
			return false
		}
	}
	return true
}
