package app

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// workerNice is a worker's niceness: beside a busy server it gets a tenth of a
// core at least and whatever is idle, so logins wait and refreshes do not.
const workerNice = 10

// hasLeftovers: niceness alone does not keep a hash from delaying others. It
// shares the processor out over time, but whoever runs may finish his turn,
// some milliseconds; under SCHED_IDLE he is interrupted at once, and a
// processor that runs nothing else counts as free.
const hasLeftovers = true

// takeLeftovers puts this process under SCHED_IDLE. It is done by the worker
// and not by a thread of the server that starts it: that thread would hold
// locks of the server while it waits for a processor nobody wants. Where it is
// forbidden, niceness remains.
func takeLeftovers() {
	// A thread inherits from the one that made it, so after a pass that finds
	// nothing to do there is none left. Two or three passes do; a system that
	// says it did and did not must not keep the worker here for ever.
	for range 10 {
		again := false
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return
		}
		for _, t := range tasks {
			tid, err := strconv.Atoi(t.Name())
			if err != nil {
				return
			}
			if policy, _, errno := unix.Syscall(unix.SYS_SCHED_GETSCHEDULER, uintptr(tid), 0, 0); errno != 0 || policy == unix.SCHED_IDLE {
				continue // it ended meanwhile, or is done
			}
			var param struct{ priority int32 }
			// Not sched_setattr: sandboxes that forbid real-time policies let this through.
			_, _, errno := unix.Syscall(unix.SYS_SCHED_SETSCHEDULER, uintptr(tid), unix.SCHED_IDLE, uintptr(unsafe.Pointer(&param)))
			if errno == unix.ESRCH {
				continue
			}
			if errno != 0 {
				return
			}
			again = true
		}
		if !again {
			return
		}
	}
}

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
