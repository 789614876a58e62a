package keyring

import (
	"crypto/rand"
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
	} {
		if knownReason([]byte(secret)) == "" {
			t.Errorf("%q counts as private", secret)
		}
	}
}

func TestRandomSecretsPass(t *testing.T) {
	for range 3_000 {
		raw := make([]byte, 32)
		_, _ = rand.Read(raw)
		for _, s := range []string{string(raw), hex.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw[:24])} {
			if why := knownReason([]byte(s)); why != "" {
				t.Fatalf("random secret %q: %s", s, why)
			}
		}
	}
	for _, s := range []string{"gravel-otter-minuet-plinth-saffron-quay", "Zq8#vLp2!mXw9@Rt5^Yk3&Nb7*Hj4(Gf6"} {
		if why := knownReason([]byte(s)); why != "" {
			t.Errorf("%q: %s", s, why)
		}
	}
}
