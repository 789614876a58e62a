package verify_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/verify"
	"github.com/sallyport/sallyport/verify/verifytest"
)

// bubbled runs a test in a bubble of testing/synctest with an issuer in process: hours pass in no time.
func bubbled(t *testing.T, opts verifytest.Options, f func(t *testing.T, issuer *verifytest.Issuer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, verifytest.New(issuerURL, opts)) })
}

// TestMaxAge holds the refetching to max-age: never later, and not all verifiers at once.
func TestMaxAge(t *testing.T) {
	bubbled(t, verifytest.Options{MaxAge: 10 * time.Minute}, func(t *testing.T, issuer *verifytest.Issuer) {
		v := issuer.Verifier(t, feedless)
		known := issuer.KeyID()
		for n := range 50 {
			kid := issuer.PublishKey()
			before := issuer.Fetches()
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			if got := issuer.Fetches() - before; got < 1 || got > 2 {
				t.Fatalf("%d fetches in one max-age", got)
			}
			fetches := issuer.Fetches()
			if issuer.Rotate() != kid {
				t.Fatal("the published key is not the one that signs")
			}
			expect(t, v, fmt.Sprint("rotation ", n), issuer.Mint(verifytest.Token{}), nil)
			if issuer.Fetches() != fetches {
				t.Fatal("a published key had to be looked for")
			}
			issuer.DropKey(known)
			known = kid
		}
	})
}

// TestUnknownKeys floods a verifier with tokens of keys that do not exist, and sees that a real new key is found.
func TestUnknownKeys(t *testing.T) {
	bubbled(t, verifytest.Options{MaxAge: time.Hour}, func(t *testing.T, issuer *verifytest.Issuer) {
		v := issuer.Verifier(t, feedless)
		stranger := verifytest.New(issuerURL, verifytest.Options{})
		forged := stranger.Mint(verifytest.Token{})
		start := issuer.Fetches()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				for range 60 {
					expect(t, v, "forged", forged, verify.ErrSignature)
					time.Sleep(time.Second)
				}
			})
		}
		wg.Wait()
		if got := issuer.Fetches() - start; got > 7 {
			t.Errorf("6000 forged tokens in a minute caused %d fetches, at most one in 10 s is right", got)
		}
		time.Sleep(10 * time.Second)
		start = issuer.Fetches()
		issuer.Rotate() // unannounced
		raw := issuer.Mint(verifytest.Token{})
		for range 100 {
			wg.Go(func() { expect(t, v, "new key", raw, nil) })
		}
		wg.Wait()
		if got := issuer.Fetches() - start; got != 1 {
			t.Errorf("100 tokens of one new key caused %d fetches", got)
		}
	})
}

// TestStaleWhileError keeps verifying while the issuer is down, until the keys are too old, and recovers by itself.
func TestStaleWhileError(t *testing.T) {
	bubbled(t, verifytest.Options{}, func(t *testing.T, issuer *verifytest.Issuer) {
		v := issuer.Verifier(t, feedless, quiet, func(c *verify.Config) { c.MaxKeyAge, c.Clock = 24*time.Hour, time.Now })
		good := func() string {
			return issuer.Mint(verifytest.Token{Claims: map[string]any{"iat": time.Now().Unix(), "exp": time.Now().Unix() + 900}})
		}
		issuer.SetDown(true)
		time.Sleep(23 * time.Hour)
		expect(t, v, "down for a while", good(), nil)
		if err := v.Ready(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(61 * time.Minute)
		expect(t, v, "down for too long", good(), verify.ErrKeys)
		issuer.SetDown(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		expect(t, v, "back", good(), nil)
	})
}

// TestDroppedKey refuses tokens of a key that was withdrawn, also those that were accepted before.
func TestDroppedKey(t *testing.T) {
	bubbled(t, verifytest.Options{}, func(t *testing.T, issuer *verifytest.Issuer) {
		v := issuer.Verifier(t, feedless)
		old, raw := issuer.KeyID(), issuer.Mint(verifytest.Token{})
		expect(t, v, "before", raw, nil)
		issuer.Rotate()
		issuer.DropKey(old)
		expect(t, v, "not heard of", raw, nil)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		expect(t, v, "dropped", raw, verify.ErrSignature)
	})
}

// TestColdStart starts a verifier while the issuer is down.
func TestColdStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "jwks.json")
	issuer := verifytest.Start(t, verifytest.Options{})
	saving := func(c *verify.Config) { feedless(c); quiet(c); c.JWKSCacheFile = file }
	issuer.Verifier(t, saving).Close()
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	raw := issuer.Mint(verifytest.Token{})
	issuer.SetDown(true)

	without, err := verify.New(func() verify.Config { c := issuer.Config(); saving(&c); c.JWKSCacheFile = ""; return c }())
	if err != nil {
		t.Fatal(err)
	}
	defer without.Close()
	expect(t, without, "nothing saved", raw, verify.ErrKeys)

	expect(t, issuer.Verifier(t, saving), "saved", raw, nil)
	stranger := verifytest.New(issuer.URL(), verifytest.Options{})
	expect(t, issuer.Verifier(t, saving), "saved, forged", stranger.Mint(verifytest.Token{}), verify.ErrSignature)

	// A feed that is not heard is another matter: nobody knows what was revoked meanwhile.
	c := issuer.Config()
	saving(&c)
	c.Revocations = issuer.Config().Revocations
	deaf, err := verify.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	expect(t, deaf, "saved keys, silent feed", raw, verify.ErrStale)

	issuer.Advance(8 * 24 * time.Hour)
	c = issuer.Config()
	saving(&c)
	old, err := verify.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	expect(t, old, "saved too long ago", issuer.Mint(verifytest.Token{}), verify.ErrKeys)

	for name, text := range map[string]string{"broken": "{", "empty": "", "of no use": `{"keys":[]}`} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := verify.New(c)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, v, name, raw, verify.ErrKeys)
		v.Close()
	}
	issuer.SetDown(false)
	expect(t, issuer.Verifier(t, saving), "repaired", issuer.Mint(verifytest.Token{}), nil)
	if data, err := os.ReadFile(file); err != nil || !strings.Contains(string(data), string(issuer.JWKS())) {
		t.Errorf("saved again: %s, %v", data, err)
	}
}

// TestSavedByOthers: saved keys count where they were fetched, and not if anybody could have written them.
func TestSavedByOthers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "jwks.json")
	saving := func(c *verify.Config) { feedless(c); quiet(c); c.JWKSCacheFile = file }
	issuer := verifytest.Start(t, verifytest.Options{})
	other := verifytest.Start(t, verifytest.Options{})
	raw := issuer.Mint(verifytest.Token{})
	cold := func(name string, i *verifytest.Issuer, raw string, want error) {
		t.Helper()
		i.SetDown(true)
		defer i.SetDown(false)
		c := i.Config()
		saving(&c)
		v, err := verify.New(c)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		expect(t, v, name, raw, want)
	}
	// Another issuer, whose keys an earlier process saved, must not mint tokens of this one.
	other.Verifier(t, saving).Close()
	cold("keys of another issuer", issuer, other.Mint(verifytest.Token{Claims: map[string]any{"iss": issuer.URL()}}), verify.ErrKeys)
	issuer.Verifier(t, saving).Close()
	cold("its own", issuer, raw, nil)
	if err := os.Chmod(file, 0o666); err != nil {
		t.Fatal(err)
	}
	cold("written by anybody", issuer, raw, verify.ErrKeys)
	// A JWK Set that an operator put there.
	if err := errors.Join(os.Remove(file), os.WriteFile(file, issuer.JWKS(), 0o600)); err != nil {
		t.Fatal(err)
	}
	cold("a plain JWK Set", issuer, raw, nil)
}

// TestRotationsUnderLoad rotates a hundred times, as a server does: a key is published for two max-ages before it signs,
// and the former one stays published while its tokens live. No verification fails.
func TestRotationsUnderLoad(t *testing.T) {
	const rotations, verifiers, maxAge = 100, 2, 5 * time.Minute
	bubbled(t, verifytest.Options{MaxAge: maxAge, Audience: "api", Algorithm: "EdDSA"}, func(t *testing.T, issuer *verifytest.Issuer) {
		var verified, failed atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range verifiers {
			v := issuer.Verifier(t, func(c *verify.Config) { c.MaxLifetime = 365 * 24 * time.Hour })
			old := issuer.Mint(verifytest.Token{Lifetime: 24 * time.Hour})
			wg.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					if n%20 == 0 {
						old = issuer.Mint(verifytest.Token{Lifetime: 24 * time.Hour})
					}
					for _, raw := range []string{issuer.Mint(verifytest.Token{}), old} {
						verified.Add(1)
						if _, err := v.Verify(ctx, raw); err != nil && ctx.Err() == nil {
							failed.Add(1)
							t.Error(err)
						}
					}
					time.Sleep(45 * time.Second)
				}
			})
		}
		var former string
		for range rotations {
			issuer.PublishKey()
			time.Sleep(2 * maxAge)
			if former != "" {
				issuer.DropKey(former)
			}
			former = issuer.KeyID()
			issuer.Rotate()
			time.Sleep(maxAge)
		}
		cancel()
		wg.Wait()
		t.Logf("%d rotations, %d verifications, %d failed", rotations, verified.Load(), failed.Load())
		if failed.Load() != 0 || verified.Load() < rotations*verifiers*35 {
			t.Errorf("%d of %d verifications failed", failed.Load(), verified.Load())
		}
	})
}

// answers serves what a test says at each path.
type answers map[string]func(w http.ResponseWriter, r *http.Request)

func (a answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f := a[r.URL.Path]; f != nil {
		f(w, r)
		return
	}
	http.NotFound(w, r)
}

// TestFetchRefusals meets servers that answer what must not be taken.
func TestFetchRefusals(t *testing.T) {
	issuer := verifytest.New(issuerURL, verifytest.Options{})
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		elsewhere.Add(1)
		_, _ = w.Write(issuer.JWKS())
	}))
	defer other.Close()
	const path = "/.well-known/jwks.json"
	for _, tc := range []struct {
		name string
		a    answers
		ok   bool
	}{
		{"good", answers{path: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(issuer.JWKS()) }}, true},
		{"redirect on the same host", answers{
			path:    func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/keys", http.StatusFound) },
			"/keys": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(issuer.JWKS()) },
		}, true},
		{"redirect to another host", answers{path: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+path, http.StatusFound)
		}}, false},
		{"redirects without end", answers{path: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, path, http.StatusFound) }}, false},
		{"not found", answers{}, false},
		{"304 to no question", answers{path: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }}, false},
		{"a page", answers{path: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }}, false},
		{"no keys", answers{path: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) }}, false},
		{"too long", answers{path: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(append(issuer.JWKS(), strings.Repeat(" ", 1<<20)...))
		}}, false},
		{"cut off", answers{path: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10000")
			_, _ = w.Write(issuer.JWKS())
		}}, false},
	} {
		server := httptest.NewServer(tc.a)
		c := verify.Config{Issuer: server.URL, Issuers: []string{issuerURL}, Clock: issuer.Now}
		quiet(&c)
		v, err := verify.New(c)
		if err != nil {
			t.Fatal(err)
		}
		want := error(nil)
		if !tc.ok {
			want = verify.ErrKeys
		}
		expect(t, v, tc.name, issuer.Mint(verifytest.Token{}), want)
		v.Close()
		server.Close()
	}
	if elsewhere.Load() != 0 {
		t.Error("another host was asked for keys")
	}
}

// TestContext does not let a caller wait longer than it wants.
func TestContext(t *testing.T) {
	bubbled(t, verifytest.Options{}, func(t *testing.T, issuer *verifytest.Issuer) {
		c := issuer.Config()
		quiet(&c)
		hang := make(chan struct{})
		c.HTTPClient = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			select {
			case <-hang:
				return issuer.Client().Transport.RoundTrip(r)
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})}
		v, err := verify.New(c)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		raw := issuer.Mint(verifytest.Token{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := v.Verify(ctx, raw); !errors.Is(err, verify.ErrKeys) || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		if err := v.Ready(ctx); !errors.Is(err, verify.ErrKeys) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.AfterFunc(2*time.Second, func() { close(hang) })
		if err := v.Ready(t.Context()); err != nil {
			t.Error(err)
		}
		expect(t, v, "after the wait", raw, nil)
	})
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
