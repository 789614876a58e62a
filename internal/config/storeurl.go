package config

import "errors"

// CheckStoreURL says what is wrong with the URL of a store in PostgreSQL. The
// error never repeats it: a password may be in it.
func CheckStoreURL(url string) error {
	if msg := storeURL(StoreURL(url)); msg != "" {
		return errors.New(msg)
	}
	return nil
}
