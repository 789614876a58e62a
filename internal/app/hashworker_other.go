//go:build !linux

package app

import (
	"os"
	"os/exec"
)

const hasLeftovers = false

func takeLeftovers() {}

func ownExecutable() (string, error) { return os.Executable() }

// startLow starts a process at the usual priority: lowering it is for Linux.
func startLow(cmd *exec.Cmd) error { return cmd.Start() }
