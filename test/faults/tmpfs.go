package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// inNamespace is set for a process that has file systems of its own.
const inNamespace = "FAULTS_OWN_MOUNTS"

// ownMounts runs this process again with file systems of its own, where small
// disks can be mounted that go away with it, however it ends. It is done only
// once: done is false in the process that may mount.
func ownMounts(ctx context.Context, args []string, stdout, stderr io.Writer) (status int, done bool, err error) {
	if os.Getenv(inNamespace) != "" {
		return 0, false, nil
	}
	self, err := os.Executable()
	if err != nil {
		return 0, true, fmt.Errorf("running again with file systems of its own: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}},
		}
	}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), true, nil
	}
	if err != nil {
		return 0, true, fmt.Errorf("%w: small disks cannot be mounted here: %w", errMissing, err)
	}
	return 0, true, nil
}

// disk is a small file system in memory.
type disk struct{ path string }

// mountDisk mounts one of a size in MiB, with the permissions given.
func mountDisk(path string, mib int, mode string) (*disk, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("making a mount point: %w", err)
	}
	if err := syscall.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=%s", mib, mode)); err != nil {
		return nil, fmt.Errorf("%w: mounting a small disk: %w", errMissing, err)
	}
	return &disk{path}, nil
}

func (d *disk) filler() string { return filepath.Join(d.path, "filler") }

// fill writes until nothing fits any more, and gives how much that took.
func (d *disk) fill() (bytes int64, err error) {
	f, err := os.OpenFile(d.filler(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, fmt.Errorf("filling a disk: %w", err)
	}
	defer func() { _ = f.Close() }() // that it lacks the room is the point
	for size := 1 << 20; size > 0; {
		n, err := f.Write(make([]byte, size))
		bytes += int64(n)
		switch {
		case errors.Is(err, syscall.ENOSPC):
			size /= 2
		case err != nil:
			return bytes, fmt.Errorf("filling a disk: %w", err)
		}
	}
	return bytes, nil
}

// empty takes away what filled it.
func (d *disk) empty() error {
	if err := os.Remove(d.filler()); err != nil {
		return fmt.Errorf("making room on a disk: %w", err)
	}
	return nil
}

// free is the room that is left, in bytes.
func (d *disk) free() int64 {
	var s syscall.Statfs_t
	if err := syscall.Statfs(d.path, &s); err != nil {
		return -1
	}
	return int64(s.Bavail) * s.Bsize
}

func (d *disk) unmount() error {
	if err := syscall.Unmount(d.path, syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("unmounting a small disk: %w", err)
	}
	return nil
}
