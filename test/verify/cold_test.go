package verify_test

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/verify"
)

// TestColdStart starts verifiers while the issuer is down: the saved keys of one that ran before are enough.
func TestColdStart(t *testing.T) {
	w := serve(t)
	w.user("ann", "user")
	machine := w.client(&admin.NewOAuthClient{Name: "machine", Grants: []string{"client_credentials"}, Scopes: []string{"read"}})
	oauth := func() string {
		return text(w.post("/oauth2/token", machine.ID+":"+machine.Secret, url.Values{"grant_type": {"client_credentials"}}), "access_token")
	}
	contract := func() string {
		return text(w.post("/api/auth/bearer/token", "", url.Values{"username": {"ann"}, "password": {password}}), "access_token")
	}
	file := filepath.Join(t.TempDir(), "jwks.json")
	config := verify.Config{
		Issuer: w.url, Accept: verify.ContractTokens | verify.OAuthTokens, OAuthAudience: w.url, JWKSCacheFile: file, Logger: slog.New(slog.DiscardHandler),
	}
	// A key that was published and does not sign yet is saved like the others.
	for _, set := range []admin.KeySet{{Mount: "netography", Kind: "access"}, {Mount: "oauth", Kind: "access"}} {
		w.act("/keys/rotate", admin.KeyRotation{KeySet: set}, nil)
	}
	w.verifier(config).Close()
	for _, set := range []admin.KeySet{{Mount: "netography", Kind: "access"}, {Mount: "oauth", Kind: "access"}} {
		w.act("/keys/rotate", admin.KeyRotation{KeySet: set, Now: true}, nil)
	}
	tokens := map[string]string{"OAuth": oauth(), "contract": contract()}
	feed := &verify.Revocations{Authorization: w.reader(), Account: "ac_default"}
	w.stop()

	look := func(name string, c verify.Config, want error) {
		t.Helper()
		v, err := verify.New(c)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		for kind, raw := range tokens {
			if _, err := v.Verify(t.Context(), raw); (err == nil) != (want == nil) || !errors.Is(err, want) {
				t.Errorf("%s, %s: %v, want %v", name, kind, err, want)
			}
		}
	}
	look("saved keys", config, nil)
	without := config
	without.JWKSCacheFile = ""
	look("no saved keys", without, verify.ErrKeys)
	// Keys are there and revocations are not: nothing can be said, unless that was agreed to.
	following := config
	following.Revocations = feed
	look("following the feed", following, verify.ErrStale)
	lax := *feed
	lax.StaleOK = true
	following.Revocations = &lax
	look("following the feed, StaleOK", following, nil)
	old := config
	old.MaxKeyAge = time.Hour
	if err := os.Chtimes(file, time.Now(), time.Now().Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	look("saved too long ago", old, verify.ErrKeys)
	look("saved a while ago", config, nil)

	v, err := verify.New(config)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if err := v.Ready(t.Context()); err != nil {
		t.Errorf("with saved keys: %v", err)
	}
	w.start()
	for name, raw := range map[string]string{"OAuth": oauth(), "contract": contract()} {
		if _, err := v.Verify(t.Context(), raw); err != nil {
			t.Errorf("after the issuer came back, %s: %v", name, err)
		}
	}
}

// TestSecretReplaced imports another secret for a contract while a service verifies with it: one that holds both refuses
// nothing, and one that holds the new one alone refuses what the old one signed.
func TestSecretReplaced(t *testing.T) {
	w := serve(t)
	w.user("ann", "user")
	login := func() string {
		return text(w.post("/token", "", map[string]string{"username": "ann", "password": password})["data"].(map[string]any), "access_token")
	}
	fresh := rand.Text() + rand.Text()
	before := login()
	w.act("/keys/import", admin.KeyImport{KeySet: admin.KeySet{Mount: "pathstack", Kind: "access"}, Secret: fresh}, nil)
	after := login()
	for name, tc := range map[string]struct {
		secrets       [][]byte
		before, after error
	}{
		"old":  {[][]byte{w.pathstack}, nil, verify.ErrSignature},
		"both": {[][]byte{[]byte(fresh), w.pathstack}, nil, nil},
		"new":  {[][]byte{[]byte(fresh)}, verify.ErrSignature, nil},
	} {
		v := w.verifier(verify.Config{Secrets: tc.secrets})
		for raw, want := range map[string]error{before: tc.before, after: tc.after} {
			if _, err := v.Verify(t.Context(), raw); (err == nil) != (want == nil) || !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
		}
	}
}
