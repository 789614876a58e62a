package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"testing"
)

// TestKill is the harness in short: ten kills. The bound on restarts is wide:
// here it is about what is lost, and other tests run beside it.
func TestKill(t *testing.T) {
	var out, errs bytes.Buffer
	code := command(t.Context(), []string{"-rounds", "10", "-workers", "8", "-seed", "7", "-ready", "10s", "-json"}, &out, &errs)
	if code != 0 {
		t.Fatalf("status %d\n%s\n%s", code, errs.String(), out.String())
	}
	var f figures
	if err := json.Unmarshal(out.Bytes(), &f); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if f.Rounds != 10 || len(f.Violations) != 0 {
		t.Errorf("%d rounds, violations %v; want 10 and none", f.Rounds, f.Violations)
	}
	// A harness that does nothing finds nothing.
	for _, act := range []string{
		"refresh netography", "refresh itempath", "login netography", "login itempath", "mint", "call", "call application",
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

// TestJudgement shows that the harness can tell: it is given answers that a
// broken server would give.
func TestJudgement(t *testing.T) {
	newWorker := func() *worker {
		return &worker{run: &run{options: options{progress: &bytes.Buffer{}}, counts: map[string]int{}, round: 3}}
	}
	chainOf := func(m *mount) *chain {
		return &chain{mount: m, subject: &subject{name: "u"}, sid: "0-a", gen: 4, refresh: token(t, "0-a", 4)}
	}
	answered := func(status int, body string) *answer {
		r := &answer{status: status, raw: []byte(body)}
		_ = json.Unmarshal(r.raw, &r.body) // some of the bodies are no JSON on purpose
		return r
	}
	for _, c := range []struct {
		name string
		do   func(w *worker)
		want int
	}{
		{"next generation", func(w *worker) {
			w.take(chainOf(netography), answered(200, `{"access_token":"a","refresh_token":"`+token(t, "0-a", 5)+`"}`), "x")
		}, 0},
		{"generation stands still", func(w *worker) {
			w.take(chainOf(netography), answered(200, `{"access_token":"a","refresh_token":"`+token(t, "0-a", 4)+`"}`), "x")
		}, 1},
		{"generation skipped", func(w *worker) {
			w.take(chainOf(netography), answered(200, `{"access_token":"a","refresh_token":"`+token(t, "0-a", 6)+`"}`), "x")
		}, 1},
		{"another session", func(w *worker) {
			w.take(chainOf(netography), answered(200, `{"access_token":"a","refresh_token":"`+token(t, "0-b", 5)+`"}`), "x")
		}, 1},
		{"no access token", func(w *worker) { w.take(chainOf(itempath), answered(200, `{}`), "x") }, 1},
		{"live session refused", func(w *worker) { w.accepted(answered(401, `{}`), 200, "it", "x") }, 1},
		{"live session, server busy", func(w *worker) { w.accepted(answered(503, `{}`), 200, "it", "x") }, 0},
		{"dead session accepted", func(w *worker) { w.refusedAs(answered(200, `{"accessToken":"a"}`), itempath, 401, "x", "it") }, 1},
		{"dead session refused", func(w *worker) { w.refusedAs(answered(401, `{"msg":"m"}`), itempath, 401, "x", "it") }, 0},
		{"refused with the wrong status", func(w *worker) { w.refusedAs(answered(500, `{"msg":"m"}`), itempath, 401, "x", "it") }, 1},
		{"refused in other words", func(w *worker) { w.refusedAs(answered(401, `{"error":"m"}`), itempath, 401, "x", "it") }, 1},
		{"refused with too much", func(w *worker) {
			w.refusedAs(answered(401, `{"msg":"m","accessToken":"a"}`), itempath, 401, "x", "it")
		}, 1},
	} {
		w := newWorker()
		c.do(w)
		if got := len(w.run.violations); got != c.want {
			t.Errorf("%s: %d violations, want %d: %v", c.name, got, c.want, w.run.violations)
		}
	}
}

func token(t *testing.T, sid string, gen int64) string {
	t.Helper()
	b, err := json.Marshal(claims{SID: sid, JTI: "j", Gen: gen})
	if err != nil {
		t.Fatal(err)
	}
	return "e30." + base64.RawURLEncoding.EncodeToString(b) + ".c2ln"
}
