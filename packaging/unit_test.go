// Package packaging_test checks the systemd unit that is shipped: that systemd
// understands it, how exposed it calls the service, and that the server works
// when held as the unit holds it.
package packaging_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/test/sut"
)

// exposure is the most that `systemd-analyze security` may give, of 10.
const exposure = 1.5

func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}

// unit is the shipped unit, starting another binary.
func unit(t *testing.T, binary string) string {
	t.Helper()
	raw, err := os.ReadFile("sallyport.service")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(raw), "/usr/local/bin/sallyport", binary, 1)
	path := filepath.Join(t.TempDir(), "sallyport.service")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUnitIsUnderstood(t *testing.T) {
	out, err := exec.Command(tool(t, "systemd-analyze"), "verify", "--man=no", unit(t, "/bin/true")).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "sallyport.service") {
			t.Errorf("systemd-analyze verify: %s", line)
		}
	}
	if err != nil && len(out) == 0 {
		t.Fatal(err)
	}
}

var overall = regexp.MustCompile(`Overall exposure level[^:]*: ([0-9.]+)`)

func TestUnitIsTight(t *testing.T) {
	out, err := exec.Command(tool(t, "systemd-analyze"), "security", "--no-pager", "--offline=true", unit(t, "/bin/true")).CombinedOutput()
	m := overall.FindSubmatch(out)
	if m == nil {
		t.Skipf("this systemd cannot judge a unit that is not running: %v, %.200s", err, out)
	}
	level, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil || level > exposure {
		t.Errorf("exposure %s, want at most %v; it is made of\n%s", m[1], exposure, out)
	}
	t.Logf("exposure %s of 10", m[1])
}

// TestServesInTheSandbox starts the server held as the unit holds it, with the
// means at hand: another user without capabilities or a way to new ones, every
// file system read-only but the state directory, own /tmp, /proc and IPC, no
// core dump. The filter of system calls needs systemd itself: see
// TestRunsUnderSystemd, which not every machine can run.
func TestServesInTheSandbox(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("a sandbox is made by root")
	}
	unshare, setpriv := tool(t, "unshare"), tool(t, "setpriv")
	dir, err := os.MkdirTemp("", "sallyport-unit-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := exec.Command(unshare, "--mount", "--pid", "--fork", "--ipc", "true").Run(); err != nil {
		t.Skipf("this machine makes no namespaces: %v", err)
	}
	built, err := sut.Build(t.Context(), dir, "cmd/sallyport")
	if err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	state := filepath.Join(dir, "state")
	for path, mode := range map[string]os.FileMode{dir: 0o755, state: 0o700} {
		if err := os.MkdirAll(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(state, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	ports, err := sut.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	held := fmt.Sprintf("%s --reuid=%d --regid=%d --clear-groups --no-new-privs --inh-caps=-all --ambient-caps=-all --bounding-set=-all", setpriv, nobody, nobody)
	p := &sut.Process{
		Path: unshare,
		Args: []string{
			"--mount", "--propagation", "private", "--ipc", "sh", "-ec",
			"mount --bind " + state + " " + state + "\n" +
				"mount -o remount,ro,bind /\n" +
				"ulimit -c 0\n" +
				"exec " + held + " " + built + " serve --data " + state + "/data --listen " + ports[0] + " --private-listen " + ports[1],
		},
		Env:   []string{"HOME=/nonexistent"},
		Probe: "http://" + ports[1] + "/readyz",
		Log:   filepath.Join(dir, "log"),
	}
	if _, err := p.Start(t.Context()); err != nil {
		if strings.Contains(p.LogTail(2000), "mount:") {
			t.Skipf("this machine lets nobody mount: %s", p.LogTail(500))
		}
		t.Fatal(err)
	}
	defer p.Kill()
	work(t, held, built, state, ports[0])
	hidden(t, p.PID())
	if err := exec.Command("sh", "-c", held+" cat "+fmt.Sprintf("/proc/%d/environ", p.PID())).Run(); err == nil {
		t.Error("another process of the same user reads the server's memory and environment")
	}
	p.Stop()
	if strings.Contains(p.LogTail(8000), `"level":"ERROR"`) {
		t.Errorf("the server complains: %s", p.LogTail(4000))
	}
}

// work logs somebody in: hashing, storing and signing work in there.
func work(t *testing.T, held, binary, state, addr string) {
	t.Helper()
	const pw = "nine herons wade at dawn"
	add := exec.Command("sh", "-c", held+" "+binary+" user add rosalind --password-stdin --data "+state+"/data")
	add.Stdin = strings.NewReader(pw + "\n")
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", "http://"+addr+"/api/users/login", strings.NewReader(`{"username":"rosalind","password":"`+pw+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close() // the status is all that is wanted
	if res.StatusCode != http.StatusOK {
		t.Errorf("logging in in the sandbox: status %d", res.StatusCode)
	}
}

// hidden checks what the server does about its own memory, and that passwords
// are hashed in a process beside it, from what processors have left over.
func hidden(t *testing.T, pid int) {
	t.Helper()
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`Max core file size +0 +0 `).Match(limits) {
		t.Errorf("core dumps are allowed:\n%s", limits)
	}
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	var workers []string
	for _, name := range lists {
		if raw, err := os.ReadFile(name); err == nil { // threads come and go
			workers = append(workers, strings.Fields(string(raw))...)
		}
	}
	// On a machine that left nothing over there are two: the late and the last.
	if len(workers) != 1 && len(workers) != 2 {
		t.Fatalf("%d workers after one login, want 1", len(workers))
	}
	worker := workers[len(workers)-1]
	line, err := os.ReadFile("/proc/" + worker + "/cmdline")
	if err != nil || !strings.HasSuffix(string(line), "hash-worker\x00") {
		t.Errorf("%q, %v", line, err)
	}
	stat, err := os.ReadFile("/proc/" + worker + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if nice, err := strconv.Atoi(fields[16]); err != nil || nice < 10 {
		t.Errorf("the worker's niceness is %s", fields[16])
	}
	const idle = "5" // SCHED_IDLE, field 41 of proc(5)
	if policy := fields[41-3]; policy != idle && strings.Contains(string(line), "leftover") {
		t.Errorf("the worker's scheduling policy is %s", policy)
	}
}
