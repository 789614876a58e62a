package client_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/client"
	"github.com/sallyport/sallyport/internal/admin"
)

// proxy stands between clients and the server, and loses answers that the server gave.
type proxy struct {
	to   *url.URL
	mode atomic.Value // of the next answers: "", "drop", "cut", "502"
	left atomic.Int64 // how many
	lost atomic.Int64
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.RequestURI = p.to.Scheme, p.to.Host, ""
	res, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	mode := ""
	if p.left.Add(-1) >= 0 {
		mode, _ = p.mode.Load().(string)
		p.lost.Add(1)
	}
	switch mode {
	case "502":
		http.Error(w, "bad gateway", http.StatusBadGateway)
		return
	case "drop", "cut":
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		if mode == "cut" {
			var whole bytes.Buffer
			res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			_ = res.Write(&whole)                            // a buffer takes everything
			_, _ = conn.Write(whole.Bytes()[:whole.Len()/2]) // whoever went away has nobody to tell
		}
		_ = conn.Close()
		return
	}
	for name, values := range res.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(res.StatusCode)
	_, _ = w.Write(body)
}

// TestAnswersDropped: a proxy loses the answers to refreshes, in each way that a network has, after the server gave
// them. On the OAuth endpoint and in each contract nobody is logged out and no session is opened beside the one there is.
func TestAnswersDropped(t *testing.T) {
	w := build(t)
	to, err := url.Parse(w.url)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{to: to}
	front := httptest.NewServer(p)
	t.Cleanup(front.Close)
	machine := w.oauthClient(&admin.NewOAuthClient{Name: "machine", Grants: []string{"client_credentials"}, Scopes: []string{"read"}})
	user, initial := w.oauthUser(t)
	user.TokenURL = front.URL + "/oauth2/token"
	plain := func() client.Options { return options(http.DefaultTransport, w.now) }
	begun := plain()
	begun.Initial = initial
	make := must(t)
	for name, tc := range map[string]struct {
		src  *client.Session
		life time.Duration
	}{
		"pathstack":       {make(client.NewPathStack(client.PathStack{URL: front.URL, Username: "ann", Password: password}, plain())), time.Hour},
		"itempath":        {make(client.NewItemPath(client.ItemPath{URL: front.URL, Username: "scanner", Password: password}, plain())), 15 * time.Minute},
		"netography key":  {make(client.NewNetography(client.Netography{URL: front.URL, Netosecret: w.secret}, plain())), 24 * time.Hour},
		"netography user": {make(client.NewNetography(client.Netography{URL: front.URL, Username: "ann", Password: password}, plain())), 24 * time.Hour},
		"OAuth user":      {make(client.NewOAuthUser(user, begun)), 15 * time.Minute},
		"OAuth machine": {
			make(client.NewClientCredentials(client.OAuth{
				Issuer: w.url, TokenURL: front.URL + "/oauth2/token", ClientID: machine.ID, ClientSecret: machine.Secret,
			}, plain())), 15 * time.Minute,
		},
	} {
		t.Run(name, func(t *testing.T) {
			last := token(t, tc.src)
			before := w.sessions()
			for _, mode := range []string{"drop", "cut", "502"} {
				for _, n := range []int64{1, 3} {
					w.pass(tc.life - time.Second)
					p.mode.Store(mode)
					p.lost.Store(0)
					p.left.Store(n)
					next := token(t, tc.src)
					p.left.Store(0)
					if p.lost.Load() != n {
						t.Errorf("%s: %d answers were lost, want %d", mode, p.lost.Load(), n)
					}
					if next.AccessToken == last.AccessToken || w.call(next) != 200 {
						t.Errorf("%s: no new token, or one that is not taken", mode)
					}
					last = next
				}
			}
			if got := w.sessions(); got > before {
				t.Errorf("%d sessions, %d before", got, before)
			}
		})
	}
}
