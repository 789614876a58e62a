package sqlite

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// memoryBytes is how much memory this process may have: the machine's, or less
// where a control group of its own, or one around it, has a limit.
func memoryBytes() uint64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	total := uint64(info.Totalram) * uint64(info.Unit)
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return total // no control groups, no limits
	}
	return groupLimit("/sys/fs/cgroup", groups, total)
}

// groupLimit is the least of total and of the limits of the group that a line
// "0::/path" of /proc/self/cgroup names, and of those around it.
func groupLimit(root string, groups []byte, total uint64) uint64 {
	for line := range bytes.Lines(groups) {
		path, ok := strings.CutPrefix(string(bytes.TrimSpace(line)), "0::")
		if !ok {
			continue // of the first version, which systems of today have no more
		}
		for path = filepath.Join("/", path); ; path = filepath.Dir(path) {
			if text, err := os.ReadFile(filepath.Join(root, path, "memory.max")); err == nil {
				if limit, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64); err == nil { // else "max"
					total = min(total, limit)
				}
			}
			if path == "/" {
				break
			}
		}
	}
	return total
}
