package keyring

import (
	"bytes"
	_ "embed" // for the list
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"strings"
	"sync"
	"unicode"

	"github.com/sallyport/sallyport/internal/blocklist"
)

// SECURITY 12: a secret that stands on a public list signs for everybody. The
// lists that attackers try are scraped from repositories and tutorials; nearly
// all of their entries long enough to be taken here are one of two things: a
// value everybody copies (known_secrets.txt), or placeholder words strung
// together ("your_super-secret_jwt_key_change_me_2024"). The first are looked
// up, the second recognised by their words, which also covers the spellings
// that no list has yet.

//go:embed known_secrets.txt
var knownText string

var knownSecrets = sync.OnceValue(func() map[string]bool {
	known := map[string]bool{}
	for line := range strings.Lines(knownText) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "# ") {
			known[strings.ToLower(line)] = true
		}
	}
	return known
})

// typed is what people type who need a password: a word, a number, a word. Of
// secrets that short the public lists hold little else. An HMAC can be tried
// millions of times a second, so what falls as a password falls here at once.
var typed = regexp.MustCompile(`^[a-z]*[-_.!@#+ ]?[0-9.e+]*[-_.!@#+ ]?[a-z]*[.!]*$`)

const typedMost = 16

// passwordMost is the longest text that is looked up among passwords. None is
// longer but by chance, of which the set has its share (one in a million).
const passwordMost = 28

var uuid = regexp.MustCompile(`^\{?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\}?$`)

// placeholderWords are what example secrets are made of.
var placeholderWords = strings.Fields(`
	a able about access account admin administrator algorithm all an and any api app application apps are as at auth
	authentication authorization backend bar base basic baz be best bit bits but by can cat cats change changed
	changethis char character characters chars client code company complex config cookie custom data database db debug
	default demo dev develop developer developing development do dog dogs don dont dotnet dummy encryption enough enter
	env environment example express fake fastapi flask foo for forget frontend from generate generated go good graphql
	guess hard hash hello here hidden hmac hs http https i id in insecure is it java jenkins js json jsonwebtoken jwt
	jwts keep key keys kit laravel least len length lets local localhost login long longer love make master me mean
	medium microservice min minimum mock more most must my mysecret name need needs never nest nestjs new next no node
	nodejs nobody not number of on one only or our pass passphrase passwd password passwords php phrase please private
	prod production project public put python quite rails random randomly react real really refresh replace replaced
	rest ruby safe same sample sanctum secret secrets secure secured security server service session sessions setting
	sha sign signature signed signing simple site so some something spring string strong super supersecret sure test
	tester testing tests text that the this thing to todo token tokens too top tutorial ultra unknown use used user
	users using value values verify very vue want we web webapp weak website will with word words world x xxx yes you
	your yours zero`)

// knownReason says why a secret must count as public, or "" when nothing
// speaks against it.
func knownReason(secret []byte) string {
	for _, form := range spellings(secret) {
		lower := strings.ToLower(strings.TrimSpace(string(form)))
		switch {
		case knownSecrets()[lower]:
			return "it stands in public documentation"
		case len(lower) <= passwordMost && blocklist.Password(lower):
			return "it is one of the most used passwords"
		case uuid.MatchString(lower):
			return "it is a UUID, which is a name and not a secret: they stand in logs, addresses and repositories"
		case len(form) < typedMost && typed.MatchString(lower):
			return "it is a word and a number, as people type them, and is found by trying"
		case repeats(form):
			return "it is a short text repeated"
		case runs(form):
			return "it is a sequence of neighbouring characters"
		case text(form) && (madeOf(letters(lower, nil)) || madeOf(letters(lower, leet))):
			return "it is made of the words that example secrets are made of"
		}
		if text(form) {
			if why := guessable(strings.TrimSpace(string(form))); why != "" {
				return why
			}
		}
	}
	return ""
}

// spellings are the secret and what it decodes to: encoding a public secret
// does not make it private.
func spellings(secret []byte) [][]byte {
	all := [][]byte{secret}
	text := strings.TrimSpace(string(secret))
	if digits, ok := strings.CutPrefix(text, "0x"); ok {
		text = digits
	}
	if raw, err := hex.DecodeString(text); err == nil {
		all = append(all, raw)
	}
	plain := strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(text), "=")
	if raw, err := base64.RawStdEncoding.DecodeString(plain); err == nil && len(raw) > 0 {
		all = append(all, raw)
	}
	return all
}

// text reports printable ASCII: bytes that merely decode are not words.
func text(s []byte) bool {
	for _, b := range s {
		if b < ' ' || b > '~' {
			return false
		}
	}
	return true
}

// repeats reports that the secret is a unit of at most a third of it, over
// and over, or has hardly any different bytes.
func repeats(s []byte) bool {
	for n := 1; n <= len(s)/3; n++ {
		if bytes.Equal(s[n:], s[:len(s)-n]) {
			return true
		}
	}
	seen := map[byte]bool{}
	for _, b := range s {
		seen[b] = true
	}
	return len(seen) < 6
}

// runs reports that nearly every byte follows or precedes its neighbour, as in
// 12345678901234567890 or abcdefgh.
func runs(s []byte) bool {
	if len(s) < 8 {
		return false
	}
	steps := 0
	for i := 1; i < len(s); i++ {
		if d := int(s[i]) - int(s[i-1]); d == 1 || d == -1 || d == 0 {
			steps++
		}
	}
	return steps*5 >= (len(s)-1)*4
}

var leet = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i")

// letters keeps the letters of a text, digits read as letters first if asked.
func letters(s string, read *strings.Replacer) string {
	if read != nil {
		s = read.Replace(s)
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return r
		}
		return -1
	}, s)
}

var placeholders = sync.OnceValue(func() map[string]bool {
	words := map[string]bool{}
	for _, w := range placeholderWords {
		words[w] = true
	}
	return words
})

// madeOf reports that a text of letters splits into placeholder words, with at
// most one stray letter in eight. A word of two letters counts as one stray
// one: random text is full of them. An empty text (digits alone) splits:
// nobody's secret of digits has 128 bits.
func madeOf(s string) bool {
	if len(s) > 512 {
		return false
	}
	if len(s) < 3 {
		return s == ""
	}
	const maxWord = 16
	words := placeholders()
	// stray[i] is the least number of stray letters in s[:i].
	stray := make([]int, len(s)+1)
	for i := 1; i <= len(s); i++ {
		stray[i] = stray[i-1] + 1
		for j := max(0, i-maxWord); j <= i-2; j++ {
			if !words[s[j:i]] {
				continue
			}
			cost := stray[j]
			if i-j == 2 {
				cost++
			}
			stray[i] = min(stray[i], cost)
		}
	}
	return stray[len(s)] <= len(s)/8
}
