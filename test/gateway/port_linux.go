package main

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// latePort has the kernel choose a connection's port when it connects, not when
// its own address is set. A port that was chosen before counts as taken on all
// addresses for a minute after the connection's end, and after 28,000 of them
// nobody on the machine could connect any more: nginx answers 500 then.
func latePort(_, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	}); e != nil {
		return e
	}
	return err
}
