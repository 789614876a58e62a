package verify_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport/verify"
	"github.com/sallyport/sallyport/verify/verifytest"
)

// The routes of an API behind tokens. In a program of yours, New takes the issuer's URL; here a fake one answers.
func Example() {
	issuer := verifytest.New("https://auth.example.com", verifytest.Options{Audience: "api"})
	v, err := verify.New(verify.Config{
		Issuer:     "https://auth.example.com",
		Audience:   "api",
		HTTPClient: issuer.Client(), // leave this out
	})
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()

	stations := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := verify.FromContext(r.Context())
		fmt.Fprintf(w, "stations of %s", claims.Subject())
	})
	mux := http.NewServeMux()
	mux.Handle("GET /stations", v.Middleware(stations, verify.RequireScopes("stations:read")))

	call := func(token string) {
		r := httptest.NewRequest(http.MethodGet, "/stations", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		if w.Code == http.StatusOK {
			fmt.Println(w.Code, w.Body)
			return
		}
		fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	}
	call(issuer.Mint(verifytest.Token{Subject: "alice", Scope: "stations:read"}))
	call(issuer.Mint(verifytest.Token{Subject: "bob"}))
	call("not.a.token")
	// Output:
	// 200 stations of alice
	// 403 Bearer error="insufficient_scope", error_description="The access token lacks a scope", scope="stations:read"
	// 401 Bearer error="invalid_token", error_description="The access token is not valid here"
}

// A verifier that hears of revocations within seconds.
func ExampleRevocations() {
	issuer := verifytest.New("https://auth.example.com", verifytest.Options{})
	v, err := verify.New(verify.Config{
		Issuer: "https://auth.example.com",
		Revocations: &verify.Revocations{
			// What the server's operator gave you to read the feed with.
			Authorization: func(context.Context) (string, error) {
				return "Bearer " + os.Getenv("FEED_TOKEN"), nil
			},
		},
		HTTPClient: authorized(issuer), // leave this out
	})
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()

	token := issuer.Mint(verifytest.Token{ID: "the-token"})
	_, err = v.Verify(context.Background(), token)
	fmt.Println("before:", err)
	issuer.RevokeToken("the-token")
	for err == nil { // a real caller does not wait; it is refused when it comes
		time.Sleep(10 * time.Millisecond)
		_, err = v.Verify(context.Background(), token)
	}
	fmt.Println("after:", err)
	// Output:
	// before: <nil>
	// after: token was revoked
}

// authorized is a client that sends what the fake issuer wants.
func authorized(issuer *verifytest.Issuer) *http.Client {
	return &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		a, err := issuer.Authorization(r.Context())
		if err != nil {
			return nil, err
		}
		r.Header.Set("Authorization", a)
		return issuer.Client().Transport.RoundTrip(r)
	})}
}

// The ItemPath contract says the kind of a token in its claim type, names no audience, and signs with HS256. Verifying
// that offline takes the secret itself: read what the package documentation says of shared secrets.
func ExampleConfig_itemPath() {
	secret := []byte("a secret of at least thirty-two bytes")
	issuer := verifytest.New("https://auth.example.com", verifytest.Options{Secret: secret})
	v, err := verify.New(verify.Config{
		Issuer:    "https://auth.example.com",
		Secret:    secret,
		KindClaim: "type",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()
	claims, err := v.Verify(context.Background(), issuer.Mint(verifytest.Token{
		Claims: map[string]any{"token_use": nil, "type": "access", "identity": "scanner-7"},
	}))
	if err != nil {
		log.Fatal(err)
	}
	name, _ := claims.Text("identity")
	fmt.Println(name)
	// Output: scanner-7
}

// Access tokens of the OAuth endpoints (RFC 9068), beside those of a contract. Nothing else that the server signs passes:
// no id token, no refresh token, no application token.
func ExampleTokens() {
	issuer := verifytest.New("https://auth.example.com", verifytest.Options{})
	v, err := verify.New(verify.Config{
		Issuer:        "https://auth.example.com",
		Accept:        verify.ContractTokens | verify.OAuthTokens,
		OAuthAudience: "https://api.example.com", // what clients ask for with resource; "" in contracts without an audience
		HTTPClient:    issuer.Client(),           // leave this out
	})
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()
	for name, token := range map[string]verifytest.Token{
		"contract": {},
		"OAuth":    {OAuth: true, Audience: "https://api.example.com"},
		"id token": {Kind: "id"},
	} {
		_, err := v.Verify(context.Background(), issuer.Mint(token))
		fmt.Println(name, err == nil)
	}
	// Unordered output:
	// contract true
	// OAuth true
	// id token false
}

// A verifier that hears of revocations by the status lists that tokens name. It needs no credentials for that, and takes
// application tokens, which never expire, as long as their list can be had.
func ExampleStatusLists() {
	issuer := verifytest.New("https://auth.example.com", verifytest.Options{StatusLists: true})
	v, err := verify.New(verify.Config{
		Issuer:                 "https://auth.example.com",
		StatusLists:            &verify.StatusLists{Every: 500 * time.Millisecond}, // the default is two seconds
		AllowApplicationTokens: true,
		HTTPClient:             issuer.Client(), // leave this out
	})
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()

	token := issuer.Mint(verifytest.Token{Application: true, ID: "the-token"})
	_, err = v.Verify(context.Background(), token)
	fmt.Println("before:", err)
	issuer.RevokeToken("the-token")
	for err == nil { // a real caller does not wait; it is refused when it comes
		time.Sleep(10 * time.Millisecond)
		_, err = v.Verify(context.Background(), token)
	}
	fmt.Println("after:", err)
	// Output:
	// before: <nil>
	// after: token was revoked
}

// A service that starts and verifies while the issuer is down, with the keys that it saved before.
func ExampleConfig_saved() {
	issuer := verifytest.New("https://auth.example.com", verifytest.Options{})
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	config := verify.Config{
		Issuer:        "https://auth.example.com",
		JWKSCacheFile: filepath.Join(dir, "jwks.json"), // /var/lib/stations/jwks.json
		HTTPClient:    issuer.Client(),                 // leave this out
		Logger:        slog.New(slog.DiscardHandler),   // this too
	}
	start := func() {
		v, err := verify.New(config)
		if err != nil {
			log.Fatal(err)
		}
		defer v.Close()
		_, err = v.Verify(context.Background(), issuer.Mint(verifytest.Token{}))
		fmt.Println(err)
	}
	start()
	issuer.SetDown(true)
	start()
	// Output:
	// <nil>
	// <nil>
}

// While a shared secret is replaced, tokens under the old one are taken until they expire.
func ExampleConfig_secrets() {
	old, fresh := []byte("the secret of last year, long enough"), []byte("the secret of this year, long enough")
	issuer := verifytest.New("https://auth.example.com", verifytest.Options{Secret: old})
	before := issuer.Mint(verifytest.Token{})
	issuer.SetSecret(fresh)
	v, err := verify.New(verify.Config{Issuer: "https://auth.example.com", Secrets: [][]byte{fresh, old}})
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()
	for _, token := range []string{before, issuer.Mint(verifytest.Token{})} {
		_, err := v.Verify(context.Background(), token)
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// <nil>
}

// TestExample is how a test of your own looks.
func TestExample(t *testing.T) {
	issuer := verifytest.Start(t, verifytest.Options{Audience: "api"})
	handler := issuer.Verifier(t).Middleware(whoami)

	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+issuer.Mint(verifytest.Token{Subject: "alice"}))
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	if w.Body.String() != "alice" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
