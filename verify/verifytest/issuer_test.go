package verifytest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/internal/token"
	"github.com/sallyport/sallyport/verify/verifytest"
)

const issuerURL = "https://auth.example"

// fetch asks an issuer and returns status and body.
func fetch(t *testing.T, i *verifytest.Issuer, path, authorization string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, i.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", authorization)
	res, err := i.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestKeys(t *testing.T) {
	for _, algorithm := range []string{"ES256", "EdDSA", "RS256"} {
		i := verifytest.Start(t, verifytest.Options{Algorithm: algorithm})
		first := i.KeyID()
		next := i.PublishKey()
		if i.KeyID() != first || i.Rotate() != next || i.KeyID() != next {
			t.Errorf("%s: a published key signs at the next rotation and not before", algorithm)
		}
		_, body := fetch(t, i, "/.well-known/jwks.json", "")
		keys, err := token.ParseJWKS([]byte(body))
		if err != nil || len(keys) != 2 || keys[0].ID() != first || keys[1].ID() != next {
			t.Errorf("%s: %v, %v", algorithm, keys, err)
		}
		i.DropKey(next) // it signs: it stays
		i.DropKey(first)
		if keys, err = token.ParseJWKS(i.JWKS()); err != nil || len(keys) != 1 || keys[0].ID() != next {
			t.Errorf("%s: %v, %v", algorithm, keys, err)
		}
		if third := i.Rotate(); third == next || i.KeyID() != third {
			t.Errorf("%s: an unannounced rotation takes a new key", algorithm)
		}
	}
}

// TestFeed reads the feed as a follower does, over time.
func TestFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := verifytest.New(issuerURL, verifytest.Options{})
		authorization, err := i.Authorization(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		const path = "/_sallyport/revocations"
		ask := func(query string) (string, time.Duration) {
			t.Helper()
			start := time.Now()
			status, body := fetch(t, i, path+query, authorization)
			if status != http.StatusOK {
				t.Fatalf("%s: %d %s", query, status, body)
			}
			keys, err := token.ParseJWKS(i.JWKS())
			if err != nil {
				t.Fatal(err)
			}
			payload, err := token.VerifyDocument(body, keys, "revocations+jwt")
			if err != nil {
				t.Fatal(err)
			}
			return string(payload), time.Since(start)
		}
		for query, want := range map[string]int{"": 400, "?since=0": 400, "?since=x&wait=0": 400, "?since=0&wait=-1": 400, "?since=0&wait=0": 200} {
			if status, _ := fetch(t, i, path+query, authorization); status != want {
				t.Errorf("%q: %d, want %d", query, status, want)
			}
		}
		if status, _ := fetch(t, i, path+"?since=0&wait=0", "Bearer x"); status != 401 {
			t.Errorf("a stranger reads the feed: %d", status)
		}
		if body, took := ask("?since=0&wait=99"); took != 25*time.Second || !strings.Contains(body, `"facts":[]`) {
			t.Errorf("after %s: %s", took, body)
		}
		time.AfterFunc(3*time.Second, func() { i.RevokeUser("u", "0-a") })
		if body, took := ask("?since=0&wait=25"); took != 3*time.Second || !strings.Contains(body, `"k":"user","s":"u","x":"0-a"`) || !strings.Contains(body, `"last":1`) {
			t.Errorf("after %s: %s", took, body)
		}
		if !strings.HasPrefix(i.NewSession(), "1-") {
			t.Error("a session's epoch is the last revocation")
		}
		i.LoseRevocations(0)
		if body, took := ask("?since=1&wait=25"); took != 0 || !strings.Contains(body, `"last":0`) {
			t.Errorf("after %s: %s", took, body)
		}
		i.SetDown(true)
		if status, _ := fetch(t, i, path+"?since=0&wait=0", authorization); status != 503 {
			t.Errorf("down: %d", status)
		}
	})
}
