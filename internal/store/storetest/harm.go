package storetest

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/core"
)

// killed kills a process under load at different moments, again and again on
// one store: nothing that was acknowledged may be missing, and the next
// process gets the store as it was.
func killed(t *testing.T, harm Harm) {
	open, command := harm.Kill(t)
	record, err := os.Create(filepath.Join(t.TempDir(), "acknowledged"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = record.Close() }) // it is read back while open
	total := 0
	for round := range 4 {
		killAfter(t, command(), record, 40+round*97)
		if _, err := record.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		s := open(t)
		n, err := Check(t.Context(), s, record)
		if err != nil {
			t.Fatalf("after kill %d: %v", round+1, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if n <= total {
			t.Fatalf("round %d acknowledged nothing", round+1)
		}
		total = n
	}
	t.Logf("%d acknowledged steps survived 4 kills", total)
}

// killAfter runs the loading process until it has acknowledged so many steps
// and kills it in mid-work. What it still wrote until then counts too.
func killAfter(t *testing.T, cmd *exec.Cmd, record io.Writer, steps int) {
	t.Helper()
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(out)
	for n := 0; ; n++ {
		line, err := in.ReadString('\n')
		if err != nil {
			break // the pipe is empty and its writer dead; a cut line was not acknowledged whole
		}
		if _, err := io.WriteString(record, line); err != nil {
			t.Fatal(err)
		}
		if n == steps {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the loading process ended by itself")
	}
}

// diskFull: a full disk refuses what it cannot keep, keeps what was
// acknowledged, goes on reading and revoking, and works again once there is
// room.
func diskFull(t *testing.T, harm Harm) {
	open, fill := harm.Full(t)
	e := &env{T: t, ctx: t.Context(), open: open, Store: open(t)}
	defer func() { e.ok(e.Close()) }()
	big := func() core.User {
		u := newUser(core.NewID("u"), core.TypeUser)
		u.Attributes = []byte(`"` + strings.Repeat("x", 20_000) + `"`)
		return u
	}
	acknowledged := []string{e.create(big()).ID}
	ada := e.user("ada")
	s := e.login(ada)
	var ends []*core.Session
	for range 200 {
		ends = append(ends, e.login(ada))
	}
	free := fill(e.Store)
	var full error
	for range 20_000 {
		u := big()
		if _, full = e.CreateUser(e.ctx, &core.CreateUserParams{User: u, Now: now, Event: event("user.create")}); full != nil {
			break
		}
		acknowledged = append(acknowledged, u.ID)
	}
	if core.CodeOf(full) != core.Unavailable {
		t.Fatalf("on a full disk: %v", full)
	}
	if e.WriteFault() == nil {
		t.Error("the store says that it can write")
	}
	e.ok(e.Ping(e.ctx))
	for _, id := range acknowledged {
		e.userNow(id)
	}
	e.sessionNow(s.ID)
	revoked := revokedWhenFull(e, ends)
	free()
	u := big()
	_, err := e.CreateUser(e.ctx, &core.CreateUserParams{User: u, Now: now, Event: event("user.create")})
	// By itself, when it looks the next time.
	for began := time.Now(); core.CodeOf(err) == core.Unavailable && !errors.Is(err, core.ErrUnknownOutcome) && time.Since(began) < time.Minute; {
		time.Sleep(10 * time.Millisecond)
		_, err = e.CreateUser(e.ctx, &core.CreateUserParams{User: u, Now: now, Event: event("user.create")})
	}
	e.ok(err)
	e.ok(e.WriteFault())
	for _, id := range append(acknowledged, u.ID) {
		e.userNow(id)
	}
	equal(e, "facts", e.lastFact(), revoked)
	equal(e, "the session goes on", e.refreshed(presenting(s, 0, now)).Verdict, core.RefreshMoved)
	e.ok(checkChain(e.ctx, e.Store))
}

// revokedWhenFull: what ends something is written for all that: room was kept
// back for it, and nothing else gets that.
func revokedWhenFull(e *env, ends []*core.Session) (facts int64) {
	if e.Stats().Ballast == 0 {
		e.Log("no disk can be filled here, so what the ballast is for is not tried")
		return 0
	}
	for i, s := range ends {
		n, err := e.RevokeSessions(e.ctx, &core.RevokeSessionsParams{ID: &s.ID, Reason: "logout", FactPurgeAt: now + day, Now: now, Event: event("logout")})
		if err != nil || n != 1 {
			e.Fatalf("revocation %d of %d on a full disk: %d, %v", i+1, len(ends), n, err)
		}
	}
	equal(e, "facts", len(e.factsSince(0)), len(ends))
	u := newUser(core.NewID("u"), core.TypeUser)
	u.Attributes = []byte(`"` + strings.Repeat("x", 20_000) + `"`)
	if _, err := e.CreateUser(e.ctx, &core.CreateUserParams{User: u, Now: now, Event: event("user.create")}); core.CodeOf(err) != core.Unavailable {
		e.Fatalf("in the room for revocations: %v", err)
	}
	if e.WriteFault() == nil {
		e.Error("the store says that it can write")
	}
	return e.lastFact()
}
