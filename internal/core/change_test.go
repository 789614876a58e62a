package core_test

import (
	"testing"

	"github.com/sallyport/sallyport/internal/core"
)

func TestHashFormat(t *testing.T) {
	for phc, want := range map[string]string{
		"": "",
		"$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA": "$argon2id$v=19$m=19456,t=2,p=1",
		"$2b$10$abcdefghijklmnopqrstuu":                "$2b$10",
		"$6$rounds=5000$salt$hash":                     "$6$rounds=5000",
		"$6$salt$hash":                                 "$6",
		"pbkdf2_sha256$260000$salt$hash":               "pbkdf2_sha256$260000",
		"plain":                                        "other",
	} {
		if got := core.HashFormat(phc); got != want {
			t.Errorf("%q: %q, want %q", phc, got, want)
		}
	}
}
