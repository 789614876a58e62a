package verify_test

import (
	"os/exec"
	"regexp"
	"testing"
)

// TestBench runs the comparison with other libraries once, so that it works when somebody wants figures of it. It is a
// module of its own: the other libraries are no dependencies of Sallyport.
func TestBench(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles three other libraries; left out by -short")
	}
	cmd := exec.Command("../scripts/bench", "verify", "-benchtime", "1x")
	out, err := cmd.CombinedOutput()
	if err != nil && regexp.MustCompile(`dial tcp|no such host|proxyconnect|Forbidden|i/o timeout`).Match(out) {
		missing(t, "the Go module proxy", "the other libraries cannot be fetched")
	}
	if err != nil {
		t.Fatalf("scripts/bench verify: %v\n%s", err, out)
	}
	for _, name := range []string{"New/HS256", "New/ES256", "Seen/HS256", "Seen/ES256"} {
		for _, library := range []string{"sallyport", "golang-jwt", "jwx", "go-jose"} {
			if !regexp.MustCompile(`Benchmark` + name + `/` + library + `\S*\s`).Match(out) {
				t.Errorf("%s of %s is missing:\n%s", name, library, out)
			}
		}
	}
}
