package app

import (
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// workerNice is a worker's niceness: beside a busy server it gets a tenth of a
// core at least and whatever is idle, so logins wait and refreshes do not.
const workerNice = 10

// ownExecutable is the file this process runs from, also when an upgrade has
// replaced it: server and worker are always of one version.
func ownExecutable() (string, error) { return "/proc/self/exe", nil }

// startLow starts a process at a lower priority. A process inherits the
// niceness of the thread that starts it, so that is a thread of its own: it
// could not be raised again, and goes with its goroutine.
func startLow(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		// Failing to be nice is no reason not to hash.
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, niceness()+workerNice)
		started <- cmd.Start()
	}()
	return <-started
}

// niceness is that of the calling thread.
func niceness() int {
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return 0
	}
	return 20 - raw // the system call shifts it to be above zero
}
