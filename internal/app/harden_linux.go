package app

import "golang.org/x/sys/unix"

// Harden keeps what is in memory (passwords, keys) out of core dumps and away
// from debuggers of the same user: no core file, no ptrace, no /proc/PID/mem.
// Whoever is root can still read everything.
func Harden() {
	// Neither can fail for a process about itself; were one to, refusing to
	// serve would help nobody.
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}
