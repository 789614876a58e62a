package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"iter"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

const callback = "https://app.example/callback"

// hiddenField is what the form of a page carries beside what one types.
var (
	hiddenField = regexp.MustCompile(`value="([^"]{20,})"`)
	namedHidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// loginPage is the hosted login form as a browser got it.
type loginPage struct {
	cookies string
	fields  url.Values
}

// openPage asks for the form once; it may be sent as often as one likes.
func (e *enumerate) openPage(ctx context.Context) error {
	id, err := e.makeClient(ctx)
	if err != nil {
		return err
	}
	challenge := sha256.Sum256([]byte("a verifier of forty-three characters or more"))
	q := url.Values{
		"response_type": {"code"}, "client_id": {id}, "redirect_uri": {callback}, "scope": {"openid"}, "state": {"s"}, "nonce": {"n"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}
	a, err := e.wire.ask([]byte("GET /oauth2/authorize?" + q.Encode() + " HTTP/1.1\r\nHost: guess\r\n\r\n"))
	if err != nil {
		return err
	}
	page := &loginPage{fields: url.Values{}}
	for _, m := range namedHidden.FindAllStringSubmatch(string(a.body), -1) {
		page.fields.Set(m[1], html.UnescapeString(m[2]))
	}
	if a.status != http.StatusOK || len(page.fields) == 0 {
		return fmt.Errorf("the login page: status %d: %.300s", a.status, a.body)
	}
	var cookies []string
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	page.cookies = strings.Join(cookies, "; ")
	e.page = page
	return nil
}

// post is the raw request that sends the form.
func (p *loginPage) post(name, pw, from string) []byte {
	f := url.Values{"username": {name}, "password": {pw}}
	for k := range p.fields {
		f.Set(k, p.fields.Get(k))
	}
	return post("/oauth2/login", "application/x-www-form-urlencoded", f.Encode(), "X-Forwarded-For: "+from, "Cookie: "+p.cookies)
}

func headerNames(h http.Header) iter.Seq[string] {
	return func(yield func(string) bool) {
		for name := range h {
			if !yield(name) {
				return
			}
		}
	}
}
