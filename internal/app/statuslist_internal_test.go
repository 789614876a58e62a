package app

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
)

// fakeStatus is a source of lists whose clock the test moves.
type fakeStatus struct {
	mu      sync.Mutex
	version int64
	looks   int   // questions about lists
	built   int   // those answered with bits
	costs   int64 // milliseconds that an answer takes
	err     error
	mono    atomic.Int64
	now     int64
}

func (f *fakeStatus) StatusList(_ context.Context, q core.StatusQuery) (*core.StatusList, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks++
	f.mono.Add(f.costs)
	switch {
	case f.err != nil:
		return nil, f.err
	case q.List > 3:
		return nil, core.Errorf(core.NotFound, "there is no such list")
	case q.Known == f.version:
		return &core.StatusList{Version: f.version}, nil
	}
	f.built++
	return &core.StatusList{Version: f.version, Dead: make([]byte, core.StatusListSize/8)}, nil
}

func (f *fakeStatus) StatusLists(context.Context) ([]string, error) {
	f.looks++
	return nil, f.err
}

func (f *fakeStatus) Issuer() string { return "https://new.example" }
func (f *fakeStatus) Issuers() []string {
	return []string{"https://old.example:8443/", "https://new.example"}
}

// SignDocument implements documentSigner: the payload itself, readable.
func (f *fakeStatus) SignDocument(_ core.KeySet, _ string, payload []byte) (string, error) {
	return string(payload), nil
}

func fakeLists() (*fakeStatus, *statusLists) {
	f := &fakeStatus{version: 1, now: 1_790_000_000_000}
	return f, &statusLists{
		service: f, keys: f, lists: map[listID]*servedList{},
		now: func() int64 { return f.now }, steady: f.mono.Load,
	}
}

func fetch(s *statusLists, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.handler().ServeHTTP(w, r)
	return w
}

func payloadOf(t *testing.T, w *httptest.ResponseRecorder) (p listAnswer) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &p); w.Code != 200 || err != nil {
		t.Fatal(w.Code, w.Body.String(), err)
	}
	return p
}

// TestStatusListsAreCheap: however many ask, the store is asked once a second,
// a list is built when it changed, and one that costs much less often.
func TestStatusListsAreCheap(t *testing.T) {
	f, s := fakeLists()
	const list = "https://new.example/oauth2/status-lists/s0"
	expect := func(what string, looks, built int) {
		t.Helper()
		if f.looks != looks || f.built != built {
			t.Fatalf("%s: %d looks, %d builds, want %d and %d", what, f.looks, f.built, looks, built)
		}
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { fetch(s, list) })
	}
	all.Wait()
	expect("fifty at once", 1, 1)
	first := payloadOf(t, fetch(s, list))
	f.version = 2
	f.mono.Add(999)
	fetch(s, list)
	expect("within the second", 1, 1)
	f.mono.Add(1)
	fetch(s, list)
	expect("changed", 2, 2)
	f.mono.Add(1000)
	f.now += 1000
	tag := fetch(s, list).Header().Get("ETag")
	expect("unchanged", 3, 2)
	if w := fetch(s, list, "If-None-Match", tag); w.Code != 304 || w.Body.Len() != 0 {
		t.Error("the tag given is not known", w.Code)
	}
	// It is signed anew before readers find it half expired.
	f.mono.Add(5000)
	f.now += 5000
	again := payloadOf(t, fetch(s, list))
	if again.IssuedAt != first.IssuedAt+6 || again.Expires != again.IssuedAt+30 || again.TTL != 2 {
		t.Errorf("%+v after %+v", again, first)
	}
	expect("signed anew", 4, 2)

	f.costs, f.version = 500, 3
	f.mono.Add(1000)
	fetch(s, list)
	expect("expensive", 5, 3)
	f.mono.Add(1000)
	fetch(s, list)
	expect("is kept longer", 5, 3)
	f.mono.Add(500)
	fetch(s, list)
	expect("but not for ever", 6, 3)
}

// TestStatusListsAreBounded: what strangers make up takes no memory, and too
// many lists push each other out.
func TestStatusListsAreBounded(t *testing.T) {
	f, s := fakeLists()
	for _, name := range []string{"s4", "s9223372036854775807", "t77"} {
		if w := fetch(s, "https://new.example/oauth2/status-lists/"+name); w.Code != 404 {
			t.Error(name, w.Code)
		}
	}
	looks := f.looks
	for _, name := range []string{"", "s", "x1", "s01", "s-1", "s+1", "S1", "s1/", "s9223372036854775808", "s1%20", "s0/s0", "..%2fs0"} {
		if w := fetch(s, "https://new.example/oauth2/status-lists/"+name); w.Code != 404 {
			t.Error(name, w.Code)
		}
	}
	if len(s.lists) != 0 || f.looks != looks {
		t.Errorf("%d lists kept, %d looks", len(s.lists), f.looks-looks)
	}
	for i := range int64(2 * listsKept) {
		f.mono.Add(1)
		s.entry(listID{"i", core.StatusSessions, i})
	}
	if len(s.lists) != listsKept || s.lists[listID{"i", core.StatusSessions, 2*listsKept - 1}] == nil {
		t.Errorf("%d lists kept", len(s.lists))
	}
}

// TestStatusListsFail: a store that does not answer is a 503, never an old
// list: who verifies has one, and knows how old it is.
func TestStatusListsFail(t *testing.T) {
	f, s := fakeLists()
	payloadOf(t, fetch(s, "https://new.example/oauth2/status-lists/s0"))
	f.err = &core.Error{Code: core.Unavailable, Reason: "store", Err: errors.New("gone")}
	f.mono.Add(1000)
	for _, path := range []string{"s0", "s1"} {
		if w := fetch(s, "https://new.example/oauth2/status-lists/"+path); w.Code != 503 || w.Header().Get("Retry-After") != "1" {
			t.Error(path, w.Code, w.Header())
		}
	}
	if w := fetch(s, "https://new.example/oauth2/status-lists"); w.Code != 503 {
		t.Error("index", w.Code)
	}
	f.err = nil
	payloadOf(t, fetch(s, "https://new.example/oauth2/status-lists/s0"))
}

// TestStatusListNames: a list has the name that the tokens have, also those of
// a former issuer, whatever a stranger puts into Host.
func TestStatusListNames(t *testing.T) {
	_, s := fakeLists()
	for host, want := range map[string]string{
		"new.example": "https://new.example/oauth2/status-lists/s0", "OLD.example:8443": "https://old.example:8443/oauth2/status-lists/s0",
		"evil.example": "https://new.example/oauth2/status-lists/s0", "": "https://new.example/oauth2/status-lists/s0",
	} {
		r := httptest.NewRequest(http.MethodGet, "/oauth2/status-lists/s0", nil)
		r.Host = host
		w := httptest.NewRecorder()
		s.handler().ServeHTTP(w, r)
		if p := payloadOf(t, w); p.Subject != want || p.Issuer != "https://new.example" {
			t.Errorf("%q: %+v", host, p)
		}
	}
}
