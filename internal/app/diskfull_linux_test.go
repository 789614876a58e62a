package app_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

// smallDiskEnv makes the test binary the process that has a small disk.
const smallDiskEnv = "SALLYPORT_TEST_SMALL_DISK"

// onSmallDisk runs the test again in a process with a mount namespace of its
// own, so that what it mounts is gone with it. It returns true there.
func onSmallDisk(t *testing.T) (disk string, inside bool) {
	t.Helper()
	if dir := os.Getenv(smallDiskEnv); dir != "" {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Skip("no mount namespace of its own:", err)
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=40m"); err != nil {
			t.Skip("mounting a small tmpfs needs the right to mount:", err)
		}
		return dir, true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), smallDiskEnv+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, unix.EPERM), strings.Contains(string(out), "--- SKIP"):
		t.Skipf("a small disk is a tmpfs of our own, which this user may not mount: %v\n%s", err, out)
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	return "", false
}

// TestDiskFull: a disk that fills refuses writes with 503, still verifies,
// still revokes, says so, and recovers by itself.
func TestDiskFull(t *testing.T) {
	disk, inside := onSmallDisk(t)
	if !inside {
		return
	}
	for _, journal := range []string{"", filepath.Join(t.TempDir(), "facts.journal")} {
		dir := filepath.Join(disk, "data")
		flags := config.Flags{}
		if journal != "" {
			flags["facts_journal"] = []string{journal}
		}
		t.Run("journal elsewhere "+fmt.Sprint(journal != ""), func(t *testing.T) { diskFull(newStage(t, dir, flags), disk) })
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}

func diskFull(p *stage, disk string) {
	t := p.t
	s := p.must()
	s.user("", "ada", "application")
	const n = 30
	var access, refresh [n]string
	for i := range n {
		a := s.tryLogin("ada").want(200, "")
		access[i], refresh[i] = a.text("accessToken"), a.text("refreshToken")
	}
	if status, body := s.private("/readyz"); status != 200 {
		t.Fatalf("before: ready %d %s", status, body)
	}
	ballast := filepath.Join(p.dir, "ballast")
	if fi, err := os.Stat(ballast); err != nil || fi.Size() != 16<<20 {
		t.Fatalf("the ballast: %v, %v", fi, err)
	}
	empty := storetest.FillDisk(t, disk)

	// What is in the log already may be written over, so some logins may pass.
	refused := false
	for i := 0; i < 2000 && !refused; i++ {
		a := s.tryLogin("ada")
		if refused = a.status != 200; refused {
			a.want(503, "")
			if a.header.Get("Retry-After") == "" {
				t.Error("a 503 without Retry-After")
			}
		}
	}
	if !refused {
		t.Fatal("a full disk refuses no login")
	}
	if status, body := s.private("/readyz"); status != 503 || !strings.Contains(body, "writes") {
		t.Fatalf("on a full disk: ready %d %s", status, body)
	}
	if _, body := s.private("/metrics"); !strings.Contains(body, "sallyport_store_writable 0") {
		t.Error("the metrics say that writes work")
	}
	for i := range n {
		s.do("GET", "/api/stations", access[i], nil).want(200, "")
	}
	// Each revocation is in force at once, and survives.
	for i := range n / 2 {
		_, c := claims(t, access[i])
		s.act("/sessions/revoke", map[string]any{"session": c["sid"]})
		s.do("GET", "/api/stations", access[i], nil).want(401, "")
		s.do("GET", "/api/stations", access[n-1-i], nil).want(200, "")
	}
	s.tryLogin("ada").want(503, "")
	// A server that is started on the full disk verifies as well.
	s = p.must()
	for i := range n {
		want := 200
		if i < n/2 {
			want = 401
		}
		s.do("GET", "/api/stations", access[i], nil).want(want, "")
	}
	_, c := claims(t, access[n/2])
	s.act("/sessions/revoke", map[string]any{"session": c["sid"]})
	s.do("GET", "/api/stations", access[n/2], nil).want(401, "")

	empty()
	began := time.Now()
	for s.tryLogin("ada").status != 200 {
		if time.Since(began) > time.Minute {
			t.Fatal("there is room, and logins are refused still")
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Logf("logins pass again %v after there was room", time.Since(began).Round(time.Millisecond))
	soon(t, "ready again", func() bool { status, _ := s.private("/readyz"); return status == 200 })
	if fi, err := os.Stat(ballast); err != nil || fi.Size() != 16<<20 {
		t.Errorf("the ballast is not back: %v, %v", fi, err)
	}
	for i := range n {
		want := 200
		if i <= n/2 {
			want = 401
		}
		s.do("POST", "/api/users/refresh", refresh[i], nil).want(want, "")
	}
}
