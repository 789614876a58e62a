package password

import (
	"math/bits"
	"strings"
)

// parseFramework reads the spellings that do not begin with a dollar sign:
// Django's and Werkzeug's (Flask). Their salts are text, hashed as it stands.
func parseFramework(f []string) (encoded, error) {
	id, settings, werkzeug := strings.Cut(f[0], ":")
	switch {
	case werkzeug && id == "pbkdf2" && len(f) == 3:
		return parseWerkzeugPBKDF2(settings, f[1], f[2])
	case werkzeug && id == "scrypt" && len(f) == 3:
		return parseWerkzeugScrypt(settings, f[1], f[2])
	case strings.HasPrefix(id, "pbkdf2_sha") && len(f) == 4:
		return parseDjangoPBKDF2(f)
	case id == "scrypt" && len(f) == 6:
		return parseDjangoScrypt(f)
	}
	if len(f) == 1 && (len(id) == 32 || len(id) == 40 || len(id) == 64 || len(id) == 128) && only(strings.ToLower(id), "0123456789abcdef") {
		return encoded{}, unusable("it is a plain hash without salt, which is as good as the password itself")
	}
	return encoded{}, unusable("%s", whyNot(""))
}

// pbkdf2:sha256:600000$salt$hex
func parseWerkzeugPBKDF2(settings, salt, key string) (encoded, error) {
	hash, iterations, ok := strings.Cut(settings, ":")
	if !ok {
		return encoded{}, unusable("Werkzeug's PBKDF2 names a hash and a number of iterations")
	}
	return textSalted(pbkdf2By(hash), iterations, salt, key, anyHex)
}

// pbkdf2_sha256$600000$salt$base64
func parseDjangoPBKDF2(f []string) (encoded, error) {
	return textSalted(pbkdf2By(strings.TrimPrefix(f[0], "pbkdf2_")), f[1], f[2], f[3], anyBase64)
}

func textSalted(alg algorithm, iterations, salt, key string, decode func(string) ([]byte, error)) (encoded, error) {
	e := encoded{kdf: kdf{kind: kind{alg: alg}}, salt: []byte(salt)}
	if alg == 0 {
		return e, unusable("PBKDF2 is supported with sha1, sha256 and sha512 alone")
	}
	var err error
	if e.cost, err = number(iterations); err != nil {
		return e, err
	}
	if e.key, err = decode(key); err != nil {
		return e, unusable("its key is not in the encoding that this format has")
	}
	return e, nil
}

// scrypt:32768:8:1$salt$hex
func parseWerkzeugScrypt(settings, salt, key string) (encoded, error) {
	nrp := strings.Split(settings, ":")
	if len(nrp) != 3 {
		return encoded{}, unusable("Werkzeug's scrypt names N, r and p")
	}
	return scryptNRP(nrp[0], nrp[1], nrp[2], salt, key, anyHex)
}

// scrypt$16384$salt$8$5$base64
func parseDjangoScrypt(f []string) (encoded, error) {
	return scryptNRP(f[1], f[3], f[4], f[2], f[5], anyBase64)
}

func scryptNRP(n, r, p, salt, key string, decode func(string) ([]byte, error)) (encoded, error) {
	e := encoded{kdf: kdf{kind: kind{alg: scryptKDF}}, salt: []byte(salt)}
	var v [3]uint64
	for i, s := range []string{n, r, p} {
		var err error
		if v[i], err = number(s); err != nil {
			return e, err
		}
	}
	if bits.OnesCount64(v[0]) != 1 {
		return e, unusable("scrypt's N is %d, not a power of two", v[0])
	}
	e.memory, e.lanes, e.cost = uint32(bits.Len64(v[0])-1), uint32(v[1]), v[2]
	var err error
	if e.key, err = decode(key); err != nil {
		return e, unusable("its key is not in the encoding that this format has")
	}
	return e, nil
}
