package oauth

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
)

// TestOutageDoesNotFillTheLog: while the store does not answer there is a line
// a second that says so and counts the others; what is a bug of ours is always
// told of.
func TestOutageDoesNotFillTheLog(t *testing.T) {
	var logged bytes.Buffer
	now := int64(1_800_000_000_000)
	h := &Handler{log: slog.New(slog.NewTextHandler(&logged, nil)), cfg: Config{Now: func() int64 { return now }}}
	b := &browser{h: h}
	fail := func(err error) {
		t.Helper()
		r := httptest.NewRequest(http.MethodPost, PathToken, nil)
		for _, write := range []func(http.ResponseWriter, *http.Request, error){h.writeError, b.bearerError} {
			w := httptest.NewRecorder()
			if write(w, r, err); w.Code < 500 {
				t.Fatalf("%v is answered %d", err, w.Code)
			}
		}
	}
	lines := func() []string {
		defer logged.Reset()
		return strings.Split(strings.TrimSuffix(logged.String(), "\n"), "\n")
	}
	gone := &core.Error{Code: core.Unavailable, Reason: "store", Err: errors.New("connection refused")}
	for range 500 {
		fail(gone)
	}
	if got := lines(); len(got) != 1 || !strings.Contains(got[0], "connection refused") || strings.Contains(got[0], "others_since") {
		t.Fatalf("%d lines in a moment, the first: %s", len(got), got[0])
	}
	now += 1000
	fail(gone)
	if got := lines(); len(got) != 1 || !strings.Contains(got[0], "others_since=999") {
		t.Errorf("a second later %q", got)
	}
	now -= 60_000 // a clock that was put back silences nothing
	fail(gone)
	if got := lines(); len(got) != 1 || !strings.Contains(got[0], "connection refused") {
		t.Errorf("a minute earlier %q", got)
	}
	for range 3 {
		fail(errors.New("a bug"))
	}
	if got := lines(); len(got) != 6 {
		t.Errorf("%d of 6 failures of ours are told of", len(got))
	}
}
