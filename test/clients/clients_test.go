package clients

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"testing"
)

// TestJudgement shows that the harness can tell: it is given answers that a
// broken server would give.
func TestJudgement(t *testing.T) {
	newWorker := func() *Worker {
		return &Worker{crew: &Crew{Progress: &bytes.Buffer{}, counts: map[string]int{}, Round: 3}}
	}
	chainOf := func(m *Mount) *chain {
		return &chain{mount: m, subject: &Subject{name: "u"}, sid: "0-a", gen: 4, refresh: token(t, "0-a", 4)}
	}
	answered := func(status int, body string) *Answer {
		r := &Answer{Status: status, Raw: []byte(body)}
		_ = json.Unmarshal(r.Raw, &r.Body) // some of the bodies are no JSON on purpose
		return r
	}
	for _, c := range []struct {
		name string
		do   func(w *Worker)
		want int
	}{
		{"next generation", func(w *Worker) {
			w.take(chainOf(Netography), answered(200, `{"access_token":"a","refresh_token":"`+token(t, "0-a", 5)+`"}`), "x")
		}, 0},
		{"generation stands still", func(w *Worker) {
			w.take(chainOf(Netography), answered(200, `{"access_token":"a","refresh_token":"`+token(t, "0-a", 4)+`"}`), "x")
		}, 1},
		{"generation skipped", func(w *Worker) {
			w.take(chainOf(Netography), answered(200, `{"access_token":"a","refresh_token":"`+token(t, "0-a", 6)+`"}`), "x")
		}, 1},
		{"another session", func(w *Worker) {
			w.take(chainOf(Netography), answered(200, `{"access_token":"a","refresh_token":"`+token(t, "0-b", 5)+`"}`), "x")
		}, 1},
		{"no access token", func(w *Worker) { w.take(chainOf(ItemPath), answered(200, `{}`), "x") }, 1},
		{"live session refused", func(w *Worker) { w.accepted(answered(401, `{}`), 200, "it", "x") }, 1},
		{"live session, server busy", func(w *Worker) { w.accepted(answered(503, `{}`), 200, "it", "x") }, 0},
		{"dead session accepted", func(w *Worker) { w.refusedAs(answered(200, `{"accessToken":"a"}`), ItemPath, 401, "x", "it") }, 1},
		{"dead session refused", func(w *Worker) { w.refusedAs(answered(401, `{"msg":"m"}`), ItemPath, 401, "x", "it") }, 0},
		{"refused with the wrong status", func(w *Worker) { w.refusedAs(answered(500, `{"msg":"m"}`), ItemPath, 401, "x", "it") }, 1},
		{"refused in other words", func(w *Worker) { w.refusedAs(answered(401, `{"error":"m"}`), ItemPath, 401, "x", "it") }, 1},
		{"refused with too much", func(w *Worker) {
			w.refusedAs(answered(401, `{"msg":"m","accessToken":"a"}`), ItemPath, 401, "x", "it")
		}, 1},
	} {
		w := newWorker()
		c.do(w)
		if got := len(w.crew.violations); got != c.want {
			t.Errorf("%s: %d violations, want %d: %v", c.name, got, c.want, w.crew.violations)
		}
	}
}

func token(t *testing.T, sid string, gen int64) string {
	t.Helper()
	b, err := json.Marshal(Claims{SID: sid, JTI: "j", Gen: gen})
	if err != nil {
		t.Fatal(err)
	}
	return "e30." + base64.RawURLEncoding.EncodeToString(b) + ".c2ln"
}
