package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/sallyport/sallyport/test/sut"
)

// TestKill is the harness in short: ten kills. How long a restart takes is not
// judged: here it is about what is lost, and other tests run beside it.
func TestKill(t *testing.T) {
	var out, errs bytes.Buffer
	code := command(t.Context(), []string{"-rounds", "10", "-workers", "8", "-seed", "7", "-ready", sut.StartTimeout.String(), "-json"}, &out, &errs)
	if code != 0 {
		t.Fatalf("status %d\n%s\n%s", code, errs.String(), out.String())
	}
	var f findings
	if err := json.Unmarshal(out.Bytes(), &f); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if f.Rounds != 10 || len(f.Violations) != 0 {
		t.Errorf("%d rounds, violations %v; want 10 and none", f.Rounds, f.Violations)
	}
	// A harness that does nothing finds nothing.
	for _, act := range []string{
		"act under load", "refresh netography", "refresh itempath", "login netography", "login itempath", "mint", "call", "call application",
		"revoke session", "disable", "create user", "checked generation", "checked parent", "checked session",
		"checked ended session", "checked application token", "checked login", "audit records",
	} {
		if f.Acknowledged[act] == 0 {
			t.Errorf("nothing was acknowledged for %q in ten rounds", act)
		}
	}
	total := 0
	for _, n := range f.Unknown {
		total += n
	}
	if total == 0 {
		t.Error("no request was cut off by a kill")
	}
	if f.ReadyMS.Min <= 0 || f.ReadyMS.Max < f.ReadyMS.Median {
		t.Errorf("times of restarts: %+v", f.ReadyMS)
	}
}

// TestCommandRefuses keeps mistaken flags from starting anything.
func TestCommandRefuses(t *testing.T) {
	for _, args := range [][]string{{"-rounds", "0"}, {"-workers", "0"}, {"extra"}, {"-nonsense"}} {
		var out, errs bytes.Buffer
		if code := command(t.Context(), args, &out, &errs); code != 2 || errs.Len() == 0 {
			t.Errorf("%v: status %d, said %q; want 2 and a reason", args, code, errs.String())
		}
	}
}
