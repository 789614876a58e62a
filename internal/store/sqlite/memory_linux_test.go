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
	for path, text := range map[string]string{"": "max\n", "system.slice": "3000000000\n", "system.slice/a.service": "max\n", "system.slice/b.service": "2000000000\n"} {
		if err := os.MkdirAll(filepath.Join(root, path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, path, "memory.max"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for groups, want := range map[string]uint64{
		"0::/system.slice/b.service\n":              2000000000,
		"0::/system.slice/a.service\n":              3000000000, // of the slice around it
		"1:name=x:/y\n0::/system.slice/b.service\n": 2000000000,
		"0::/\n":                   5000000000,
		"0::/gone/../else\n":       5000000000,
		"4:memory:/system.slice\n": 5000000000, // the first version
		"":                         5000000000,
	} {
		if got := groupLimit(root, []byte(groups), 5000000000); got != want {
			t.Errorf("groups %q: %d, want %d", groups, got, want)
		}
	}
}
