package httpd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
)

// listen opens "host:port" or "unix:/path". Errors say which setting to change.
func listen(addr, setting string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		// Whoever may enter the folder may talk to the public listener: proxies
		// usually run as another user.
		l, err := listenUnix(path, 0o666)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", setting, err)
		}
		return l, nil
	}
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s: %s is in use by another program (or another sallyport); stop it or set %s to a free port", setting, addr, setting)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s: not allowed to listen on %s; ports below 1024 need CAP_NET_BIND_SERVICE, or choose a higher port", setting, addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s: this machine has no address %s; use one of its own or 0.0.0.0", setting, addr)
	case err != nil:
		return nil, fmt.Errorf("%s: cannot listen on %q (want host:port or unix:/path): %w", setting, addr, err)
	}
	return l, nil
}

// listenUnix binds path with the given mode. The socket is made under another
// name and renamed when its mode is right, so that there is no moment at which
// it stands open; a stale socket is replaced in that same step, a live one or
// another kind of file is refused.
func listenUnix(path string, mode os.FileMode) (net.Listener, error) {
	if err := checkStale(path); err != nil {
		return nil, err
	}
	tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	short, release, err := shortPath(tmp)
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	defer release()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false) // it would remove the temporary name
	if err := settle(tmp, path, mode); err != nil {
		return nil, errors.Join(fmt.Errorf("socket %s: %w", path, err), l.Close())
	}
	fi, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("socket %s: %w", path, err), l.Close())
	}
	return &unixListener{UnixListener: l, path: path, file: fi}, nil
}

func settle(tmp, path string, mode os.FileMode) error {
	err := os.Chmod(tmp, mode)
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return nil
}

// checkStale says whether path may be taken: it is free, or a socket that
// nobody answers on.
func checkStale(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("socket %s: %w", path, err)
	}
	if fi.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("socket %s: something that is no socket stands there; move it away", path)
	}
	c, err := dialUnix(path)
	if err == nil {
		return errors.Join(fmt.Errorf("socket %s: another process answers on it; stop it first", path), c.Close())
	}
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("socket %s: %w", path, err)
}

func dialUnix(path string) (*net.UnixConn, error) {
	short, release, err := shortPath(path)
	if err != nil {
		return nil, err
	}
	defer release()
	return net.DialUnix("unix", nil, &net.UnixAddr{Name: short, Net: "unix"})
}

// unixListener removes its socket on Close, if it is still its own: a server
// that starts while this one stops must not lose the socket it just made.
type unixListener struct {
	*net.UnixListener
	path string
	file os.FileInfo
}

func (l *unixListener) Close() error {
	err := l.UnixListener.Close()
	if err != nil {
		return err // closed before; what stands at the path now is not ours to judge
	}
	if fi, serr := os.Lstat(l.path); serr == nil && os.SameFile(fi, l.file) {
		return os.Remove(l.path)
	}
	return nil
}

func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }
