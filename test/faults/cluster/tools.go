package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
)

// ErrMissing says that a program is not on this machine.
var ErrMissing = errors.New("a program is missing: run `scripts/setup faults` as root")

// tools are the paths of the programs.
type tools struct {
	etcd, patroni, haproxy string
	postgres               string // folder of PostgreSQL's programs
}

func findTools() (tools, error) {
	var t tools
	for _, want := range []struct {
		into *string
		name string
		also string // where Debian puts it when it is not in the PATH
	}{{&t.etcd, "etcd", "/usr/bin/etcd"}, {&t.patroni, "patroni", "/usr/bin/patroni"}, {&t.haproxy, "haproxy", "/usr/sbin/haproxy"}} {
		path, err := exec.LookPath(want.name)
		if err != nil {
			if _, err = os.Stat(want.also); err != nil {
				return t, fmt.Errorf("%w (there is no %s)", ErrMissing, want.name)
			}
			path = want.also
		}
		*want.into = path
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/pg_rewind")
	if err != nil || len(found) == 0 {
		return t, fmt.Errorf("%w (there is no PostgreSQL below /usr/lib/postgresql)", ErrMissing)
	}
	t.postgres = filepath.Dir(found[len(found)-1])
	return t, nil
}

// HAProxy finds the program, for scenarios that need no cluster.
func HAProxy() (string, error) {
	if path, err := exec.LookPath("haproxy"); err == nil {
		return path, nil
	}
	const debian = "/usr/sbin/haproxy"
	if _, err := os.Stat(debian); err != nil {
		return "", fmt.Errorf("%w (there is no haproxy)", ErrMissing)
	}
	return debian, nil
}

// account is the user that the programs run as; nil for our own.
type account struct{ uid, gid int }

func unprivileged() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("%w (PostgreSQL refuses to run as root, and there is no user postgres)", ErrMissing)
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	return &account{uid, gid}, errors.Join(err1, err2)
}
