package app_test

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
)

// TestUnknownRoutes asks for what nobody owns, where no upstream is behind us:
// a client is told in the words of the contract whose routes are nearest, since
// it parses nothing else.
func TestUnknownRoutes(t *testing.T) {
	cfg, err := config.Load(config.Options{Environ: []string{}, Flags: config.Flags{
		"data": {filepath.Join(t.TempDir(), "data")}, "listen": {"127.0.0.1:0"}, "private_listen": {"127.0.0.1:0"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(t.Context(), cfg, app.Options{Version: "test", Stderr: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = a.Close()
	})
	const (
		pathstack  = `{"error":{"code":404,"message":"There is nothing here"}}`
		itempath   = `{"msg":"There is nothing here"}`
		netography = `{"status":404,"name":"Not Found","message":"There is nothing here"}`
	)
	for path, want := range map[string]string{
		"/": pathstack, "/nonsense": pathstack, "/tokens": pathstack, "/token/x": pathstack, "/refresh/": pathstack,
		"/api/users": itempath, "/api/users/nonsense": itempath, "//api//users//x": itempath, "/api/users/login/x": itempath,
		"/api/v1/auth": netography, "/api/v1/keys": netography, "/api/auth/bearer": netography,
	} {
		res, err := http.Get(a.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body) // what came is compared
		_ = res.Body.Close()
		if res.StatusCode != http.StatusNotFound || res.Header.Get("Content-Type") != "application/json" || string(body) != want {
			t.Errorf("%s: %d %s %s, want %s", path, res.StatusCode, res.Header.Get("Content-Type"), body, want)
		}
	}
}
