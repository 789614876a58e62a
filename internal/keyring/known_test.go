package keyring

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"testing"
)

func TestSecurity12_PublicSecretsAreRecognised(t *testing.T) {
	if len(knownSecrets()) < 60 {
		t.Fatalf("the list has %d entries: it was not embedded whole", len(knownSecrets()))
	}
	for _, secret := range []string{
		"your-256-bit-secret",
		"A-STRING-SECRET-AT-LEAST-256-BITS-LONG",
		"09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
		base64.StdEncoding.EncodeToString([]byte("your-256-bit-secret")),
		hex.EncodeToString([]byte("super-secret-jwt-token-with-at-least-32-characters-long")),
		"my_super_secret_jwt_key_change_me_in_production_2024",
		"Th1s_1s_my_Sup3r_S3cr3t_K3y_please_change!!",
		"============please-change-this-secret-key==============",
		"secretsecretsecretsecretsecretsecret",
		"00000000000000000000000000000000",
		"12345678901234567890123456789012",
		"abcdefghijklmnopqrstuvwxyzabcdefghijklmnop",
		"31415926535897932384626433832795",
		"testtesttesttesttesttesttesttest",
		"liverpool", "P@ssw0rd", "wangzilong1984", "susan2008", "1974-06-21",
		"63b5d085-fdea-463b-8a18-151e0d4a3eda",
		// Texts of the kinds that published lists are full of.
		"MbQeThWmZq4t7w!z%C*F-JaNdRgUkXp2", "4D6251655468576D5A7134743777217A25432A462D4A614E645267556B587032",
		"a-sentence-that-is-easily-said-is-not-hard-to-guess", "itisalongwaytotipperarybutmyheartisrightthere",
		"THIS_SHOULD_NEVER_BE_THE_KEY_IN_PRODUCTION", "0x7365637265747365637265747365637265747365637265747365637265747365",
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
		"django-insecure-d)24gp3-)(x*&i1lygpoux*hf%bi3-8)t9", "9b6de5cc-0731-edge-peax-0f568ac9da37",
		"dasfjhsdjlfhsdfgfkdgsljgfdskoljsdgfk", "sa9fya7s8f6a7%@#$8a0s7f89as7f%@#$8a0s7f89as7f8sfas@#$",
		"acme_labs_assessment_JWT_SECRET_2021", hexOf(sha256.Sum256([]byte("your-256-bit-secret"))),
	} {
		if knownReason([]byte(secret)) == "" {
			t.Errorf("%q counts as private", secret)
		}
	}
}

// TestRandomSecretsPass: in all the forms in which random secrets come, 3,200
// texts, not one is refused.
func TestRandomSecretsPass(t *testing.T) {
	const signs = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&()*+,-./:;<=>?@[]^_{|}~"
	for range 400 {
		raw := make([]byte, 32)
		_, _ = rand.Read(raw)
		among := func(alphabet string) string {
			s := make([]byte, 32)
			for i := range s {
				s[i] = alphabet[int(raw[i])*len(alphabet)/256]
			}
			return string(s)
		}
		for _, s := range []string{
			string(raw), hex.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw[:24]),
			base32.StdEncoding.EncodeToString(raw[:20]), among(signs[:62]), among(signs[26:52]), among(signs),
		} {
			if why := knownReason([]byte(s)); why != "" {
				t.Fatalf("random secret %q: %s", s, why)
			}
		}
	}
	for _, s := range []string{"gravel-otter-minuet-plinth-saffron-quay", "Zq8#vLp2!mXw9@Rt5^Yk3&Nb7*Hj4(Gf6", "whsec_secret_Zq8vLp2mXw9Rt5Yk3Nb7Hj4Gf6WqTz"} {
		if why := knownReason([]byte(s)); why != "" {
			t.Errorf("%q: %s", s, why)
		}
	}
}
