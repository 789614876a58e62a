package ports

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestTake: no port is given twice, though nobody listens on it, nor is it to
// be had by another process.
func TestTake(t *testing.T) {
	const wanted = "SALLYPORT_PORTS_WANTED"
	claims.held = map[int]net.Listener{}
	if list := os.Getenv(wanted); list != "" {
		for one := range strings.FieldsSeq(list) {
			var port int
			if _, err := fmt.Sscan(one, &port); err != nil {
				t.Fatal(err)
			}
			if take(port) {
				t.Errorf("port %d of another process was given again", port)
			}
		}
		return
	}
	seen, all := map[int]bool{}, ""
	for range 20 {
		list, err := Take(5)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list {
			if seen[p] {
				t.Errorf("port %d is given twice", p)
			}
			seen[p], all = true, fmt.Sprint(all, " ", p)
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
			if err != nil {
				t.Fatal(err)
			}
			_ = l.Close() // it could be listened on
		}
	}
	if ephemeral()-lowest < 1000 {
		t.Skip("nothing holds a port on this machine: they are those that the system names")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestTake$")
	cmd.Env = append(os.Environ(), wanted+"="+all)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
