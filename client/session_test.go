package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/client"
)

// TestSingleFlight: a hundred callers, one login; a hundred more after the
// token's end, one refresh; and a caller that gives up stops nothing.
func TestSingleFlight(t *testing.T) {
	w := build(t)
	src := w.pathStack(t, w.options())
	for _, path := range []string{"/token", "/refresh"} {
		gate := make(chan struct{})
		w.wire.set(func(x *wire) { x.gate = gate })
		gone, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var got sync.Map
		for i := range 100 {
			ctx := t.Context()
			if i == 0 {
				ctx = gone
			}
			wg.Go(func() {
				tok, err := src.Token(ctx)
				if i == 0 {
					if !errors.Is(err, context.Canceled) {
						t.Error("the caller that gave up got", err)
					}
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				got.Store(tok.AccessToken, true)
				tok.AccessToken = "changed by a caller"
			})
		}
		cancel()
		close(gate)
		wg.Wait()
		n := 0
		got.Range(func(any, any) bool { n++; return true })
		if n != 1 {
			t.Errorf("%d tokens for one refresh", n)
		}
		w.wire.wantSent(t, path)
		w.pass(time.Hour)
	}
}

// TestStale: while a refresh in the background hangs or fails, the old token is
// given as long as it lives.
func TestStale(t *testing.T) {
	w := build(t)
	failed := make(chan error, 1)
	o := w.options()
	o.OnError = func(err error) { failed <- err }
	src := w.pathStack(t, o)
	first := token(t, src)
	w.pass(50 * time.Minute)
	gate := make(chan struct{})
	w.wire.set(func(x *wire) { x.gate, x.lose = gate, 4 })
	for range 10 {
		if token(t, src).AccessToken != first.AccessToken {
			t.Error("another token")
		}
	}
	close(gate)
	var e *client.Error
	if err := <-failed; !errors.As(err, &e) || !e.Temporary() {
		t.Error(err)
	}
	w.wire.sent()
	for range 10 { // the pause after a failure
		if token(t, src).AccessToken != first.AccessToken {
			t.Error("another token")
		}
	}
	w.wire.wantSent(t)
	w.pass(2 * time.Second)
	settle(t, src, first)
	w.wire.wantSent(t, "/refresh")
}

// TestPersistence: a process that starts again goes on without a login, also
// when the server is down; another user's token is not touched.
func TestPersistence(t *testing.T) {
	w := build(t)
	o := w.options()
	file := filepath.Join(t.TempDir(), "token.json")
	o.Store = client.FileStore(file)
	first := token(t, w.netography(t, o))
	w.wire.sent()
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(err, info.Mode())
	}
	got := token(t, w.netography(t, o))
	if !got.IssuedAt.Equal(first.IssuedAt) || !got.Expiry.Equal(first.Expiry) {
		t.Error("the stored token came back with other times:", got, first)
	}
	got.IssuedAt, got.Expiry = first.IssuedAt, first.Expiry
	if *got != *first {
		t.Error("the stored token came back as another")
	}
	w.wire.wantSent(t)

	w.pass(20 * time.Hour) // due: refreshed at the start, if the server is there
	w.wire.set(func(x *wire) { x.lose = 4 })
	src := w.netography(t, o)
	if token(t, src).AccessToken != first.AccessToken {
		t.Error("a token that still works was not used while the server was down")
	}
	w.wire.sent()
	w.pass(time.Minute)
	second := settle(t, src, first)
	w.wire.wantSent(t, "/api/auth/bearer/refresh")
	if second.RefreshToken == first.RefreshToken {
		t.Error("no rotation")
	}
	if got := token(t, w.netography(t, o)); got.RefreshToken != second.RefreshToken {
		t.Error("the rotated token was not stored")
	}
	w.wire.wantSent(t)

	token(t, w.netographyUser(t, o))
	w.wire.wantSent(t, "/api/auth/bearer/token")
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(file), ".*")); err != nil || len(left) > 0 {
		t.Error("left behind:", left, err)
	}
}

// TestSharedStore: of two processes with one store, one refreshes and the other
// takes over its token, after the grace time of the rotated one too.
func TestSharedStore(t *testing.T) {
	w := build(t)
	o := w.options()
	o.Store = client.FileStore(filepath.Join(t.TempDir(), "token.json"))
	a, b := w.netography(t, o), w.netography(t, o)
	if token(t, a).AccessToken != token(t, b).AccessToken {
		t.Error("two logins")
	}
	w.pass(24*time.Hour - time.Second)
	next := token(t, a)
	w.pass(time.Hour)
	w.wire.sent()
	if token(t, b).AccessToken != next.AccessToken {
		t.Error("the other process did not take the token over")
	}
	w.wire.wantSent(t)
}

// TestFileStore: what it refuses, without quoting it.
func TestFileStore(t *testing.T) {
	dir := t.TempDir()
	f := client.FileStore(filepath.Join(dir, "token.json"))
	if tok, err := f.Load(t.Context()); tok != nil || err != nil {
		t.Error("an empty store:", tok, err)
	}
	if err := f.Save(t.Context(), &client.Token{AccessToken: "the-secret"}); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(string(f), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "0600") {
		t.Error("a file that others can read:", err)
	}
	if err := f.Save(t.Context(), &client.Token{AccessToken: "the-secret"}); err != nil {
		t.Fatal(err)
	}
	if tok, err := f.Load(t.Context()); err != nil || tok.AccessToken != "the-secret" {
		t.Error("saving did not close the file to others:", err)
	}
	if err := os.WriteFile(string(f), []byte(`{"access_token":"the-secret`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Load(t.Context()); err == nil || strings.Contains(err.Error(), "the-secret") {
		t.Error("a broken file:", err)
	}
	if err := client.FileStore(filepath.Join(dir, "none", "token.json")).Save(t.Context(), &client.Token{}); err == nil {
		t.Error("saved into a folder that is not there")
	}
}

// broken is a Store that fails.
type broken struct{}

func (broken) Load(context.Context) (*client.Token, error) {
	return nil, errors.New("the disk is gone")
}
func (broken) Save(context.Context, *client.Token) error { return errors.New("the disk is full") }

// TestStoreFails: a Store that fails is told of and costs nobody a token; who
// has nothing but the Store is told why there is none.
func TestStoreFails(t *testing.T) {
	w := build(t)
	var heard []string
	o := w.options()
	o.Store, o.OnError = broken{}, func(err error) { heard = append(heard, err.Error()) }
	if got := w.call(token(t, w.pathStack(t, o))); got != 200 {
		t.Error(got)
	}
	if want := []string{"client: loading the stored token: the disk is gone", "client: saving the token: the disk is full"}; !slices.Equal(heard, want) {
		t.Errorf("told of %q", heard)
	}
	_, err := must(t)(client.NewOAuthUser(client.OAuth{Issuer: w.url, ClientID: "c"}, o)).Token(t.Context())
	if !errors.Is(err, client.ErrLoginRequired) || !strings.Contains(err.Error(), "the disk is gone") {
		t.Error(err)
	}
}

// TestCloseEndsWaiting: with the real clock, Close ends the pause between two
// attempts.
func TestCloseEndsWaiting(t *testing.T) {
	asked := make(chan struct{}, 10)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(http.StatusServiceUnavailable)
		asked <- struct{}{}
	}))
	defer up.Close()
	src := must(t)(client.NewPathStack(client.PathStack{URL: up.URL, Username: "ann", Password: password}, client.Options{}))
	got := make(chan error, 1)
	go func() {
		_, err := src.Token(t.Context())
		got <- err
	}()
	<-asked
	if err := src.Close(); err != nil {
		t.Error(err)
	}
	var e *client.Error
	if err := <-got; !errors.As(err, &e) || len(asked) != 0 {
		t.Errorf("%v, asked %d times more", err, len(asked))
	}
}

// scripted is a PathStack server that answers as told.
func scripted(t *testing.T, answer http.HandlerFunc) (*client.Session, *atomic.Int64, *[]time.Duration, *[]string) {
	t.Helper()
	up := httptest.NewServer(answer)
	t.Cleanup(up.Close)
	clock := new(atomic.Int64)
	clock.Store(start)
	var mu sync.Mutex
	slept, heard := new([]time.Duration), new([]string)
	o := client.Options{OnError: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		*heard = append(*heard, err.Error())
	}}
	client.SetEnv(&o, func() time.Time { return time.UnixMilli(clock.Load()) }, func(_ context.Context, d time.Duration) error {
		*slept = append(*slept, d)
		return nil
	}, func() float64 { return 0.5 })
	src, err := client.NewPathStack(client.PathStack{URL: up.URL, Username: "ann", Password: password}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close() })
	return src, clock, slept, heard
}

const good = `{"data":{"token_type":"bearer","expires_in":3600,"access_token":"a.b.c","refresh_token":"r.r.r","sub":"s"}}`

// TestRetryAfter: short waits are waited out, long ones are given back and
// obeyed.
func TestRetryAfter(t *testing.T) {
	var n atomic.Int64
	src, clock, slept, _ := scripted(t, func(w http.ResponseWriter, _ *http.Request) {
		switch n.Add(1) {
		case 1:
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2:
			w.WriteHeader(http.StatusInternalServerError)
		case 3:
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusTooManyRequests)
		case 4:
			w.Header().Set("Retry-After", time.UnixMilli(start+120_000).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			_, _ = w.Write([]byte(good))
		}
	})
	_, err := src.Token(t.Context())
	var e *client.Error
	if !errors.As(err, &e) || e.Status != 429 || e.RetryAfter != time.Minute {
		t.Error(err)
	}
	if want := []time.Duration{2 * time.Second, 300 * time.Millisecond}; !slices.Equal(*slept, want) {
		t.Errorf("waited %v, want %v", *slept, want)
	}
	clock.Add(59_999)
	if _, again := src.Token(t.Context()); again == nil || n.Load() != 3 {
		t.Error("asked before the time was over")
	}
	clock.Add(1)
	_, err = src.Token(t.Context())
	if !errors.As(err, &e) || e.Status != 503 || e.RetryAfter < 59*time.Second || e.RetryAfter > time.Minute {
		t.Error("a date in Retry-After:", err)
	}
	clock.Add(60_000)
	if tok := token(t, src); tok.TokenType != "Bearer" || n.Load() != 5 {
		t.Error(tok.TokenType, n.Load())
	}
}

// TestRefusedLogin: a wrong password is not tried again and again, which would
// lock the user out; the pause grows.
func TestRefusedLogin(t *testing.T) {
	var n atomic.Int64
	src, clock, _, heard := scripted(t, func(w http.ResponseWriter, _ *http.Request) {
		n.Add(1)
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":{"code":401,"message":"Invalid username or password"}}`))
	})
	for range 100 {
		if _, err := src.Token(t.Context()); err == nil || err.Error() != "client: login failed: status 401: Invalid username or password" {
			t.Fatal(err)
		}
	}
	if n.Load() != 1 || len(*heard) != 1 {
		t.Errorf("%d logins", n.Load())
	}
	for range 3600 { // an hour of a caller that asks each second
		clock.Add(1000)
		_, _ = src.Token(t.Context())
	}
	if n.Load() > 30 {
		t.Errorf("%d logins in an hour", n.Load())
	}
}

// TestUnusableAnswers: each is an error that says what to do, and none has a
// secret in it.
func TestUnusableAnswers(t *testing.T) {
	var other atomic.Int64
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { other.Add(1) }))
	defer thief.Close()
	for _, c := range []struct {
		name   string
		status int
		body   string
		says   string
	}{
		{"a page", 200, "<html>log in to the network", "is not the JSON of a token endpoint"},
		{"other JSON", 200, `{"access_token":"x"}`, "no access_token"},
		{"a token that is no bearer token", 200, `{"data":{"access_token":"x","token_type":"DPoP","expires_in":60}}`, `"DPoP"`},
		{"a redirect", 307, "", "the server redirects"},
		{"the password quoted", 401, `{"message":"wrong password ` + password + `"}`, "quotes a secret"},
		{"control characters", 404, `{"message":"\u001b[2J\nhello"}`, "status 404:  [2J hello"},
		{"a long message", 404, `{"msg":"` + strings.Repeat("x", 5000) + `"}`, strings.Repeat("x", 200) + "…"},
		{"OAuth's words", 400, `{"error":"invalid_request","error_description":"no"}`, "invalid_request: no"},
	} {
		t.Run(c.name, func(t *testing.T) {
			src, _, _, _ := scripted(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", thief.URL)
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			})
			_, err := src.Token(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), password) || len(err.Error()) > 400 {
				t.Error(err)
			}
		})
	}
	if other.Load() != 0 {
		t.Error("credentials followed a redirect")
	}
}

// TestPrinted: no way of printing shows a secret.
func TestPrinted(t *testing.T) {
	src, _, _, _ := scripted(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(good)) })
	tok := token(t, src)
	n := client.Netosecret{AppName: "app", AppKey: "k-secret", Shortname: "acme", SharedSecret: "s-secret"}
	for _, v := range []any{tok, *tok, src, n, &n, client.Static("a.b.c"), tok.LogValue()} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			out := fmt.Sprintf(verb, v)
			for _, secret := range []string{password, "a.b.c", "r.r.r", "k-secret", "s-secret"} {
				if strings.Contains(out, secret) {
					t.Errorf("%s of %T shows %s", verb, v, out)
				}
			}
		}
	}
	if raw, err := json.Marshal(tok); err != nil || !strings.Contains(string(raw), "a.b.c") {
		t.Error("a Store could not keep the token:", string(raw), err)
	}
}

// TestClose: a refresh under way ends, the cached token stays.
func TestClose(t *testing.T) {
	w := build(t)
	src := w.pathStack(t, w.options())
	first := token(t, src)
	w.pass(50 * time.Minute)
	w.wire.set(func(x *wire) { x.gate = make(chan struct{}) })
	token(t, src) // starts a refresh that hangs
	if err := src.Close(); err != nil {
		t.Error(err)
	}
	if token(t, src).AccessToken != first.AccessToken {
		t.Error("the cached token is gone")
	}
	w.pass(time.Hour)
	if _, err := src.Token(t.Context()); !errors.Is(err, client.ErrClosed) {
		t.Error(err)
	}
}

// TestSettings: what can't work is said at once.
func TestSettings(t *testing.T) {
	var o client.Options
	for name, make := range map[string]func() (*client.Session, error){
		"no URL": func() (*client.Session, error) { return client.NewPathStack(client.PathStack{}, o) },
		"plain HTTP": func() (*client.Session, error) {
			return client.NewItemPath(client.ItemPath{URL: "http://a.example"}, o)
		},
		"user in URL": func() (*client.Session, error) {
			return client.NewPathStack(client.PathStack{URL: "https://a:b@c.example"}, o)
		},
		"no NETOSECRET": func() (*client.Session, error) { return client.NewNetography(client.Netography{Netosecret: "!"}, o) },
		"two ways": func() (*client.Session, error) {
			return client.NewNetography(client.Netography{Netosecret: "x", Username: "ann"}, o)
		},
		"no refresh token": func() (*client.Session, error) {
			return client.NewOAuthUser(client.OAuth{Issuer: "https://a.example", ClientID: "c"}, o)
		},
		"no client id": func() (*client.Session, error) {
			return client.NewClientCredentials(client.OAuth{Issuer: "https://a.example", ClientSecret: "s"}, o)
		},
		"no secret": func() (*client.Session, error) {
			return client.NewClientCredentials(client.OAuth{Issuer: "https://a.example", ClientID: "c"}, o)
		},
		"no key": func() (*client.Session, error) {
			return client.NewClientCredentials(client.OAuth{Issuer: "https://a.example", ClientID: "c", Auth: client.AuthPrivateKeyJWT}, o)
		},
	} {
		if s, err := make(); err == nil || s != nil {
			t.Errorf("%s: no error", name)
		}
	}
	o.AllowPlainHTTP = true
	if _, err := client.NewItemPath(client.ItemPath{URL: "http://a.example"}, o); err != nil {
		t.Error(err)
	}
	if _, err := client.Static("").Token(t.Context()); err == nil {
		t.Error("an empty static token")
	}
}
