package sqlite

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
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

// groupLimit is the least of total and of the limits of the groups that
// /proc/self/cgroup names, "0::/path" in the second version of control groups
// and "4:memory:/path" in the first, and of those around them.
func groupLimit(root string, groups []byte, total uint64) uint64 {
	for line := range bytes.Lines(groups) {
		fields := strings.SplitN(string(bytes.TrimSpace(line)), ":", 3)
		if len(fields) != 3 {
			continue
		}
		dir, file := root, "memory.max"
		if fields[0] != "0" {
			if !slices.Contains(strings.Split(fields[1], ","), "memory") {
				continue
			}
			dir, file = filepath.Join(root, "memory"), "memory.limit_in_bytes"
		}
		for path := filepath.Join("/", fields[2]); ; path = filepath.Dir(path) {
			if text, err := os.ReadFile(filepath.Join(dir, path, file)); err == nil {
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
