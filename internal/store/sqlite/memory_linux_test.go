package sqlite

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMemory(t *testing.T) {
	if n := memoryBytes(); n < 64<<20 {
		t.Errorf("this machine has %d bytes of memory", n)
	}
	root := t.TempDir()
	for path, text := range map[string]string{
		"memory.max": "max\n", "system.slice/memory.max": "3000000000\n", "system.slice/a.service/memory.max": "max\n", "system.slice/b.service/memory.max": "2000000000\n",
		"memory/memory.limit_in_bytes": "4000000000\n", "memory/docker/memory.limit_in_bytes": "9223372036854771712\n", "memory/small/memory.limit_in_bytes": "1000000000\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for groups, want := range map[string]uint64{
		"0::/system.slice/b.service\n":              2000000000,
		"0::/system.slice/a.service\n":              3000000000, // of the slice around it
		"1:name=x:/y\n0::/system.slice/b.service\n": 2000000000,
		"0::/\n":                   5000000000,
		"0::/gone/../else\n":       5000000000,
		"":                         5000000000,
		"no line of this kind\n":   5000000000,
		"4:memory:/docker\n":       4000000000, // the first version: the group around it
		"3:cpu,memory:/small\n":    1000000000,
		"4:memory:/another/path\n": 4000000000, // as in a container: its root has its limit
		"3:cpu:/small\n0::/\n":     5000000000,
	} {
		if got := groupLimit(root, []byte(groups), 5000000000); got != want {
			t.Errorf("groups %q: %d, want %d", groups, got, want)
		}
	}
}
