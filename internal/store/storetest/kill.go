package storetest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/internal/core"
)

// Load works on a store until ctx ends or the process dies: clients log in,
// refresh, revoke and create users, each on rows of its own, and each
// acknowledged step is written to out as one line, after the store answered.
// Run it in a process of its own, kill that with SIGKILL, open the store again
// and hand the lines to Check: what was acknowledged must be there.
//
// round makes names of several rounds on one store differ.
func Load(ctx context.Context, s core.Store, round string, clients int, out io.Writer) error {
	var mu sync.Mutex
	tell := func(format string, args ...any) {
		line := fmt.Sprintf(format+"\n", args...)
		mu.Lock()
		defer mu.Unlock()
		// One write a line, straight to the file: a line is whole or absent.
		_, _ = io.WriteString(out, line) // a lost line only weakens the check
	}
	errs := make(chan error, clients)
	for c := range clients {
		go func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := loadOnce(ctx, s, fmt.Sprintf("%s-%d-%d", round, c, n), n, tell); err != nil && ctx.Err() == nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range clients {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

// loadOnce is the life of one user and session.
func loadOnce(ctx context.Context, s core.Store, name string, n int, tell func(string, ...any)) error {
	u := newUser(name, core.TypeUser)
	if _, err := s.CreateUser(ctx, &core.CreateUserParams{User: u, Now: now, Event: event("user.create")}); err != nil {
		return err
	}
	tell("user %s", u.ID)
	res, err := s.OpenSession(ctx, opening(&u))
	if err != nil {
		return err
	}
	sess := res.Session
	tell("session %s", sess.ID)
	for g := range int64(5) {
		res, err := s.RefreshSession(ctx, presenting(sess, g, now))
		if err != nil {
			return err
		}
		if res.Verdict != core.RefreshMoved {
			return fmt.Errorf("generation %d of %s: %s", g, sess.ID, res.Verdict)
		}
		tell("moved %s %d", sess.ID, res.Session.Generation)
	}
	if n%2 == 0 {
		if _, err := s.RevokeSessions(ctx, &core.RevokeSessionsParams{ID: &sess.ID, Reason: "load", Now: now, Event: event("logout")}); err != nil {
			return err
		}
		tell("revoked %s", sess.ID)
	}
	return nil
}

// Check reads what Load wrote and looks for every acknowledged step in the
// store, and for anything impossible. It returns how many lines it checked.
func Check(ctx context.Context, s core.Store, acknowledged io.Reader) (int, error) {
	revoked, err := revokedSids(ctx, s)
	if err != nil {
		return 0, err
	}
	lines := 0
	for in := bufio.NewScanner(acknowledged); in.Scan(); lines++ {
		f := strings.Fields(in.Text())
		if len(f) < 2 || (f[0] == "moved" && len(f) < 3) {
			return lines, fmt.Errorf("line %d of the record is cut: %q", lines+1, in.Text())
		}
		if err := checkLine(ctx, s, f, revoked); err != nil {
			return lines, fmt.Errorf("acknowledged %q: %w", in.Text(), err)
		}
	}
	return lines, checkChain(ctx, s)
}

func checkLine(ctx context.Context, s core.Store, f []string, revoked map[string]bool) error {
	if f[0] == "user" {
		_, err := s.UserByID(ctx, f[1])
		return err
	}
	id, err := core.ParseSessionID(f[1])
	if err != nil {
		return err
	}
	sess, _, err := s.SessionByID(ctx, id)
	if err != nil {
		return err
	}
	switch f[0] {
	case "moved":
		g, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil {
			return err
		}
		if sess.Generation < g {
			return fmt.Errorf("the row stands at %d", sess.Generation)
		}
	case "revoked":
		if sess.RevokedAt == 0 || !revoked[f[1]] {
			return fmt.Errorf("revoked at %d, fact: %t", sess.RevokedAt, revoked[f[1]])
		}
	}
	return nil
}

func revokedSids(ctx context.Context, s core.Store) (map[string]bool, error) {
	sids := map[string]bool{}
	var seen int64
	for {
		page, _, err := s.FactsSince(ctx, seen, 1000)
		if err != nil || len(page) == 0 {
			return sids, err
		}
		for _, f := range page {
			if f.Number != seen+1 {
				return nil, fmt.Errorf("fact %d follows %d", f.Number, seen)
			}
			seen = f.Number
			if f.Kind == core.FactSession {
				sids[f.Subject] = true
			}
		}
	}
}

// checkChain verifies the whole audit log of each node in it.
func checkChain(ctx context.Context, s core.Store) error {
	node, err := s.MetaGet(ctx, core.MetaNode)
	if err != nil {
		return err
	}
	var all []core.AuditRecord
	for after := int64(0); ; {
		page, err := s.ListAudit(ctx, core.AuditQuery{Node: node, After: after, Limit: 1000})
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return core.VerifyChain(all)
		}
		all = append(all, page...)
		after = page[len(page)-1].Sequence
	}
}
