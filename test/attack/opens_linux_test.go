package attack_test

import (
	"testing"

	"golang.org/x/sys/unix"
)

// countOpens watches a file with inotify and tells how often it was opened.
func countOpens(t testing.TB, file string) func() int {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Log("opened files are not watched:", err)
		return func() int { return 0 }
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if _, err := unix.InotifyAddWatch(fd, file, unix.IN_OPEN); err != nil {
		t.Fatal(err)
	}
	return func() int {
		var buf [4096]byte
		n, err := unix.Read(fd, buf[:])
		if err != nil || n <= 0 {
			return 0
		}
		return n / unix.SizeofInotifyEvent
	}
}
