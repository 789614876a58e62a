package httpd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
)

// ListenAdmin opens the administration socket: mode 0600, in a folder that
// only its owner can change (made with 0700 when missing), and every peer's
// user id is checked by the kernel's word: ours or root's. Whoever fails is
// hung up on before a byte is read.
func ListenAdmin(path string, log *slog.Logger) (net.Listener, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	fi, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	// Who can write the folder can put their own socket there and collect what
	// the operator types into the command line.
	if fi.Mode().Perm()&0o022 != 0 && fi.Mode()&os.ModeSticky == 0 {
		return nil, fmt.Errorf("admin socket: the folder %s can be written by other users (mode %04o); run: chmod 700 %s", dir, fi.Mode().Perm(), dir)
	}
	l, err := listenUnix(path, 0o600)
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	return &peerListener{Listener: l, log: log}, nil
}

type peerListener struct {
	net.Listener
	log *slog.Logger
}

func (l *peerListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if err := checkPeer(c); err != nil {
			l.log.Warn("admin socket: peer refused", "error", err)
			_ = c.Close() // nothing was exchanged
			continue
		}
		return c, nil
	}
}

// checkPeer demands our own user id or root's at the other end.
func checkPeer(c net.Conn) error {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return errors.New("not a Unix socket")
	}
	uid, err := peerUID(uc)
	if err != nil {
		return err
	}
	return allowUID(uid, os.Geteuid())
}

func allowUID(uid, self int) error {
	if uid != self && uid != 0 {
		return fmt.Errorf("peer has user id %d, want %d or 0", uid, self)
	}
	return nil
}

// DialAdmin connects to the administration socket and makes sure that the
// server behind it runs as us or as root. ECONNREFUSED and os.ErrNotExist,
// both kept in the error chain, mean that no server runs there. When we are
// root, any server is trusted that the folder's owner runs.
func DialAdmin(ctx context.Context, path string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, err := dialUnix(path)
	if err != nil {
		return nil, err
	}
	if err := checkServer(c, path); err != nil {
		return nil, errors.Join(fmt.Errorf("admin socket %s: %w", path, err), c.Close())
	}
	return c, nil
}

func checkServer(c *net.UnixConn, path string) error {
	uid, err := peerUID(c)
	if err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		if owner, ok := ownerUID(filepath.Dir(path)); ok && owner == uid {
			return nil
		}
	}
	return allowUID(uid, os.Geteuid())
}

type peerKey struct{}

// withPeerUID notes the kernel's word on who opened a connection, for the
// handlers of its requests.
func withPeerUID(ctx context.Context, c net.Conn) context.Context {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	uid, err := peerUID(uc)
	if err != nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, uid)
}

// PeerUID is the user id at the other end of the administration socket; ok is
// false on every other listener.
func PeerUID(r *http.Request) (uid int, ok bool) {
	uid, ok = r.Context().Value(peerKey{}).(int)
	return uid, ok
}
