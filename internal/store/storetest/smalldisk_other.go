//go:build !linux

package storetest

import "errors"

// Other systems have no tmpfs, or mount it in other ways.
func mount(string, string) error { return errors.ErrUnsupported }

func unmount(string) error { return errors.ErrUnsupported }
