// Package ports gives test servers ports that stay theirs while they are
// stopped and started again.
//
// A port that the system names (port 0) and that is let go of may be named to
// somebody else before the server listens, or while it is being restarted; and
// clients that still call the old address then reach a stranger. So ports are
// taken from below the range that the system names from, and each is claimed
// for as long as this process lives, so that no other test takes it.
package ports

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
)

// ports are taken from [lowest, the system's own range).
const lowest = 16_384

// claims are sockets without a file: they go with the process, however it ends.
var claims struct {
	sync.Mutex
	held map[int]net.Listener
}

// Take gives n ports of 127.0.0.1 that nobody listens on.
func Take(n int) ([]int, error) {
	claims.Lock()
	defer claims.Unlock()
	if claims.held == nil {
		claims.held = map[int]net.Listener{}
	}
	size := ephemeral() - lowest
	if size < 1000 {
		return named(n)
	}
	var taken []int
	for at, tries := rand.IntN(size), 0; len(taken) < n; at, tries = (at+1)%size, tries+1 {
		if tries == size {
			return nil, fmt.Errorf("no free port from %d to %d", lowest, lowest+size-1)
		}
		if take(lowest + at) {
			taken = append(taken, lowest+at)
		}
	}
	return taken, nil
}

// take claims a port and sees that it is free.
func take(port int) bool {
	if _, mine := claims.held[port]; mine {
		return false
	}
	claim, err := net.Listen("unix", "@sallyport-test-port-"+strconv.Itoa(port))
	if err != nil {
		return false
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		_ = claim.Close() // somebody else's port
		return false
	}
	if err := l.Close(); err != nil {
		_ = claim.Close() // as above
		return false
	}
	claims.held[port] = claim
	return true
}

// ephemeral is where the range begins that the system names ports from, 0
// where that is not known or sockets without a file are not to be had.
func ephemeral() int {
	if runtime.GOOS != "linux" {
		return 0
	}
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 0
	}
	var low, high int
	if _, err := fmt.Sscan(string(text), &low, &high); err != nil {
		return 0
	}
	return low
}

// named asks the system, for machines on which nothing better is known.
func named(n int) (list []int, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("looking for a free port: %w", err)
		}
		defer func() { _ = l.Close() }() // only the number is wanted
		list = append(list, l.Addr().(*net.TCPAddr).Port)
	}
	return list, nil
}
