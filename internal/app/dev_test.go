package app_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
)

// TestDev runs the demo as its user does: one line of JSON, then a login and a
// call with the token, in each contract.
func TestDev(t *testing.T) {
	cfg, err := config.Load(config.Options{Environ: []string{}, Flags: config.Flags{
		"listen": {"127.0.0.1:0"}, "private_listen": {"127.0.0.1:0"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- app.RunDev(ctx, cfg, app.DevOptions{JSON: true}, app.Options{Version: "test", Stdout: w, Stderr: t.Output()})
		_ = w.Close()
	}()
	var ready struct {
		URL   string `json:"url"`
		Users []struct{ Username, Password, Type string }
	}
	if err := json.NewDecoder(r).Decode(&ready); err != nil {
		t.Fatal(err, <-done)
	}
	u := ready.Users[1]
	res, err := http.Post(ready.URL+"/api/users/login", "application/json", strings.NewReader(`{"username":"`+u.Username+`","password":"`+u.Password+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	var login struct{ AccessToken, RefreshToken string }
	if err := json.Unmarshal(body, &login); err != nil || res.StatusCode != 200 {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	req, _ := http.NewRequest("GET", ready.URL+"/api/stations", nil)
	req.Header.Set("Authorization", "Bearer "+login.AccessToken)
	res, err = http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ = io.ReadAll(res.Body)
	if res.StatusCode != 200 || !strings.Contains(string(body), `"asked_by":"demo-app"`) {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	// The demo API has no document of its own: what is served is told.
	if res, err = http.Get(ready.URL + "/openapi.json"); err != nil {
		t.Fatal(err)
	}
	body, _ = io.ReadAll(res.Body)
	if res.StatusCode != 200 || !strings.Contains(string(body), `"openapi": "3.1.0"`) || !strings.Contains(string(body), `"/api/users/login"`) {
		t.Errorf("/openapi.json: %d %.100s", res.StatusCode, body)
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the demo did not end")
	}
}
