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

// peak is the most memory that a process and its children had, in KiB: the sum
// of what each had at its own most, so that no peak between two looks is missed.
// The children run the same file, whose pages are there once.
func peak(pid int) (kib int64) {
	kib = status(fmt.Sprint(pid), "VmHWM:")
	for _, child := range children(pid) {
		kib += max(0, status(child, "VmHWM:")-status(child, "RssFile:"))
	}
	return kib
}

func children(pid int) (pids []string) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // the pattern is good
	for _, name := range lists {
		if raw, err := os.ReadFile(name); err == nil { // else a thread that ended meanwhile
			pids = append(pids, strings.Fields(string(raw))...)
		}
	}
	return pids
}

// processorTime is what a process has used of processors, in hundredths of a
// second; 0 for one that is gone.
func processorTime(pid int) time.Duration {
	used, _ := processorTimes(fmt.Sprint(pid))
	return used
}

// workersTime is what the children of a process have used, also those that ended.
func workersTime(pid int) time.Duration {
	_, all := processorTimes(fmt.Sprint(pid))
	for _, child := range children(pid) {
		used, _ := processorTimes(child)
		all += used
	}
	return all
}

func processorTimes(pid string) (own, ended time.Duration) {
	raw, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return 0, 0
	}
	// proc(5): fields 14 to 17 are utime, stime, cutime, cstime; the name, in
	// brackets, is field 2.
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	var ticks [4]int64
	for i := range ticks {
		_, _ = fmt.Sscan(fields[14-3+i], &ticks[i]) // 0 if it is none
	}
	const tick = time.Second / 100
	return time.Duration(ticks[0]+ticks[1]) * tick, time.Duration(ticks[2]+ticks[3]) * tick
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
