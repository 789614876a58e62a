// Package verify_test holds package verify against a real server.
package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/verify"
)

// TestServer verifies what a real server issues, with the keys that it publishes.
func TestServer(t *testing.T) {
	const password = "a long enough demo phrase 17"
	dir := filepath.Join(t.TempDir(), "data")
	cfg, err := config.Load(config.Options{Environ: []string{}, Flags: config.Flags{
		"data": {dir}, "listen": {"127.0.0.1:0"}, "private_listen": {"127.0.0.1:0"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	server, err := app.New(t.Context(), cfg, app.Options{Version: "test", Stderr: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error("the server ended with", err)
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	user := map[string]any{"account": "default", "username": "ned", "type": "user", "password": password}
	var made admin.User
	if err := admin.NewSocketClient(filepath.Join(dir, app.AdminSocket)).Post(t.Context(), "/users", user, &made); err != nil {
		t.Fatal(err)
	}
	form := strings.NewReader(url.Values{"username": {"ned"}, "password": {password}}.Encode())
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL()+"/api/auth/bearer/token", form)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var tokens map[string]any
	if err := json.NewDecoder(res.Body).Decode(&tokens); err != nil {
		t.Fatal(err)
	}
	v, err := verify.New(verify.Config{Issuer: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for name, want := range map[string]error{"access_token": nil, "refresh_token": verify.ErrSignature, "id_token": verify.ErrKind} {
		raw, _ := tokens[name].(string)
		c, err := v.Verify(t.Context(), raw)
		if (err == nil) != (want == nil) || !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
		if c != nil && (c.Subject() != made.ID || c.SessionID() == "") {
			t.Errorf("%s: %s", name, c.Payload())
		}
	}
}
