// Package blocklist knows the words that guessers try first: some 80,000
// passwords that people use, from the lists of published leaks. New passwords
// and brought secrets are looked up in it.
//
// The words themselves are not in the binary, only what is needed to
// recognise them: the set of their hashes, sorted, as differences in Golomb
// code (a quarter of a megabyte). One word in a million that is on no list is
// taken for one that is; its owner chooses another.
//
// gen makes the set from lists; SOURCES.md says from which, under which
// licences, and how to make it again.
package blocklist

import (
	"crypto/sha256"
	_ "embed" // for the set
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

//go:embed passwords.gcs
var passwordsData []byte

var passwords = sync.OnceValues(func() ([]uint64, error) { return decode(passwordsData) })

// Password says whether a word is one of the most used passwords, whatever its
// case and the usual digits for letters.
func Password(word string) bool { return folded(Fold(word)) }

// folded is Password for a word that Fold made.
func folded(word string) bool {
	set, err := passwords()
	if err != nil || word == "" {
		return false // the set is ours; a test decodes it
	}
	_, found := slices.BinarySearch(set, place(word, uint64(len(set))))
	return found
}

// Fold maps what people take for clever variations onto one spelling: case,
// compatibility forms, and the usual digits and signs for letters.
func Fold(s string) string {
	return strings.Map(func(r rune) rune {
		r = unicode.ToLower(r)
		if plain, ok := lookalikes[r]; ok {
			return plain
		}
		return r
	}, norm.NFKC.String(s))
}

var lookalikes = map[rune]rune{'0': 'o', '1': 'l', '3': 'e', '4': 'a', '5': 's', '7': 't', '8': 'b', '@': 'a', '$': 's', '!': 'l', '|': 'l'}

// Cut stands where something guessable was taken out of a text, so that what
// was left and right of it does not become a word.
const Cut = '\x00'

// Without takes at most most words of the list out of a folded text, the
// longest first, and puts Cut in their place. Words of fewer than four
// characters are none: too many texts have them by chance.
func Without(text string, most int) string {
	runes := []rune(text)
	const shortest, longest = 4, 24
	for range most {
		from, to := 0, 0
		for i := range runes {
			for j := min(len(runes), i+longest); j-i >= max(shortest, to-from+1); j-- {
				if folded(string(runes[i:j])) {
					from, to = i, j
					break
				}
			}
		}
		if to == 0 {
			break
		}
		runes = slices.Concat(runes[:from], []rune{Cut}, runes[to:])
	}
	return string(runes)
}

// rate is the bits of a difference that are not in unary: one word in 2^rate
// that is on no list is taken for one that is.
const rate = 20

// place is where a word stands among n·2^rate places.
func place(word string, n uint64) uint64 {
	sum := sha256.Sum256([]byte(word))
	hi, _ := bits.Mul64(binary.BigEndian.Uint64(sum[:]), n<<rate)
	return hi
}

// Encode makes a set of folded words: their number (32 bits), then the sorted
// places, each as its difference from the one before in Golomb-Rice code.
func Encode(words []string) []byte {
	n := uint64(len(words))
	places := make([]uint64, 0, n)
	for _, w := range words {
		places = append(places, place(w, n))
	}
	slices.Sort(places)
	out := binary.BigEndian.AppendUint32(nil, uint32(n))
	var acc uint64
	used := 0
	put := func(bit uint64) {
		acc = acc<<1 | bit
		if used++; used == 8 {
			out, acc, used = append(out, byte(acc)), 0, 0
		}
	}
	last := uint64(0)
	for _, p := range places {
		d := p - last
		last = p
		for range d >> rate {
			put(1)
		}
		put(0)
		for i := rate - 1; i >= 0; i-- {
			put(d >> i & 1)
		}
	}
	for used != 0 {
		put(1)
	}
	return out
}

var errSet = errors.New("blocklist: the set is cut off or damaged")

func decode(data []byte) ([]uint64, error) {
	if len(data) < 4 {
		return nil, errSet
	}
	n := binary.BigEndian.Uint32(data)
	data = data[4:]
	if uint64(n) > uint64(len(data)) {
		return nil, errSet
	}
	set := make([]uint64, 0, n)
	at := 0
	bit := func() uint64 {
		if at >= 8*len(data) {
			at++
			return 0
		}
		b := data[at>>3] >> (7 - at&7) & 1
		at++
		return uint64(b)
	}
	last := uint64(0)
	for range n {
		d := uint64(0)
		for bit() == 1 {
			d += 1 << rate
		}
		rest := uint64(0)
		for range rate {
			rest = rest<<1 | bit()
		}
		last += d + rest
		set = append(set, last)
	}
	if at > 8*len(data) {
		return nil, errSet
	}
	return set, nil
}
