//go:build !linux

package main

import "syscall"

// latePort does nothing where ports are not chosen so.
func latePort(string, string, syscall.RawConn) error { return nil }
