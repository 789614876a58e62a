package password

import (
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// MaxBytes is the longest password accepted. It is far above any that is
// typed, and bounds what normalising and hashing one costs.
const MaxBytes = 1024

// prepare gives the form of a password that new hashes are made of.
func prepare(password string) (string, error) {
	if err := acceptable(password); err != nil {
		return "", err
	}
	s, err := precis.OpaqueString.String(password)
	if err != nil {
		return "", ErrNotText
	}
	if len(s) > MaxBytes {
		return "", ErrTooLong
	}
	return s, nil
}

// candidates gives the forms in which a password may have been hashed: that
// of prepare, and the bytes as they came where that is another. How many
// there are depends on the password alone, never on who is asked about.
func candidates(password string) ([]string, error) {
	if err := acceptable(password); err != nil {
		return nil, err
	}
	s, err := prepare(password)
	if err != nil || s == password {
		return []string{password}, nil
	}
	return []string{s, password}, nil
}

func acceptable(password string) error {
	switch {
	case password == "":
		return ErrEmpty
	case len(password) > MaxBytes:
		return ErrTooLong
	case !utf8.ValidString(password):
		return ErrNotText
	}
	return nil
}
