package client_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/oauth2"

	"github.com/sallyport/sallyport/client"
)

// fakeServer stands for Sallyport and the API behind it, so that the examples
// run anywhere.
func fakeServer() *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"data":{"token_type":"Bearer","expires_in":3600,"access_token":"one","refresh_token":"r","sub":"s"}}`)
	})
	mux.HandleFunc("POST /oauth2/token", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":900,"access_token":%q,"scope":"read"}`, "token by "+r.FormValue("grant_type"))
	})
	mux.HandleFunc("POST /api/users/login", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"login":true,"accessToken":"a","refreshToken":"r"}`)
	})
	mux.HandleFunc("POST /api/users/application-token", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"token":"t"}`)
	})
	mux.HandleFunc("POST /api/v1/auth/token", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"access_token":"n","expires_in":86400,"refresh_token":"r","token_type":"bearer"}`)
	})
	mux.HandleFunc("GET /api/stations", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "stations for %s", r.Header.Get("Authorization"))
	})
	return httptest.NewServer(mux)
}

// A program that calls an API as a user of the PathStack contract.
func Example() {
	server := fakeServer() // yours is at https://auth.example.com
	defer server.Close()

	src, err := client.NewPathStack(client.PathStack{
		URL:      server.URL,
		Username: "scanner",
		Password: os.Getenv("SCANNER_PASSWORD") + "a long phrase",
	}, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = src.Close() }()

	api := &http.Client{Transport: client.NewTransport(src, nil)}
	res, err := api.Get(server.URL + "/api/stations")
	if err != nil {
		log.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	fmt.Println(string(body), err)
	// Output: stations for Bearer one <nil>
}

// An application token of the ItemPath contract, minted once and kept in a
// file.
func ExampleNewItemPath() {
	server := fakeServer()
	defer server.Close()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	src, err := client.NewItemPath(client.ItemPath{
		URL: server.URL, Username: "scanner", Password: "a long phrase", ApplicationToken: true,
	}, client.Options{
		Store:   client.FileStore(filepath.Join(dir, "token.json")), // /var/lib/scanner/token.json
		OnError: func(err error) { log.Print(err) },
	})
	if err != nil {
		log.Fatal(err)
	}
	token, err := src.Token(context.Background())
	fmt.Println(token, err)
	// Output: token without an end <nil>
}

// An API key of the Netography contract.
func ExampleNewNetography() {
	server := fakeServer()
	defer server.Close()

	netosecret := "eyJ1cmwiOiJodHRwczovL2F1dGguZXhhbXBsZS5jb20vYXBpL3YxIiwiYXBwbmFtZSI6ImEiLCJhcHBrZXkiOiJrIiwic2hvcnRuYW1lIjoicyIsInNoYXJlZHNlY3JldCI6IngifQ=="
	src, err := client.NewNetography(client.Netography{
		Netosecret: netosecret, // os.Getenv("NETOSECRET")
		URL:        server.URL, // leave this out: the NETOSECRET has it
	}, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	token, err := src.Token(context.Background())
	fmt.Println(token.AccessToken, err)
	// Output: n <nil>
}

// A service that speaks for itself, by OAuth client credentials, to an API on
// another host.
func ExampleNewClientCredentials() {
	server := fakeServer()
	defer server.Close()

	src, err := client.NewClientCredentials(client.OAuth{
		Issuer: server.URL, ClientID: "client_1", ClientSecret: "spcs_1", Scopes: []string{"read"},
	}, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	api := &http.Client{Transport: client.NewTransport(src, nil, "https://api.example.com")}
	_ = api // sends the token to api.example.com alone

	token, err := src.Token(context.Background())
	fmt.Println(token.AccessToken, err)
	// Output: token by client_credentials <nil>
}

// A user's login that another part of the program did, with the authorization
// code flow for instance.
func ExampleNewOAuthUser() {
	server := fakeServer()
	defer server.Close()

	src, err := client.NewOAuthUser(client.OAuth{Issuer: server.URL, ClientID: "client_1"}, client.Options{
		Initial: &client.Token{RefreshToken: "from the login"},
	})
	if err != nil {
		log.Fatal(err)
	}
	token, err := src.Token(context.Background())
	fmt.Println(token.AccessToken, err)
	// Output: token by refresh_token <nil>
}

// A token that outlives the process: the next one goes on with it, without a login.
func ExampleFileStore() {
	server := fakeServer()
	defer server.Close()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	store := client.FileStore(filepath.Join(dir, "token.json")) // /var/lib/scanner/token.json

	run := func(password string) {
		src, err := client.NewPathStack(client.PathStack{URL: server.URL, Username: "scanner", Password: password}, client.Options{Store: store})
		if err != nil {
			log.Fatal(err)
		}
		defer func() { _ = src.Close() }()
		token, err := src.Token(context.Background())
		fmt.Println(token.AccessToken, err)
	}
	run("a long phrase")
	run("") // no password is needed while the stored token, or its refresh token, is good
	// Output:
	// one <nil>
	// one <nil>
}

// A Source where a library wants an oauth2.TokenSource.
func ExampleAdapt() {
	server := fakeServer()
	defer server.Close()
	src, err := client.NewPathStack(client.PathStack{URL: server.URL, Username: "scanner", Password: "a long phrase"}, client.Options{})
	if err != nil {
		log.Fatal(err)
	}

	var ts oauth2.TokenSource = client.Adapt(context.Background(), src, func(t *client.Token) *oauth2.Token {
		return &oauth2.Token{AccessToken: t.AccessToken, TokenType: t.TokenType, Expiry: t.Expiry}
	})
	res, err := oauth2.NewClient(context.Background(), ts).Get(server.URL + "/api/stations")
	if err != nil {
		log.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	fmt.Println(strings.TrimSpace(string(body)), err)
	// Output: stations for Bearer one <nil>
}
