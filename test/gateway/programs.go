package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/test/sut"
)

// errMissing is a program that this machine does not have.
var errMissing = errors.New("not installed (scripts/setup installs it)")

func program(name string) (string, error) {
	bin, err := exec.LookPath(name)
	if err != nil {
		bin, err = exec.LookPath(filepath.Join("/usr/sbin", name)) // not in everybody's PATH
	}
	if err != nil {
		return "", fmt.Errorf("%s is %w", name, errMissing)
	}
	return bin, nil
}

func freePort() (addr, port string, err error) {
	ports, err := sut.FreePorts(1)
	if err != nil {
		return "", "", err
	}
	_, port, _ = strings.Cut(ports[0], ":")
	return ports[0], port, nil
}

func nginxArgs(dir string) []string {
	global := "daemon off; pid " + dir + "/pid;"
	if os.Getuid() == 0 {
		global += " user root;" // or its workers could not enter dir
	}
	return []string{"-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr", "-g", global}
}

// startProgram runs a program and waits until it listens on addr.
func startProgram(addr, log, bin string, args ...string) (stop func(), err error) {
	out, err := os.Create(log) // #nosec G304 -- in the folder of this run
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }() // the child has its own descriptor
	cmd := exec.Command(bin, args...)  // #nosec G204 -- a program of the machine, for a test
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+filepath.Dir(log), "XDG_CONFIG_HOME="+filepath.Dir(log), "HOME="+filepath.Dir(log))
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }() // how it ended is in its log
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may be gone
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill() // as above
			<-ended
		}
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close() // it listens, that is all
			return stop, nil
		}
		select {
		case <-ended:
			b, _ := os.ReadFile(log) // what there is of it
			return nil, fmt.Errorf("%s ended: %s", filepath.Base(bin), b)
		default:
		}
	}
	stop()
	return nil, fmt.Errorf("%s does not listen on %s", filepath.Base(bin), addr)
}
