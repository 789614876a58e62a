package client_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/client"
)

// counted is a body that knows whether it was closed.
type counted struct {
	io.Reader
	open *atomic.Int64
}

func (c *counted) Close() error {
	c.open.Add(-1)
	return nil
}

// watched counts the answers whose bodies are open.
type watched struct{ open, calls atomic.Int64 }

func (w *watched) RoundTrip(req *http.Request) (*http.Response, error) {
	w.calls.Add(1)
	res, err := http.DefaultTransport.RoundTrip(req)
	if err == nil {
		raw, rerr := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if rerr != nil {
			return nil, rerr
		}
		w.open.Add(1)
		res.Body = &counted{strings.NewReader(string(raw)), &w.open}
	}
	return res, err
}

// TestTransport: a session that ended on the server is noticed by its 401; the
// request is repeated once with its body.
func TestTransport(t *testing.T) {
	w := build(t)
	src := w.pathStack(t, w.options())
	base := new(watched)
	api := &http.Client{Transport: client.NewTransport(src, base)}
	post := func(body io.Reader) (int, string) {
		t.Helper()
		res, err := api.Post(w.url+"/api/things", "text/plain", body)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = res.Body.Close()
			if base.open.Load() != 0 {
				t.Errorf("%d bodies left open", base.open.Load())
			}
		}()
		var out struct {
			User string `json:"user"`
			Body string `json:"body"`
		}
		raw, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		_ = json.Unmarshal(raw, &out) // a 401 has other members
		return res.StatusCode, out.User + " " + out.Body
	}
	end := func() {
		w.act("/sessions/revoke", map[string]any{"session": sid(t, token(t, src))}, nil)
		w.wire.sent()
		base.calls.Store(0)
	}
	if status, got := post(strings.NewReader("one")); status != 200 || got != "ann one" {
		t.Error(status, got)
	}
	end()
	if status, got := post(strings.NewReader("two")); status != 200 || got != "ann two" || base.calls.Load() != 2 {
		t.Error(status, got, base.calls.Load())
	}
	w.wire.wantSent(t, "/refresh", "/token") // the session is dead, so a login
	w.pass(11 * time.Second)
	end()
	if status, _ := post(io.MultiReader(strings.NewReader("three"))); status != 401 || base.calls.Load() != 1 {
		t.Error("a body that can't be had again:", status, base.calls.Load())
	}
	w.wire.wantSent(t, "/refresh", "/token") // so that the next one goes through
	if status, got := post(strings.NewReader("four")); status != 200 || got != "ann four" {
		t.Error(status, got)
	}
	w.wire.wantSent(t)
}

// TestTransportStubborn: an API that refuses every token costs one renewal, not
// one per request.
func TestTransportStubborn(t *testing.T) {
	w := build(t)
	src := w.pathStack(t, w.options())
	var seen []string
	up := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
		rw.WriteHeader(http.StatusUnauthorized)
	}))
	defer up.Close()
	api := &http.Client{Transport: client.NewTransport(src, nil, up.URL)}
	for range 20 {
		res, err := api.Get(up.URL)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != 401 {
			t.Error(res.StatusCode)
		}
	}
	w.wire.wantSent(t, "/token", "/refresh")
	if len(seen) != 21 || seen[0] == seen[1] || seen[1] != seen[20] {
		t.Errorf("%d requests", len(seen))
	}
	w.pass(11 * time.Second)
	w.wire.set(func(x *wire) { x.lose = 4 }) // nor does a failing renewal hide the 401
	res, err := api.Get(up.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 401 || len(seen) != 22 {
		t.Error(res.StatusCode, len(seen))
	}
}

// TestTransportRedirect: the token goes to its origin and nowhere else, however
// the request comes there.
func TestTransportRedirect(t *testing.T) {
	var leaked atomic.Int64
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			leaked.Add(1)
		}
	}))
	defer thief.Close()
	var got []string
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization"))
		switch r.URL.Path {
		case "/away": // the same host by name, another port
			http.Redirect(w, r, thief.URL, http.StatusTemporaryRedirect)
		case "/here":
			http.Redirect(w, r, "/end", http.StatusFound)
		}
	}))
	defer up.Close()
	api := &http.Client{Transport: client.NewTransport(client.Static("the-token"), nil, up.URL)}
	for _, target := range []string{up.URL + "/away", thief.URL, up.URL + "/here"} {
		res, err := api.Get(target)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != 200 {
			t.Error(target, res.StatusCode)
		}
	}
	if leaked.Load() != 0 {
		t.Error("the token reached another origin")
	}
	if want := "Bearer the-token"; len(got) != 3 || got[0] != want || got[1] != want || got[2] != want {
		t.Errorf("the origin was sent %q", got)
	}
}

// TestTransportErrors: bodies are closed when nothing is sent, and requests are
// left as they were.
func TestTransportErrors(t *testing.T) {
	var open atomic.Int64
	for name, tr := range map[string]*client.Transport{
		"no origin":  client.NewTransport(client.Static("x"), nil),
		"bad origin": client.NewTransport(client.Static("x"), nil, "api.example.com"),
		"no token":   client.NewTransport(client.Static(""), nil, "https://api.example.com"),
	} {
		open.Store(1)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://API.example.com:443/x", &counted{strings.NewReader("x"), &open})
		if err != nil {
			t.Fatal(err)
		}
		res, err := tr.RoundTrip(req)
		if err == nil {
			_ = res.Body.Close()
		}
		if err == nil || open.Load() != 0 || req.Header.Get("Authorization") != "" {
			t.Errorf("%s: %v, %d open", name, err, open.Load())
		}
	}
}
