package password

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

const (
	bcryptSaltChars  = 22
	bcryptKeyChars   = 31
	sha256cryptChars = 43
	sha512cryptChars = 86
)

// encoded is a stored hash, taken apart.
type encoded struct {
	kdf
	// salt and key are bytes; for bcrypt and sha-crypt, whose base64 is their
	// own, they are the characters as they stand.
	salt, key []byte
	// hexSHA256 is Django's bcrypt_sha256: bcrypt is given the hexadecimal
	// SHA-256 of the password.
	hexSHA256 bool
}

// Check says whether a hash from another system can be verified here, and if
// not, why: an error that wraps ErrUnusable, for the one who imports.
//
// Understood are argon2id, argon2i and argon2d (PHC), bcrypt ($2a$, $2b$, $2y$),
// scrypt (PHC, Werkzeug, Django), PBKDF2 with SHA-1, SHA-256 and SHA-512
// (passlib, PHC, Django, Werkzeug), sha256crypt and sha512crypt, Django's
// spellings of argon2 and bcrypt (bcrypt_sha256 too), and any of those after a
// scheme in braces, as LDAP and Dovecot write.
func Check(phc string) error {
	_, err := parse(phc)
	return err
}

// String writes the hash in its canonical spelling: parse gives it back equal.
func (e encoded) String() string {
	b64 := base64.RawStdEncoding.EncodeToString
	switch e.alg {
	case argon2id, argon2i, argon2d:
		return fmt.Sprintf("$%s$v=19$m=%d,t=%d,p=%d$%s$%s", argon2Names[e.alg], e.memory, e.cost, e.lanes, b64(e.salt), b64(e.key))
	case scryptKDF:
		return fmt.Sprintf("$scrypt$ln=%d,r=%d,p=%d$%s$%s", e.memory, e.lanes, e.cost, b64(e.salt), b64(e.key))
	case bcryptKDF:
		s := fmt.Sprintf("$2b$%s$%s%s", twoDigits(e.cost), e.salt, e.key)
		if e.hexSHA256 {
			s = "bcrypt_sha256$" + s
		}
		return s
	case sha256crypt, sha512crypt:
		return e.shaCryptString(e.salt, e.key)
	}
	ab64 := func(b []byte) string { return strings.ReplaceAll(b64(b), "+", ".") }
	return fmt.Sprintf("$%s$%d$%s$%s", pbkdf2Names[e.alg], e.cost, ab64(e.salt), ab64(e.key))
}

var argon2Names = map[algorithm]string{argon2id: "argon2id", argon2i: "argon2i", argon2d: "argon2d"}

var pbkdf2Names = map[algorithm]string{pbkdf2SHA1: "pbkdf2", pbkdf2SHA256: "pbkdf2-sha256", pbkdf2SHA512: "pbkdf2-sha512"}

// compare is the job that says whether the password is the one.
func (e encoded) compare(password []byte) job {
	if e.hexSHA256 {
		sum := sha256.Sum256(password)
		password = hex.AppendEncode(nil, sum[:])
	}
	return e.job(password, e.salt, e.key)
}

// weakerThan says whether a new hash with these parameters would be better.
func (e encoded) weakerThan(p Params) bool {
	return e.alg != argon2id || e.memory < p.Memory || e.cost < uint64(p.Time) ||
		len(e.key) < keyBytes || len(e.salt) < saltBytes
}

// overlong says whether the end of this password was not looked at.
func (e encoded) overlong(password string) bool {
	return e.alg == bcryptKDF && !e.hexSHA256 && len(password) > bcryptMost
}
