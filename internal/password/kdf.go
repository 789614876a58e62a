package password

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"hash"
	"math/bits"
	"strconv"

	cryptargon2 "github.com/go-crypt/crypt/algorithm/argon2"
	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

// algorithm is a way to derive a key from a password.
type algorithm uint8

const (
	argon2id algorithm = iota + 1
	argon2i
	argon2d
	scryptKDF
	bcryptKDF
	pbkdf2SHA1
	pbkdf2SHA256
	pbkdf2SHA512
	sha256crypt
	sha512crypt
)

// kind is a set of derivations within which work can be topped up exactly.
// What shapes the work without being its amount (memory, lanes) is part of it.
type kind struct {
	alg    algorithm
	memory uint32 // argon2: KiB; scrypt: log2 of N; else 0
	lanes  uint32 // argon2: p; scrypt: r; else 0
}

// kdf is a derivation: a kind and how much of it.
type kdf struct {
	kind
	cost   uint64 // argon2: passes; scrypt: p; bcrypt: 2^cost; else iterations
	keyLen int    // bytes; bcrypt and sha-crypt: characters
}

const (
	bcryptMost   = 72  // bytes of a password that bcrypt sees
	shaCryptMost = 256 // bytes of a password that sha-crypt is given: its time grows with them
)

// matches derives a key and compares it with key in constant time. k must
// have passed affordable, and salt and key the checks of parse.
func (k kdf) matches(password, salt, key []byte) bool {
	switch k.alg {
	case bcryptKDF:
		// C implementations end a password at its first NUL; so no hash can
		// have been made of one that has any.
		stored := append([]byte("$2b$"+twoDigits(k.cost)+"$"), salt...)
		same := bcrypt.CompareHashAndPassword(append(stored, key...), password) == nil
		return same && bytes.IndexByte(password, 0) < 0
	case sha256crypt, sha512crypt:
		return k.matchesSHACrypt(password, salt, key)
	}
	return subtle.ConstantTimeCompare(k.derive(password, salt), key) == 1
}

func (k kdf) matchesSHACrypt(password, salt, key []byte) bool {
	whole := len(password) <= shaCryptMost
	digest, err := shacrypt.Decode(k.shaCryptString(salt, key))
	if err != nil {
		return false
	}
	same := digest.MatchBytes(password[:min(len(password), shaCryptMost)])
	return same && whole && bytes.IndexByte(password, 0) < 0
}

func (k kdf) shaCryptString(salt, key []byte) string {
	id := "6"
	if k.alg == sha256crypt {
		id = "5"
	}
	return "$" + id + "$rounds=" + strconv.FormatUint(k.cost, 10) + "$" + string(salt) + "$" + string(key)
}

func (k kdf) derive(password, salt []byte) []byte {
	switch k.alg {
	case argon2id:
		return argon2.IDKey(password, salt, uint32(k.cost), k.memory, uint8(k.lanes), uint32(k.keyLen))
	case argon2i:
		return argon2.Key(password, salt, uint32(k.cost), k.memory, uint8(k.lanes), uint32(k.keyLen))
	case argon2d:
		return cryptargon2.VariantD.KeyFunc()(password, salt, uint32(k.cost), k.memory, k.lanes, uint32(k.keyLen))
	case scryptKDF:
		key, _ := scrypt.Key(password, salt, 1<<k.memory, int(k.lanes), int(k.cost), k.keyLen) // affordable keeps it in range
		return key
	case pbkdf2SHA1:
		return pbkdf2Key(sha1.New, password, salt, k)
	case pbkdf2SHA256:
		return pbkdf2Key(sha256.New, password, salt, k)
	case pbkdf2SHA512:
		return pbkdf2Key(sha512.New, password, salt, k)
	}
	return nil
}

func pbkdf2Key[H hash.Hash](h func() H, password, salt []byte, k kdf) []byte {
	key, _ := pbkdf2.Key(h, string(password), salt, int(k.cost), k.keyLen) // fails only on lengths that affordable refuses
	return key
}

// work is the amount of work in units of the kind.
func (k kdf) work() uint64 {
	if size := k.hashSize(); size > 0 {
		return k.cost * uint64((k.keyLen+size-1)/size) // PBKDF2 runs once for each block of output
	}
	return k.cost
}

// hashSize is the block size of PBKDF2's output, 0 for everything else.
func (k kdf) hashSize() int {
	switch k.alg {
	case pbkdf2SHA1:
		return sha1.Size
	case pbkdf2SHA256:
		return sha256.Size
	case pbkdf2SHA512:
		return sha512.Size
	}
	return 0
}

func twoDigits(cost uint64) string {
	n := bits.Len64(cost) - 1
	return string([]byte{byte('0' + n/10), byte('0' + n%10)})
}
