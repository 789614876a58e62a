package contract

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// loadText makes a contract of the good file with some lines changed.
func loadText(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "acme.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const placed = `format: 1
contract: placed
inputs:
  id: {type: scalar, optional: true, max: 8}
  kind: {enum: [a, b], optional: true, type: scalar}
routes:
  - route: POST /me
    grant: whoami
    accept:
      header: {X-Authorization: Bearer $access_token}
      cookie: {sid: "v1:$access_token"}
      json: {id: $id, kind: $kind}
    answer: {body: {id: $id, kind: $kind, text: "<$id>"}}
  - route: POST /other
    grant: whoami
    accept: {bearer: $access_token}
    answer: {body: {}}
error: {body: {error: $code, id: $id}}
gateway: {token: [{header: X-Authorization, prefix: "Bearer "}, {basic: username}]}
errors:
  bad_request: {}
  unauthorized: {}
  forbidden: {}
  not_found: {}
  conflict: {}
  too_many: {}
  unavailable: {}
  internal: {}
`

// TestScalarsAndPrefixes: what is echoed stays what it was, in errors too, and
// a token behind a fixed beginning is found there alone.
func TestScalarsAndPrefixes(t *testing.T) {
	rt, ms := mountOf(t, newFake(), loadText(t, placed))
	h := serveRouter(rt)
	for _, c := range []struct {
		header, body, want string
		status             int
	}{
		{"X-Authorization: Bearer acc.ess.tok", `{"id":1}`, `{"id":1,"kind":null,"text":"<1>"}`, 200},
		{"X-Authorization: bearer acc.ess.tok", `{"id":1.50e3}`, `{"id":1.50e3,"kind":null,"text":"<1.50e3>"}`, 200},
		{"Cookie: sid=v1:acc.ess.tok", `{"id":"x\"y","kind":"b"}`, `{"id":"x\"y","kind":"b","text":"<x\"y>"}`, 200},
		{"Cookie: sid=v1:acc.ess.tok", `{"id":true}`, `{"id":true,"kind":null,"text":"<true>"}`, 200},
		{"Cookie: sid=v1:acc.ess.tok", `{"id":null}`, `{"id":null,"kind":null,"text":"<>"}`, 200},
		{"Cookie: sid=acc.ess.tok", `{"id":3}`, `{"error":"token_missing","id":3}`, 401},
		{"X-Authorization: acc.ess.tok", `{"id":"q"}`, `{"error":"token_missing","id":"q"}`, 401},
		{"X-Authorization: Bearer other", `{"id":4}`, `{"error":"token_malformed","id":4}`, 401},
		{"Cookie: sid=v1:acc.ess.tok", `{"id":{"a":1}}`, `{"error":"field_invalid","id":null}`, 400},
		{"Cookie: sid=v1:acc.ess.tok", `{"id":123456789}`, `{"error":"field_invalid","id":null}`, 400},
		{"Cookie: sid=v1:acc.ess.tok", `{"id":5,"kind":"c"}`, `{"error":"field_invalid","id":5}`, 400},
		{"Cookie: sid=v1:acc.ess.tok", `{"id":`, `{"error":"body_malformed","id":null}`, 400},
	} {
		w := do(t, h, "POST /me", c.body, "Content-Type: application/json", c.header)
		if w.Code != c.status || w.Body.String() != c.want {
			t.Errorf("%s %s: %d %s, want %d %s", c.header, c.body, w.Code, w.Body, c.status, c.want)
		}
	}
	// A route that reads no such input.
	if w := do(t, h, "POST /other", ""); w.Code != 401 || w.Body.String() != `{"error":"token_missing","id":null}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	ct := ms[0].Contract()
	for _, c := range []struct{ name, val, want string }{
		{"X-Authorization", "Bearer a.b.c", "a.b.c"},
		{"X-Authorization", "bearer a.b.c", "a.b.c"},
		{"X-Authorization", "a.b.c", ""},
		{"X-Authorization", "Bearer  a.b.c", ""},
		{"Authorization", "Basic YS5iLmM6", "a.b.c"},     // a.b.c:
		{"Authorization", "Basic YS5iLmM6eA==", "a.b.c"}, // a.b.c:x
		{"Authorization", "Basic OmEuYi5j", ""},          // :a.b.c
		{"Authorization", "Basic YS5iLmM", ""},
		{"Authorization", "Bearer a.b.c", ""},
	} {
		r := httptest.NewRequest(http.MethodGet, "/x", nil)
		r.Header.Set(c.name, c.val)
		got, err := ct.Token(r)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %s: %q %v", c.name, c.val, got, err)
		}
	}
}
