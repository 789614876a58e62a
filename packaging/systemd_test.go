package packaging_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/test/sut"
)

// booted is a systemd that runs as the first process of namespaces of its own,
// over a copy of the machine's files that is thrown away.
type booted struct {
	*testing.T
	pid     int // of systemd, as the machine counts
	private string
	public  string
}

// boot starts the shipped unit under a systemd of its own, or skips the test
// where that cannot be.
func boot(t *testing.T) *booted {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("systemd is started by root")
	}
	for _, name := range []string{"unshare", "nsenter", "systemctl", "/lib/systemd/systemd"} {
		tool(t, name)
	}
	if out, err := exec.Command("unshare", "--mount", "--pid", "--fork", "--ipc", "--uts", "--cgroup", "sh", "-c", "mount --make-rprivate / && mount -t cgroup2 none /mnt").CombinedOutput(); err != nil {
		t.Skipf("this machine makes no namespaces for systemd: %v %s", err, out)
	}
	dir, err := os.MkdirTemp("", "sallyport-systemd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	built, err := sut.Build(t.Context(), dir, "cmd/sallyport")
	if err != nil {
		t.Fatal(err)
	}
	ports, err := sut.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	service, err := filepath.Abs("sallyport.service")
	if err != nil {
		t.Fatal(err)
	}
	said, err := os.Create(filepath.Join(dir, "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = said.Close() }() // the child has its own descriptor
	cmd := exec.Command("unshare", "--mount", "sh", "testdata/boot.sh", dir, built, service, ports[0], ports[1])
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is told by what it said
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		<-ended
	})
	b := &booted{T: t, public: ports[0], private: ports[1]}
	for began := time.Now(); b.pid == 0; time.Sleep(20 * time.Millisecond) {
		b.pid = descendant(cmd.Process.Pid, "systemd")
		select {
		case <-ended:
			t.Skipf("systemd cannot be started on this machine: %s", read(said.Name()))
		default:
		}
		if time.Since(began) > time.Minute {
			t.Skipf("no systemd within a minute: %s", read(said.Name()))
		}
	}
	return b
}

func read(name string) string {
	raw, err := os.ReadFile(name)
	return fmt.Sprintf("%s %v", raw, err)
}

// descendant is the first process below pid that runs a program, or 0.
func descendant(pid int, name string) int {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return 0
	}
	for _, list := range lists {
		raw, err := os.ReadFile(list)
		if err != nil {
			continue // threads come and go
		}
		for _, child := range strings.Fields(string(raw)) {
			var n int
			if _, err := fmt.Sscan(child, &n); err != nil {
				continue
			}
			if comm, err := os.ReadFile("/proc/" + child + "/comm"); err == nil && strings.TrimSpace(string(comm)) == name {
				return n
			}
			if found := descendant(n, name); found != 0 {
				return found
			}
		}
	}
	return 0
}

// within runs a command beside that systemd.
func (b *booted) within(stdin string, args ...string) (string, error) {
	b.Helper()
	cmd := exec.Command("nsenter", append([]string{"-t", fmt.Sprint(b.pid), "-m", "-p", "-C", "-u", "-i", "-r", "-w"}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (b *booted) must(args ...string) string {
	b.Helper()
	out, err := b.within("", args...)
	if err != nil {
		b.Fatalf("%s: %v\n%s\n%s", strings.Join(args, " "), err, out, b.journal())
	}
	return out
}

func (b *booted) journal() string {
	out, err := b.within("", "journalctl", "--no-pager", "-u", "sallyport", "-n", "60")
	return fmt.Sprintf("%s %v", out, err)
}

// ready waits until the service says that it is.
func (b *booted) ready() {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		res, err := client.Get("http://" + b.private + "/readyz")
		if err == nil {
			_ = res.Body.Close() // the status is all that is wanted
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Since(began) > 2*time.Minute {
			status, _ := b.within("", "systemctl", "status", "--no-pager", "sallyport") // it fails for what has failed
			b.Fatalf("not ready: %v\n%s\n%s", err, status, b.journal())
		}
	}
}

// TestRunsUnderSystemd starts the unit as it is shipped under systemd, which
// applies all of the sandbox, the filter of system calls included, and uses
// the service: a login makes it hash, store and sign.
func TestRunsUnderSystemd(t *testing.T) {
	b := boot(t)
	b.ready()
	main := b.must("systemctl", "show", "--property", "MainPID", "--value", "sallyport")
	b.held(main)
	if out, err := b.within(sandboxed+"\n", "sallyport", "user", "add", "rosalind", "--password-stdin", "--data", "/var/lib/sallyport"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b.login()
	b.must("systemctl", "reload", "sallyport")
	b.login()
	if now := b.must("systemctl", "show", "--property", "MainPID", "--value", "sallyport"); now != main {
		t.Errorf("a reload has started it anew: %s, %s", main, now)
	}
	b.must("systemctl", "restart", "sallyport")
	b.ready()
	b.login() // what was stored is there
	b.must("systemctl", "stop", "sallyport")
	if out := b.must("systemctl", "show", "--property", "Result", "--property", "NRestarts", "sallyport"); !strings.Contains(out, "Result=success") || !strings.Contains(out, "NRestarts=0") {
		t.Errorf("it ended with %s\n%s", out, b.journal())
	}
	if log := b.journal(); strings.Contains(log, `"level":"ERROR"`) || strings.Contains(log, "a worker for hashing passwords failed") {
		t.Errorf("the server complains: %s", log)
	}
	t.Logf("controllers of resources here: %q", b.must("cat", "/sys/fs/cgroup/cgroup.controllers"))
}

// held checks what the kernel says of the process.
func (b *booted) held(pid string) {
	b.Helper()
	status := b.must("cat", "/proc/"+pid+"/status")
	for _, want := range []string{`NoNewPrivs:\s+1`, `Seccomp:\s+2`, `CapEff:\s+0+`, `CapPrm:\s+0+`, `CapBnd:\s+0+`, `CapAmb:\s+0+`, `Uid:\s+[1-9][0-9]+\s.*`} {
		if !regexp.MustCompile(`(?m)^` + want + `$`).MatchString(status) {
			b.Errorf("the process is held otherwise than by %s:\n%s", want, status)
		}
	}
	if limits := b.must("cat", "/proc/"+pid+"/limits"); !regexp.MustCompile(`Max core file size +0 +0 `).MatchString(limits) {
		b.Errorf("core dumps are allowed:\n%s", limits)
	}
	for line := range strings.Lines(b.must("cat", "/proc/"+pid+"/mountinfo")) {
		// id, parent, device, root, place, options …
		if f := strings.Fields(line); f[4] == "/" && !strings.HasPrefix(f[5]+",", "ro,") {
			b.Errorf("the file system can be written: %s", line)
		}
	}
}

const sandboxed = "nine herons wade at dawn"

func (b *booted) login() {
	b.Helper()
	res, err := http.Post("http://"+b.public+"/api/users/login", "application/json", strings.NewReader(`{"username":"rosalind","password":"`+sandboxed+`"}`))
	if err != nil {
		b.Fatal(err)
	}
	_ = res.Body.Close() // the status is all that is wanted
	if res.StatusCode != http.StatusOK {
		b.Fatalf("logging in under systemd: status %d\n%s", res.StatusCode, b.journal())
	}
}
