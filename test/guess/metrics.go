package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// metric reads one unlabelled figure from the private listener.
func metric(ctx context.Context, private, name string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, private+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("reading the metrics: %w", err)
	}
	raw, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return 0, fmt.Errorf("reading the metrics: %w", err)
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(rest), 64)
		}
	}
	return 0, fmt.Errorf("there is no metric %s", name)
}

// resident is the resident memory of a process and its children in KiB, what
// they share counted for each; 0 for one that is gone.
func resident(pid int) (kib int64) {
	kib = status(fmt.Sprint(pid), "VmRSS:")
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // the pattern is good
	for _, name := range lists {
		raw, err := os.ReadFile(name)
		if err != nil {
			continue // a thread that ended meanwhile
		}
		for _, child := range strings.Fields(string(raw)) {
			kib += status(child, "VmRSS:")
		}
	}
	return kib
}

// status reads a figure of a process, 0 if it has none.
func status(pid, name string) int64 {
	raw, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(raw), "\n"+name)
	var n int64
	_, _ = fmt.Sscan(rest, &n) // 0 where it is missing
	return n
}

// runDelay is how long the threads of a process have waited for a processor
// since they started.
func runDelay(pid int) (waited time.Duration) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid)) // the pattern is good
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			continue // a thread that ended meanwhile
		}
		var ran, delay int64
		if _, err := fmt.Sscan(string(raw), &ran, &delay); err == nil {
			waited += time.Duration(delay)
		}
	}
	return waited
}
