package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func startCaddy(t *testing.T, sallyport, api string) string {
	return startProxy(t, "caddy", []string{"Caddyfile"}, sallyport, api,
		func(text, _ string) string { return "{\n\tadmin off\n}\n" + text },
		func(dir string) []string {
			return []string{"run", "--adapter", "caddyfile", "--config", filepath.Join(dir, "Caddyfile")}
		})
}

// TestSecurity61_CaddyAsksNobodyElse: Caddy keeps the address that a request
// goes to next in one place, which its dialling reads late. While it asks about
// a request it may open a connection that it then does not need; when the
// answer is there first, the address is the API's by then, and the connection
// is kept as one to Sallyport. The next question is the API's to answer, and
// whatever token it is about, 200 lets it pass. So no connection may be kept:
// the first half of this test sees that, the second tries to have it happen.
func TestSecurity61_CaddyAsksNobodyElse(t *testing.T) {
	type used struct{}
	var asked, again, astray, wrong atomic.Int64
	sallyport := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Context().Value(used{}).(*atomic.Int64).Add(1) > 1 {
			again.Add(1)
		}
		if r.Header.Get("Authorization") != "Bearer good" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set(decisionHeader, decisionAllow)
	}))
	sallyport.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, used{}, new(atomic.Int64))
	}
	sallyport.Start()
	t.Cleanup(sallyport.Close)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.RequestURI, AuthPrefix) {
			astray.Add(1)
		} else if r.Header.Get("Authorization") != "Bearer good" {
			wrong.Add(1)
		}
		_, _ = io.WriteString(w, "the API") // the client may be gone
	}))
	t.Cleanup(api.Close)
	addr := startCaddy(t, sallyport.Listener.Addr().String(), api.Listener.Addr().String())

	ask := func(c *http.Client, token string) error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/x", nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := c.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = res.Body.Close() }() // read below
		_, err = io.Copy(io.Discard, res.Body)
		// A 5xx is a machine so busy that Caddy gave up connecting.
		if want := map[string]int{"good": 200, "bad": 401}[token]; err == nil && res.StatusCode != want && res.StatusCode < 500 {
			return fmt.Errorf("a %s token: status %d", token, res.StatusCode)
		}
		return err
	}
	for i := range 20 {
		if err := ask(http.DefaultClient, []string{"good", "bad"}[i%2]); err != nil {
			t.Fatal(err)
		}
	}
	if again.Load() > 0 {
		t.Errorf("%d of %d questions came on a connection that had been used before", again.Load(), asked.Load())
	}

	const clients, rounds = 200, 15
	keep := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer keep.CloseIdleConnections()
	for range rounds { // all at once, so that connections are opened again and again
		var all sync.WaitGroup
		for i := range clients {
			all.Go(func() {
				if err := ask(keep, []string{"good", "bad"}[i%2]); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		time.Sleep(10 * time.Millisecond) // idle connections are what the race needs
	}
	if astray.Load()+wrong.Load() > 0 {
		t.Errorf("of %d questions %d went to the API, which served %d requests with a bad token", asked.Load()+astray.Load(), astray.Load(), wrong.Load())
	}
}

// TestSecurity61_CaddyTakesNobodyElsesWord: whoever answers in Sallyport's place
// with 200, or any other success, lets nothing pass: Caddy wants to see what
// Sallyport alone says. Nor does one that changes the protocol (101), after which
// the client would speak with it alone.
func TestSecurity61_CaddyTakesNobodyElsesWord(t *testing.T) {
	for _, status := range []int{101, 200, 204, 299} {
		var served atomic.Int64
		stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Sallyport-User", "root")
			for name, values := range r.Header { // as an echo does
				w.Header()["X-Echo-"+name] = values
				if strings.Contains(name, "Decision") {
					w.Header()[name] = values
				}
			}
			if status == http.StatusSwitchingProtocols {
				w.Header().Set("Connection", "Upgrade")
				w.Header().Set("Upgrade", "websocket")
			}
			w.WriteHeader(status)
		}))
		api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			served.Add(1)
			_, _ = io.WriteString(w, "the API") // else the test fails below
		}))
		addr := startCaddy(t, stranger.Listener.Addr().String(), api.Listener.Addr().String())
		for _, path := range []string{"/x", "/_x/../y"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer any")
			req.Header.Set(decisionHeader, decisionAllow) // the client's own word is none either
			if status == http.StatusSwitchingProtocols {
				req.Header.Set("Connection", "Upgrade")
				req.Header.Set("Upgrade", "websocket")
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close() // the status is what matters
			if res.StatusCode != http.StatusBadGateway || served.Load() > 0 {
				t.Errorf("%d from somebody else: status %d, the API was asked %d times", status, res.StatusCode, served.Load())
			}
		}
		stranger.Close()
		api.Close()
	}
}
