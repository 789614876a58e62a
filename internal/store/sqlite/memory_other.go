//go:build !linux

package sqlite

// memoryBytes is 0: how much memory there is is not asked for here.
func memoryBytes() uint64 { return 0 }
