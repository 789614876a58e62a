package password

import (
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
)

// parse takes a stored hash apart, in any spelling that Check lists, and
// refuses what cannot be verified or costs too much. It is total: every input
// gives a hash below the ceilings or an error that says why not.
func parse(s string) (encoded, error) {
	if len(s) > maxEncodedLength {
		return encoded{}, unusable("it is longer than %d characters", maxEncodedLength)
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return encoded{}, unusable("it contains a space, a line end or another character that no hash has")
		}
	}
	e, err := parseSpelling(bare(s))
	if err != nil {
		return encoded{}, err
	}
	if len(e.salt) == 0 || len(e.salt) > maxSaltBytes {
		return encoded{}, unusable("its salt has %d bytes, outside 1 to %d", len(e.salt), maxSaltBytes)
	}
	e.keyLen = len(e.key)
	return e, e.affordable()
}

// bare removes what LDAP, Dovecot and Django write around a crypt string.
func bare(s string) string {
	if scheme, rest, ok := strings.Cut(s, "}"); ok && strings.HasPrefix(scheme, "{") && strings.HasPrefix(rest, "$") {
		return rest
	}
	if rest, ok := strings.CutPrefix(s, "bcrypt$$"); ok {
		return "$" + rest
	}
	if rest, ok := strings.CutPrefix(s, "argon2$argon2"); ok {
		return "$argon2" + rest
	}
	return s
}

func parseSpelling(s string) (encoded, error) {
	if rest, ok := strings.CutPrefix(s, "bcrypt_sha256$"); ok {
		e, err := parseBcrypt(strings.Split(rest, "$"))
		e.hexSHA256 = true
		return e, err
	}
	f := strings.Split(s, "$")
	if f[0] != "" {
		return parseFramework(f)
	}
	if len(f) < 2 {
		return encoded{}, unusable("it is empty")
	}
	switch id := f[1]; id {
	case "argon2id", "argon2i", "argon2d":
		return parseArgon2(f)
	case "scrypt":
		return parseScrypt(f)
	case "pbkdf2", "pbkdf2-sha1", "pbkdf2-sha256", "pbkdf2-sha512":
		return parsePBKDF2(f)
	case "2a", "2b", "2y":
		return parseBcrypt(f)
	case "5", "6":
		return parseSHACrypt(f)
	default:
		return encoded{}, unusable("%s", whyNot(id))
	}
}

// whyNot explains the identifiers that are met and deliberately refused.
func whyNot(id string) string {
	switch id {
	case "2x":
		return "$2x$ marks bcrypt hashes made by a faulty version of crypt_blowfish, under which different passwords match"
	case "2":
		return "$2$ is bcrypt as of 1999, which ends passwords wrongly"
	case "1", "apr1":
		return "it is MD5-crypt, which a graphics card tries by the million in a second"
	case "y", "gy", "7", "sha1", "3", "md5":
		return "the format $" + id + "$ is not supported"
	}
	return "it is in no known format (argon2, bcrypt, scrypt, PBKDF2, sha256crypt, sha512crypt)"
}

// $argon2id$v=19$m=19456,t=2,p=1$salt$key
func parseArgon2(f []string) (encoded, error) {
	var e encoded
	if len(f) == 5 {
		return e, unusable("it has no v=19, so it is argon2 version 1.0, which is not supported")
	}
	if len(f) != 6 {
		return e, parts("argon2", 6, len(f))
	}
	if f[2] != "v=19" {
		return e, unusable("argon2 %q is not supported, only v=19", f[2])
	}
	for alg, name := range argon2Names {
		if name == f[1] {
			e.alg = alg
		}
	}
	p, err := parameters(f[3], "m", "t", "p")
	if err != nil {
		return e, err
	}
	e.memory, e.cost, e.lanes = uint32(p[0]), p[1], uint32(p[2])
	return e, e.base64s(f[4], f[5])
}

// $scrypt$ln=15,r=8,p=1$salt$key
func parseScrypt(f []string) (encoded, error) {
	e := encoded{kdf: kdf{kind: kind{alg: scryptKDF}}}
	if len(f) != 5 {
		return e, parts("scrypt", 5, len(f))
	}
	p, err := parameters(f[2], "ln", "r", "p")
	if err != nil {
		return e, err
	}
	e.memory, e.lanes, e.cost = uint32(p[0]), uint32(p[1]), p[2]
	return e, e.base64s(f[3], f[4])
}

// $pbkdf2-sha256$29000$salt$key (passlib) or $pbkdf2-sha256$i=29000,l=32$salt$key (PHC)
func parsePBKDF2(f []string) (encoded, error) {
	var e encoded
	if len(f) != 5 {
		return e, parts("PBKDF2", 5, len(f))
	}
	e.alg = pbkdf2By(strings.TrimPrefix(strings.TrimPrefix(f[1], "pbkdf2"), "-"))
	iterations, _, _ := strings.Cut(f[2], ",l=") // the length is the key's, checked like any other
	n, err := number(strings.TrimPrefix(iterations, "i="))
	if err != nil {
		return e, err
	}
	e.cost = n
	return e, e.base64s(f[3], f[4])
}

func pbkdf2By(hash string) algorithm {
	switch hash {
	case "", "sha1":
		return pbkdf2SHA1
	case "sha256":
		return pbkdf2SHA256
	case "sha512":
		return pbkdf2SHA512
	}
	return 0
}

const bcryptAlphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// $2b$12$ and 53 characters
func parseBcrypt(f []string) (encoded, error) {
	e := encoded{kdf: kdf{kind: kind{alg: bcryptKDF}}}
	if len(f) != 4 || f[0] != "" || (f[1] != "2a" && f[1] != "2b" && f[1] != "2y") {
		return e, unusable("it is not bcrypt as in $2b$12$…")
	}
	cost, err := number(f[2])
	if err != nil || len(f[2]) != 2 || cost > 63 {
		return e, unusable("bcrypt cost %q is not a number of two digits below 64", f[2])
	}
	if len(f[3]) != bcryptSaltChars+bcryptKeyChars || !only(f[3], bcryptAlphabet) {
		return e, unusable("its salt and key have %d characters, or some that bcrypt has not, instead of %d", len(f[3]), bcryptSaltChars+bcryptKeyChars)
	}
	e.cost = 1 << cost
	e.salt, e.key = []byte(f[3][:bcryptSaltChars]), []byte(f[3][bcryptSaltChars:])
	return e, nil
}

// $6$salt$key or $6$rounds=656000$salt$key
func parseSHACrypt(f []string) (encoded, error) {
	e := encoded{kdf: kdf{kind: kind{alg: sha512crypt}, cost: 5000}}
	chars := sha512cryptChars
	if f[1] == "5" {
		e.alg, chars = sha256crypt, sha256cryptChars
	}
	if len(f) == 5 {
		p, err := parameters(f[2], "rounds")
		if err != nil {
			return e, err
		}
		e.cost = p[0]
		f = append(f[:2:2], f[3:]...)
	}
	if len(f) != 4 {
		return e, parts("sha-crypt", 4, len(f))
	}
	if len(f[2]) > 16 {
		return e, unusable("its salt has more than 16 characters")
	}
	if len(f[3]) != chars || !only(f[3], bcryptAlphabet) {
		return e, unusable("its key has %d characters, or some that sha-crypt has not, instead of %d", len(f[3]), chars)
	}
	e.salt, e.key = []byte(f[2]), []byte(f[3])
	return e, nil
}

// parameters reads "m=19456,t=2,p=1": each name once, in any order, nothing else.
func parameters(s string, names ...string) ([]uint64, error) {
	out := make([]uint64, len(names))
	seen := make([]bool, len(names))
	for pair := range strings.SplitSeq(s, ",") {
		name, value, _ := strings.Cut(pair, "=")
		n, err := number(value)
		if err != nil {
			return nil, unusable("parameter %q is not a name and a number", pair)
		}
		known := false
		for i := range names {
			if names[i] == name && !seen[i] {
				out[i], seen[i], known = n, true, true
			}
		}
		if !known {
			return nil, unusable("parameter %q is unknown or there twice", name)
		}
	}
	for i := range names {
		if !seen[i] {
			return nil, unusable("parameter %q is missing", names[i])
		}
	}
	return out, nil
}

// number reads a decimal number of at most 32 bits, without sign.
func number(s string) (uint64, error) {
	if s == "" || !only(s, "0123456789") {
		return 0, unusable("%q is not a number", s)
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, unusable("the number %s is too large", s)
	}
	return n, nil
}

// base64s reads salt and key in any of the alphabets that are met: standard,
// URL-safe, passlib's with a dot for the plus; with or without padding.
func (e *encoded) base64s(salt, key string) (err error) {
	if e.salt, err = anyBase64(salt); err != nil {
		return unusable("its salt is not base64")
	}
	if e.key, err = anyBase64(key); err != nil {
		return unusable("its key is not base64")
	}
	return nil
}

func anyBase64(s string) ([]byte, error) {
	s = strings.NewReplacer(".", "+", "-", "+", "_", "/").Replace(strings.TrimRight(s, "="))
	return base64.RawStdEncoding.DecodeString(s)
}

func anyHex(s string) ([]byte, error) { return hex.DecodeString(s) }

func only(s, alphabet string) bool { return strings.Trim(s, alphabet) == "" }

func parts(name string, want, got int) error {
	return unusable("%s has %d parts between dollar signs, not %d: was it cut or changed by a shell?", name, want-1, got-1)
}
