package app_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/pgtest"
)

// TestYesterdaysCopy: whatever is put in the place of a store, nothing that was
// ended since is accepted, and who was not ended goes on.
func TestYesterdaysCopy(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			p := way.stage(t)
			s := p.must()
			c := newCrowd(s)
			c.check(s, "before", false)
			putBack, s := way.take(p, s)
			for _, end := range c.end {
				end(s)
			}
			c.check(s, "ended", true)
			p.stop()
			putBack()
			_, err := p.start()
			var restored *core.RestoredError
			if !errors.As(err, &restored) {
				t.Fatalf("a server started on yesterday's copy: %v", err)
			}
			if _, err := app.OpenOffline(t.Context(), p.config(), p.options()); !errors.As(err, &restored) {
				t.Fatalf("a command opened yesterday's copy: %v", err)
			}
			report, err := p.confirm(app.ConfirmOptions{})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("why: %s; facts %d, tokens %d, disabled %d, deleted %d, passwords %d, secrets %d, keys %d", report.Why, report.Facts,
				len(report.Tokens), len(report.Disabled), len(report.Deleted), len(report.Passwords), len(report.Secrets), len(report.SigningKeys))
			s = p.must()
			c.check(s, "restored", true)
			s = p.must() // nothing to confirm any more
			c.check(s, "started again", true)
		})
	}
}

// TestYesterdaysCopyWithTeeth: without the journal, and an operator's false
// word that the store is the present one, the same copy does revive what was
// ended. So the test above proves something.
func TestYesterdaysCopyWithTeeth(t *testing.T) {
	p := onSQLite(t)
	c := newCrowd(p.must())
	putBack, s := takeFile(p, nil)
	for _, end := range c.end {
		end(s)
	}
	p.stop()
	putBack()
	if err := os.Remove(filepath.Join(p.dir, "facts.journal")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.start(); err == nil {
		t.Fatal("started without the journal that the store had")
	}
	if _, err := p.confirm(app.ConfirmOptions{JournalLost: true}); err != nil {
		t.Fatal(err)
	}
	c.check(p.must(), "revived", false)
}

// TestEndEverything: nobody knows what was ended, so all tokens are.
func TestEndEverything(t *testing.T) {
	for _, way := range ways[:3] { // a new node without a journal cannot tell a database that was put back
		t.Run(way.name, func(t *testing.T) {
			p := way.stage(t)
			s := p.must()
			s.user("", "ada", "application")
			a := s.tryLogin("ada").want(200, "")
			refresh := a.text("refreshToken")
			tok := s.do("POST", "/api/users/application-token", refresh, nil).want(200, "").text("token")
			machine := s.oauthClient(admin.NewOAuthClient{Name: "m", Grants: []string{core.GrantCredentials}, Scopes: []string{"read"}})
			asking := s.machine("read")
			issued := s.token(machine, "grant_type", "client_credentials").want(200, "").text("access_token")
			putBack, _ := way.take(p, s)
			p.stop()
			putBack()
			if err := os.Remove(filepath.Join(p.dir, "facts.journal")); err != nil {
				t.Fatal(err)
			}
			if _, err := p.start(); err == nil {
				t.Fatal("started on a copy")
			}
			report, err := p.confirm(app.ConfirmOptions{EndEverything: true})
			if err != nil || !report.Everything || len(report.Tokens) != 1 {
				t.Fatal(report, err)
			}
			s = p.must()
			s.do("GET", "/api/stations", a.text("accessToken"), nil).want(401, "")
			s.do("POST", "/api/users/refresh", refresh, nil).want(401, "")
			s.do("GET", "/api/stations", tok, nil).want(401, "")
			s.introspect(asking, issued).want(200, `{"active":false}`)
			s.tryLogin("ada").want(200, "")
			s.token(machine, "grant_type", "client_credentials").want(200, "")
		})
	}
}

// TestSecondNodeAfterRestore: when one node has confirmed, another with a
// journal of its own goes on if that has nothing to add, and is asked to
// confirm if it has.
func TestSecondNodeAfterRestore(t *testing.T) {
	p := onPostgres(t)
	q := newStage(t, filepath.Join(t.TempDir(), "data"), p.flags)
	q.flags["data"] = []string{q.dir}
	a, b := p.must(), q.must()
	a.user("", "ada", "application")
	first := a.tryLogin("ada").want(200, "").text("accessToken")
	second := a.tryLogin("ada").want(200, "").text("accessToken")
	q.stop()
	putBack, a := takeTemplate(p, a)
	b = q.must()
	end := func(s *server, tok string) {
		_, c := claims(t, tok)
		s.act("/sessions/revoke", map[string]any{"session": c["sid"]})
	}
	end(a, first)
	soon(t, "the other node", func() bool { return b.do("GET", "/api/stations", first, nil).status == 401 })
	p.stop() // the first node does not hear of what the second does
	end(b, second)
	q.stop()
	putBack()
	var restored *core.RestoredError
	if _, err := q.start(); !errors.As(err, &restored) {
		t.Fatalf("the second node: %v", err)
	}
	if _, err := p.confirm(app.ConfirmOptions{}); err != nil {
		t.Fatal(err)
	}
	a = p.must()
	a.do("GET", "/api/stations", first, nil).want(401, "")
	if _, err := q.start(); !errors.As(err, &restored) || !strings.Contains(err.Error(), "the facts journal of this node knows of") {
		t.Fatalf("the second node has more to say: %v", err)
	}
	if _, err := q.confirm(app.ConfirmOptions{}); err == nil || !strings.Contains(err.Error(), "is being served, by ") {
		t.Fatalf("confirmed beside a node that serves: %v", err)
	}
	p.stop()
	if _, err := q.confirm(app.ConfirmOptions{}); err != nil {
		t.Fatal(err)
	}
	q.must().do("GET", "/api/stations", second, nil).want(401, "")
	p.must().do("GET", "/api/stations", second, nil).want(401, "")
	p.stop()
	p.must() // its journal was told of the new incarnation
}

// TestConfirmCutOff: wherever restoring or confirming is cut off, no server
// serves what is left, and doing it again ends it.
func TestConfirmCutOff(t *testing.T) {
	for _, way := range []copies{ways[0], ways[2]} {
		t.Run(way.name, func(t *testing.T) {
			p := way.stage(t)
			c := newCrowd(p.must())
			putBack, s := way.take(p, p.must())
			for _, end := range c.end {
				end(s)
			}
			p.stop()
			putBack()
			cuts := 0
			for n := 1; ; n = n*3/2 + 1 {
				ctx, cancel := context.WithCancel(t.Context())
				var left atomic.Int64
				left.Store(int64(n))
				o := p.options()
				now := o.Now
				o.Now = func() int64 { // asked for at every step, by several at once
					if left.Add(-1) == 0 {
						cancel()
					}
					return now()
				}
				_, err := app.ConfirmRestore(ctx, p.config(), o, app.ConfirmOptions{})
				cancel()
				if err == nil && left.Load() > 0 {
					break
				}
				if err != nil {
					cuts++
					if s, err := p.start(); err == nil {
						t.Fatalf("cut off after %d: a server started at %s", n, s.url)
					}
				} else {
					break
				}
			}
			if cuts < 5 {
				t.Errorf("cut off %d times only", cuts)
			}
			c.check(p.must(), "confirmed in the end", true)
		})
	}
}

// TestRestoreCutOff: half a store is none.
func TestRestoreCutOff(t *testing.T) {
	for _, way := range []copies{ways[0], ways[2]} {
		t.Run(way.name, func(t *testing.T) {
			p := way.stage(t)
			s := p.must()
			c := newCrowd(s)
			var file bytes.Buffer
			if err := s.admin.Backup(t.Context(), &file); err != nil {
				t.Fatal(err)
			}
			for _, end := range c.end {
				end(s)
			}
			p.stop()
			if p.flags["store"] != nil {
				p.flags["store"] = []string{pgtest.Start(t).NewDatabase(t)}
			} else {
				p.removeStore()
			}
			for _, part := range []int{10, 50, 90, 99} {
				cut := bytes.NewReader(file.Bytes()[:file.Len()*part/100])
				if _, err := app.Restore(t.Context(), p.config(), p.options(), cut, nil); err == nil {
					t.Fatalf("%d%% of a backup were restored", part)
				}
				if s, err := p.start(); err == nil {
					t.Fatalf("a server started on %d%% of a store at %s", part, s.url)
				}
			}
			if _, err := app.Restore(t.Context(), p.config(), p.options(), &file, nil); err != nil {
				t.Fatal(err)
			}
			if _, err := p.confirm(app.ConfirmOptions{}); err != nil {
				t.Fatal(err)
			}
			c.check(p.must(), "restored", true)
		})
	}
}

// TestLongAfter: a session ended days ago stays ended, though the store has
// forgotten the fact on it and its refresh token would still be good.
func TestLongAfter(t *testing.T) {
	p := onSQLite(t)
	s := p.must()
	s.user("", "ada", "application")
	a := s.tryLogin("ada").want(200, "")
	putBack, s := takeFile(p, s)
	_, c := claims(t, a.text("accessToken"))
	s.act("/sessions/revoke", map[string]any{"session": c["sid"]})
	for range 8 { // a day's jump would put the clock in doubt
		p.clock.Add((20 * time.Hour).Milliseconds())
		s = p.must()
		s.app.Service().Purge(t.Context())
	}
	p.stop()
	putBack()
	if _, err := p.confirm(app.ConfirmOptions{}); err != nil {
		t.Fatal(err)
	}
	p.must().do("POST", "/api/users/refresh", a.text("refreshToken"), nil).want(401, "")
}
