package httpd

import (
	"strings"
	"testing"
)

// TestLoggedPath: what names a thing stays, what may be a secret goes.
func TestLoggedPath(t *testing.T) {
	for path, want := range map[string]string{
		"/":             "/",
		"/api/stations": "/api/stations",
		"/api/stations/3fa85f64-5717-4562-b3fc-2c963f66afa6/log": "/api/stations/3fa85f64-5717-4562-b3fc-2c963f66afa6/log",
		"/docs/how-to-move-over-from-another-server":             "/docs/how-to-move-over-from-another-server",
		"/reset/q7Zk3pXv9LmT2wRb8NcY":                            "/reset/…",
		"/reset/q7Zk3pXv9LmT2wRb8NcY/confirm":                    "/reset/…/confirm",
		"/invite/3fa85f6457174562b3fc2c963f66afa6":               "/invite/…",
		"/eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl":                 "/…",
	} {
		if got := loggedPath(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if got := loggedPath("/" + strings.Repeat("a/", 4000)); len(got) > maxLoggedPath+4 {
		t.Errorf("%d bytes", len(got))
	}
	if got := loggedPath("/x/" + strings.Repeat("s3cret", 400)); strings.Contains(got, "s3cret") {
		t.Error(got)
	}
}
