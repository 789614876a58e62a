package password

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// Hashes made elsewhere: Python's hashlib, the reference implementations'
// own vectors, the specification of sha-crypt.
var foreign = []struct{ name, hash, password string }{
	{"django pbkdf2", "pbkdf2_sha256$1000$saltsalt1234$vCowWi1dB0WkHn96blKCnL2OG83kjxRxvy4fTd6Hm28=", "correct horse"},
	{"passlib pbkdf2", "$pbkdf2-sha256$1000$c2FsdHNhbHQxMjM0$vCowWi1dB0WkHn96blKCnL2OG83kjxRxvy4fTd6Hm28", "correct horse"},
	{"phc pbkdf2", "$pbkdf2-sha256$i=1000,l=32$c2FsdHNhbHQxMjM0$vCowWi1dB0WkHn96blKCnL2OG83kjxRxvy4fTd6Hm28", "correct horse"},
	{"passlib pbkdf2 512", "$pbkdf2-sha512$1000$c2FsdHNhbHQxMjM0$H4Nyib6gK5wg7kC3wmSL2DioQORp.0qAcByqS8moKTKk.Po1S7KGelRiaxoatpObwyoKrlSbNc8tPaW4KttG8g", "correct horse"},
	{"werkzeug pbkdf2", "pbkdf2:sha512:1000$saltsalt1234$1f837289bea02b9c20ee40b7c2648bd838a840e469fb4a80701caa4bc9a82932a4f8fa354bb2867a54626b1a1ab6939bc32a0aae549b35cf2d3da5b82adb46f2", "correct horse"},
	{"passlib pbkdf2 sha1", "$pbkdf2$1000$c2FsdHNhbHQxMjM0$mVNR3cZHHo3rmKkcv1Oelu5hGZM", "correct horse"},
	{"werkzeug scrypt", "scrypt:1024:8:2$saltsalt1234$027e4cbafd20ee45015ff212fe36217fc6f63ade5691fe088c2acfb4b60508d9bbd23906ce9d2262075b061a605ded7f69174534fbb96ebc0aea366c81f89418", "correct horse"},
	{"django scrypt", "scrypt$1024$saltsalt1234$8$2$An5Muv0g7kUBX/IS/jYhf8b2Ot5Wkf4IjCrPtLYFCNm70jkGzp0iYgdbBhpgXe1/aRdFNPu5brwK6jZsgfiUGA==", "correct horse"},
	{"passlib scrypt", "$scrypt$ln=10,r=8,p=2$c2FsdHNhbHQxMjM0$An5Muv0g7kUBX/IS/jYhf8b2Ot5Wkf4IjCrPtLYFCNm70jkGzp0iYgdbBhpgXe1/aRdFNPu5brwK6jZsgfiUGA", "correct horse"},
	{"argon2id", "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$ZVrRXqxlLcWfcXCnMyv0m4Rpvh/bnCi7", "password"},
	{"argon2i, other order", "$argon2i$v=19$t=1,p=1,m=64$c29tZXNhbHQ=$ucQB0YRKZ9UOrjln3CiHCyLlCAkuhho3", "password"},
	{"argon2d", "$argon2d$v=19$m=64,t=1,p=1$c29tZXNhbHQ$hydAX9B8MseNZPVH8kFQ0/LnA6ifmBoZ", "password"},
	{"django argon2", "argon2$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$ZVrRXqxlLcWfcXCnMyv0m4Rpvh/bnCi7", "password"},
	{"bcrypt 2a", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"},
	{"bcrypt 2b", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"},
	{"bcrypt 2y in braces", "{BLF-CRYPT}$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"},
	{"django bcrypt", "bcrypt$$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"},
	{"sha256crypt", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "Hello world!"},
	{"sha512crypt", "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1", "Hello world!"},
	{"sha512crypt rounds", "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.", "Hello world!"},
}

func matches(e encoded, password []byte) bool {
	j := e.compare(password)
	return j.do().Same
}

func TestForeignHashesMatchTheirPasswordAlone(t *testing.T) {
	for _, c := range foreign {
		e, err := parse(c.hash)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !matches(e, []byte(c.password)) {
			t.Errorf("%s: the right password does not match", c.name)
		}
		for _, wrong := range []string{"", c.password + " ", c.password[1:], strings.ToUpper(c.password) + "x"} {
			if matches(e, []byte(wrong)) {
				t.Errorf("%s: %q matches", c.name, wrong)
			}
		}
		again, err := parse(e.String())
		if err != nil || again.String() != e.String() || !matches(again, []byte(c.password)) {
			t.Errorf("%s: canonical spelling %s: %v", c.name, e, err)
		}
	}
}

func TestDjangoBcryptSHA256SeesTheWholePassword(t *testing.T) {
	// SHA-256 of "abc" in hexadecimal, as FIPS 180-4 has it.
	digest := "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	h, err := bcrypt.GenerateFromPassword([]byte(digest), 4)
	if err != nil {
		t.Fatal(err)
	}
	e, err := parse("bcrypt_sha256$" + string(h))
	if err != nil {
		t.Fatal(err)
	}
	if !matches(e, []byte("abc")) || matches(e, []byte(digest)) {
		t.Error("the digest is not what is hashed")
	}
	if again, err := parse(e.String()); err != nil || !again.hexSHA256 {
		t.Errorf("%s: %v", e, err)
	}
}

func TestCheckSaysWhyNot(t *testing.T) {
	key := "ZVrRXqxlLcWfcXCnMyv0m4Rpvh/bnCi7"
	for _, c := range []struct{ hash, why string }{
		{"", "empty"},
		{"$", "known format"},
		{"secret", "known format"},
		{"5f4dcc3b5aa765d61d8327deb882cf99", "without salt"},
		{"$1$salt$qJH7.N4xYta3aEG/dfqo/0", "MD5-crypt"},
		{"$y$j9T$abc$def", "not supported"},
		{"$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "faulty"},
		{"$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe", "52 characters"},
		{"$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "cost 31"},
		{"$2b$64$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "two digits"},
		{"$argon2id$m=64,t=1,p=1$c29tZXNhbHQ$" + key, "version 1.0"},
		{"$argon2id$v=16$m=64,t=1,p=1$c29tZXNhbHQ$" + key, "only v=19"},
		{"$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$" + key, "memory of 4194304 KiB"},
		{"$argon2id$v=19$m=262144,t=1000000000,p=1$c29tZXNhbHQ$" + key, "passes"},
		{"$argon2id$v=19$m=64,t=1,p=255$c29tZXNhbHQ$" + key, "parallelism"},
		{"$argon2id$v=19$m=64,t=1,t=2,p=1$c29tZXNhbHQ$" + key, "twice"},
		{"$argon2id$v=19$m=64,t=1$c29tZXNhbHQ$" + key, "\"p\" is missing"},
		{"$argon2id$v=19$m=64,t=0,p=1$c29tZXNhbHQ$" + key, "0 passes"},
		{"$argon2id$v=19$m=64,t=1,p=1$$" + key, "salt has 0"},
		{"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAA", "key has 3 bytes"},
		{"$argon2id$v=19$m=64,t=1,p=1$c29t ZXNhbHQ$" + key, "space"},
		{"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$" + key + "\n", "line end"},
		{"$argon2id$v=19$m=99999999999,t=1,p=1$c29tZXNhbHQ$" + key, "not a name and a number"},
		{"$scrypt$ln=30,r=8,p=1$c29tZXNhbHQ$" + key, "scrypt"},
		{"$scrypt$ln=20,r=8,p=1$c29tZXNhbHQ$" + key, "1048576 KiB"},
		{"scrypt:1000:8:1$saltsalt$00112233445566778899aabbccddeeff", "power of two"},
		{"pbkdf2_sha256$1000000000$salt$vCowWi1dB0WkHn96blKCnL2OG83kjxRxvy4fTd6Hm28=", "iterations"},
		{"$pbkdf2-md5$1000$c2FsdHNhbHQxMjM0$vCowWi1dB0WkHn96blKCnL2OG83kjxRxvy4fTd6Hm28", "known format"},
		{"$6$rounds=999999999$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1", "rounds"},
		{strings.Repeat("$", 2000), "longer than"},
	} {
		err := Check(c.hash)
		if !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%.60q: %v, want %q", c.hash, err, c.why)
		}
	}
}

func TestBcryptAndNUL(t *testing.T) {
	h, err := bcrypt.GenerateFromPassword([]byte("ab\x00cd"), 4)
	if err != nil {
		t.Fatal(err)
	}
	e, err := parse(string(h))
	if err != nil {
		t.Fatal(err)
	}
	if matches(e, []byte("ab\x00cd")) {
		t.Error("a password with NUL matches a bcrypt hash")
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range foreign {
		f.Add(c.hash)
	}
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$$")
	f.Add("bcrypt_sha256$$2b$12$")
	f.Fuzz(func(t *testing.T, s string) {
		e, err := parse(s)
		if err != nil {
			if !errors.Is(err, ErrUnusable) {
				t.Fatalf("%q: %v does not wrap ErrUnusable", s, err)
			}
			return
		}
		if err := e.affordable(); err != nil {
			t.Fatalf("%q passed beyond a ceiling: %v", s, err)
		}
		again, err := parse(e.String())
		if err != nil {
			t.Fatalf("%q: canonical %q: %v", s, e.String(), err)
		}
		if again.kdf != e.kdf || again.String() != e.String() || again.hexSHA256 != e.hexSHA256 ||
			string(again.salt) != string(e.salt) || string(again.key) != string(e.key) {
			t.Fatalf("%q: canonical %q means another hash", s, e.String())
		}
	})
}
