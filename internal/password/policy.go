package password

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/blocklist"
)

// Bounds of a Policy's MinLength, in characters (NIST SP 800-63B-4 3.1.1.2).
const (
	DefaultMinLength = 15 // when the password is the only factor
	LeastMinLength   = 8
	MostMinLength    = 64 // a password of 64 characters is never too short
)

// leftover is how many characters must remain of a password when everything
// guessable is taken out of it.
const leftover = 5

// Policy judges new passwords. There are no rules on which characters a
// password must have: they make people write Password1! and nothing better.
// The zero value works.
type Policy struct {
	// MinLength in characters; 0 means DefaultMinLength, and it is brought
	// into the range from LeastMinLength to MostMinLength.
	MinLength int
}

// Check says whether a password may be set. The context is what a guesser
// would try first for this person: the user name, the e-mail address, the name
// of the product or company. The error is one of ErrEmpty, ErrTooLong,
// ErrNotText, or wraps ErrWeak; its text is for the one who chose the
// password and does not contain it.
func (p Policy) Check(password string, context ...string) error {
	pw, err := prepare(password)
	if err != nil {
		return err
	}
	least := p.minLength()
	if n := utf8.RuneCountInString(pw); n < least {
		return weak("it has %d characters and needs at least %d; %s", n, least, instead)
	}
	folded := foldGuess(pw)
	if common()[folded] || blocklist.Password(folded) {
		return weak("it is one of the most used passwords; %s", instead)
	}
	if sameTwice(folded) {
		return weak("it is a short piece repeated; %s", instead)
	}
	rest := withoutWords(folded, contextWords(context))
	if meat(rest) < leftover && rest != folded {
		return weak("it contains little beside your own name, address or the name of this service; %s", instead)
	}
	if meat(withoutRuns(withoutWords(rest, commonWords()))) < leftover {
		return weak("it consists of much used passwords, repeated characters or sequences such as 12345; %s", instead)
	}
	if meat(withoutRuns(blocklist.Without(rest, mostPieces))) < leftover {
		return weak("it is little more than two much used passwords in a row; add a word or two that have nothing to do with them")
	}
	return nil
}

// mostPieces is how many listed words may be taken out of a password: two of
// them in a row are ten minutes' work for whoever has the hash, three are years.
const mostPieces = 2

// instead says what to do.
const instead = "choose several words that have nothing to do with each other"

func (p Policy) minLength() int {
	if p.MinLength == 0 {
		return DefaultMinLength
	}
	return min(max(p.MinLength, LeastMinLength), MostMinLength)
}

//go:embed common.txt
var commonText string

var loadCommon = sync.OnceValue(func() map[string]bool {
	set := make(map[string]bool)
	for word := range strings.FieldsSeq(commonText) {
		set[foldGuess(word)] = true
	}
	return set
})

func common() map[string]bool { return loadCommon() }

var commonWords = sync.OnceValue(func() []string {
	var words []string
	for word := range common() {
		words = append(words, word)
	}
	return longestFirst(words)
})

// foldGuess maps what people take for clever variations onto one spelling.
// Digits stay digits in runs such as 12345, which are looked for in the folded
// text too: see alphabets.
func foldGuess(s string) string { return blocklist.Fold(s) }

// contextWords splits what is known of a person into the pieces of three
// characters and more that it is made of, and keeps the whole.
func contextWords(context []string) []string {
	var words []string
	for _, c := range context {
		words = append(words, c)
		if local, _, ok := strings.Cut(c, "@"); ok {
			words = append(words, local)
		}
		words = append(words, strings.FieldsFunc(c, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })...)
	}
	kept := words[:0]
	for _, w := range words {
		if utf8.RuneCountInString(w) >= 3 {
			kept = append(kept, foldGuess(w))
		}
	}
	return longestFirst(kept)
}

func weak(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrWeak, fmt.Sprintf(format, args...))
}
