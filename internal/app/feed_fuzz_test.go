package app

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// FuzzFeedQuery: a question that is read asks for what is above a number and
// waits no longer than allowed; none that holds a token is read.
func FuzzFeedQuery(f *testing.F) {
	for _, s := range []string{"", "since=0", "since=5&wait=25", "since=-1", "since=1&since=2", "wait=99999999999999999999", "wait=4611686018427387903", "access_token=x", "a;access_token=x", "since=%31", "since=1e3", "since= 1", "since=0x1", "since=+1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		since, wait, err := feedQuery(&http.Request{URL: &url.URL{RawQuery: query}})
		if err != nil {
			return
		}
		if since < 0 || wait < 0 || wait > feedMostWait*time.Second || strings.Contains(query, ";") {
			t.Fatalf("%q is read as %d, %s", query, since, wait)
		}
		if q, err := url.ParseQuery(query); err != nil || q.Has("access_token") {
			t.Fatalf("%q is read", query)
		}
	})
}
