package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"testing"
	"time"
)

// TestMain lets the test binary be the generators, as the command is.
func TestMain(m *testing.M) {
	if os.Getenv(generatorEnv) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestAreaUnderROC: a coin, a certainty, and ties.
func TestAreaUnderROC(t *testing.T) {
	times := func(ns ...int) (out []time.Duration) {
		for _, n := range ns {
			out = append(out, time.Duration(n))
		}
		return out
	}
	for _, c := range []struct {
		a, b []time.Duration
		want float64
	}{
		{times(1, 2, 3), times(4, 5, 6), 1},
		{times(4, 5, 6), times(1, 2, 3), 0},
		{times(1, 2, 3), times(1, 2, 3), 0.5},
		{times(5, 5, 5, 5), times(5, 5), 0.5},
		{times(1, 3), times(2, 4), 0.75},
		{nil, times(1), 0.5},
	} {
		if got := areaUnderROC(c.a, c.b); got != c.want {
			t.Errorf("%v against %v: %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

// TestSecurity51_TimeAndAnswersAreAlike runs both measurements, as short as can be: that they work, not
// how fast this machine is now. What does not depend on it is held: answers
// that differ, refusals that are none, an owner kept out, too much memory.
func TestSecurity51_TimeAndAnswersAreAlike(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds and runs a server")
	}
	var out, errs bytes.Buffer
	code := command(t.Context(), []string{"flood", "-json", "-d", "1s", "-runs", "1", "-rate", "200"}, &out, &errs)
	var f floodReport
	if err := json.Unmarshal(out.Bytes(), &f); err != nil {
		t.Fatalf("exit status %d: %v\n%s", code, err, errs.String())
	}
	if f.Failed != 0 || f.NoRetryAfter != 0 || f.OwnerRefused != 0 || f.MostMiB > f.AllowedMiB || f.Judged == 0 {
		t.Errorf("%+v", f)
	}
	out.Reset()
	code = command(t.Context(), []string{"enumerate", "-json", "-pairs", "24", "-mixed"}, &out, &errs)
	var e enumerateReport
	if err := json.Unmarshal(out.Bytes(), &e); err != nil {
		t.Fatalf("exit status %d: %v\n%s", code, err, errs.String())
	}
	if len(e.Unalike) != 0 || len(e.Lines) != len(kinds)*(len(places)+1) {
		t.Errorf("%+v", e)
	}
}

func TestMistakes(t *testing.T) {
	for _, args := range [][]string{{}, {"guess"}, {"flood", "x"}, {"flood", "-rate", "no"}} {
		var out, errs bytes.Buffer
		if code := command(context.Background(), args, &out, &errs); code != 2 || errs.Len() == 0 {
			t.Errorf("%v: exit status %d, %q", args, code, errs.String())
		}
	}
}
