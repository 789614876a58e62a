package admin_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/internal/admin"
)

// TestClientAnswers: what is no answer of this API is said as such.
func TestClientAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		status      int
		contentType string
		body        string
		want        string
	}{
		"not ours":        {502, "text/html", "<h1>Bad Gateway</h1>", "the server answered what this program does not understand; do both have the same version?"},
		"broken problem":  {500, "application/problem+json", "{", "the server answered what this program does not understand; do both have the same version?"},
		"without details": {503, "application/problem+json", `{"status":503,"title":"Service Unavailable"}`, "503 Service Unavailable"},
		"newer members":   {409, "application/problem+json", `{"detail":"taken","hint":"x"}`, "taken"},
	} {
		client := admin.NewHandlerClient(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.contentType)
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}))
		p := problem(t, client.Get(context.Background(), "/users", nil, nil))
		if p.Status != c.status || p.Error() != c.want {
			t.Errorf("%s: %d %q, want %d %q", name, p.Status, p.Error(), c.status, c.want)
		}
		if err := client.Ping(context.Background()); err != nil {
			t.Errorf("%s: Ping: %v", name, err)
		}
	}
}

// TestSocketClient: a socket that is not there is told from one that nobody
// listens on only by the error, which both keep.
func TestSocketClient(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	client := admin.NewSocketClient(path)
	if err := client.Ping(context.Background()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no socket: %v", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	f := setUp(t)
	srv := &http.Server{Handler: f.h}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	var page admin.Page[admin.Account]
	if err := client.Get(context.Background(), "/accounts", nil, &page); err != nil || len(page.Items) != 1 || page.Items[0].Shortname != "default" {
		t.Errorf("over the socket: %+v, %v", page, err)
	}
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}
