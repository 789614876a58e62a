package app_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/store/pgtest"
)

// guessBudget is what strangers have in these tests, for one name.
const guessBudget = 30

// Room in the queue for three times the budget: what is tried is the budget, not the
// admission before it.
const guessing = "trusted_proxies: [127.0.0.1]\nlimits: {stranger_failures: 30}\npassword: {queue: 90}\n"

// TestSecurity54_FiveHundredGuessesOverTwoNodes: 500 guesses at one user, at
// once, over two nodes and all four ways to a password, in several spellings
// and each from a network of its own. What counts is not what was answered but
// how many passwords were held against the user's hash.
func TestSecurity54_FiveHundredGuessesOverTwoNodes(t *testing.T) {
	node := nodesOn(t, pgtest.Start(t).NewDatabase(t))
	a := node(guessing)
	guessAtOnce(t, a, node(guessing))
}

// TestSecurity54_FiveHundredGuessesOnOneNode is the same with the embedded store.
func TestSecurity54_FiveHundredGuessesOnOneNode(t *testing.T) {
	guessAtOnce(t, serve(t, guessing))
}

func guessAtOnce(t *testing.T, nodes ...*server) {
	t.Helper()
	nodes[0].user("", "ursula", "user")
	c := nodes[0].oauthClient(admin.NewOAuthClient{Name: "web", Type: "confidential", Grants: []string{"authorization_code"}, Scopes: []string{"openid"}})
	compared := func() (n int) {
		for _, s := range nodes {
			n += s.passwordsCompared()
		}
		return n
	}

	const guesses = 500
	ready := make([]func() int, guesses)
	for i := range ready {
		ready[i] = nodes[i%len(nodes)].guess(c, i, fmt.Sprint("guess number ", i))
	}
	statuses := map[int]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	start := make(chan struct{})
	for _, guess := range ready {
		all.Go(func() {
			<-start
			status := guess()
			mu.Lock()
			statuses[status]++
			mu.Unlock()
		})
	}
	close(start)
	all.Wait()
	atOnce := compared()
	for status := range statuses {
		if status < 400 || status == http.StatusInternalServerError {
			t.Errorf("%d guesses were answered %d", statuses[status], status)
		}
	}
	if atOnce == 0 || atOnce > guessBudget {
		t.Fatalf("%d passwords were compared, the budget is %d; answers %v", atOnce, guessBudget, statuses)
	}

	// Most found the queue full, which costs the budget nothing. What is left
	// of it can be used up, and not one more.
	for i := range guessBudget + 12 {
		nodes[i%len(nodes)].guess(c, guesses+i, fmt.Sprint("late guess ", i))()
	}
	if n := compared(); n != guessBudget {
		t.Errorf("%d passwords were compared, the budget is %d", n, guessBudget)
	}
	for i := range 4 { // the right one, too late on every way
		if status := nodes[i%len(nodes)].guess(c, 700+i, password)(); status < 400 {
			t.Errorf("the right password after the budget: status %d", status)
		}
	}
	if n := compared(); n != guessBudget {
		t.Errorf("the right password was compared after the budget: %d", n)
	}
	t.Logf("%d guesses at once, answers %v: %d passwords compared, %d in the end", guesses, statuses, atOnce, compared())
}

// guess prepares guess number i, all but sending it: the way and the spelling
// of the name go by turns, the network is one of its own.
func (s *server) guess(c *admin.OAuthClient, i int, pw string) func() int {
	s.t.Helper()
	name := []string{"ursula", "URSULA", "ｕrsula"}[i/4%3]
	client, path, media, body := http.DefaultClient, "", "application/x-www-form-urlencoded", ""
	inJSON, err := json.Marshal(map[string]string{"username": name, "password": pw})
	if err != nil {
		s.t.Fatal(err)
	}
	switch i % 8 / 2 { // two in a row: the nodes take turns
	case 0:
		path, media, body = "/token", "application/json", string(inJSON)
	case 1:
		path, media, body = "/api/users/login", "application/json", string(inJSON)
	case 2:
		path, body = "/api/auth/bearer/token", url.Values{"username": {name}, "password": {pw}}.Encode()
	case 3:
		b := s.browser()
		f := b.authorize(ask(c)).fields("/oauth2/login")
		f.Set("username", name)
		f.Set("password", pw)
		client, path, body = b.c, "/oauth2/login", f.Encode()
	}
	return func() int {
		req, err := http.NewRequestWithContext(s.t.Context(), "POST", s.url+path, strings.NewReader(body))
		if err != nil {
			s.t.Error(err)
			return 0
		}
		req.Header.Set("Content-Type", media)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		req.Header.Set("X-Forwarded-For", fmt.Sprintf("10.%d.%d.1", i>>8, i&255))
		res, err := client.Do(req)
		if err != nil {
			s.t.Error(err)
			return 0
		}
		defer res.Body.Close()
		_, _ = io.Copy(io.Discard, res.Body) // the status is all that is wanted
		return res.StatusCode
	}
}

// passwordsCompared is how many passwords a node has held against a stored
// hash since its start.
func (s *server) passwordsCompared() int {
	s.t.Helper()
	res, err := http.Get(s.app.PrivateURL() + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "sallyport_hash_compared "); ok {
			n, err := strconv.Atoi(text)
			if err != nil {
				s.t.Fatal(err)
			}
			return n
		}
	}
	s.t.Fatal("the metrics do not tell how many passwords were compared")
	return 0
}
