package app_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// dying are the tasks that this test binary does as a process of its own, which
// is killed meanwhile, by the variable that holds the order.
var dying = map[string]func(order string) error{moveEnv: moveAndDie, restoreEnv: restoreAndDie}

func TestMain(m *testing.M) {
	for name, task := range dying {
		if order := os.Getenv(name); order != "" {
			if err := task(order); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			return
		}
	}
	os.Exit(m.Run())
}

// runAndDie runs a task. It says whether it was killed, and what the last line
// on its output was.
func runAndDie(t *testing.T, name string, order any) (killed bool, last string) {
	t.Helper()
	text, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), name+"="+string(text))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() && ws.Signal() == syscall.SIGKILL {
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			return true, lines[len(lines)-1]
		}
	}
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	return false, ""
}
