package cli

import (
	"runtime/debug"
	"testing"
)

// TestCollectLess leaves the word to an operator who has set GOGC.
func TestCollectLess(t *testing.T) {
	was := debug.SetGCPercent(100)
	defer debug.SetGCPercent(was)
	for _, c := range []struct {
		environ []string
		want    int
	}{
		{[]string{"GOGC=80"}, 100}, // the runtime itself reads it at start
		{nil, 200},
		{[]string{"GOGC="}, 200},
	} {
		debug.SetGCPercent(100)
		collectLess(&env{environ: c.environ})
		if got := debug.SetGCPercent(100); got != c.want {
			t.Errorf("%q: the percentage is %d, want %d", c.environ, got, c.want)
		}
	}
}
