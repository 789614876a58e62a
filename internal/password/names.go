package password

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/cases"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
)

// MaxLoginName is the longest login name in bytes, as typed and canonical. It
// is the longest address that mail can be sent to (RFC 5321 4.5.3.1.3).
const MaxLoginName = 254

// CanonicalLoginName gives the one form of a login name under which it is
// looked up, counted and kept unique, so that spelling variants (case, full
// width, composed and decomposed accents) are one name with one budget of
// attempts. Applied to its own result it changes nothing.
//
// A name without @ is a user name: PRECIS UsernameCaseMapped (RFC 8265 3.3)
// followed by full case folding, which makes the two Greek sigmas, and ß and
// ss, one. A name with @ is an e-mail address: its local part is treated like
// a user name, though mail servers may tell cases apart, and its domain as for
// a look-up in the DNS (UTS 46), in ASCII.
//
// Spaces, control characters, invisible characters and those that change the
// direction of text are refused, never removed: a name that looks like
// another's must not become it. Letters of different scripts that look alike
// stay different. Errors wrap ErrLoginName and say what is wrong.
func CanonicalLoginName(raw string) (canonical string, err error) {
	if err := legible(raw); err != nil {
		return "", err
	}
	canonical = raw
	// One step can make another possible (a fold that decomposes); PRECIS asks
	// for repetition until nothing changes, and few rounds suffice for any
	// name that ever settles (RFC 8265 3.1).
	for range 4 {
		before := canonical
		if canonical, err = canonicalStep(before); err != nil {
			return "", err
		}
		if len(canonical) > MaxLoginName {
			return "", badName("it is longer than %d bytes", MaxLoginName)
		}
		if canonical == before {
			return canonical, nil
		}
	}
	return "", badName("its spelling is ambiguous")
}

func canonicalStep(name string) (string, error) {
	at := strings.LastIndexByte(name, '@')
	if at < 0 {
		return foldUserName(name)
	}
	if at == 0 || at == len(name)-1 || strings.IndexByte(name[:at], '@') >= 0 {
		return "", badName("with an @ it must be an e-mail address such as ann@example.com")
	}
	local, err := foldUserName(name[:at])
	if err != nil {
		return "", err
	}
	domain, err := domains.ToASCII(name[at+1:])
	if err != nil || domain == "" {
		return "", badName("%q is not the name of a domain", name[at+1:])
	}
	return local + "@" + domain, nil
}

var domains = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.VerifyDNSLength(true))

func foldUserName(s string) (string, error) {
	s, err := precis.UsernameCaseMapped.String(s)
	if err != nil {
		return "", badName("it mixes letters that are written in opposite directions, or has a character that no user name may have")
	}
	return norm.NFC.String(cases.Fold().String(s)), nil
}

// legible refuses with a plain reason what PRECIS would refuse without one.
func legible(raw string) error {
	switch {
	case raw == "":
		return badName("it is empty")
	case len(raw) > MaxLoginName:
		return badName("it is longer than %d bytes", MaxLoginName)
	case !utf8.ValidString(raw):
		return badName("it is not valid UTF-8")
	}
	for _, r := range raw {
		switch {
		case unicode.IsSpace(r) || unicode.Is(unicode.Z, r):
			return badName("it contains a space or line break (U+%04X); use a dot, a hyphen or an underscore", r)
		case unicode.Is(unicode.Cc, r):
			return badName("it contains a control character (U+%04X)", r)
		case unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Variation_Selector, r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r):
			return badName("it contains an invisible character (U+%04X)", r)
		}
	}
	return nil
}

func badName(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrLoginName, fmt.Sprintf(format, args...))
}
