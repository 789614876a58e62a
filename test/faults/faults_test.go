package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be the process that ownMounts starts again.
func TestMain(m *testing.M) {
	if os.Getenv(inNamespace) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// try runs a scenario as the command line does and gives its report. It skips
// where a tool is missing, saying which.
func try(t *testing.T, args ...string) *report {
	t.Helper()
	code, out, errs := attempt(t, args...)
	if code != 0 {
		t.Fatalf("status %d\n%s\n%s", code, errs.String(), out.String())
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if len(r.Violations) != 0 || r.Seconds <= 0 {
		t.Fatalf("status 0, and yet:\n%s", out.String())
	}
	return &r
}

// attempt is try without the verdict.
func attempt(t *testing.T, args ...string) (code int, out, errs *bytes.Buffer) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts servers for half a minute; left out by -short")
	}
	out, errs = &bytes.Buffer{}, &bytes.Buffer{}
	code = command(t.Context(), append(args, "-seed", "7", "-json"), out, errs)
	if code == 2 && strings.Contains(errs.String(), errMissing.Error()) {
		t.Skip(errs.String())
	}
	return code, out, errs
}

// did demands that a harness that found nothing did something.
func did(t *testing.T, r *report, acts ...string) {
	t.Helper()
	for _, act := range acts {
		if r.Counts[act] == 0 {
			t.Errorf("nothing was acknowledged for %q", act)
		}
	}
}

// checked are the acts of a crew that every scenario has to have seen.
var checked = []string{"act under load", "refresh netography", "refresh itempath", "call", "revoke session", "checked generation", "checked parent", "checked session", "checked ended session"}

// TestPromote is the failover that needs nothing but PostgreSQL: once with a
// standby that is well, once with one that had hung.
func TestPromote(t *testing.T) {
	t.Parallel()
	did(t, try(t, "promote", "-rounds", "2", "-workers", "6"), checked...)
}

func TestKillNodes(t *testing.T) {
	t.Parallel()
	did(t, try(t, "kill-nodes", "-rounds", "3", "-kills", "3", "-workers", "6"), checked...)
}

// TestNetwork has two of the harms: one that loses everything silently, and
// one that everybody notices.
func TestNetwork(t *testing.T) {
	t.Parallel()
	did(t, try(t, "network", "-only", "timeout,partition", "-length", "8s", "-undecided", "30s"), checked...)
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	did(t, try(t, "disk-full", "-cycles", "1"), checked...)
}

func TestHistory(t *testing.T) {
	t.Parallel()
	r := try(t, "history", "-length", "10s", "-sessions", "4")
	did(t, r, "refresh granted", "refresh refused", "refresh unknown", "introspect active", "introspect inactive", "revoke done")
}

// TestPlanted: servers with real bugs are caught. How soon is a matter of luck
// and of the machine, so one that was not caught is watched for longer.
func TestPlanted(t *testing.T) {
	t.Parallel()
	for _, p := range plants {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			ways := [][]string{
				{"history", "-store", "sqlite", "-calm", "-length", "8s", "-sessions", "6"},
				{"history", "-store", "sqlite", "-calm", "-length", "30s", "-sessions", "6"},
				{"history", "-store", "sqlite", "-calm", "-length", "90s", "-sessions", "6"},
			}
			if p.name == "hasty" {
				ways = [][]string{
					{"promote", "-rounds", "2", "-workers", "6"},
					{"promote", "-rounds", "4", "-workers", "12"},
				}
			}
			for i, args := range ways {
				code, out, errs := attempt(t, append(args, "-plant", p.name)...)
				if code == 0 {
					return
				}
				if i == len(ways)-1 || code != 1 || !strings.Contains(out.String(), "was not caught") {
					t.Fatalf("status %d\n%s\n%s", code, errs, out)
				}
			}
		})
	}
}

// TestUpgrade brings the last version's store to this one and back.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	did(t, try(t, "upgrade", "-store", "sqlite", "-turns", "1", "-settle", "1s"), checked...)
}

// TestRollingUpgrade brings two nodes to a next version and back.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	did(t, try(t, "upgrade", "-turns", "1", "-settle", "2s"), checked...)
}

// TestFailover is one failover of the cluster. It takes two minutes and more
// tools than the other tests.
func TestFailover(t *testing.T) {
	if os.Getenv("SALLYPORT_FAULTS") == "" {
		t.Skip("takes minutes; set SALLYPORT_FAULTS=1, or run scripts/faults failover")
	}
	did(t, try(t, "failover", "-kills", "1", "-kill", "postgres"), checked...)
}

// TestCommandRefuses keeps mistaken words and flags from starting anything.
func TestCommandRefuses(t *testing.T) {
	for _, args := range [][]string{
		{},
		{"nonsense"},
		{"promote", "-rounds", "0"},
		{"failover", "-members", "1"},
		{"kill-nodes", "extra"},
		{"network", "-length", "2s"},
		{"upgrade", "-from", "tomorrow"},
		{"history", "-plant", "tree"},
	} {
		var out, errs bytes.Buffer
		if code := command(t.Context(), args, &out, &errs); code != 2 || errs.Len() == 0 {
			t.Errorf("%v: status %d, said %q; want 2 and a reason", args, code, errs.String())
		}
	}
}

func TestPause(t *testing.T) {
	at := func(ms ...int) (list []time.Time) {
		for _, n := range ms {
			list = append(list, time.UnixMilli(int64(n)))
		}
		return list
	}
	for _, c := range []struct {
		writes         []time.Time
		longest, until int
	}{
		{at(), 0, 0},
		{at(900, 1100, 1200), 100, 100},         // the wait counts from the moment on
		{at(900, 1050, 4050, 4100), 3000, 3050}, // written on after the kill, then stood still
	} {
		longest, until := pause(c.writes, time.UnixMilli(1000))
		if longest.Milliseconds() != int64(c.longest) || until.Milliseconds() != int64(c.until) {
			t.Errorf("%v: %s until %s, want %d ms until %d ms", c.writes, longest, until, c.longest, c.until)
		}
	}
}
